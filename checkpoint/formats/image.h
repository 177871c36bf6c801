/* image — a consumer that knows, whenever the stream ends, the guest's memory and state as of the last
 * commit: contents stay where they are (a regular file is read again) or go to a spool, so that memory
 * is bounded by the table of pages, however long the stream. Also the base of deltas for readers. */
#ifndef REPLICATOR_CHECKPOINT_IMAGE_H
#define REPLICATOR_CHECKPOINT_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sha256.h"
#include "checkpoint/formats/reading.h"
#include "checkpoint/formats/spool.h"

#define IMAGE_STATES_MAX 36864u /* distinct blobs: four of each of 8192 vcpus, and some */
#define IMAGE_PARAMS_MAX 4096u  /* distinct HVM parameters */

struct image_state {
    const char *name;
    bool is_indexed;
    uint32_t index, emulator, type;
    uint64_t bytes;
    uint64_t order;                /* when it came: larger is later */
    uint64_t offset;               /* of its octets in the spool, when kept */
    char sha256[SHA256_HEX_BYTES];
};

struct image_param {
    uint64_t index, value;
};

struct image_set { /* sorted */
    struct image_state *states;
    struct image_param *params;
    size_t states_n, params_n;
};

struct image_wishes {
    bool has_pages;  /* contents are kept: recall and image_page work */
    bool has_states; /* octets of state blobs are kept, not only their digests */
};

struct image {
    struct image_set now;  /* at the end: as committed */
    uint64_t pages, populated; /* known after end */
    bool is_complete;
    /* private */
    struct image_wishes wishes;
    struct stream_input *in;
    struct pagetable *table;
    struct image_set kept;
    struct spool spool;
    struct sha256 sha;
    struct image_state open;
    uint64_t heard; /* blobs so far */
    bool is_changed; /* now is not kept: blobs or parameters came since the last commit */
};

void image_open(struct image *i, struct stream_input *in, struct image_wishes wishes);
void image_close(struct image *i); /* twice is fine */

/* The image as a consumer of reading_run(), whose table must live as long as the image is used. */
struct consumer image_consumer(struct image *i);

/* After the run: a page's content (PAGE_BYTES; zeros where there is none), and a blob's octets. */
MUST_CHECK int image_page(struct image *i, uint64_t pfn, uint8_t *to, struct err *e);
MUST_CHECK int image_state_get(struct image *i, const struct image_state *s, uint64_t at, void *to,
                               size_t n, struct err *e);
/* SHA-256 of pages 0 to pages-1, one after the other. */
MUST_CHECK int image_sha256(struct image *i, char ret[SHA256_HEX_BYTES], struct err *e);

/* The order of the list: by name, emulator, index. */
int image_state_compare(const struct image_state *a, const struct image_state *b);

/* "X86_PV_VCPU_BASIC/3", "EMULATOR_CONTEXT/2/0" (emulator, index), "HVM_CONTEXT". */
#define IMAGE_STATE_NAME_MAX 64u
const char *image_state_name(const struct image_state *s, char ret[IMAGE_STATE_NAME_MAX]);

#endif

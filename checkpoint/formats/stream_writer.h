/* stream_writer — a consumer that writes what it hears as a stream: libxc v3 or v2, bare or framed by
 * libxl and xl, plain or with our encoded pages and a digest over all.
 * Writes what every reader since Xen 4.6 takes: batches of 1024 pages at most, reserved bits zero,
 * HVM_PARAMS before HVM_CONTEXT. Checkpoints stay checkpoints. State that the target has no record for
 * goes into optional records (FOREIGN_STATE), which a plain restorer skips. What a drop voids is cut
 * off the output again. */
#ifndef REPLICATOR_CHECKPOINT_STREAM_WRITER_H
#define REPLICATOR_CHECKPOINT_STREAM_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/formats/image.h"
#include "checkpoint/pages.h"
#include "checkpoint/formats/reading.h"
#include "checkpoint/formats/stream_output.h"

struct writer_wishes {
    enum stream_framing framing; /* LIBXC, LIBXL or XL */
    uint32_t version;            /* of libxc: 2 or 3 */
    bool is_packed;              /* PAGE_DATA_ENCODED, IMAGE_BEGIN, IMAGE_END; version 3 only */
    bool has_extras;             /* FOREIGN_STATE where it is needed */
    struct codec_choice codecs;  /* when packed */
    size_t pages_at_once;        /* of a batch; 0: what every reader takes */
    size_t cache_bytes;          /* for the bases of deltas, when packed; 0: 24 MiB */
};

struct stream_writer;

/* Writes to `out`, which stays the caller's. */
MUST_CHECK int stream_writer_open(struct stream_writer **ret, struct stream_output *out,
                                  const struct writer_wishes *wishes, struct err *e);
void stream_writer_close(struct stream_writer *w); /* NULL is fine */

/* Deltas of the input start from what was written: read back from `out`, or, when that is packed, from
 * `memory`, which hears everything first (an image that keeps pages; NULL when not packed). */
struct consumer stream_writer_consumer(struct stream_writer *w, const struct consumer *memory);

/* Records that were left out because there are no extras. */
uint64_t stream_writer_left_out(const struct stream_writer *w);

#endif

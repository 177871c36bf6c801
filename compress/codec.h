/* codec — how one 4 KiB page becomes fewer octets, and back. One table, one row an encoding.
 * Encoders never write past `room`; decoders check everything before their first store, so that no
 * input can write out of bounds or leave half a page. Applying an encoding twice is the same as once
 * (deltas carry new values, not differences). Pure: no allocation, no state, no I/O. */
#ifndef REPLICATOR_COMPRESS_CODEC_H
#define REPLICATOR_COMPRESS_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define PAGE_BYTES 4096u

/* The numbers are part of the stream format: never reuse one. */
enum codec_id {
    CODEC_RAW = 0,
    CODEC_ZERO = 1,
    CODEC_DELTA = 2,
    CODEC_LZ4 = 3,
    CODEC_XOR_RLE = 4,
    CODEC_COUNT
};

struct codec {
    const char *name;
    enum codec_id id;
    bool needs_prior;  /* decoding starts from the version that the other side holds           */
    size_t bytes_max;  /* longest payload encode() makes and decode() takes                    */

    /* Encodes page into out[0..room); returns the payload's length. CODEC_NOT_WORTH when it does
     * not fit room or this codec gains nothing. `prior` is NULL exactly when !needs_prior.     */
    size_t (*encode)(const uint8_t *page, const uint8_t *prior, uint8_t *out, size_t room);

    /* Makes page from payload; for codecs with needs_prior the page holds the prior version on
     * entry. 0, or -EPROTO with the page untouched.                                           */
    int (*decode)(const uint8_t *payload, size_t bytes, uint8_t *page);
};

#define CODEC_NOT_WORTH SIZE_MAX

/* The row of an id read from outside; NULL when there is none. */
const struct codec *codec_by_id(uint64_t id);
/* The row of a name ("delta"); NULL when there is none. */
const struct codec *codec_by_name(const char *name);

/* How changes against a prior version are written. */
enum codec_changes { CODEC_NO_CHANGES, CODEC_BY_DELTA, CODEC_BY_XOR_RLE };

/* Which encodings a sender may use; zero and raw are always allowed. */
struct codec_choice {
    enum codec_changes delta;
    bool lz4;
    bool raw_in_place; /* a batch does not copy pages that stay raw: they are their own payloads */
};

/* Encodes a page by the best allowed row: zero, then delta or xor-rle (when prior is not NULL), then
 * lz4, else raw. out has room for PAGE_BYTES. Returns the payload's length and its row. */
size_t codec_encode_best(struct codec_choice allowed, const uint8_t *page, const uint8_t *prior,
                         uint8_t *out, const struct codec **ret_codec);

/* Pages that are encoded in one go, which reads them side by side and so reads them faster. */
#define CODEC_BATCH 4u

struct codec_job {
    const uint8_t *page;
    const uint8_t *prior; /* what the other side holds; NULL: nothing known */
    uint8_t *keep;        /* made equal to page afterwards; may be prior's place, or NULL */
    /* returned */
    const struct codec *codec;
    size_t bytes;
    const uint8_t *payload; /* in out; with raw_in_place and the raw row: page itself */
};

/* Encodes n pages (CODEC_BATCH at most), each as codec_encode_best() does, one payload behind the
 * other. out has room for n * PAGE_BYTES. No two jobs share a page, a prior or a place to keep it.
 * Returns the length of all payloads that are in out. */
size_t codec_encode_batch(struct codec_choice allowed, struct codec_job *jobs, size_t n, uint8_t *out);

#endif

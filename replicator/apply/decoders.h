/* decoders — chunks of an arriving epoch on their way through the check: what each entry leads to is
 * computed beside the replica, by any number of threads at once, and compared with the chunk's digest.
 * Results come back in the order of the chunks. Bounded: DECODERS_CHUNKS at once, reserved at open.
 * Reads replica memory that nobody writes meanwhile, and never writes it. Filled and emptied by stage. */
#ifndef REPLICATOR_APPLY_DECODERS_H
#define REPLICATOR_APPLY_DECODERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/workers.h"
#include "checkpoint/pages.h"

#define DECODERS_CHUNKS       8u
#define DECODERS_SENSIBLE_MAX 4u

/* Filled by the owner between decoders_next() and decoders_submit(). */
struct decoders_chunk {
    struct work work;         /* first: the work is the chunk */
    size_t n;
    struct pages_entry entries[PAGES_CHUNK_MAX]; /* those with content */
    uint8_t *bases[PAGES_CHUNK_MAX];             /* the replica's memory of each */
    uint64_t digest;          /* that the resulting pages must have */
    uint32_t number;          /* for error texts */
    uint8_t *room;            /* PAGES_BODY_MAX octets, and as many as a record has: for what must outlive */
    uint8_t *copy;            /* the octets that the chunk came in */
    /* result */
    int rc;
    struct err e;
    _Alignas(64) uint8_t scratch[PAGE_BYTES];
};

/* Numbers of chunks, ever. */
struct decoders {
    struct workers *workers;
    struct decoders_chunk *chunks;
    uint8_t *rooms;
    uint64_t begun, ended;
};

/* threads: 0 … DECODERS_CHUNKS; 0 checks in decoders_submit(). */
MUST_CHECK int decoders_open(struct decoders *d, unsigned threads, struct err *e);
void decoders_close(struct decoders *d); /* any state, twice */

static inline bool decoders_are_idle(const struct decoders *d)
{
    return d->begun == d->ended;
}

/* The next chunk's place; NULL while all are in use: end one first. */
struct decoders_chunk *decoders_next(struct decoders *d);
void decoders_submit(struct decoders *d);

/* The oldest chunk, once it is checked (NULL: not yet; with `wait` it is waited for), or NULL when there is
 * none. rc 0: everything led to what was sent; -EILSEQ: a delta did not meet its base; -EPROTO: a payload
 * is malformed or differs. Then decoders_end() gives its place back. */
struct decoders_chunk *decoders_oldest(struct decoders *d, bool wait);
void decoders_end(struct decoders *d);

#endif

/* pagebuf — the bounded store that the pages of an epoch are copied into while the guest is paused.
 * Never blocks, never allocates after open: when full the caller drains it (encodes and sends) while
 * the guest stays paused, then goes on filling. Memory bound first, pause second, as
 * Remus' 4096-page buffer was meant. Filled and drained as a whole: no ring, so that batches are contiguous. */
#ifndef REPLICATOR_CHECKPOINT_PAGEBUF_H
#define REPLICATOR_CHECKPOINT_PAGEBUF_H

#include <stdint.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "compress/codec.h"

struct pagebuf {
    uint8_t *pages;   /* capacity × PAGE_BYTES, pre-faulted, huge-page backed where possible */
    uint8_t **slots;  /* where entry i's page is: at first in `pages`, later where it was traded for */
    uint64_t *pfns;   /* whose content it is */
    uint8_t *types;   /* libxc page type of each, 0…15 */
    size_t capacity;
    size_t filled;    /* entries in use */
    size_t drained;   /* entries [0, drained) are already encoded */
};

/* Reserves room for `capacity` pages (1 … PAGEBUF_PAGES_MAX) and touches all of it. */
#define PAGEBUF_PAGES_MAX (UINT64_C(1) << 24)
MUST_CHECK int pagebuf_open(struct pagebuf *b, size_t capacity, struct err *e);
void pagebuf_close(struct pagebuf *b); /* any state, twice */

static inline size_t pagebuf_room(const struct pagebuf *b)
{
    return b->capacity - b->filled;
}
static inline size_t pagebuf_waiting(const struct pagebuf *b)
{
    return b->filled - b->drained;
}
/* Empties it: what was in it is gone. */
static inline void pagebuf_reset(struct pagebuf *b)
{
    b->filled = b->drained = 0;
}

#endif

/* dirty — a bitmap of pages, one bit a pfn: the dirty log, the carry, an epoch's set.
 * Scanned by 64-bit words; memory is reserved at open and of fixed size. */
#ifndef REPLICATOR_CHECKPOINT_DIRTY_H
#define REPLICATOR_CHECKPOINT_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct dirty {
    uint64_t *words;
    uint64_t pages; /* pfns 0 … pages-1; bits past them stay zero */
};

MUST_CHECK int dirty_open(struct dirty *d, uint64_t pages, struct err *e); /* all clear */
void dirty_close(struct dirty *d);                                        /* any state, twice */

static inline bool dirty_has(const struct dirty *d, uint64_t pfn)
{
    return d->words[pfn / 64] >> (pfn % 64) & 1;
}
static inline void dirty_set(struct dirty *d, uint64_t pfn)
{
    d->words[pfn / 64] |= UINT64_C(1) << (pfn % 64);
}
static inline void dirty_unset(struct dirty *d, uint64_t pfn)
{
    d->words[pfn / 64] &= ~(UINT64_C(1) << (pfn % 64));
}

void dirty_set_all(struct dirty *d);
void dirty_clear(struct dirty *d);
void dirty_or(struct dirty *to, const struct dirty *from); /* same size, else must() */
uint64_t dirty_count(const struct dirty *d);

/* The first set pfn at or after `from`; d->pages when there is none. */
uint64_t dirty_next(const struct dirty *d, uint64_t from);

/* Takes up to n set pfns at or after *cursor in ascending order into pfns and moves the cursor past
 * them; returns how many (0: none left). The bits stay set. */
size_t dirty_take(const struct dirty *d, uint64_t *cursor, uint64_t *pfns, size_t n);

#endif

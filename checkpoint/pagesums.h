/* pagesums — a digest of every page of a guest, as of one instant: what the primary saw at a pause and
 * the backup compares its replica with. A page without content has none (0). Eight octets a page,
 * reserved when opened and touched as pages are noted; cleared at once. Knows no guest. */
#ifndef REPLICATOR_CHECKPOINT_PAGESUMS_H
#define REPLICATOR_CHECKPOINT_PAGESUMS_H

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "checkpoint/record.h"

struct pagesums {
    uint64_t *sums; /* NULL: not open */
    uint64_t pages;
};

MUST_CHECK int pagesums_open(struct pagesums *s, uint64_t pages, struct err *e);
void pagesums_close(struct pagesums *s); /* any state, twice */
void pagesums_clear(struct pagesums *s);

/* Of a page's content, never 0. */
uint64_t pagesums_of(const uint8_t *page);

/* The first page from `from` on that has a sum; s->pages when there is none. */
uint64_t pagesums_next(const struct pagesums *s, uint64_t from);

/* Appends the next PAGE_SUMS record of an epoch and moves the cursor behind what it tells: 1, 0 when
 * all is told, -ENOBUFS when the sink is short (nothing appended). */
MUST_CHECK int pagesums_put(const struct pagesums *s, uint64_t epoch, uint64_t *cursor, struct sink *out);
#define PAGESUMS_RECORD_MAX (RECORD_HEADER_BYTES + 24u + PAGE_SUMS_MAX * 8u)

/* Takes what a record tells; -EPROTO: another epoch's, or pages that the guest does not have. */
MUST_CHECK int pagesums_take(struct pagesums *s, uint64_t epoch, const struct record *from, struct err *e);

#endif

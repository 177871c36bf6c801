/* unmapped — the pages that the last committed tail of a legacy PV stream lists as gone: a restore frees
 * them when everything else is done, so that they are part of no image, whatever was sent of them.
 * Two bits a page. Not before the end: a later epoch starts deltas from their content. */
#ifndef REPLICATOR_CHECKPOINT_UNMAPPED_H
#define REPLICATOR_CHECKPOINT_UNMAPPED_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define UNMAPPED_NAME "UNMAPPED_PFNS" /* of the blob that has the list: u64 each */

/* Plain storage, all zero at first. */
struct unmapped {
    uint64_t *now, *kept;
    size_t words; /* of each */
};

/* A piece of the list that starts at octet `at` of it; at 0 a new list replaces the old one. Pages from
 * `pages` on are nobody's and left out. -ENOMEM. */
MUST_CHECK int unmapped_take(struct unmapped *u, uint64_t at, const uint8_t *octets, size_t bytes,
                             uint64_t pages, struct err *e);
void unmapped_commit(struct unmapped *u);
void unmapped_drop(struct unmapped *u);
/* The first committed one at or after `from`; UINT64_MAX when there is none. */
uint64_t unmapped_next(const struct unmapped *u, uint64_t from);
void unmapped_close(struct unmapped *u); /* twice is fine */

#endif

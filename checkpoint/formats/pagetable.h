/* pagetable — what a stream has said about each page so far: its type, whether memory stands behind it,
 * and where its content is to be found; as of the last commit, and since.
 * Grows with the highest page that was named, 20 octets a page; commit costs nothing. Not thread-safe. */
#ifndef REPLICATOR_CHECKPOINT_PAGETABLE_H
#define REPLICATOR_CHECKPOINT_PAGETABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum page_place { PAGE_NOWHERE, PAGE_IN_INPUT, PAGE_IN_SPOOL }; /* nowhere: it reads as zeros */

struct page_note {
    bool is_populated; /* memory stands behind it */
    uint8_t type;      /* of its last entry */
    enum page_place place;
    uint64_t offset;   /* below 2^56 */
};

struct pagetable;

MUST_CHECK int pagetable_open(struct pagetable **ret, struct err *e);
void pagetable_close(struct pagetable *t); /* NULL is fine */

/* As it is now, uncommitted changes included; all zero when never set. */
struct page_note pagetable_get(const struct pagetable *t, uint64_t pfn);
/* -ENOMEM; -EPROTO when the pages lie so far apart that only somebody who means harm sends them. pfn
 * below GUEST_PAGES_MAX. */
MUST_CHECK int pagetable_set(struct pagetable *t, uint64_t pfn, struct page_note note, struct err *e);

void pagetable_commit(struct pagetable *t);
/* Everything is as at the last commit again. */
void pagetable_drop(struct pagetable *t);

/* The first populated page at or after `from`; UINT64_MAX when there is none. */
uint64_t pagetable_next(const struct pagetable *t, uint64_t from);
/* Populated ones, and the largest of them plus 1. Walks the whole table. */
void pagetable_count(const struct pagetable *t, uint64_t *ret_populated, uint64_t *ret_end);

#endif

/* xen_absent — which pages of its memory a domain has given back (ballooned out). The dirty log does
 * not tell when such a page comes again, so the pages that are absent are looked at in every pause, and
 * all of memory is when the domain's number of pages has changed.
 * Not seen: as many pages given back as taken within one epoch, of which more than XEN_ABSENT_LOOK_MAX
 * are absent. Pure but for xen_absent_look's asking. */
#ifndef REPLICATOR_CHECKPOINT_XEN_ABSENT_H
#define REPLICATOR_CHECKPOINT_XEN_ABSENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/dirty.h"
#include "checkpoint/guest.h"

#define XEN_ABSENT_LOOK_MAX 4096u /* looked at in every pause, a few hypercalls */

struct xen_absent {
    struct dirty pages;    /* of memory, a bit each that is absent */
    uint64_t count;        /* of these bits: counting them anew would take as long as the dirty log's scan */
    uint64_t low_end;      /* memory is pfns below it … */
    uint64_t high_start;   /* … and from here on: between them is no memory but devices */
    uint64_t count_then;   /* of the domain's pages when it was last looked at */
};

/* Asks the types of n pages. */
typedef int xen_types_ask(void *context, const uint64_t *pfns, size_t n, uint8_t *ret, struct err *e);

/* memory_pages: the most the domain may have. */
MUST_CHECK int xen_absent_open(struct xen_absent *a, uint64_t pages, uint64_t memory_pages, struct err *e);
void xen_absent_close(struct xen_absent *a); /* any state, twice */

/* What a copy saw. */
void xen_absent_note(struct xen_absent *a, const uint64_t *pfns, const uint8_t *types, size_t n);

/* The domain lies still and has count_now pages: those that came back since are set in `into`. */
MUST_CHECK int xen_absent_look(struct xen_absent *a, uint64_t count_now, xen_types_ask *ask, void *context,
                               struct dirty *into, struct err *e);

#endif

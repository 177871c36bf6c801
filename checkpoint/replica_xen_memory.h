/* replica_xen_memory — the memory of a shell domain, populated as it is asked for and kept mapped: a page
 * that was had once is had for ever after (P4). In stretches of 2 MiB where the domain's memory is known
 * to be whole, so that the guest gets large pages and the mapping few pieces; page by page elsewhere.
 * Only for a domain whose physical map nobody else changes, and that may have as much as it asks for
 * until the trim: more than the guest has, by what stretches hold in vain. */
#ifndef REPLICATOR_CHECKPOINT_REPLICA_XEN_MEMORY_H
#define REPLICATOR_CHECKPOINT_REPLICA_XEN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/dirty.h"
#include "checkpoint/xen_domain.h"
#include "checkpoint/xen_host.h"

#define REPLICA_XEN_STRETCH 512u /* pages: 2 MiB */

struct replica_xen_memory {
    const struct xen_host *host;
    struct xen_domain domain;
    uint64_t pages, ram_pages;
    uint8_t *base;          /* of the whole physical map; inaccessible where nothing is populated */
    struct dirty populated; /* and mapped */
    struct dirty used;      /* has been asked for */
};

/* ram_pages: how much memory it has, of the `pages` of its physical map. */
MUST_CHECK int replica_xen_memory_open(struct replica_xen_memory *m, const struct xen_host *h,
                                       const struct xen_domain *d, uint64_t pages, uint64_t ram_pages,
                                       struct err *e);
void replica_xen_memory_close(struct replica_xen_memory *m); /* unmaps; any state, twice */

/* NULL and e filled when it can't be had; zeros when it is new. */
uint8_t *replica_xen_memory_page(struct replica_xen_memory *m, uint64_t pfn, struct err *e);

/* Gives back what was populated and never asked for. The last thing that is done to it: no page can be
 * asked for afterwards. */
MUST_CHECK int replica_xen_memory_trim(struct replica_xen_memory *m, struct err *e);

/* Whether the stretch that begins at pfn is memory from end to end, for a domain with so much of it:
 * below the hole under 4 GiB, or above 4 GiB. Pure. */
bool replica_xen_memory_is_whole(uint64_t pfn, uint64_t ram_pages);

#endif

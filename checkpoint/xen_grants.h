/* xen_grants — pages of a domain that another one may write just now, because the domain granted them
 * (rings, buffers of its devices): the dirty log hears of them only when the grant is unmapped. The table
 * itself is the hypervisor's memory, and no part of any stream.
 * Tables of version 1, as PVH and HVM guests have them; of another one nothing is said. */
#ifndef REPLICATOR_CHECKPOINT_XEN_GRANTS_H
#define REPLICATOR_CHECKPOINT_XEN_GRANTS_H

#include <stddef.h>
#include <stdint.h>

#include "checkpoint/dirty.h"
#include "checkpoint/xen_domain.h"
#include "checkpoint/xen_host.h"

#define XEN_GRANT_FRAMES_MAX 64u /* of the table: Xen's default limit; what is beyond is not looked at */
#define XEN_GRANTS_A_FRAME   512u

/* One frame of the table, as it is in memory: pages that are mapped for writing are set in `into`. Pure. */
void xen_grants_pick(const uint8_t *frame, struct dirty *into);

/* Sets all of them in `into`, for a domain that lies still. */
MUST_CHECK int xen_grants_look(const struct xen_host *h, const struct xen_domain *d, struct dirty *into,
                               struct err *e);

#endif

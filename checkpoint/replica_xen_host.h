/* replica_xen_host — whether this host can run a domain, asked when protection begins and not when it is
 * needed: its bridges and disks are there, there is memory for it, nothing here has its name or UUID. */
#ifndef REPLICATOR_CHECKPOINT_REPLICA_XEN_HOST_H
#define REPLICATOR_CHECKPOINT_REPLICA_XEN_HOST_H

#include "checkpoint/xen_config.h"
#include "checkpoint/xen_host.h"
#include "checkpoint/xen_shape.h"

#define REPLICA_XEN_SUFFIX "--replica" /* of a shell's name, until it is activated */

/* What needs no hypervisor: bridges and disks. -ENODEV, -ENOENT, -ENOTBLK. */
MUST_CHECK int replica_xen_check_devices(const struct xen_config *c, struct err *e);

/* -ENOMEM with how much is missing; -EEXIST: another domain has its name or UUID; -EBUSY: a shell that an
 * earlier process left is being removed by this call; -ENOTSUP: this hypervisor is older. */
MUST_CHECK int replica_xen_check_host(const struct xen_host *h, const struct xen_shape *shape,
                                      const struct xen_config *c, const char *xl, struct err *e);

/* Sees to it that xl destroys a domain, without waiting for that. */
void replica_xen_destroy(const char *xl, uint32_t domid);

#endif

/* replica_xen — the backup of a Xen domain: a shell domain, paused, that a stock `xl restore` has made
 * and holds; its memory, mapped here, is the last committed epoch. Activation feeds xl the few KiB of
 * state that it waits for, and costs nothing per page. Fails closed: when this process dies before that,
 * xl destroys the shell, whatever was being written into it. Named NAME--replica until it is activated. */
#ifndef REPLICATOR_CHECKPOINT_REPLICA_XEN_H
#define REPLICATOR_CHECKPOINT_REPLICA_XEN_H

#include "checkpoint/replica.h"
#include "checkpoint/xen_config.h"
#include "checkpoint/xen_shape.h"

#define REPLICA_XEN_BEGIN_NS (UINT64_C(120) * 1000000000) /* that xl gets to make the shell */

/* Asks first whether this host could run the domain, in words: -ENODEV (no Xen here, no such bridge),
 * -ENOENT, -ENOTBLK (disks, xl), -ENOMEM, -EEXIST (name or UUID), -EBUSY (an earlier shell is being
 * removed), -ENOTSUP (older hypervisor), -EPROTO (the shape's configuration). The shell itself is made by
 * preamble(), which says -EAGAIN; page() works when that is done. */
MUST_CHECK int replica_xen_open(const struct xen_shape *shape, struct replica **ret, struct err *e);

/* The domain's interfaces among others: for who announces them. Lives as long as the replica. */
const struct xen_config *replica_xen_config(const struct replica *r);

#endif

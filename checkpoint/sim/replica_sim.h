/* replica_sim — the backup of a simulated guest: its memory, mapped and ready, and its last committed
 * registers (struct replica's promises). Activation moves no page. */
#ifndef REPLICATOR_CHECKPOINT_REPLICA_SIM_H
#define REPLICATOR_CHECKPOINT_REPLICA_SIM_H

#include "checkpoint/replica.h"

/* The longest state it takes: small, so that the memory for it is there from the start (P4). */
#define REPLICA_SIM_STATE_MAX (64u << 10)

/* spec: struct guest_info's, from the primary. -EINVAL for the spec or when it is not of `pages`
 * pages, -ENOMEM. activate says -ENOENT before the first commit, -EALREADY after it succeeded. */
MUST_CHECK int replica_sim_open(struct replica **ret, const char *spec, uint64_t pages,
                                struct err *e);

#endif

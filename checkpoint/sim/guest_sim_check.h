/* guest_sim_check — whether a vCPU's memory is exactly what its registers say it must be.
 * The judge of promise P2 after an activation: a torn page, a page of another epoch, a page never
 * sent are all found. Reads only. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_SIM_CHECK_H
#define REPLICATOR_CHECKPOINT_GUEST_SIM_CHECK_H

#include "checkpoint/sim/guest_sim_vcpu.h"

/* The vCPU must be at rest. -EUCLEAN naming the first bad pfn. */
MUST_CHECK int guest_sim_check_vcpu(const struct guest_sim_vcpu *c, struct err *e);

#endif

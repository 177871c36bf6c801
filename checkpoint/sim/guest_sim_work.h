/* guest_sim_work — the named workloads: which page step i of a vCPU writes, and what.
 * Both are functions of the seed, the vCPU, the step and the page alone, so that a guest that is
 * moved in mid-work goes on exactly. Pure but for the page. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_SIM_WORK_H
#define REPLICATOR_CHECKPOINT_GUEST_SIM_WORK_H

#include <stdint.h>

#include "checkpoint/sim/guest_sim_memory.h"
#include "checkpoint/sim/guest_sim_spec.h"

/* The page that a step (the first is 0) writes, out of `pages`: an index below it. */
uint64_t guest_sim_work_pick(const struct guest_sim_spec *spec, uint8_t vcpu, uint64_t step,
                             uint64_t pages);

/* Writes the step's words into the page being edited. */
void guest_sim_work_write(const struct guest_sim_spec *spec, uint8_t vcpu, uint64_t step,
                          struct guest_sim_edit *page);

/* Guest time between two steps of one vCPU; TIME_NEVER: it makes none; 0: as fast as it goes. */
uint64_t guest_sim_work_period_ns(const struct guest_sim_spec *spec);

#endif

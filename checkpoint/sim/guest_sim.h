/* guest_sim — the embedded guest for machines without Xen: some MiB of memory, a thread per vCPU that
 * runs a named workload, a NIC, its own dirty log (struct guest's promises). All of its state is its
 * memory and one register record, so that a replica of both goes on exactly. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_SIM_H
#define REPLICATOR_CHECKPOINT_GUEST_SIM_H

#include "checkpoint/guest.h"
#include "checkpoint/sim/guest_sim_spec.h"
#include "checkpoint/sim/guest_sim_state.h"
#include "checkpoint/sim/guest_sim_vcpu.h"

/* A new guest, paused, its memory untouched zeros. -EINVAL for the spec, -ENOMEM, -EAGAIN. */
MUST_CHECK int guest_sim_open(struct guest **ret, const char *spec, struct err *e);

/* A guest that goes on from memory (made by guest_sim_memory_map for the spec's pages) and registers,
 * paused. On success the memory is the guest's. Its boot number is the registers' plus one. One that
 * had shut down is made too, and never runs. */
MUST_CHECK int guest_sim_from_memory(struct guest **ret, const struct guest_sim_spec *spec,
                                     uint8_t *memory, const struct guest_sim_registers *from,
                                     struct err *e);

/* Where its frames go from now on; before that they go nowhere. Only while paused. */
void guest_sim_connect(struct guest *g, struct guest_nic nic);

/* A frame from outside, by any one thread: words (frame.h) or Ethernet's, as the guest speaks. Of
 * acknowledgements that come between two steps of a vCPU the newest counts; what the guest has no use
 * for is ignored. */
void guest_sim_input(struct guest *g, const uint8_t *frame, size_t bytes);

/* Verifies the whole memory against the registers, while paused: every page's check, each vCPU's sum
 * over its pages and number of steps, the NIC's chain. -EUCLEAN naming the first bad pfn. */
MUST_CHECK int guest_sim_check(struct guest *g, struct err *e);

/* For looking at, while paused. */
const struct guest_sim_spec *guest_sim_spec_of(const struct guest *g);
const uint8_t *guest_sim_memory(const struct guest *g);
void guest_sim_registers(struct guest *g, struct guest_sim_registers *ret);

#endif

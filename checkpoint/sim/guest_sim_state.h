/* guest_sim_state — the simulated guest's registers, and the state records that carry them.
 * The guest looks like an HVM domain on the stream: X86_TSC_INFO, HVM_CONTEXT (our register record,
 * versioned), HVM_PARAMS. Put and get are twins; get takes octets from a peer. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_SIM_STATE_H
#define REPLICATOR_CHECKPOINT_GUEST_SIM_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "checkpoint/sim/guest_sim_spec.h"

/* Times are the guest's own: ns that it has run, pauses left out. */
struct guest_sim_cpu_registers {
    uint64_t steps;        /* done */
    uint64_t memory_sum;   /* over all pages of its region (guest_sim_memory.h) */
    uint64_t step_due_ns;  /* when the next step is due */
    uint64_t frame_due_ns; /* and the next new frame */
};

struct guest_sim_registers {
    uint64_t shape;  /* guest_sim_state_shape() of the spec it belongs to */
    uint64_t run_ns;
    uint32_t vcpus;
    uint32_t boot;   /* 1 on the first host, one more after every activation */
    bool is_ended;   /* it shut itself down: it must never run again */
    struct guest_sim_cpu_registers cpus[GUEST_SIM_VCPUS_MAX]; /* those past vcpus are zero */
};

uint64_t guest_sim_state_shape(const struct guest_sim_spec *spec);

/* Appends the state records; -ENOBUFS when the sink is short. */
MUST_CHECK int guest_sim_state_put(struct sink *to, const struct guest_sim_registers *from,
                                   struct err *e);

/* Reads them: exactly one HVM_CONTEXT that fits the spec's shape, no record that belongs elsewhere. */
MUST_CHECK int guest_sim_state_get(const uint8_t *records, size_t bytes,
                                   const struct guest_sim_spec *spec,
                                   struct guest_sim_registers *ret, struct err *e);

#endif

/* guest_sim_vcpu — one simulated vCPU: its region of memory, its registers, its turn to run.
 * It runs until nothing is due or it is asked to stop, which it looks for between any two steps.
 * No thread and no lock of its own: guest_sim.c gives it both. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_SIM_VCPU_H
#define REPLICATOR_CHECKPOINT_GUEST_SIM_VCPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/dirty.h"
#include "checkpoint/sim/guest_sim_nic.h"
#include "checkpoint/sim/guest_sim_spec.h"
#include "checkpoint/sim/guest_sim_state.h"
#include "checkpoint/sim/guest_sim_tcp.h"

struct guest_sim_vcpu {
    const struct guest_sim_spec *spec;
    uint8_t *memory;       /* the whole guest's */
    struct dirty *log;     /* the whole guest's; words are atomic */
    uint64_t first_pfn;    /* its region: the NIC's page, the TCP endpoint's, then pages of work */
    uint64_t work_pfn;
    uint64_t pages;        /* of the region */
    struct guest_sim_cpu_registers registers;
    struct guest_sim_nic stream;
    struct guest_sim_tcp *tcp; /* NULL: none, or another vCPU's */
    struct guest_nic nic;
    _Atomic uint64_t acked; /* the only field that other threads write while it runs */
    uint64_t again_due_ns, tcp_due_ns;
    uint64_t step_period_ns, frame_period_ns; /* TIME_NEVER: none */
    uint64_t burst_left;    /* steps until the next resume, when the spec has bursts */
    uint8_t id;
};

/* A vCPU at rest; `tcp` is set up for the one whose part it is. */
void guest_sim_vcpu_init(struct guest_sim_vcpu *c, const struct guest_sim_spec *spec, uint8_t id,
                         uint8_t *memory, struct dirty *log,
                         const struct guest_sim_registers *from, struct guest_sim_tcp *tcp);

/* A frame from outside, by any one thread; true when the vCPU is to be woken for it. */
bool guest_sim_vcpu_input(struct guest_sim_vcpu *c, const uint8_t *frame, size_t bytes);
/* Frames came that it has not looked at. */
bool guest_sim_vcpu_has_input(const struct guest_sim_vcpu *c);

/* Pages that steps write, from work_pfn on. */
static inline uint64_t guest_sim_vcpu_work_pages(const struct guest_sim_vcpu *c)
{
    return c->pages - (c->work_pfn - c->first_pfn);
}

/* Its guest is resumed: a new burst. While it is at rest. */
void guest_sim_vcpu_resumed(struct guest_sim_vcpu *c);

/* Runs; guest time is the clock minus base_ns. Returns the guest time of what is due next
 * (TIME_NEVER: nothing ever), or 0 when it was stopped. */
uint64_t guest_sim_vcpu_run(struct guest_sim_vcpu *c, uint64_t base_ns, const atomic_bool *stop);

/* Whether it has made the last step of its guest's life. */
bool guest_sim_vcpu_is_done(const struct guest_sim_vcpu *c);

#endif

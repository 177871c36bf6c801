/* guest_sim_nic — one vCPU's reliable output stream, all of whose state is in one page of the guest.
 * New payloads wait in an outbox of 64 until the peer acknowledged them and are sent again every
 * 200 ms of guest time, oldest first. A full outbox stops new payloads, not the guest. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_SIM_NIC_H
#define REPLICATOR_CHECKPOINT_GUEST_SIM_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "checkpoint/sim/frame.h"

#define GUEST_SIM_OUTBOX       64u
#define GUEST_SIM_AGAIN_NS     UINT64_C(200000000)
#define GUEST_SIM_NIC_SENT_MAX (GUEST_SIM_OUTBOX + 1u) /* frames of one round */

/* Where a guest's frames go. Called by vCPU threads while the guest runs, never while it is paused. */
struct guest_nic {
    void (*send)(void *context, const uint8_t *frame, size_t bytes);
    void *context;
};

/* Where the stream lives and whose it is. */
struct guest_sim_nic {
    uint8_t *page;
    uint64_t key;    /* of the page */
    uint64_t domain; /* frame_domain() */
    uint32_t boot;
    uint8_t vcpu;
};

/* What moves the stream on. */
struct guest_sim_nic_round {
    uint64_t run_ns;  /* guest time */
    uint64_t steps;
    uint64_t acked;   /* newest acknowledgement from outside; nonsense is ignored */
    uint64_t payload; /* of a new frame, if */
    bool wants_new;
};

struct guest_sim_nic_sent {
    struct frame frames[GUEST_SIM_NIC_SENT_MAX];
    unsigned count;
    uint64_t sum_delta;    /* what the vCPU's memory sum grows by; 0 with changed false */
    uint64_t again_due_ns; /* when something must be sent again; TIME_NEVER: nothing waits */
    bool changed;          /* the page was written */
};

/* Writes the new state into the page first; the caller sends the frames after that. */
void guest_sim_nic_turn(const struct guest_sim_nic *nic, const struct guest_sim_nic_round *round,
                        struct guest_sim_nic_sent *ret);

/* Whether the stream's state fits together: its chain over the outbox, its counters. */
bool guest_sim_nic_is_sound(const struct guest_sim_nic *nic);

#endif

/* guest_sim_tcp — the simulated guest's network end for workload=tcp: answers ARP, neighbour solicitations
 * and pings, and echoes on TCP port 7 what it is sent. Everything it knows, connections, buffers, timers,
 * is in pages of the guest, so that a guest that goes on elsewhere goes on talking: whoever it talks to
 * notices nothing but a delay. Memory from a peer is worked with only where it is sound. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_SIM_TCP_H
#define REPLICATOR_CHECKPOINT_GUEST_SIM_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/sim/frame_ring.h"
#include "checkpoint/sim/guest_sim_nic.h"
#include "checkpoint/sim/guest_sim_spec.h"
#include "checkpoint/sim/guest_sim_words.h"
#include "checkpoint/sim/packet.h"
#include "checkpoint/sim/tcp_connection.h"

#define GUEST_SIM_TCP_PORT        7u /* RFC 862 */
#define GUEST_SIM_TCP_CONNECTIONS 8u
#define GUEST_SIM_TCP_SLOT_WORDS  32u
#define GUEST_SIM_TCP_WORDS       (GUEST_SIM_TCP_CONNECTIONS * (GUEST_SIM_TCP_SLOT_WORDS + TCP_RING_BYTES / 8))
#define GUEST_SIM_TCP_PAGES \
    ((GUEST_SIM_TCP_WORDS + GUEST_SIM_WORDS_A_PAGE - 1) / GUEST_SIM_WORDS_A_PAGE)

struct guest_sim_tcp {
    struct guest_sim_words words; /* GUEST_SIM_TCP_PAGES of them */
    struct packet_host me;
    uint64_t key;                 /* initial sequence numbers are made of it */
    struct frame_ring in;         /* from outside, not yet looked at */
    /* of the call that is under way */
    struct guest_nic nic;
    uint64_t step;
    unsigned slot;
};

/* What drives it on: where frames go, and when it is. */
struct guest_sim_tcp_turn {
    struct guest_nic nic;
    uint64_t run_ns; /* guest time */
    uint64_t step;
};

/* The addresses of a guest of this spec. */
void guest_sim_tcp_host(const struct guest_sim_spec *spec, struct packet_host *ret);

/* Sets it up over pages from first_pfn on, for the guest of this spec. */
void guest_sim_tcp_init(struct guest_sim_tcp *t, const struct guest_sim_spec *spec, uint8_t *memory,
                        struct dirty *log, uint64_t first_pfn);

/* One frame from outside. */
void guest_sim_tcp_input(struct guest_sim_tcp *t, const struct guest_sim_tcp_turn *turn,
                         const uint8_t *frame, size_t bytes);

/* Frames that wait, a bounded number of them; false: none waited. */
bool guest_sim_tcp_take(struct guest_sim_tcp *t, const struct guest_sim_tcp_turn *turn);

/* Does what is due; returns the guest time of what is due next, TIME_NEVER: nothing waits. */
uint64_t guest_sim_tcp_tick(struct guest_sim_tcp *t, const struct guest_sim_tcp_turn *turn);

/* After input and tick, before the guest may be paused: returns what its memory sum grows by. */
uint64_t guest_sim_tcp_flush(struct guest_sim_tcp *t, uint64_t step);

/* Whether every connection's record is one that can be worked with. */
bool guest_sim_tcp_is_sound(const struct guest_sim_tcp *t);

#endif

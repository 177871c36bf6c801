/* guest_scene — what tests of the simulated guest do over and over; a failure fails the test. */
#ifndef REPLICATOR_TESTS_UNIT_GUEST_SCENE_H
#define REPLICATOR_TESTS_UNIT_GUEST_SCENE_H

#include <stdint.h>

#include "checkpoint/sim/guest_sim.h"

struct guest *scene_open(const char *spec);
void scene_resume(struct guest *g);
void scene_pause(struct guest *g);
uint64_t scene_pages(const struct guest *g);

/* Reads a running guest's log into `into` until it has told of so many pages. */
void scene_read_log(struct guest *g, struct dirty *into, uint64_t least);

/* Resumes, waits for so many pages to be written, pauses. */
void scene_run_a_while(struct guest *g, uint64_t pages);

/* A guest at one instant: its memory and registers, in the hands of a test. */
struct scene_instant {
    uint8_t *memory;
    struct guest_sim_registers registers;
};

void scene_take(struct guest *g, struct scene_instant *ret);

/* A guest from an instant, whose memory it takes. */
struct guest *scene_wake_up(const struct guest_sim_spec *spec, const struct scene_instant *from);

#endif

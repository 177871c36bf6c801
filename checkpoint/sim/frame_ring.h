/* frame_ring — frames on their way from the outside into a simulated guest: one thread puts, another takes,
 * neither waits. Frames that find no room are lost, as in any network card. No part of the guest's state:
 * what is in it when the guest is moved is lost with the host. */
#ifndef REPLICATOR_CHECKPOINT_FRAME_RING_H
#define REPLICATOR_CHECKPOINT_FRAME_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_RING_FRAMES    256u /* a power of two */
#define FRAME_RING_FRAME_MAX 1536u

/* Zeros: an empty one. */
struct frame_ring {
    _Atomic uint32_t put, taken; /* ever, modulo 2^32 */
    struct {
        size_t bytes;
        uint8_t octets[FRAME_RING_FRAME_MAX];
    } frames[FRAME_RING_FRAMES];
};

/* False: there is no room, or the frame is none (no octets, or too many). */
bool frame_ring_put(struct frame_ring *r, const uint8_t *frame, size_t bytes);

/* The oldest frame's length, 0: there is none. */
size_t frame_ring_take(struct frame_ring *r, uint8_t to[FRAME_RING_FRAME_MAX]);
bool frame_ring_is_empty(const struct frame_ring *r);

#endif

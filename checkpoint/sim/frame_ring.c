/* frame_ring — see frame_ring.h. */
#include "checkpoint/sim/frame_ring.h"

#include <string.h>

bool frame_ring_put(struct frame_ring *r, const uint8_t *frame, size_t bytes)
{
    uint32_t put;

    if (bytes == 0 || bytes > FRAME_RING_FRAME_MAX)
        return false;
    put = atomic_load_explicit(&r->put, memory_order_relaxed);
    if (put - atomic_load_explicit(&r->taken, memory_order_acquire) >= FRAME_RING_FRAMES)
        return false;
    r->frames[put % FRAME_RING_FRAMES].bytes = bytes;
    memcpy(r->frames[put % FRAME_RING_FRAMES].octets, frame, bytes);
    atomic_store_explicit(&r->put, put + 1, memory_order_release);
    return true;
}

bool frame_ring_is_empty(const struct frame_ring *r)
{
    return atomic_load_explicit(&r->put, memory_order_acquire) ==
           atomic_load_explicit(&r->taken, memory_order_relaxed);
}

size_t frame_ring_take(struct frame_ring *r, uint8_t to[FRAME_RING_FRAME_MAX])
{
    uint32_t taken;
    size_t bytes;

    if (frame_ring_is_empty(r))
        return 0;
    taken = atomic_load_explicit(&r->taken, memory_order_relaxed);
    bytes = r->frames[taken % FRAME_RING_FRAMES].bytes;
    memcpy(to, r->frames[taken % FRAME_RING_FRAMES].octets, bytes);
    atomic_store_explicit(&r->taken, taken + 1, memory_order_release);
    return bytes;
}

/* guest_scene — see guest_scene.h. */
#include "tests/unit/guest_scene.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/sim/guest_sim_memory.h"

static struct err e;

struct guest *scene_open(const char *spec)
{
    struct guest *g = NULL;

    if (guest_sim_open(&g, spec, &e) < 0)
        fail_msg("%s", e.text);
    return g;
}

void scene_resume(struct guest *g)
{
    assert_int_equal(guest_go_on(g, &e), 0);
}

void scene_pause(struct guest *g)
{
    assert_int_equal(g->ops->pause(g, &e), 0);
}

uint64_t scene_pages(const struct guest *g)
{
    return guest_sim_spec_pages(guest_sim_spec_of(g));
}

void scene_read_log(struct guest *g, struct dirty *into, uint64_t least)
{
    uint64_t seen = 0;
    struct dirty once;

    assert_int_equal(dirty_open(&once, scene_pages(g), &e), 0);
    while (seen < least) {
        dirty_clear(&once);
        assert_int_equal(g->ops->dirty(g, &once, &e), 0);
        seen += dirty_count(&once);
        dirty_or(into, &once);
        sched_yield();
    }
    dirty_close(&once);
}

void scene_run_a_while(struct guest *g, uint64_t pages)
{
    struct dirty d;

    assert_int_equal(dirty_open(&d, scene_pages(g), &e), 0);
    assert_int_equal(g->ops->dirty(g, &d, &e), 0); /* of the time before: written after its log was read */
    dirty_clear(&d);
    scene_resume(g);
    scene_read_log(g, &d, pages);
    scene_pause(g);
    dirty_close(&d);
}

void scene_take(struct guest *g, struct scene_instant *ret)
{
    if (guest_sim_memory_map(scene_pages(g), &ret->memory, &e) < 0)
        fail_msg("%s", e.text);
    memcpy(ret->memory, guest_sim_memory(g), (size_t)scene_pages(g) * PAGE_BYTES);
    guest_sim_registers(g, &ret->registers);
}

struct guest *scene_wake_up(const struct guest_sim_spec *spec, const struct scene_instant *from)
{
    struct guest *g = NULL;

    if (guest_sim_from_memory(&g, spec, from->memory, &from->registers, &e) < 0)
        fail_msg("%s", e.text);
    return g;
}

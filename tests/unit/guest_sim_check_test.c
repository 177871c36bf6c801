/* guest_sim_check_test — memory that no single instant ever had is found, and the page is named. */
#include "checkpoint/sim/guest_sim_check.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "checkpoint/sim/guest_sim.h"
#include "checkpoint/sim/guest_sim_memory.h"
#include "tests/unit/guest_scene.h"

static struct err e;

/* Two instants of one guest. */
static struct guest *two_instants(const char *spec, struct scene_instant *first, struct scene_instant *second)
{
    struct guest *g = scene_open(spec);

    scene_run_a_while(g, 200);
    scene_take(g, first);
    scene_run_a_while(g, 200);
    scene_take(g, second);
    return g;
}

static void expect_bad(struct guest *g, const char *word)
{
    memset(&e, 0, sizeof(e));
    assert_int_equal(guest_sim_check(g, &e), -EUCLEAN);
    assert_non_null(strstr(e.text, word));
    assert_non_null(strstr(e.text, "pfn 0x"));
    g->ops->close(g);
}

static uint64_t first_difference(const struct guest *g, const struct scene_instant *a,
                                 const struct scene_instant *b)
{
    uint64_t pfn = 1; /* past the NIC's page */

    while (pfn < scene_pages(g) &&
           memcmp(a->memory + pfn * PAGE_BYTES, b->memory + pfn * PAGE_BYTES, PAGE_BYTES) == 0)
        pfn++;
    assert_true(pfn < scene_pages(g));
    return pfn;
}

static void one_page_of_an_older_epoch_is_found_and_named(void **state)
{
    static const char *const workloads[] = { "counter", "kv", "random" };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct scene_instant old, new;
        char text[200], name[40];
        struct guest *g;
        uint64_t pfn;

        snprintf(text, sizeof(text), "sim:a?mib=16&dirty=max&workload=%s", workloads[i]);
        g = two_instants(text, &old, &new);
        pfn = first_difference(g, &old, &new);
        memcpy(new.memory + pfn * PAGE_BYTES, old.memory + pfn * PAGE_BYTES, PAGE_BYTES);
        snprintf(name, sizeof(name), "pfn 0x%llx ", (unsigned long long)pfn);
        expect_bad(scene_wake_up(guest_sim_spec_of(g), &new), name);
        guest_sim_memory_unmap(old.memory, scene_pages(g));
        g->ops->close(g);
    }
}

static void one_page_of_a_newer_epoch_is_found(void **state)
{
    struct scene_instant old, new;
    struct guest *g = two_instants("sim:a?mib=16&dirty=max&workload=kv&vcpus=2", &old, &new);
    uint64_t pfn = first_difference(g, &old, &new);

    (void)state;
    memcpy(old.memory + pfn * PAGE_BYTES, new.memory + pfn * PAGE_BYTES, PAGE_BYTES);
    expect_bad(scene_wake_up(guest_sim_spec_of(g), &old), "step");
    guest_sim_memory_unmap(new.memory, scene_pages(g));
    g->ops->close(g);
}

static void a_page_torn_between_epochs_is_found(void **state)
{
    struct scene_instant old, new;
    struct guest *g = two_instants("sim:a?mib=16&dirty=max&workload=counter", &old, &new);
    uint64_t pfn = first_difference(g, &old, &new);

    (void)state;
    memcpy(new.memory + pfn * PAGE_BYTES, old.memory + pfn * PAGE_BYTES, 16);
    expect_bad(scene_wake_up(guest_sim_spec_of(g), &new), "torn");
    guest_sim_memory_unmap(old.memory, scene_pages(g));
    g->ops->close(g);
}

static void registers_of_another_epoch_are_found(void **state)
{
    struct scene_instant old, new;
    struct guest *g = two_instants("sim:a?mib=16&dirty=max&workload=random", &old, &new);

    (void)state;
    new.registers = old.registers;
    expect_bad(scene_wake_up(guest_sim_spec_of(g), &new), "pfn");
    guest_sim_memory_unmap(old.memory, scene_pages(g));
    g->ops->close(g);
}

static void any_flipped_bit_is_found(void **state)
{
    struct guest *g = scene_open("sim:a?mib=16&dirty=max&workload=web&nic=udp:h:1");
    struct guest_sim_spec spec;
    struct scene_instant at;
    struct guest *b;
    struct rng rng;

    (void)state;
    scene_run_a_while(g, 500);
    scene_take(g, &at);
    spec = *guest_sim_spec_of(g);
    g->ops->close(g);
    b = scene_wake_up(&spec, &at);
    rng_seed(&rng, 1);
    for (unsigned i = 0; i < 30; i++) {
        uint64_t pfn = i % 3 ? rng_below(&rng, 100) : 0;
        size_t bit = (size_t)(pfn * PAGE_BYTES * 8 + rng_below(&rng, PAGE_BYTES * 8));

        assert_int_equal(guest_sim_check(b, &e), 0);
        at.memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(guest_sim_check(b, &e), -EUCLEAN);
        at.memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    b->ops->close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_page_of_an_older_epoch_is_found_and_named),
        cmocka_unit_test(one_page_of_a_newer_epoch_is_found),
        cmocka_unit_test(a_page_torn_between_epochs_is_found),
        cmocka_unit_test(registers_of_another_epoch_are_found),
        cmocka_unit_test(any_flipped_bit_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* guest_faulty_test — calls fail exactly where the plan says. */
#include "checkpoint/guest_faulty.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/sim/guest_sim.h"
#include "compress/codec.h"

static struct err e;
static uint8_t pages[8 * PAGE_BYTES], types[8];
static uint8_t *const places[8] = { pages,
                                     pages + PAGE_BYTES,
                                     pages + 2 * PAGE_BYTES,
                                     pages + 3 * PAGE_BYTES,
                                     pages + 4 * PAGE_BYTES,
                                     pages + 5 * PAGE_BYTES,
                                     pages + 6 * PAGE_BYTES,
                                     pages + 7 * PAGE_BYTES };
static const uint64_t pfns[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };

static struct guest *open_faulty(const struct guest_fault_plan *plan)
{
    struct guest *inner = NULL, *g = NULL;

    assert_int_equal(guest_sim_open(&inner, "sim:a?mib=16&dirty=max", &e), 0);
    assert_int_equal(guest_faulty_open(&g, inner, plan, &e), 0);
    return g;
}

static void without_a_plan_everything_passes(void **state)
{
    const struct guest_fault_plan plan = { 0 };
    struct guest *g = open_faulty(&plan);
    struct guest_info info;

    (void)state;
    g->ops->info(g, &info);
    assert_string_equal(info.name, "a");
    assert_int_equal(g->ops->resume(g, &e), 0);
    assert_int_equal(g->ops->pause(g, &e), 0);
    assert_int_equal(g->ops->copy(g, pfns, 8, places, types, &e), 0);
    assert_int_equal(g->ops->life(g), GUEST_RUNS);
    assert_true(g->ops->event_fd(g) >= 0);
    assert_int_equal(guest_faulty_spoilt(g), 0);
    g->ops->close(g);
}

static void only_the_nth_call_fails(void **state)
{
    const struct guest_fault_plan plan = {
        .faults = { { GUEST_OP_COPY, 3, GUEST_FAULT_BEFORE, EFAULT } }, .n = 1
    };
    struct guest *g = open_faulty(&plan);

    (void)state;
    for (unsigned i = 1; i <= 5; i++)
        assert_int_equal(g->ops->copy(g, pfns, 8, places, types, &e), i == 3 ? -EFAULT : 0);
    assert_int_equal(e.code, EFAULT);
    assert_non_null(strstr(e.text, "copy"));
    assert_int_equal(guest_faulty_calls(g, GUEST_OP_COPY), 5);
    assert_int_equal(guest_faulty_spoilt(g), 1);
    g->ops->close(g);
}

static void a_lost_answer_has_done_its_work(void **state)
{
    const struct guest_fault_plan plan = {
        .faults = { { GUEST_OP_DIRTY, 0, GUEST_FAULT_AFTER, EIO } }, .n = 1
    };
    struct guest *g = open_faulty(&plan);
    struct dirty d;

    (void)state;
    assert_int_equal(dirty_open(&d, 4096, &e), 0);
    assert_int_equal(g->ops->resume(g, &e), 0);
    while (dirty_count(&d) == 0)
        assert_int_equal(g->ops->dirty(g, &d, &e), -EIO);
    assert_int_equal(g->ops->pause(g, &e), 0);
    assert_int_equal(g->ops->dirty(g, &d, &e), -EIO);
    dirty_clear(&d);
    assert_int_equal(g->ops->dirty(g, &d, &e), -EIO);
    assert_int_equal(dirty_count(&d), 0);
    dirty_close(&d);
    g->ops->close(g);
}

static void deferred_pages_are_told_and_carry_no_content(void **state)
{
    const struct guest_fault_plan plan = {
        .faults = { { GUEST_OP_COPY, 1, GUEST_FAULT_DEFER, 0 } }, .n = 1
    };
    struct guest *g = open_faulty(&plan);

    (void)state;
    assert_int_equal(g->ops->copy(g, pfns, 8, places, types, &e), 0);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(types[i], i % 2 ? PAGE_TYPE_NORMAL : PAGE_TYPE_DEFERRED);
        assert_int_equal(pages[i * PAGE_BYTES], i % 2 ? 0 : 0xdb);
    }
    g->ops->close(g);
}

static void chance_is_the_same_for_the_same_seed(void **state)
{
    const struct guest_fault_plan plan = { .seed = 5, .per_million = 300000 };
    struct guest *a = open_faulty(&plan), *b = open_faulty(&plan);

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(a->ops->pause(a, &e), b->ops->pause(b, &e));
    assert_true(guest_faulty_spoilt(a) > 30 && guest_faulty_spoilt(a) < 100);
    a->ops->close(a);
    b->ops->close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_plan_everything_passes),
        cmocka_unit_test(only_the_nth_call_fails),
        cmocka_unit_test(a_lost_answer_has_done_its_work),
        cmocka_unit_test(deferred_pages_are_told_and_carry_no_content),
        cmocka_unit_test(chance_is_the_same_for_the_same_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

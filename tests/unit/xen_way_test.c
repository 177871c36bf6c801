/* xen_way_test — when a resumed guest has had the way long enough. */
#include "checkpoint/xen_way.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BEGAN (1000 * NS_PER_MS)
#define HAD   (77 * NS_PER_MS)

/* A guest that wants a processor and has none, after so long and with so much of it had since. */
static struct xen_look waits(uint64_t ran_ns)
{
    return (struct xen_look){ .is_there = true, .life = GUEST_RUNS, .cpu_ns = HAD + ran_ns };
}

static struct xen_way way_of(uint64_t suspend_ns)
{
    const struct xen_look first = waits(0);

    return xen_way_begin(&first, BEGAN, suspend_ns);
}

static uint64_t wait_after(const struct xen_way *w, struct xen_look now, uint64_t gone_ns)
{
    return xen_way_wait_ns(w, &now, BEGAN + gone_ns);
}

static void a_free_processor_gets_its_time_to_take_the_guest(void **state)
{
    const struct xen_way way = way_of(20 * NS_PER_MS);
    struct xen_look blocked = waits(0);

    (void)state;
    blocked.is_blocked = true; /* not yet woken */
    assert_int_equal(wait_after(&way, waits(0), 0), XEN_WAY_FIRST_NS);
    assert_int_equal(wait_after(&way, blocked, XEN_WAY_FIRST_NS - 1), XEN_WAY_FIRST_NS);
    assert_int_equal(wait_after(&way, blocked, XEN_WAY_FIRST_NS), 0);
}

static void a_guest_that_runs_beside_us_needs_no_way(void **state)
{
    const struct xen_way way = way_of(20 * NS_PER_MS);
    struct xen_look runs = waits(0), paused = waits(0), ended = waits(0), gone = { .life = GUEST_SHUT_DOWN };

    (void)state;
    runs.is_running = true;
    paused.is_paused = true;
    ended.life = GUEST_CRASHED;
    assert_int_equal(wait_after(&way, runs, 0), 0);
    assert_int_equal(wait_after(&way, paused, 0), 0);
    assert_int_equal(wait_after(&way, ended, 0), 0);
    assert_int_equal(wait_after(&way, gone, 0), 0);
}

static void it_gets_as_much_as_its_suspend_took(void **state)
{
    const struct xen_way way = way_of(20 * NS_PER_MS);

    (void)state;
    assert_int_equal(wait_after(&way, waits(0), NS_PER_MS), 5 * NS_PER_MS);
    assert_int_equal(wait_after(&way, waits(12 * NS_PER_MS), 12 * NS_PER_MS), 2 * NS_PER_MS);
    assert_int_equal(wait_after(&way, waits(20 * NS_PER_MS - 1), 20 * NS_PER_MS), XEN_WAY_STEP_NS);
    assert_int_equal(wait_after(&way, waits(20 * NS_PER_MS), 20 * NS_PER_MS), 0);
}

static void a_busy_host_does_not_hold_the_epoch_back_for_ever(void **state)
{
    const struct xen_way way = way_of(20 * NS_PER_MS), longest = way_of(NS_PER_S), none = way_of(0);

    (void)state;
    assert_true(wait_after(&way, waits(0), 40 * NS_PER_MS - 1) > 0);
    assert_int_equal(wait_after(&way, waits(0), 40 * NS_PER_MS), 0);
    assert_true(wait_after(&longest, waits(XEN_WAY_MAX_NS - 1), XEN_WAY_MAX_NS) > 0);
    assert_int_equal(wait_after(&longest, waits(XEN_WAY_MAX_NS), XEN_WAY_MAX_NS), 0);
    assert_int_equal(wait_after(&none, waits(0), 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_free_processor_gets_its_time_to_take_the_guest),
        cmocka_unit_test(a_guest_that_runs_beside_us_needs_no_way),
        cmocka_unit_test(it_gets_as_much_as_its_suspend_took),
        cmocka_unit_test(a_busy_host_does_not_hold_the_epoch_back_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* xen_domain_test — what became of a domain, told from what libxenctrl says of it. */
#include "checkpoint/xen_domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <xenctrl.h>

static enum guest_life life_of(xc_dominfo_t i)
{
    struct xen_look seen;

    xen_domain_seen(&i, &seen);
    return seen.life;
}

static void each_reason_of_a_shutdown_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(life_of((xc_dominfo_t){ .running = 1 }), GUEST_RUNS);
    assert_int_equal(life_of((xc_dominfo_t){ .shutdown = 1, .shutdown_reason = SHUTDOWN_poweroff }), GUEST_SHUT_DOWN);
    assert_int_equal(life_of((xc_dominfo_t){ .shutdown = 1, .shutdown_reason = SHUTDOWN_reboot }), GUEST_REBOOTED);
    assert_int_equal(life_of((xc_dominfo_t){ .shutdown = 1, .shutdown_reason = SHUTDOWN_watchdog }), GUEST_CRASHED);
    assert_int_equal(life_of((xc_dominfo_t){ .shutdown = 1, .shutdown_reason = 77 }), GUEST_CRASHED);
    assert_int_equal(life_of((xc_dominfo_t){ .dying = 1 }), GUEST_SHUT_DOWN);
}

/* libxenctrl takes `shutdown` back where the reason is a crash. */
static void a_crash_is_an_end(void **state)
{
    const xc_dominfo_t crashed = { .crashed = 1, .shutdown_reason = SHUTDOWN_crash };
    struct xen_look seen;

    (void)state;
    xen_domain_seen(&crashed, &seen);
    assert_int_equal(seen.life, GUEST_CRASHED);
    assert_true(seen.is_shut_down);
    assert_false(seen.is_suspended);
}

static void a_suspended_domain_runs_until_it_is_destroyed(void **state)
{
    const xc_dominfo_t asleep = { .shutdown = 1, .shutdown_reason = SHUTDOWN_suspend };
    const xc_dominfo_t saved = { .shutdown = 1, .shutdown_reason = SHUTDOWN_suspend, .dying = 1 };
    struct xen_look seen;

    (void)state;
    xen_domain_seen(&asleep, &seen);
    assert_int_equal(seen.life, GUEST_RUNS);
    assert_true(seen.is_suspended);
    xen_domain_seen(&saved, &seen);
    assert_int_equal(seen.life, GUEST_SHUT_DOWN);
    assert_false(seen.is_suspended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reason_of_a_shutdown_is_told_apart),
        cmocka_unit_test(a_crash_is_an_end),
        cmocka_unit_test(a_suspended_domain_runs_until_it_is_destroyed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

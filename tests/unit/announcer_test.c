/* announcer — when rounds are due, what a failing port costs, and what names a port. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/attr.h"
#include "base/clock.h"
#include "netbuf/announcer.h"

static unsigned sent[3];

/* Ports are named "0", "1", "2"; the one named "!" fails. */
static int fake_send(const struct announce_port *port, struct err *e)
{
    if (port->interface[0] == '!')
        return err_set(e, ENODEV, "there is no interface !");
    sent[port->interface[0] - '0']++;
    return 0;
}

static void start(struct announcer *a, const char *names, uint64_t now_ns)
{
    struct announce_port ports[ANNOUNCER_PORTS_MAX];

    memset(ports, 0, sizeof(ports));
    memset(sent, 0, sizeof(sent));
    for (unsigned i = 0; names[i]; i++)
        ports[i].interface[0] = names[i];
    announcer_start(a, ports, (unsigned)strlen(names), fake_send, now_ns);
}

static void rounds_come_at_once_and_then_twice_as_far_apart_each_time(UNUSED void **state)
{
    struct announcer a;
    uint64_t now = 1000, gap = ANNOUNCER_GAP_NS_FIRST;
    struct err e;

    start(&a, "01", now);
    for (unsigned i = 0; i < ANNOUNCER_ROUNDS; i++) {
        assert_int_equal(announcer_deadline(&a), now);
        if (i > 0)
            assert_int_equal(announcer_turn(&a, now - 1, &e), 0);
        assert_int_equal(announcer_turn(&a, now, &e), 1);
        assert_int_equal(sent[0], i + 1);
        assert_int_equal(sent[1], i + 1);
        now += gap;
        gap *= 2;
    }
    assert_int_equal(announcer_deadline(&a), TIME_NEVER);
    assert_int_equal(announcer_turn(&a, TIME_NEVER - 1, &e), 0);
    assert_int_equal(sent[0], ANNOUNCER_ROUNDS);
}

static void a_sleeper_does_not_send_all_at_once(UNUSED void **state)
{
    struct announcer a;
    struct err e;

    start(&a, "0", 0);
    assert_int_equal(announcer_turn(&a, 0, &e), 1);
    assert_int_equal(announcer_turn(&a, 3600 * NS_PER_S, &e), 1);
    assert_int_equal(announcer_turn(&a, 3600 * NS_PER_S, &e), 0);
    assert_int_equal(announcer_deadline(&a), 3600 * NS_PER_S + 2 * ANNOUNCER_GAP_NS_FIRST);
}

static void a_port_that_fails_is_said_and_keeps_nobody_from_the_rest(UNUSED void **state)
{
    struct announcer a;
    struct err e;

    start(&a, "0!2", 0);
    assert_int_equal(announcer_turn(&a, 0, &e), -ENODEV);
    assert_string_equal(e.text, "there is no interface !");
    assert_int_equal(sent[0], 1);
    assert_int_equal(sent[2], 1);
    assert_int_equal(announcer_turn(&a, ANNOUNCER_GAP_NS_FIRST, &e), -ENODEV); /* tried again */
    assert_int_equal(sent[2], 2);
}

static void without_ports_there_is_never_anything_to_do(UNUSED void **state)
{
    struct announcer a = { .count = 0 };
    struct err e;

    assert_int_equal(announcer_deadline(&a), TIME_NEVER);
    assert_int_equal(announcer_turn(&a, 5, &e), 0);
    start(&a, "", 7);
    assert_int_equal(announcer_deadline(&a), TIME_NEVER);
    assert_int_equal(announcer_turn(&a, 7, &e), 0);
}

static void a_port_is_an_interface_with_a_mac_and_addresses(UNUSED void **state)
{
    static const char *const wrong[] = { "", "br0", "br0=", "=52:54:00:12:34:56", "br0=10.0.0.7",
                                         "a-name-of-16-oct=52:54:00:12:34:56", "br0=52:54:00:12:34:56=x" };
    struct announce_port port;
    struct err e;

    assert_int_equal(announce_port_parse("xenbr0=52:54:00:12:34:56=10.0.0.7,fd00::7", &port, &e), 0);
    assert_string_equal(port.interface, "xenbr0");
    assert_int_equal(port.nic.count, 2);
    assert_int_equal(port.nic.mac[5], 0x56);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(announce_port_parse(wrong[i], &port, &e), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_come_at_once_and_then_twice_as_far_apart_each_time),
        cmocka_unit_test(a_sleeper_does_not_send_all_at_once),
        cmocka_unit_test(a_port_that_fails_is_said_and_keeps_nobody_from_the_rest),
        cmocka_unit_test(without_ports_there_is_never_anything_to_do),
        cmocka_unit_test(a_port_is_an_interface_with_a_mac_and_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

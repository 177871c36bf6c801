/* A faulty link does exactly the harm its plan says, at the octet it says. */
#include "replicator/link/link_faulty.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct link *faulty, *peer;

static void open_pair(const struct link_faults *plan)
{
    struct err e = { 0 };
    struct link *inner;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(link_from_fds(&inner, fds[0], fds[0], &e), 0);
    assert_int_equal(link_from_fds(&peer, fds[1], fds[1], &e), 0);
    assert_int_equal(link_faulty_open(&faulty, inner, plan, &e), 0);
}

static int close_pair(void **state)
{
    (void)state;
    faulty->ops->close(faulty);
    peer->ops->close(peer);
    return 0;
}

static ssize_t put(struct link *l, const char *text)
{
    return l->ops->send(l, text, strlen(text), &(struct err){ 0 });
}

static ssize_t get(struct link *l, char text[16])
{
    memset(text, 0, 16);
    return l->ops->receive(l, text, 15, &(struct err){ 0 });
}

static void without_a_fault_it_is_the_link_it_wraps(void **state)
{
    char text[16];
    int in, out;

    (void)state;
    open_pair(&(struct link_faults){ 0 });
    assert_int_equal(faulty->ops->connected(faulty, &(struct err){ 0 }), 1);
    assert_int_equal(put(faulty, "there"), 5);
    assert_int_equal(get(peer, text), 5);
    assert_string_equal(text, "there");
    assert_int_equal(put(peer, "back"), 4);
    assert_int_equal(get(faulty, text), 4);
    assert_string_equal(text, "back");
    faulty->ops->fds(faulty, &in, &out);
    assert_true(in >= 0 && in == out);
}

static void a_cut_lets_the_octets_before_it_through_and_breaks_both_sides(void **state)
{
    char text[16];
    int in, out;

    (void)state;
    open_pair(&(struct link_faults){ .cut_at_sent = 7 });
    assert_int_equal(put(faulty, "12345"), 5);
    assert_int_equal(put(faulty, "67890"), 2);
    assert_int_equal(put(faulty, "890"), -ECONNRESET);
    assert_int_equal(get(peer, text), 7);
    assert_string_equal(text, "1234567");
    assert_int_equal(get(peer, text), -EPIPE);
    assert_int_equal(get(faulty, text), -ECONNRESET);
    assert_int_equal(faulty->ops->connected(faulty, &(struct err){ 0 }), -ECONNRESET);
    faulty->ops->fds(faulty, &in, &out);
    assert_int_equal(in, -1);
    assert_int_equal(out, -1);
}

static void a_cut_can_be_counted_in_received_octets(void **state)
{
    char text[16];

    (void)state;
    open_pair(&(struct link_faults){ .cut_at_received = 3 });
    assert_int_equal(put(peer, "12345"), 5);
    assert_int_equal(get(faulty, text), 3);
    assert_int_equal(get(faulty, text), -ECONNRESET);
    assert_int_equal(put(faulty, "x"), -ECONNRESET);
}

static void calls_are_as_short_as_planned(void **state)
{
    char text[16];

    (void)state;
    open_pair(&(struct link_faults){ .send_most = 2, .receive_most = 1 });
    assert_int_equal(put(faulty, "12345"), 2);
    assert_int_equal(get(peer, text), 2);
    assert_int_equal(put(peer, "12"), 2);
    assert_int_equal(get(faulty, text), 1);
    assert_int_equal(get(faulty, text), 1);
    assert_string_equal(text, "2");
}

static void a_stall_ends_without_loss_when_the_plan_changes(void **state)
{
    char text[16];
    int in, out;

    (void)state;
    open_pair(&(struct link_faults){ .is_send_stalled = true, .is_receive_stalled = true });
    assert_int_equal(put(peer, "late"), 4);
    assert_int_equal(get(faulty, text), 0);
    assert_int_equal(put(faulty, "late"), 0);
    faulty->ops->fds(faulty, &in, &out);
    assert_int_equal(in, -1);
    assert_int_equal(out, -1);
    *link_faulty_plan(faulty) = (struct link_faults){ 0 };
    assert_int_equal(get(faulty, text), 4);
    assert_int_equal(put(faulty, "late"), 4);
    assert_int_equal(get(peer, text), 4);
}

static void every_nth_octet_is_flipped_whatever_the_size_of_the_calls(void **state)
{
    char text[16];

    (void)state;
    open_pair(&(struct link_faults){ .flip_sent = 3, .flip_received = 4 });
    assert_int_equal(put(faulty, "00"), 2);
    assert_int_equal(put(faulty, "00000"), 5);
    assert_int_equal(get(peer, text), 7);
    assert_string_equal(text, "0010010");
    assert_int_equal(put(peer, "000"), 3);
    assert_int_equal(get(faulty, text), 3);
    assert_string_equal(text, "000");
    assert_int_equal(put(peer, "000"), 3);
    assert_int_equal(get(faulty, text), 3);
    assert_string_equal(text, "100");
}

static void one_direction_can_be_dropped_while_the_other_works(void **state)
{
    char text[16];

    (void)state;
    open_pair(&(struct link_faults){ .drops_sent = true });
    assert_int_equal(put(faulty, "lost"), 4);
    assert_int_equal(get(peer, text), 0);
    assert_int_equal(put(peer, "kept"), 4);
    assert_int_equal(get(faulty, text), 4);
    *link_faulty_plan(faulty) = (struct link_faults){ .drops_received = true };
    assert_int_equal(put(peer, "lost"), 4);
    assert_int_equal(get(faulty, text), 0);
    assert_int_equal(put(faulty, "kept"), 4);
    assert_int_equal(get(peer, text), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_a_fault_it_is_the_link_it_wraps, close_pair),
        cmocka_unit_test_teardown(a_cut_lets_the_octets_before_it_through_and_breaks_both_sides, close_pair),
        cmocka_unit_test_teardown(a_cut_can_be_counted_in_received_octets, close_pair),
        cmocka_unit_test_teardown(calls_are_as_short_as_planned, close_pair),
        cmocka_unit_test_teardown(a_stall_ends_without_loss_when_the_plan_changes, close_pair),
        cmocka_unit_test_teardown(every_nth_octet_is_flipped_whatever_the_size_of_the_calls, close_pair),
        cmocka_unit_test_teardown(one_direction_can_be_dropped_while_the_other_works, close_pair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

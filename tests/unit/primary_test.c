/* primary_test — when output may leave: the acknowledgement, the lease, the token. Each promise of
 * proto/primary.h is a test; primary_session_test and primary_walk_test have the others. */
#include "replicator/proto/primary.h"

#include <string.h>

#include "tests/unit/primary_bench.h"

/* ---- output ---------------------------------------------------------------------------------- */

static void release_waits_for_the_ack_of_the_same_epoch(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    assert_int_equal(b.p.epoch, 2);
    ack_of(&b, b.p.session, 1, b.now); /* the one before, once more */
    assert_int_equal(b.p.state, P_AWAIT);
    assert_false(says(&b, PA_RELEASE) || says(&b, PA_ACKED));
    heartbeat(&b, b.now);
    assert_false(says(&b, PA_RELEASE));
    ack_of(&b, b.p.session, 2, b.now);
    assert_int_equal(find(&b, PA_RELEASE)->epoch, 2);
    assert_int_equal(find(&b, PA_ACKED)->epoch, 2);
}

static void the_guest_is_marked_before_it_runs_again(void **state UNUSED)
{
    struct bench b;

    start(&b, false);
    open_session(&b, 0);
    plain(&b, PE_PRECOPIED);
    assert_int_equal(b.out.n, 3);
    assert_int_equal(b.out.list[0].type, PA_PAUSE);
    assert_int_equal(b.out.list[1].type, PA_MARK);
    assert_int_equal(b.out.list[1].epoch, b.p.epoch);
    assert_int_equal(b.out.list[2].type, PA_CAPTURE);
    assert_true(b.p.held);
}

static void at_most_one_epoch_is_unacknowledged(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    for (unsigned i = 0; i < 8; i++) { /* the interval is long over */
        heartbeat(&b, b.now);
        tick_at_deadline(&b);
        assert_false(says(&b, PA_BEGIN) || says(&b, PA_PAUSE));
    }
    ack_of(&b, b.p.session, 2, b.now);
    plain(&b, PE_RELEASED);
    assert_true(says(&b, PA_BEGIN));
}

static void the_interval_is_measured_from_pause_to_pause(void **state UNUSED)
{
    struct bench b;
    uint64_t paused_at;

    start_protected(&b);
    paused_at = b.p.paused_at_ns;
    plain(&b, PE_TICK); /* the heartbeat that is due */
    assert_int_equal(primary_deadline(&b.p), paused_at + INTERVAL_NS);
    b.now = paused_at + INTERVAL_NS - 1;
    plain(&b, PE_TICK);
    assert_false(says(&b, PA_PAUSE));
    b.now++;
    plain(&b, PE_TICK);
    assert_true(says(&b, PA_PAUSE));
}

static void a_stale_ack_is_ignored(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    ack_of(&b, b.p.session - 1, 2, b.now); /* of an old session, though the number fits */
    assert_int_equal(b.out.n, 0);
    ack_of(&b, b.p.session + 1, 2, b.now);
    assert_int_equal(b.out.n, 0);
    assert_int_equal(b.p.acked, 1);
    assert_int_equal(b.p.state, P_AWAIT);
}

static void an_ack_of_what_was_never_sent_ends_the_session(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    ack_of(&b, b.p.session, 3, b.now);
    assert_true(says(&b, PA_CLOSE_LINK));
    assert_false(says(&b, PA_RELEASE) || says(&b, PA_ACKED));

    start_protected(&b); /* begun, but its end is not sent yet */
    while (b.p.state == P_READY)
        tick_at_deadline(&b);
    assert_int_equal(b.p.state, P_CAPTURE);
    ack_of(&b, b.p.session, b.p.epoch, b.now);
    assert_true(says(&b, PA_CLOSE_LINK) && says(&b, PA_RESUME) && says(&b, PA_ABANDON));
    assert_false(says(&b, PA_RELEASE));
}

/* ---- the lease ------------------------------------------------------------------------------- */

static void an_expired_lease_keeps_output_held(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    b.now = b.p.lease_until_ns;
    ack_of(&b, b.p.session, 2, b.now - timing_lease_ns(&times)); /* an echo as old as the lease */
    assert_true(says(&b, PA_ACKED));
    assert_false(says(&b, PA_RELEASE));
    assert_true(b.p.held);
}

static void a_newer_echo_renews_it(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    b.now = b.p.lease_until_ns;
    ack_of(&b, b.p.session, 2, 0);
    assert_false(says(&b, PA_RELEASE));
    heartbeat(&b, b.now);
    assert_int_equal(find(&b, PA_RELEASE)->epoch, 2);
    assert_int_equal(find(&b, PA_RELEASE)->not_after_ns, b.now + timing_lease_ns(&times));
}

static void protected_needs_a_good_lease(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    assert_true(primary_is_protected(&b.p, b.p.lease_until_ns - 1));
    b.now = b.p.lease_until_ns + times.timeout_ns;
    heartbeat(&b, b.p.echo_ns); /* it lay in the socket while we stood still */
    assert_false(primary_is_protected(&b.p, b.now));
    heartbeat(&b, b.now);
    assert_true(primary_is_protected(&b.p, b.now));
}

static void an_echo_from_the_future_or_the_past_renews_nothing(void **state UNUSED)
{
    struct bench b;
    uint64_t until;

    start_protected(&b);
    until = b.p.lease_until_ns;
    heartbeat(&b, b.now + 1);
    assert_int_equal(b.p.lease_until_ns, until);
    heartbeat(&b, UINT64_MAX);
    assert_int_equal(b.p.lease_until_ns, until);
    heartbeat(&b, 1);
    assert_int_equal(b.p.lease_until_ns, until);
}

static void a_late_release_is_due_again_with_the_next_sign_of_life(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    ack_of(&b, b.p.session, 2, b.now);
    b.now = b.p.lease_until_ns;
    plain(&b, PE_RELEASE_LATE);
    assert_int_equal(b.out.n, 0);
    assert_int_equal(b.p.state, P_AWAIT);
    heartbeat(&b, b.now);
    assert_int_equal(find(&b, PA_RELEASE)->epoch, 2);
}

/* ---- losing the backup ----------------------------------------------------------------------- */

static void output_stays_held_until_the_arbiter_grants(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    lose_until_it_asks(&b);
    assert_true(b.p.held);
    token(&b, FENCE_NO_ANSWER, b.p.term);
    assert_false(says(&b, PA_OPEN));
    token(&b, FENCE_GRANTED, b.p.term + 1); /* of another question */
    assert_false(says(&b, PA_OPEN));
    tick_at_deadline(&b);
    assert_true(says(&b, PA_ASK));
    token(&b, FENCE_GRANTED, b.p.term);
    assert_true(says(&b, PA_OPEN));
    assert_int_equal(b.p.term, 2);
    assert_false(b.p.held || b.p.armed);
}

static void a_denied_token_drops_and_destroys(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    lose_until_it_asks(&b);
    token(&b, FENCE_DENIED, b.p.term);
    assert_true(says(&b, PA_DROP) && says(&b, PA_DESTROY));
    assert_false(says(&b, PA_OPEN) || says(&b, PA_RELEASE));
    assert_int_equal(b.p.state, P_FENCED);
    assert_true(primary_deadline(&b.p) == TIME_NEVER);
    plain(&b, PE_TICK);
    plain(&b, PE_LINK_UP);
    feed(&b, (struct primary_event){ .type = PE_STOP, .reason = DETACH_STOPPED });
    token(&b, FENCE_GRANTED, b.p.term);
    assert_int_equal(b.out.n, 0);
}

static void manual_opens_at_once_and_closes_the_term(void **state UNUSED)
{
    struct bench b;

    start(&b, true);
    open_session(&b, 0);
    commit_epoch(&b);
    assert_int_equal(b.p.term, 1);
    plain(&b, PE_LINK_DOWN);
    assert_true(says(&b, PA_OPEN));
    assert_false(says(&b, PA_ASK));
    assert_int_equal(b.p.term, 2);
    assert_false(primary_is_protected(&b.p, b.now));
}

static void before_the_first_epoch_can_be_committed_output_is_ours(void **state UNUSED)
{
    struct bench b;

    start(&b, false);
    open_session(&b, 0);
    plain(&b, PE_PRECOPIED); /* held by the mark, its end not sent */
    assert_true(b.p.held && !b.p.armed);
    plain(&b, PE_LINK_DOWN);
    assert_true(says(&b, PA_RESUME) && says(&b, PA_ABANDON) && says(&b, PA_OPEN));
    assert_false(b.p.held);
}

static void silence_is_a_loss(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    for (unsigned i = 0; b.p.state == P_AWAIT; i++) {
        assert_true(i < 20);
        tick_at_deadline(&b);
    }
    assert_true(b.now >= b.p.last_rx_ns + TIMEOUT_NS);
    assert_true(says(&b, PA_CLOSE_LINK));
    assert_false(says(&b, PA_OPEN));
}

static void a_backup_that_is_active_makes_a_primary_under_an_arbiter_ask(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    plain(&b, PE_LINK_DOWN);
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_ACTIVE, 0);
    assert_true(says(&b, PA_ASK));
    assert_false(says(&b, PA_OPEN));
}

static void a_backup_activated_by_somebodys_word_fences_a_manual_primary(void **state UNUSED)
{
    struct bench b;

    start(&b, true);
    open_session(&b, 0);
    commit_epoch(&b);
    plain(&b, PE_LINK_DOWN);
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_ACTIVE, 0);
    assert_true(says(&b, PA_DROP) && says(&b, PA_DESTROY));
    assert_int_equal(b.p.state, P_FENCED);
}

static void every_state_has_a_name(void **state UNUSED)
{
    for (unsigned s = 0; s < P_STATES; s++)
        assert_true(strlen(primary_state_name((enum primary_state)s)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(release_waits_for_the_ack_of_the_same_epoch),
        cmocka_unit_test(the_guest_is_marked_before_it_runs_again),
        cmocka_unit_test(at_most_one_epoch_is_unacknowledged),
        cmocka_unit_test(the_interval_is_measured_from_pause_to_pause),
        cmocka_unit_test(a_stale_ack_is_ignored),
        cmocka_unit_test(an_ack_of_what_was_never_sent_ends_the_session),
        cmocka_unit_test(an_expired_lease_keeps_output_held),
        cmocka_unit_test(a_newer_echo_renews_it),
        cmocka_unit_test(protected_needs_a_good_lease),
        cmocka_unit_test(an_echo_from_the_future_or_the_past_renews_nothing),
        cmocka_unit_test(a_late_release_is_due_again_with_the_next_sign_of_life),
        cmocka_unit_test(output_stays_held_until_the_arbiter_grants),
        cmocka_unit_test(a_denied_token_drops_and_destroys),
        cmocka_unit_test(manual_opens_at_once_and_closes_the_term),
        cmocka_unit_test(before_the_first_epoch_can_be_committed_output_is_ours),
        cmocka_unit_test(silence_is_a_loss),
        cmocka_unit_test(a_backup_that_is_active_makes_a_primary_under_an_arbiter_ask),
        cmocka_unit_test(a_backup_activated_by_somebodys_word_fences_a_manual_primary),
        cmocka_unit_test(every_state_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* primary_session_test — how a primary comes back to its backup, how protection ends, and what a
 * successor does with what a killed process left behind. */
#include "replicator/proto/primary.h"

#include "tests/unit/primary_bench.h"

/* ---- coming back ----------------------------------------------------------------------------- */

static void reconnect_with_lost_ack_counts_as_acked(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    plain(&b, PE_LINK_DOWN); /* the ack of 2 was on its way */
    open_session(&b, 2);
    assert_int_equal(find(&b, PA_SESSION_UP)->epoch, 2);
    assert_int_equal(find(&b, PA_RELEASE)->epoch, 2);
    assert_int_equal(b.p.acked, 2);
}

static void reconnect_without_the_commit_releases_nothing(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    plain(&b, PE_LINK_DOWN);
    assert_true(says(&b, PA_ABANDON));
    open_session(&b, 1);
    assert_false(says(&b, PA_RELEASE) || says(&b, PA_OPEN));
    assert_int_equal(find(&b, PA_BEGIN)->epoch, 3); /* numbers only grow */
    assert_int_equal(find(&b, PA_BEGIN)->flags, 0);
}

static void a_commit_that_cannot_be_ends_the_session(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    commit_epoch(&b);
    plain(&b, PE_LINK_DOWN);
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_OK, 3); /* never begun */
    assert_true(says(&b, PA_CLOSE_LINK));
    assert_false(says(&b, PA_SESSION_UP) || says(&b, PA_RELEASE) || says(&b, PA_OPEN));

    start_protected(&b);
    commit_epoch(&b);
    plain(&b, PE_LINK_DOWN);
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_OK, 1); /* older than what it acknowledged, but not nothing */
    assert_true(says(&b, PA_CLOSE_LINK));
    assert_false(says(&b, PA_SESSION_UP) || says(&b, PA_RELEASE) || says(&b, PA_OPEN));
}

static void a_backup_that_lost_its_replica_is_seeded_anew(void **state UNUSED)
{
    struct bench b;

    start(&b, true);
    open_session(&b, 0);
    commit_epoch(&b);
    plain(&b, PE_LINK_DOWN);
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_OK, 0);
    assert_true(says(&b, PA_RESEED));
    assert_true(b.p.lineage != LINEAGE && b.p.replaces == LINEAGE);
    open_session(&b, 0);
    assert_int_equal(find(&b, PA_BEGIN)->flags, EPOCH_SEED);
}

/* It may have been activated before it was lost. */
static void a_lost_replica_alone_is_no_reason_to_open(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    plain(&b, PE_LINK_DOWN);
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_OK, 0);
    assert_true(says(&b, PA_ASK));
    assert_false(says(&b, PA_OPEN) || says(&b, PA_RESEED));
    token(&b, FENCE_GRANTED, b.p.term);
    assert_true(says(&b, PA_OPEN));
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_OK, 0);
    assert_true(says(&b, PA_RESEED));
}

static void an_answer_to_another_hello_is_ignored(void **state UNUSED)
{
    struct bench b;
    struct hello_ack m;

    start(&b, false);
    connect_up_to_greeting(&b);
    m = (struct hello_ack){ .session = b.p.session + 1, .lineage = LINEAGE };
    feed(&b, (struct primary_event){ .type = PE_HELLO_ACK, .hello_ack = &m });
    assert_int_equal(b.out.n, 0);
    m = (struct hello_ack){ .session = b.p.session, .lineage = LINEAGE + 1 };
    feed(&b, (struct primary_event){ .type = PE_HELLO_ACK, .hello_ack = &m });
    assert_int_equal(b.out.n, 0);
    assert_int_equal(b.p.state, P_GREETING);
}

static void a_refusal_is_remembered_and_tried_again_later(void **state UNUSED)
{
    struct bench b;

    start(&b, false);
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_DOMAIN, 0);
    assert_true(says(&b, PA_CLOSE_LINK));
    assert_int_equal(b.p.refused, HELLO_DOMAIN);
    assert_true(primary_deadline(&b.p) > b.now);
    open_session(&b, 0);
    assert_int_equal(b.p.refused, 0);
}

static void need_pages_abandons(void **state UNUSED)
{
    struct bench b;
    struct need_pages m;

    start_protected(&b);
    send_epoch(&b);
    m = (struct need_pages){ b.p.session, 1 }; /* of an epoch that is committed: nonsense */
    feed(&b, (struct primary_event){ .type = PE_NEED_PAGES, .need_pages = &m });
    assert_int_equal(b.out.n, 0);
    m.epoch = 2;
    feed(&b, (struct primary_event){ .type = PE_NEED_PAGES, .need_pages = &m });
    assert_true(says(&b, PA_ABANDON));
    assert_false(says(&b, PA_RELEASE) || says(&b, PA_ACKED));
    assert_true(b.p.held);
    send_epoch(&b);
    assert_int_equal(b.p.epoch, 3);
}

/* ---- ends
 * ---------------------------------------------------------------------------------------------------
 */

static void detach_lets_go(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    feed(&b, (struct primary_event){ .type = PE_STOP, .reason = DETACH_STOPPED });
    assert_int_equal(find(&b, PA_DETACH)->reason, DETACH_STOPPED);
    assert_false(find(&b, PA_DETACH)->is_answer || says(&b, PA_OPEN));
    detach(&b, true);
    assert_true(says(&b, PA_OPEN));
    assert_int_equal(find(&b, PA_END)->reason, DETACH_STOPPED);
    assert_int_equal(b.p.state, P_ENDED);
}

static void a_stop_amid_an_epoch_waits_for_its_ack(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    feed(&b, (struct primary_event){ .type = PE_STOP, .reason = DETACH_STOPPED });
    assert_int_equal(b.out.n, 0);
    ack_of(&b, b.p.session, 2, b.now);
    plain(&b, PE_RELEASED);
    assert_true(says(&b, PA_DETACH));
}

static void a_backup_that_lets_go_leaves_the_guest_to_us(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    send_epoch(&b);
    detach(&b, false);
    assert_true(says(&b, PA_ABANDON) && says(&b, PA_OPEN) && says(&b, PA_RESEED));
    assert_true(find(&b, PA_DETACH)->is_answer);
    assert_false(b.p.armed || b.p.held);
}

static void a_detach_without_an_answer_asks_the_arbiter(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    feed(&b, (struct primary_event){ .type = PE_STOP, .reason = DETACH_STOPPED });
    lose_until_it_asks(&b);
    token(&b, FENCE_GRANTED, b.p.term);
    assert_true(says(&b, PA_OPEN) && says(&b, PA_END));
}

static void the_guests_last_epoch_is_final(void **state UNUSED)
{
    struct bench b;

    start_protected(&b);
    feed(&b, (struct primary_event){ .type = PE_GUEST_ENDED, .reason = DETACH_SHUT_DOWN });
    assert_int_equal(find(&b, PA_BEGIN)->flags, EPOCH_FINAL);
    send_epoch(&b);
    ack_of(&b, b.p.session, 2, b.now);
    plain(&b, PE_RELEASED);
    assert_int_equal(find(&b, PA_DETACH)->reason, DETACH_SHUT_DOWN);
}

static void a_guest_that_is_gone_before_its_last_epoch_is_let_go_without_it(void **state UNUSED)
{
    static const enum primary_action_type failures[] = { PA_PAUSE, PA_MARK, PA_CAPTURE };
    struct bench b;

    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        start_protected(&b);
        feed(&b, (struct primary_event){ .type = PE_GUEST_ENDED, .reason = DETACH_SHUT_DOWN });
        feed(&b, (struct primary_event){ .type = PE_FAULT, .fault = failures[i] });
        assert_true(says(&b, PA_ABANDON));
        assert_int_equal(find(&b, PA_DETACH)->reason, DETACH_SHUT_DOWN);
        assert_false(says(&b, PA_OPEN) || says(&b, PA_CLOSE_LINK));
        detach(&b, true);
        assert_true(says(&b, PA_OPEN) && says(&b, PA_END));
    }
}

static void stopping_without_a_session_ends_at_once_when_nothing_is_held(void **state UNUSED)
{
    struct bench b;

    start(&b, false);
    feed(&b, (struct primary_event){ .type = PE_STOP, .reason = DETACH_STOPPED });
    assert_true(says(&b, PA_END));
}

/* ---- a process that went before -------------------------------------------------------------- */

static void a_successor_of_an_armed_process_asks_before_it_opens(void **state UNUSED)
{
    const struct primary_past past = { .lineage = 77, .term = 3, .armed = true };
    struct bench b = { .now = 5 * NS_PER_S };

    primary_init(&b.p, &times, false, LINEAGE, &past, b.now);
    tick_at_deadline(&b);
    assert_int_equal(find(&b, PA_ASK)->term, 3);
    assert_false(says(&b, PA_OPEN));
    token(&b, FENCE_GRANTED, 3);
    assert_true(says(&b, PA_OPEN));
    for (unsigned i = 0; !says(&b, PA_RESEED); i++) {
        assert_true(i < 4);
        tick_at_deadline(&b);
    }
    assert_int_equal(b.p.replaces, 77);
}

static void a_successor_of_an_unarmed_process_opens_and_reseeds(void **state UNUSED)
{
    const struct primary_past past = { .lineage = 77, .term = 3 };
    struct bench b = { .now = 5 * NS_PER_S };

    primary_init(&b.p, &times, false, LINEAGE, &past, b.now);
    tick_at_deadline(&b);
    assert_true(says(&b, PA_OPEN) && says(&b, PA_RESEED));
    assert_false(says(&b, PA_ASK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reconnect_with_lost_ack_counts_as_acked),
        cmocka_unit_test(reconnect_without_the_commit_releases_nothing),
        cmocka_unit_test(a_commit_that_cannot_be_ends_the_session),
        cmocka_unit_test(a_backup_that_lost_its_replica_is_seeded_anew),
        cmocka_unit_test(a_lost_replica_alone_is_no_reason_to_open),
        cmocka_unit_test(an_answer_to_another_hello_is_ignored),
        cmocka_unit_test(a_refusal_is_remembered_and_tried_again_later),
        cmocka_unit_test(need_pages_abandons),
        cmocka_unit_test(detach_lets_go),
        cmocka_unit_test(a_stop_amid_an_epoch_waits_for_its_ack),
        cmocka_unit_test(a_backup_that_lets_go_leaves_the_guest_to_us),
        cmocka_unit_test(a_detach_without_an_answer_asks_the_arbiter),
        cmocka_unit_test(the_guests_last_epoch_is_final),
        cmocka_unit_test(a_guest_that_is_gone_before_its_last_epoch_is_let_go_without_it),
        cmocka_unit_test(stopping_without_a_session_ends_at_once_when_nothing_is_held),
        cmocka_unit_test(a_successor_of_an_armed_process_asks_before_it_opens),
        cmocka_unit_test(a_successor_of_an_unarmed_process_opens_and_reseeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

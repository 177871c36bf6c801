/* primary_switchover_test — giving the guest away by plan: nothing is given before it is committed and
 * out, and what was given neither runs nor speaks here before the token or a person gives it back. */
#include "replicator/proto/primary.h"

#include "tests/unit/primary_bench.h"

static void start_committed(struct bench *b, bool owns)
{
    start(b, owns);
    open_session(b, 0);
    commit_epoch(b);
    assert_true(primary_is_protected(&b->p, b->now));
}

/* Up to the switchover's epoch, sent and not yet acknowledged. */
static void send_switch_epoch(struct bench *b)
{
    plain(b, PE_SWITCHOVER);
    assert_true(says(b, PA_PAUSE) && says(b, PA_MARK));
    assert_int_equal(find(b, PA_BEGIN)->flags, EPOCH_SWITCHOVER);
    plain(b, PE_CAPTURED);
    assert_true(says(b, PA_FLUSH));
    assert_false(says(b, PA_RESUME));
    plain(b, PE_SENT);
}

static void give_away(struct bench *b, bool owns)
{
    start_committed(b, owns);
    send_switch_epoch(b);
    ack_of(b, b->p.session, b->p.epoch, b->now);
    assert_true(says(b, PA_RELEASE));
    assert_false(says(b, PA_DETACH));
    plain(b, PE_RELEASED);
    assert_true(b->p.given);
}

static void answered(struct bench *b)
{
    struct detach m = { b->p.session, DETACH_SWITCHOVER, true };

    feed(b, (struct primary_event){ .type = PE_DETACH, .detach = &m });
}

static void assert_let_go(const struct bench *b)
{
    assert_true(says(b, PA_DROP) && says(b, PA_DESTROY));
    assert_false(says(b, PA_OPEN) || says(b, PA_RESUME));
    assert_int_equal(find(b, PA_END)->reason, DETACH_SWITCHOVER);
    assert_int_equal(b->p.state, P_ENDED);
}

static void a_guest_is_given_when_it_is_committed_and_all_it_said_is_out(void **state UNUSED)
{
    struct bench b;

    give_away(&b, true);
    assert_int_equal(b.out.list[0].type, PA_REMEMBER); /* before anybody can take it */
    assert_true(b.out.list[0].is_given);
    assert_int_equal(b.out.list[1].type, PA_DETACH);
    assert_int_equal(b.out.list[1].reason, DETACH_SWITCHOVER);
    answered(&b);
    assert_let_go(&b);
}

static void without_protection_nothing_is_begun(void **state UNUSED)
{
    struct bench b;

    start(&b, true);
    plain(&b, PE_SWITCHOVER);
    assert_int_equal(b.out.n, 0);
    assert_false(b.p.switching);
    open_session(&b, 0);
    plain(&b, PE_SWITCHOVER); /* amid the seed */
    assert_false(b.p.switching);
}

static void output_that_is_late_delays_the_gift(void **state UNUSED)
{
    struct bench b;

    start_committed(&b, false);
    send_switch_epoch(&b);
    ack_of(&b, b.p.session, b.p.epoch, b.now);
    plain(&b, PE_RELEASE_LATE);
    plain(&b, PE_SWITCHOVER);
    assert_false(says(&b, PA_DETACH) || b.p.given);
    heartbeat(&b, b.now);
    assert_true(says(&b, PA_RELEASE));
    plain(&b, PE_RELEASED);
    assert_true(b.p.given && says(&b, PA_DETACH));
}

static void losing_the_backup_before_the_gift_lets_the_guest_run_on(void **state UNUSED)
{
    struct bench b;

    start_committed(&b, true);
    send_switch_epoch(&b);
    plain(&b, PE_LINK_DOWN);
    assert_true(says(&b, PA_ABANDON) && says(&b, PA_RESUME) && says(&b, PA_OPEN));
    assert_false(b.p.switching || b.p.given);

    start_committed(&b, false);
    send_switch_epoch(&b);
    ack_of(&b, b.p.session, b.p.epoch, b.now); /* committed, but not yet out */
    plain(&b, PE_LINK_DOWN);
    assert_true(says(&b, PA_RESUME));
    assert_false(says(&b, PA_OPEN));
}

static void a_stop_amid_a_switchover_lets_the_guest_run_on(void **state UNUSED)
{
    struct bench b;

    start_committed(&b, true);
    send_switch_epoch(&b);
    feed(&b, (struct primary_event){ .type = PE_STOP, .reason = DETACH_STOPPED });
    ack_of(&b, b.p.session, b.p.epoch, b.now);
    plain(&b, PE_RELEASED);
    assert_true(says(&b, PA_RESUME));
    assert_int_equal(find(&b, PA_DETACH)->reason, DETACH_STOPPED);
    assert_false(b.p.given);
}

static void what_was_given_lies_still_when_the_backup_is_lost(void **state UNUSED)
{
    struct bench b;

    give_away(&b, true);
    plain(&b, PE_LINK_DOWN);
    assert_false(says(&b, PA_OPEN) || says(&b, PA_RESUME));
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_DECIDING, 0);
    assert_false(says(&b, PA_OPEN) || says(&b, PA_RESUME) || says(&b, PA_DESTROY));
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_OK, 0); /* another process, which knows nothing: the guest may run there */
    assert_false(says(&b, PA_OPEN) || says(&b, PA_RESUME) || says(&b, PA_RESEED));
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_ACTIVE, 0);
    assert_let_go(&b);
}

static void a_backup_that_never_heard_of_the_gift_hears_it_again(void **state UNUSED)
{
    struct bench b;

    give_away(&b, true);
    plain(&b, PE_LINK_DOWN);
    connect_up_to_greeting(&b);
    hello_ack(&b, HELLO_OK, b.p.acked);
    assert_int_equal(find(&b, PA_DETACH)->reason, DETACH_SWITCHOVER);
    assert_false(says(&b, PA_BEGIN) || says(&b, PA_RESUME));
}

static void a_persons_word_gives_it_back(void **state UNUSED)
{
    struct bench b;

    give_away(&b, true);
    plain(&b, PE_TAKE_BACK); /* while the backup is being told: too early to know */
    assert_int_equal(b.out.n, 0);
    plain(&b, PE_LINK_DOWN);
    plain(&b, PE_TAKE_BACK);
    assert_true(says(&b, PA_RESUME) && says(&b, PA_OPEN));
    assert_false(find(&b, PA_REMEMBER)->is_given);
    assert_int_equal(b.p.term, 2);
}

static void the_token_gives_it_back_or_ends_it(void **state UNUSED)
{
    struct bench b;

    give_away(&b, false);
    lose_until_it_asks(&b);
    token(&b, FENCE_GRANTED, 1);
    assert_true(says(&b, PA_RESUME) && says(&b, PA_OPEN));
    assert_false(b.p.given);

    give_away(&b, false);
    lose_until_it_asks(&b);
    plain(&b, PE_TAKE_BACK); /* nobody's word counts where an arbiter decides */
    assert_int_equal(b.out.n, 0);
    token(&b, FENCE_DENIED, 1);
    assert_let_go(&b);
}

static void a_gift_that_can_t_be_remembered_is_not_made(void **state UNUSED)
{
    struct bench b;

    give_away(&b, true);
    feed(&b, (struct primary_event){ .type = PE_FAULT, .fault = PA_REMEMBER });
    assert_true(says(&b, PA_RESUME) && says(&b, PA_OPEN));
    assert_false(b.p.given);
}

static void a_backup_that_stops_at_the_same_time_did_not_take_it(void **state UNUSED)
{
    struct bench b;

    give_away(&b, true);
    detach(&b, false);
    assert_true(says(&b, PA_RESUME) && says(&b, PA_OPEN) && says(&b, PA_RESEED));
    assert_false(find(&b, PA_REMEMBER)->is_given);
    assert_int_equal(b.p.state, P_OFF);
}

static void a_successor_knows_what_was_given(void **state UNUSED)
{
    struct bench b = { .now = 1000 * NS_PER_S };
    const struct primary_past past = { LINEAGE, 3, true, true };

    primary_init(&b.p, &times, true, LINEAGE + 2, &past, b.now);
    connect_up_to_greeting(&b);
    assert_false(says(&b, PA_RESEED) || says(&b, PA_OPEN));
    hello_ack(&b, HELLO_OLD_SESSION, 0);
    assert_false(says(&b, PA_OPEN) || says(&b, PA_RESUME));
    plain(&b, PE_TAKE_BACK);
    assert_true(says(&b, PA_RESUME) && says(&b, PA_OPEN));

    primary_init(&b.p, &times, true, LINEAGE + 2, &past, b.now);
    feed(&b, (struct primary_event){ .type = PE_STOP, .reason = DETACH_STOPPED });
    assert_false(says(&b, PA_OPEN) || says(&b, PA_RESUME) || says(&b, PA_DESTROY));
    assert_true(b.p.given && b.p.state == P_ENDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_is_given_when_it_is_committed_and_all_it_said_is_out),
        cmocka_unit_test(without_protection_nothing_is_begun),
        cmocka_unit_test(output_that_is_late_delays_the_gift),
        cmocka_unit_test(losing_the_backup_before_the_gift_lets_the_guest_run_on),
        cmocka_unit_test(a_stop_amid_a_switchover_lets_the_guest_run_on),
        cmocka_unit_test(what_was_given_lies_still_when_the_backup_is_lost),
        cmocka_unit_test(a_backup_that_never_heard_of_the_gift_hears_it_again),
        cmocka_unit_test(a_persons_word_gives_it_back),
        cmocka_unit_test(the_token_gives_it_back_or_ends_it),
        cmocka_unit_test(a_gift_that_can_t_be_remembered_is_not_made),
        cmocka_unit_test(a_backup_that_stops_at_the_same_time_did_not_take_it),
        cmocka_unit_test(a_successor_knows_what_was_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

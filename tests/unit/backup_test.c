/* backup_test — when an epoch is acknowledged, who may speak, when the token is asked for and the
 * guest activated, how it ends. Each promise of proto/backup.h is a test; backup_walk_test has the
 * rest. */
#include "replicator/proto/backup.h"

#include "tests/unit/backup_bench.h"

/* ---- acknowledging --------------------------------------------------------------------------- */

static void an_epoch_is_committed_then_acknowledged_then_applied(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    begin(&b, 1, 2, 1, 0);
    assert_int_equal(b.out.n, 1);
    complete(&b, 2, 0);
    assert_int_equal(b.out.n, 3);
    assert_int_equal(b.out.list[0].type, BA_COMMIT);
    assert_int_equal(b.out.list[1].type, BA_ACK);
    assert_int_equal(b.out.list[2].type, BA_APPLY);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(b.out.list[i].epoch, 2);
}

static void no_other_epoch_than_the_staged_one_completes(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    complete(&b, 2, 0); /* never begun */
    assert_true(says(&b, BA_CLOSE_LINK));
    assert_false(says(&b, BA_ACK) || says(&b, BA_COMMIT));

    start_ready(&b, false);
    begin(&b, 1, 3, 1, 0);
    complete(&b, 2, 0);
    assert_true(says(&b, BA_CLOSE_LINK) && says(&b, BA_UNSTAGE));
    assert_false(says(&b, BA_ACK));
    assert_int_equal(b.b.committed, 1);

    start_ready(&b, false);
    begin(&b, 1, 3, 1, 0);
    complete(&b, 3, EPOCH_FINAL); /* the end contradicts the beginning */
    assert_false(says(&b, BA_ACK));
}

static void an_epoch_of_another_session_or_term_ends_the_session(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    begin(&b, 2, 2, 1, 0);
    assert_true(says(&b, BA_CLOSE_LINK));
    assert_false(says(&b, BA_STAGE));
    start_ready(&b, false);
    begin(&b, 1, 2, 2, 0);
    assert_true(says(&b, BA_CLOSE_LINK));
    start_ready(&b, false);
    begin(&b, 1, 1, 1, 0); /* numbers only grow */
    assert_true(says(&b, BA_CLOSE_LINK));
}

static void a_seed_goes_only_into_an_empty_replica(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    begin(&b, 1, 2, 1, EPOCH_SEED);
    assert_true(says(&b, BA_CLOSE_LINK));
    assert_int_equal(b.b.committed, 1);
    assert_true(backup_is_ready(&b.b));

    start(&b, false);
    assert_int_equal(hello(&b, LINEAGE, 1, 1), HELLO_OK);
    begin(&b, 1, 1, 1, 0); /* and nothing else goes into one */
    assert_true(says(&b, BA_CLOSE_LINK));
}

static void a_mismatch_asks_for_the_pages_and_commits_nothing(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    begin(&b, 1, 2, 1, 0);
    plain(&b, BE_MISMATCH);
    assert_int_equal(find(&b, BA_NEED_PAGES)->epoch, 2);
    assert_true(says(&b, BA_UNSTAGE));
    assert_false(says(&b, BA_ACK) || says(&b, BA_CLOSE_LINK));
    commit(&b, 3, 0);
    assert_int_equal(b.b.committed, 3);
}

static void a_mismatch_within_a_seed_ends_the_session(void **state UNUSED)
{
    struct bench b;

    start(&b, false);
    assert_int_equal(hello(&b, LINEAGE, 1, 1), HELLO_OK);
    begin(&b, 1, 1, 1, EPOCH_SEED);
    plain(&b, BE_MISMATCH);
    assert_true(says(&b, BA_CLOSE_LINK));
    assert_int_equal(find(&b, BA_END)->reason, BACKUP_END_NOTHING_HELD);
}

/* ---- who may speak --------------------------------------------------------------------------- */

static void hello_of_another_lineage_is_refused_while_a_commit_is_held(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    assert_int_equal(hello(&b, LINEAGE + 1, 9, 1), HELLO_BUSY);
    assert_false(says(&b, BA_TAKE_LINK) || says(&b, BA_RESET));
    assert_int_equal(b.b.committed, 1);
}

static void hello_of_the_lineage_that_replaces_ours_starts_anew(void **state UNUSED)
{
    struct bench b;
    struct hello m;

    start_ready(&b, false);
    m = hello_of(&b, LINEAGE + 1, 1, 1);
    m.replaces = LINEAGE;
    feed(&b, (struct backup_event){ .type = BE_HELLO, .hello = &m, .precheck = HELLO_OK });
    assert_true(says(&b, BA_RESET) && says(&b, BA_TAKE_LINK));
    assert_int_equal(b.b.committed, 0);
    assert_false(backup_is_ready(&b.b));
}

static void hello_of_another_lineage_takes_an_empty_replica(void **state UNUSED)
{
    struct bench b;

    start(&b, false);
    assert_int_equal(hello(&b, LINEAGE, 1, 1), HELLO_OK);
    begin(&b, 1, 1, 1, EPOCH_SEED);
    assert_int_equal(hello(&b, LINEAGE + 1, 1, 1), HELLO_OK);
    assert_true(says(&b, BA_UNSTAGE) && says(&b, BA_RESET));
}

static void hello_of_an_old_session_is_refused(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    assert_int_equal(hello(&b, LINEAGE, 1, 1), HELLO_OLD_SESSION);
    assert_false(says(&b, BA_TAKE_LINK));
    assert_int_equal(hello(&b, LINEAGE, 2, 1), HELLO_OK);
    assert_true(says(&b, BA_TAKE_LINK));
    assert_false(says(&b, BA_RESET));
    assert_int_equal(b.b.committed, 1);
    assert_int_equal(hello(&b, LINEAGE, 1, 1), HELLO_OLD_SESSION);
}

static void hello_of_an_old_term_is_refused(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    assert_int_equal(hello(&b, LINEAGE, 2, 2), HELLO_OK);
    assert_int_equal(hello(&b, LINEAGE, 3, 1), HELLO_OLD_TERM);
    assert_int_equal(b.b.term, 2);
}

static void what_the_engine_finds_wrong_with_a_hello_is_answered(void **state UNUSED)
{
    struct bench b;
    struct hello m;

    start_ready(&b, false);
    m = hello_of(&b, LINEAGE, 2, 1);
    feed(&b, (struct backup_event){ .type = BE_HELLO, .hello = &m, .precheck = HELLO_DOMAIN });
    assert_int_equal(find(&b, BA_HELLO_ACK)->verdict, HELLO_DOMAIN);
    assert_int_equal(b.out.n, 1);
    assert_int_equal(b.b.session, 1);
}

static void a_new_connection_voids_what_was_staged(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    begin(&b, 1, 2, 1, 0);
    assert_int_equal(hello(&b, LINEAGE, 2, 1), HELLO_OK);
    assert_true(says(&b, BA_UNSTAGE));
    complete(&b, 2, 0);
    assert_false(says(&b, BA_ACK));
}

/* ---- going on alone -------------------------------------------------------------------------- */

static void the_token_is_not_asked_before_the_timeout(void **state UNUSED)
{
    struct bench b;
    uint64_t heard_at;

    start_ready(&b, false);
    b.now += 30 * NS_PER_MS;
    heartbeat(&b, 1);
    heard_at = b.now;
    b.now += NS_PER_MS;
    plain(&b, BE_LINK_DOWN); /* a broken link is no silence */
    assert_int_equal(backup_deadline(&b.b), heard_at + TIMEOUT_NS);
    b.now = heard_at + TIMEOUT_NS - 1;
    plain(&b, BE_TICK);
    assert_false(says(&b, BA_ASK));
    b.now++;
    plain(&b, BE_TICK);
    assert_int_equal(find(&b, BA_ASK)->term, 1);
    assert_false(says(&b, BA_ACTIVATE)); /* asking is not activating */
}

static void only_the_token_activates(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    wait_for_the_question(&b);
    token(&b, FENCE_GRANTED, 2);
    assert_false(says(&b, BA_ACTIVATE));
    token(&b, FENCE_NO_ANSWER, 1);
    assert_false(says(&b, BA_ACTIVATE));
    b.now = backup_deadline(&b.b);
    plain(&b, BE_TICK);
    assert_true(says(&b, BA_ASK));
    token(&b, FENCE_GRANTED, 1);
    assert_int_equal(find(&b, BA_ACTIVATE)->epoch, 1);
    plain(&b, BE_ACTIVATED);
    assert_int_equal(b.b.state, B_ACTIVE);
}

static void a_denied_token_makes_the_replica_stale(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    wait_for_the_question(&b);
    token(&b, FENCE_DENIED, 1);
    assert_int_equal(b.b.state, B_STALE);
    assert_false(says(&b, BA_ACTIVATE) || backup_is_ready(&b.b));
    activate(&b, false);
    assert_int_equal(find(&b, BA_REFUSE)->refusal, REFUSED_FENCING);
}

static void silence_in_a_session_is_a_loss(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    for (unsigned i = 0; b.b.state == B_LINKED; i++) {
        assert_true(i < 20);
        b.now = backup_deadline(&b.b);
        plain(&b, BE_TICK);
    }
    assert_true(says(&b, BA_CLOSE_LINK));
    assert_int_equal(b.now, b.b.last_rx_ns + TIMEOUT_NS);
}

static void octets_of_a_long_epoch_are_life(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    begin(&b, 1, 2, 1, 0);
    b.now += TIMEOUT_NS - 1;
    backup_heard(&b.b, b.now);
    b.now += TIMEOUT_NS - 1;
    plain(&b, BE_TICK);
    assert_false(says(&b, BA_CLOSE_LINK));
}

static void a_loss_amid_an_apply_first_makes_the_replica_whole(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    begin(&b, 1, 2, 1, 0);
    complete(&b, 2, 0);
    plain(&b, BE_LINK_DOWN);
    assert_int_equal(b.b.state, B_APPLYING);
    plain(&b, BE_APPLIED);
    assert_int_equal(b.b.state, B_ALONE);
    assert_int_equal(b.b.committed, 2);
}

static void a_final_epoch_is_never_activated(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    commit(&b, 2, EPOCH_FINAL);
    assert_false(backup_is_ready(&b.b));
    plain(&b, BE_LINK_DOWN);
    activate(&b, true);
    assert_int_equal(find(&b, BA_REFUSE)->refusal, REFUSED_NO_CHECKPOINT);
    b.now = backup_deadline(&b.b);
    plain(&b, BE_TICK);
    assert_false(says(&b, BA_ASK) || says(&b, BA_ACTIVATE));
    assert_int_equal(find(&b, BA_END)->reason, BACKUP_END_GUEST_OVER);
}

static void a_commit_of_an_older_term_is_not_asked_for(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    plain(&b, BE_LINK_DOWN);
    assert_int_equal(hello(&b, LINEAGE, 2, 2), HELLO_OK); /* it went on alone in between */
    plain(&b, BE_LINK_DOWN);
    assert_true(backup_deadline(&b.b) == TIME_NEVER);
    b.now += 10 * TIMEOUT_NS;
    plain(&b, BE_TICK);
    assert_int_equal(b.out.n, 0);
    activate(&b, false);
    assert_int_equal(find(&b, BA_REFUSE)->refusal, REFUSED_FENCING);
}

static void a_primary_lost_before_the_first_commit_leaves_nothing(void **state UNUSED)
{
    struct bench b;

    start(&b, false);
    assert_int_equal(hello(&b, LINEAGE, 1, 1), HELLO_OK);
    begin(&b, 1, 1, 1, EPOCH_SEED);
    plain(&b, BE_LINK_DOWN);
    assert_int_equal(find(&b, BA_END)->reason, BACKUP_END_NOTHING_HELD);
    activate(&b, true);
    assert_false(says(&b, BA_ACTIVATE));
}

/* ---- activation by somebody's word ----------------------------------------------------------- */

static void under_a_manual_arbiter_nobody_asks_and_a_word_is_needed(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, true);
    activate(&b, true); /* while the primary is heard it is not fenced, whoever says so */
    assert_int_equal(find(&b, BA_REFUSE)->refusal, REFUSED_FENCING);
    plain(&b, BE_LINK_DOWN);
    assert_true(backup_deadline(&b.b) == TIME_NEVER);
    b.now = b.b.last_rx_ns + TIMEOUT_NS - 1;
    activate(&b, true);
    assert_int_equal(find(&b, BA_REFUSE)->refusal, REFUSED_FENCING);
    b.now++;
    activate(&b, false);
    assert_int_equal(find(&b, BA_REFUSE)->refusal, REFUSED_FENCING);
    activate(&b, true);
    assert_true(says(&b, BA_ACTIVATE));
}

static void activate_twice_is_once(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, true);
    plain(&b, BE_LINK_DOWN);
    b.now += 2 * TIMEOUT_NS;
    activate(&b, true);
    assert_true(says(&b, BA_ACTIVATE));
    activate(&b, true);
    assert_int_equal(b.out.n, 0);
    plain(&b, BE_ACTIVATED);
    activate(&b, true);
    assert_int_equal(b.out.n, 0);
    plain(&b, BE_ACTIVATED);
    assert_int_equal(b.b.state, B_ACTIVE);
}

static void an_active_replica_tells_a_returning_primary(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    wait_for_the_question(&b);
    assert_int_equal(hello(&b, LINEAGE, 2, 1), HELLO_DECIDING); /* the answer may come any moment */
    token(&b, FENCE_GRANTED, 1);
    assert_int_equal(hello(&b, LINEAGE, 2, 1), HELLO_ACTIVE);
    plain(&b, BE_ACTIVATED);
    assert_int_equal(hello(&b, LINEAGE, 3, 9), HELLO_ACTIVE);
}

/* ---- ends
 * -------------------------------------------------------------------------------------------------------
 */

static void detach_is_a_clean_end(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    begin(&b, 1, 2, 1, 0);
    detach(&b, false);
    assert_true(says(&b, BA_DISCARD) && find(&b, BA_DETACH)->is_answer);
    assert_int_equal(find(&b, BA_END)->reason, BACKUP_END_DETACHED);
    assert_true(backup_deadline(&b.b) == TIME_NEVER);
    activate(&b, true);
    assert_false(says(&b, BA_ACTIVATE));
}

static void a_detach_of_another_session_ends_nothing(void **state UNUSED)
{
    struct bench b;
    struct detach m = { 7, DETACH_STOPPED, 0 };

    start_ready(&b, false);
    feed(&b, (struct backup_event){ .type = BE_DETACH, .detach = &m });
    assert_int_equal(b.out.n, 0);
    detach(&b, true); /* an answer to nothing */
    assert_int_equal(b.out.n, 0);
}

static void a_stop_lets_go_before_it_says_so(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    plain(&b, BE_STOP);
    assert_int_equal(b.out.list[0].type, BA_DISCARD);
    assert_int_equal(find(&b, BA_DETACH)->reason, DETACH_RECEIVER_STOPPED);
    assert_false(find(&b, BA_DETACH)->is_answer || backup_is_ready(&b.b));
    detach(&b, true);
    assert_int_equal(find(&b, BA_END)->reason, BACKUP_END_STOPPED);
}

static void a_stop_ends_though_nobody_answers(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    plain(&b, BE_STOP);
    b.now = backup_deadline(&b.b);
    assert_true(b.now != TIME_NEVER);
    plain(&b, BE_TICK);
    assert_true(says(&b, BA_END) && says(&b, BA_CLOSE_LINK));
    plain(&b, BE_STOP);
    assert_int_equal(b.out.n, 0);
}

static void a_stop_amid_an_apply_is_remembered(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    begin(&b, 1, 2, 1, 0);
    complete(&b, 2, 0);
    plain(&b, BE_STOP);
    assert_int_equal(b.out.n, 0);
    plain(&b, BE_APPLIED);
    assert_true(says(&b, BA_DISCARD) && says(&b, BA_DETACH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_is_committed_then_acknowledged_then_applied),
        cmocka_unit_test(no_other_epoch_than_the_staged_one_completes),
        cmocka_unit_test(an_epoch_of_another_session_or_term_ends_the_session),
        cmocka_unit_test(a_seed_goes_only_into_an_empty_replica),
        cmocka_unit_test(a_mismatch_asks_for_the_pages_and_commits_nothing),
        cmocka_unit_test(a_mismatch_within_a_seed_ends_the_session),
        cmocka_unit_test(hello_of_another_lineage_is_refused_while_a_commit_is_held),
        cmocka_unit_test(hello_of_the_lineage_that_replaces_ours_starts_anew),
        cmocka_unit_test(hello_of_another_lineage_takes_an_empty_replica),
        cmocka_unit_test(hello_of_an_old_session_is_refused),
        cmocka_unit_test(hello_of_an_old_term_is_refused),
        cmocka_unit_test(what_the_engine_finds_wrong_with_a_hello_is_answered),
        cmocka_unit_test(a_new_connection_voids_what_was_staged),
        cmocka_unit_test(the_token_is_not_asked_before_the_timeout),
        cmocka_unit_test(only_the_token_activates),
        cmocka_unit_test(a_denied_token_makes_the_replica_stale),
        cmocka_unit_test(silence_in_a_session_is_a_loss),
        cmocka_unit_test(octets_of_a_long_epoch_are_life),
        cmocka_unit_test(a_loss_amid_an_apply_first_makes_the_replica_whole),
        cmocka_unit_test(a_final_epoch_is_never_activated),
        cmocka_unit_test(a_commit_of_an_older_term_is_not_asked_for),
        cmocka_unit_test(a_primary_lost_before_the_first_commit_leaves_nothing),
        cmocka_unit_test(under_a_manual_arbiter_nobody_asks_and_a_word_is_needed),
        cmocka_unit_test(activate_twice_is_once),
        cmocka_unit_test(an_active_replica_tells_a_returning_primary),
        cmocka_unit_test(detach_is_a_clean_end),
        cmocka_unit_test(a_detach_of_another_session_ends_nothing),
        cmocka_unit_test(a_stop_lets_go_before_it_says_so),
        cmocka_unit_test(a_stop_ends_though_nobody_answers),
        cmocka_unit_test(a_stop_amid_an_apply_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

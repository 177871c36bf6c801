/* backup_switchover_test — taking the guest that the primary gives away: only what was committed for
 * it, only on the primary's word, answered when it runs. */
#include "replicator/proto/backup.h"

#include "tests/unit/backup_bench.h"

static void given(struct bench *b)
{
    struct detach m = { b->b.session, DETACH_SWITCHOVER, false };

    feed(b, (struct backup_event){ .type = BE_DETACH, .detach = &m });
}

static void start_given(struct bench *b, bool primary_owns)
{
    start_ready(b, primary_owns);
    commit(b, 2, EPOCH_SWITCHOVER);
    given(b);
}

static void assert_answered(const struct bench *b)
{
    assert_true(find(b, BA_DETACH)->is_answer);
    assert_int_equal(find(b, BA_DETACH)->reason, DETACH_SWITCHOVER);
    assert_true(says(b, BA_CLOSE_LINK));
    assert_int_equal(b->b.state, B_ACTIVE);
}

static void a_given_guest_runs_before_it_is_answered(void **state UNUSED)
{
    struct bench b;

    start_given(&b, true);
    assert_int_equal(find(&b, BA_ACTIVATE)->epoch, 2);
    assert_false(says(&b, BA_DETACH) || says(&b, BA_DISCARD));
    plain(&b, BE_ACTIVATED);
    assert_answered(&b);
}

static void under_an_arbiter_the_token_is_asked_for_at_once(void **state UNUSED)
{
    struct bench b;

    start_given(&b, false);
    assert_true(says(&b, BA_ASK));
    assert_false(says(&b, BA_ACTIVATE));
    token(&b, FENCE_GRANTED, 1);
    assert_true(says(&b, BA_ACTIVATE));
    plain(&b, BE_ACTIVATED);
    assert_answered(&b);

    start_given(&b, false);
    token(&b, FENCE_DENIED, 1);
    assert_true(says(&b, BA_CLOSE_LINK));
    assert_int_equal(b.b.state, B_STALE);
}

static void an_epoch_of_another_kind_is_not_to_be_given(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, true);
    commit(&b, 2, 0);
    given(&b);
    assert_true(says(&b, BA_CLOSE_LINK));
    assert_false(says(&b, BA_ACTIVATE) || says(&b, BA_ASK) || says(&b, BA_DISCARD));

    start_ready(&b, true);
    commit(&b, 2, EPOCH_SWITCHOVER);
    commit(&b, 3, 0); /* the guest has run on since */
    given(&b);
    assert_false(says(&b, BA_ACTIVATE));

    start_ready(&b, true);
    commit(&b, 2, EPOCH_SWITCHOVER);
    begin(&b, b.b.session, 3, 1, 0);
    given(&b);
    assert_false(says(&b, BA_ACTIVATE));
}

static void without_the_word_it_is_an_epoch_like_any_other(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, true);
    commit(&b, 2, EPOCH_SWITCHOVER);
    plain(&b, BE_LINK_DOWN);
    assert_int_equal(b.b.state, B_ALONE);
    assert_true(backup_deadline(&b.b) == TIME_NEVER);
    b.now += 2 * TIMEOUT_NS;
    activate(&b, true);
    assert_true(says(&b, BA_ACTIVATE));
}

static void until_it_runs_here_the_primary_must_keep_its_own(void **state UNUSED)
{
    struct bench b;

    start_given(&b, true);
    plain(&b, BE_LINK_DOWN);
    assert_true(says(&b, BA_CLOSE_LINK));
    assert_int_equal(hello(&b, LINEAGE, 2, 1), HELLO_DECIDING);
    plain(&b, BE_ACTIVATED);
    assert_int_equal(hello(&b, LINEAGE, 3, 1), HELLO_ACTIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_given_guest_runs_before_it_is_answered),
        cmocka_unit_test(under_an_arbiter_the_token_is_asked_for_at_once),
        cmocka_unit_test(an_epoch_of_another_kind_is_not_to_be_given),
        cmocka_unit_test(without_the_word_it_is_an_epoch_like_any_other),
        cmocka_unit_test(until_it_runs_here_the_primary_must_keep_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

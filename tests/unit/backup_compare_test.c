/* backup_compare_test — a replica that was compared with the guest and differs is never activated. */
#include "replicator/proto/backup.h"

#include "tests/unit/backup_bench.h"

static void compared(struct bench *b, uint64_t epoch, bool differs)
{
    begin(b, b->b.session, epoch, b->b.term, 0);
    complete(b, epoch, 0);
    assert_true(says(b, BA_ACK));
    if (differs && b->b.primary_owns) { /* not even a person's word, while it is being compared */
        activate(b, true);
        assert_false(says(b, BA_ACTIVATE));
    }
    feed(b, (struct backup_event){ .type = BE_APPLIED, .differs = differs });
}

static void a_replica_that_differs_is_given_up(void **state UNUSED)
{
    for (int owns = 0; owns < 2; owns++) {
        struct bench b;

        start_ready(&b, owns);
        compared(&b, 2, false);
        assert_true(b.b.state == B_LINKED && backup_is_ready(&b.b));
        compared(&b, 3, true);
        assert_int_equal(b.out.list[0].type, BA_DISCARD);
        assert_int_equal(find(&b, BA_DETACH)->reason, DETACH_DIFFERS);
        assert_false(find(&b, BA_DETACH)->is_answer || backup_is_ready(&b.b));
        activate(&b, true);
        assert_false(says(&b, BA_ACTIVATE));
        plain(&b, BE_LINK_DOWN);
        assert_int_equal(find(&b, BA_END)->reason, BACKUP_END_DIFFERS);
        activate(&b, true);
        assert_false(says(&b, BA_ACTIVATE));
    }
}

static void a_replica_that_differs_never_takes_over(void **state UNUSED)
{
    struct bench b;

    start_ready(&b, false);
    begin(&b, b.b.session, 2, b.b.term, 0);
    complete(&b, 2, 0);
    plain(&b, BE_LINK_DOWN); /* the primary is gone before it was compared */
    feed(&b, (struct backup_event){ .type = BE_APPLIED, .differs = true });
    assert_int_equal(find(&b, BA_END)->reason, BACKUP_END_DIFFERS);
    assert_false(says(&b, BA_ASK) || backup_is_ready(&b.b));
    assert_true(backup_deadline(&b.b) == TIME_NEVER);
    activate(&b, true);
    assert_false(says(&b, BA_ACTIVATE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_that_differs_is_given_up),
        cmocka_unit_test(a_replica_that_differs_never_takes_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

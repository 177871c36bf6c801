/* Arbiters are found by their word; the manual one gives the token to the primary, always. */
#include "replicator/fence/fence.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"

static void an_arbiter_that_cannot_be_read_is_refused_with_words(void **state)
{
    static const char *const wrong[] = { "", "Manual", "manual:", "exec", "exec:", "exec:relative",
                                         "file:", "file:relative/dir", "http://x" };
    struct fence *f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err e = { 0 };

        assert_int_equal(fence_open(&f, wrong[i], NS_PER_S, &e), -EINVAL);
        assert_true(e.text[0] != '\0');
    }
}

static void the_manual_token_is_the_primarys(void **state)
{
    struct fence_question q = { .domain = "web1", .lineage = 1, .term = 1, .side = FENCE_PRIMARY };
    struct err e = { 0 };
    struct fence *f;

    (void)state;
    assert_int_equal(fence_open(&f, "manual", NS_PER_S, &e), 0);
    assert_true(f->ops->primary_owns);
    assert_int_equal(f->ops->answer(f, &e), FENCE_PENDING);
    for (int again = 0; again < 2; again++) {
        q.side = FENCE_PRIMARY;
        assert_int_equal(f->ops->ask(f, &q, &e), 0);
        assert_int_equal(f->ops->answer(f, &e), FENCE_GRANTED);
        q.side = FENCE_BACKUP;
        assert_int_equal(f->ops->ask(f, &q, &e), 0);
        assert_int_equal(f->ops->answer(f, &e), FENCE_DENIED);
    }
    assert_int_equal(f->ops->fd(f), -1);
    f->ops->close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arbiter_that_cannot_be_read_is_refused_with_words),
        cmocka_unit_test(the_manual_token_is_the_primarys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

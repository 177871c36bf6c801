/* dirty_test — the bitmap against a plain array of booleans. */
#include "checkpoint/dirty.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

static struct err e;

static void a_new_bitmap_is_clear_and_closes_twice(void **state)
{
    struct dirty d;

    (void)state;
    assert_int_equal(dirty_open(&d, 65, &e), 0);
    assert_int_equal(dirty_count(&d), 0);
    assert_int_equal(dirty_next(&d, 0), 65);
    dirty_close(&d);
    dirty_close(&d);
}

static void impossible_sizes_are_refused(void **state)
{
    struct dirty d;

    (void)state;
    assert_int_equal(dirty_open(&d, 0, &e), -EINVAL);
    assert_int_equal(dirty_open(&d, UINT64_MAX, &e), -EINVAL);
    dirty_close(&d);
}

static void setting_all_sets_no_bit_past_the_end(void **state)
{
    (void)state;
    for (uint64_t pages = 1; pages <= 200; pages++) {
        struct dirty d;

        assert_int_equal(dirty_open(&d, pages, &e), 0);
        dirty_set_all(&d);
        assert_int_equal(dirty_count(&d), pages);
        assert_int_equal(dirty_next(&d, pages - 1), pages - 1);
        assert_int_equal(dirty_next(&d, pages), pages);
        dirty_clear(&d);
        assert_int_equal(dirty_count(&d), 0);
        dirty_close(&d);
    }
}

static void or_keeps_what_either_has(void **state)
{
    struct dirty a, b;

    (void)state;
    assert_int_equal(dirty_open(&a, 130, &e), 0);
    assert_int_equal(dirty_open(&b, 130, &e), 0);
    dirty_set(&a, 0);
    dirty_set(&b, 64);
    dirty_set(&b, 129);
    dirty_or(&a, &b);
    assert_true(dirty_has(&a, 0) && dirty_has(&a, 64) && dirty_has(&a, 129));
    dirty_unset(&a, 64);
    assert_int_equal(dirty_count(&a), 2);
    dirty_close(&a);
    dirty_close(&b);
}

static void taking_in_batches_of_any_size_gives_every_pfn_once_in_order(void **state)
{
    struct rng rng;

    (void)state;
    rng_seed(&rng, 1);
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t pages = 1 + rng_below(&rng, 300), cursor = 0, expect = 0, pfns[70];
        size_t batch = 1 + (size_t)rng_below(&rng, 70), n;
        struct dirty d;

        assert_int_equal(dirty_open(&d, pages, &e), 0);
        for (uint64_t i = rng_below(&rng, pages + 1); i > 0; i--)
            dirty_set(&d, rng_below(&rng, pages));
        while ((n = dirty_take(&d, &cursor, pfns, batch)) > 0) {
            for (size_t i = 0; i < n; i++) {
                expect = dirty_next(&d, expect);
                assert_int_equal(pfns[i], expect);
                expect++;
            }
        }
        assert_int_equal(dirty_next(&d, expect), pages);
        assert_int_equal(dirty_take(&d, &cursor, pfns, batch), 0);
        dirty_close(&d);
    }
}

static void taking_none_moves_nothing(void **state)
{
    uint64_t cursor = 3, pfn;
    struct dirty d;

    (void)state;
    assert_int_equal(dirty_open(&d, 10, &e), 0);
    dirty_set_all(&d);
    assert_int_equal(dirty_take(&d, &cursor, &pfn, 0), 0);
    assert_int_equal(cursor, 3);
    dirty_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_bitmap_is_clear_and_closes_twice),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(setting_all_sets_no_bit_past_the_end),
        cmocka_unit_test(or_keeps_what_either_has),
        cmocka_unit_test(taking_in_batches_of_any_size_gives_every_pfn_once_in_order),
        cmocka_unit_test(taking_none_moves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* histogram_test — quantiles are right to 1/32 at every size of value. */
#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/rng.h"

static struct histogram a, b;

static int empty_both(void **state)
{
    (void)state;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    return 0;
}

static void empty_histogram_says_zero(void **state)
{
    (void)state;
    assert_int_equal(histogram_quantile(&a, 0.5), 0);
    assert_int_equal(a.count, 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t v = 1; v <= 20; v++)
        histogram_add(&a, v);
    assert_int_equal(histogram_quantile(&a, 0.5), 10);
    assert_int_equal(histogram_quantile(&a, 0.0), 1);
    assert_int_equal(histogram_quantile(&a, 1.0), 20);
    assert_int_equal(a.sum, 210);
}

static void no_quantile_is_above_the_maximum(void **state)
{
    (void)state;
    histogram_add(&a, 1000001);
    assert_int_equal(histogram_quantile(&a, 0.99), 1000001);
    histogram_add(&a, UINT64_MAX);
    assert_true(histogram_quantile(&a, 1.0) == UINT64_MAX);
    assert_true(a.max == UINT64_MAX);
}

static int ascending(const void *x, const void *y)
{
    uint64_t l, r;

    memcpy(&l, x, sizeof(l));
    memcpy(&r, y, sizeof(r));
    return (l > r) - (l < r);
}

static void quantiles_are_within_a_thirty_second_of_the_sorted_truth(void **state)
{
    static uint64_t values[10000];
    struct rng rng;

    (void)state;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        values[i] = rng_next(&rng) >> rng_below(&rng, 64);
        histogram_add(&a, values[i]);
    }
    qsort(values, ARRAY_LEN(values), sizeof(values[0]), ascending);
    for (unsigned percent = 1; percent <= 100; percent++) {
        uint64_t truth = values[percent * ARRAY_LEN(values) / 100 - 1];
        uint64_t said = histogram_quantile(&a, percent / 100.0 - 1e-9);

        assert_true(said >= truth);
        assert_true(said - truth <= truth / 32);
    }
}

static void merging_equals_adding_to_one(void **state)
{
    static struct histogram whole;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 2);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t v = rng_below(&rng, 1000000);

        histogram_add(i % 3 ? &a : &b, v);
        histogram_add(&whole, v);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &whole, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(empty_histogram_says_zero, empty_both),
        cmocka_unit_test_setup(small_values_are_exact, empty_both),
        cmocka_unit_test_setup(no_quantile_is_above_the_maximum, empty_both),
        cmocka_unit_test_setup(quantiles_are_within_a_thirty_second_of_the_sorted_truth, empty_both),
        cmocka_unit_test_setup(merging_equals_adding_to_one, empty_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* rng_test — the generator gives the published values, everywhere and every time. */
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

static void seeding_gives_the_published_splitmix64_values(void **state UNUSED)
{
    struct rng r;

    rng_seed(&r, 0);
    assert_true(r.s[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(r.s[1] == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(r.s[2] == UINT64_C(0x06c45d188009454f));
    assert_true(r.s[3] == UINT64_C(0xf88bb8a8724c81ec));
    assert_true(rng_mix(0) == r.s[0]);
}

/* The sequence from the state {1, 2, 3, 4}: the first two are easily done by hand
 * (2 * 5 <<< 7 * 9, then 0), the others come from a second implementation of the paper. */
static void stepping_gives_the_published_xoshiro256_values(void **state UNUSED)
{
    struct rng r = { { 1, 2, 3, 4 } };

    assert_true(rng_next(&r) == 11520);
    assert_true(rng_next(&r) == 0);
    assert_true(rng_next(&r) == 1509978240);
    assert_true(rng_next(&r) == UINT64_C(1215971899390074240));
}

static void the_same_seed_gives_the_same_values_and_another_gives_others(void **state UNUSED)
{
    struct rng a, b, c;
    unsigned same = 0;

    rng_seed(&a, 7);
    rng_seed(&b, 7);
    rng_seed(&c, 8);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t value = rng_next(&a);

        assert_true(value == rng_next(&b));
        same += value == rng_next(&c);
    }
    assert_int_equal(same, 0);
}

static void below_stays_below_its_bound_and_reaches_everything(void **state UNUSED)
{
    unsigned seen[10] = { 0 };
    struct rng r;

    rng_seed(&r, 3);
    assert_true(rng_below(&r, 0) == 0);
    assert_true(rng_below(&r, 1) == 0);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t wide = rng_next(&r) >> rng_below(&r, 63);

        seen[rng_below(&r, 10)]++;
        if (wide > 0)
            assert_true(rng_below(&r, wide) < wide);
    }
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        assert_in_range(seen[i], 9500, 10500); /* five standard deviations */
}

static void chance_comes_as_often_as_asked(void **state UNUSED)
{
    unsigned quarter = 0;
    struct rng r;

    rng_seed(&r, 4);
    for (unsigned i = 0; i < 100000; i++) {
        assert_false(rng_chance(&r, 0));
        assert_true(rng_chance(&r, 1000000));
        quarter += rng_chance(&r, 250000);
    }
    assert_in_range(quarter, 24300, 25700);
}

static void fill_writes_exactly_what_was_asked(void **state UNUSED)
{
    uint8_t octets[80], longer[80];

    for (size_t bytes = 0; bytes < 64; bytes++) {
        struct rng r;

        memset(octets, 0xa5, sizeof(octets));
        rng_seed(&r, 5);
        rng_fill(&r, octets, bytes);
        for (size_t i = bytes; i < sizeof(octets); i++)
            assert_int_equal(octets[i], 0xa5);
        rng_seed(&r, 5);
        rng_fill(&r, longer, sizeof(longer));
        assert_memory_equal(octets, longer, bytes);
    }
}

static void mixing_gives_small_keys_apart(void **state UNUSED)
{
    unsigned buckets[256] = { 0 };

    for (uint64_t key = 0; key < 65536; key++)
        buckets[rng_mix(key) >> 56]++;
    for (size_t i = 0; i < ARRAY_LEN(buckets); i++)
        assert_in_range(buckets[i], 160, 352); /* 256 on average, six standard deviations */
}

static void system_seeds_differ(void **state UNUSED)
{
    assert_true(rng_system_seed() != rng_system_seed());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeding_gives_the_published_splitmix64_values),
        cmocka_unit_test(stepping_gives_the_published_xoshiro256_values),
        cmocka_unit_test(the_same_seed_gives_the_same_values_and_another_gives_others),
        cmocka_unit_test(below_stays_below_its_bound_and_reaches_everything),
        cmocka_unit_test(chance_comes_as_often_as_asked),
        cmocka_unit_test(fill_writes_exactly_what_was_asked),
        cmocka_unit_test(mixing_gives_small_keys_apart),
        cmocka_unit_test(system_seeds_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

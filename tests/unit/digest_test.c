/* digest_test — whole and piecewise digests agree, and notice what a wire can do to octets. */
#include "base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/rng.h"

#define TEXT_BYTES 10000u

static void nothing_has_the_published_value(void **state UNUSED)
{
    struct digest d;

    digest_begin(&d);
    assert_true(digest_of("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(digest_value(&d) == UINT64_C(0x2d06800538d394c2));
}

static void pieces_of_any_size_give_the_digest_of_the_whole(void **state UNUSED)
{
    static uint8_t text[TEXT_BYTES];
    struct rng r;

    rng_seed(&r, 1);
    rng_fill(&r, text, sizeof(text));
    for (unsigned round = 0; round < 500; round++) {
        size_t bytes = (size_t)rng_below(&r, TEXT_BYTES + 1), longest = 1 + (size_t)rng_below(&r, 2000);
        struct digest d;

        digest_begin(&d);
        for (size_t at = 0; at < bytes;) {
            size_t n = 1 + (size_t)rng_below(&r, longest);

            n = n < bytes - at ? n : bytes - at;
            digest_add(&d, text + at, n);
            at += n;
        }
        assert_true(digest_value(&d) == digest_of(text, bytes));
    }
}

static void asking_for_the_value_or_copying_does_not_end_a_digest(void **state UNUSED)
{
    static const char text[] = "what has been said so far, and what comes after it";
    struct digest d, copy;

    digest_begin(&d);
    digest_add(&d, text, 20);
    assert_true(digest_value(&d) == digest_of(text, 20));
    copy = d;
    digest_add(&d, text + 20, sizeof(text) - 20);
    digest_add(&copy, text + 20, 5);
    assert_true(digest_value(&d) == digest_of(text, sizeof(text)));
    assert_true(digest_value(&copy) == digest_of(text, 25));
}

static void a_begun_digest_remembers_nothing_of_the_one_before(void **state UNUSED)
{
    struct digest d;

    digest_begin(&d);
    digest_add(&d, "old", 3);
    digest_begin(&d);
    digest_add(&d, "new", 3);
    assert_true(digest_value(&d) == digest_of("new", 3));
}

static void every_flipped_bit_and_every_cut_is_noticed(void **state UNUSED)
{
    uint8_t text[600];
    struct rng r;
    uint64_t good;

    rng_seed(&r, 2);
    rng_fill(&r, text, sizeof(text));
    good = digest_of(text, sizeof(text));
    for (size_t bit = 0; bit < sizeof(text) * 8; bit++) {
        text[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_true(digest_of(text, sizeof(text)) != good);
        text[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t bytes = 0; bytes < sizeof(text); bytes++)
        assert_true(digest_of(text, bytes) != good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_the_published_value),
        cmocka_unit_test(pieces_of_any_size_give_the_digest_of_the_whole),
        cmocka_unit_test(asking_for_the_value_or_copying_does_not_end_a_digest),
        cmocka_unit_test(a_begun_digest_remembers_nothing_of_the_one_before),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

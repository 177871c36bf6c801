/* xor_rle_test — the form that Remus' own compression had, octet by octet, and streams of it without
 * lengths, cut anywhere. */
#include "compress/xor_rle.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "tests/unit/page_shapes.h"

#define PAIRS 4000u
#define WORD  4u
#define WORDS (PAGE_BYTES / WORD)

static void change_word(uint8_t *page, size_t word)
{
    page[word * WORD + 2] ^= 0x55;
}

static void an_unchanged_page_is_one_octet_and_not_zeros(void **state UNUSED)
{
    uint8_t page[PAGE_BYTES], out[XOR_RLE_BYTES_MAX], kept[PAGE_BYTES];
    struct view in = { out, 1 };
    struct rng r;

    rng_seed(&r, 1);
    fill_text(&r, page);
    memcpy(kept, page, PAGE_BYTES);
    assert_int_equal(xor_rle_put(page, page, out, 1), 1);
    assert_int_equal(out[0], 0x00);
    assert_int_equal(xor_rle_take(&in, page), 0);
    assert_int_equal(in.left, 0);
    assert_memory_equal(page, kept, PAGE_BYTES);
    assert_true(xor_rle_put(page, page, out, 0) == SIZE_MAX);
}

static void a_page_without_prior_version_is_whole_behind_its_marker(void **state UNUSED)
{
    uint8_t page[PAGE_BYTES], got[PAGE_BYTES] = { 0 }, out[XOR_RLE_BYTES_MAX];
    struct view in = { out, PAGE_BYTES + 1 };
    struct rng r;

    rng_seed(&r, 2);
    fill_text(&r, page);
    assert_int_equal(xor_rle_put(page, NULL, out, sizeof(out)), PAGE_BYTES + 1);
    assert_int_equal(out[0], 0x80);
    assert_memory_equal(out + 1, page, PAGE_BYTES);
    assert_int_equal(xor_rle_take(&in, got), 0);
    assert_memory_equal(got, page, PAGE_BYTES);
    assert_true(xor_rle_put(page, NULL, out, PAGE_BYTES) == SIZE_MAX);
}

static void known_changes_have_the_known_octets(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES] = { 0 }, page[PAGE_BYTES] = { 0 }, out[XOR_RLE_BYTES_MAX];
    static const uint8_t expected[] = {
        2,    0, 0, 0x55, 0, 0, 0, 0x55, 0, /* words 0 and 1 */
        0xff,                                /* 127 skipped */
        0x80 | 71,                           /* and 71 more */
        1,    0, 0, 0x55, 0,                 /* word 200 */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  /* a skip to the end is written, too */
        0x80 | 61,
    };

    change_word(page, 0);
    change_word(page, 1);
    change_word(page, 200);
    assert_int_equal(xor_rle_put(page, prior, out, sizeof(out)), sizeof(expected));
    assert_memory_equal(out, expected, sizeof(expected));
}

static void a_page_changed_all_over_is_the_longest_there_is(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES] = { 0 }, page[PAGE_BYTES], out[XOR_RLE_BYTES_MAX];

    memset(page, 1, sizeof(page));
    assert_int_equal(xor_rle_put(page, prior, out, sizeof(out)), XOR_RLE_BYTES_MAX);
    for (size_t run = 0; run < 8; run++)
        assert_int_equal(out[run * (1 + 127 * WORD)], 127);
    assert_int_equal(out[8 * (1 + 127 * WORD)], 8);
    assert_true(xor_rle_put(page, prior, out, XOR_RLE_BYTES_MAX - 1) == SIZE_MAX);
}

static void a_run_may_end_where_the_page_does(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES] = { 0 }, page[PAGE_BYTES] = { 0 }, out[XOR_RLE_BYTES_MAX];

    change_word(page, WORDS - 1);
    assert_int_equal(xor_rle_put(page, prior, out, sizeof(out)), 9 + 5); /* 1023 = 8 * 127 + 7 */
    assert_int_equal(out[8], 0x80 | 7);
    assert_int_equal(out[9], 1);
}

/* Pages one behind the other, as an epoch of an old stream has them. */
static void pages_without_lengths_are_taken_one_by_one(void **state UNUSED)
{
    enum { PAGES = 16 };
    static uint8_t priors[PAGES][PAGE_BYTES], pages[PAGES][PAGE_BYTES], stream[PAGES * XOR_RLE_BYTES_MAX];
    struct rng r;

    rng_seed(&r, 3);
    for (unsigned round = 0; round < PAIRS / PAGES; round++) {
        struct view in = { stream, 0 };

        for (size_t i = 0; i < PAGES; i++) {
            size_t room = sizeof(stream) - in.left;

            next_pair(&r, priors[i], pages[i]);
            in.left += xor_rle_put(pages[i], rng_chance(&r, 900000) ? priors[i] : NULL,
                                   stream + in.left, room);
        }
        for (size_t i = 0; i < PAGES; i++) {
            struct boxed_page b;

            box(&b, priors[i]);
            assert_int_equal(xor_rle_take(&in, b.page), 0);
            assert_true(box_is_whole(&b));
            assert_memory_equal(b.page, pages[i], PAGE_BYTES);
        }
        assert_int_equal(in.left, 0);
    }
}

static void a_page_cut_short_asks_for_more_and_changes_nothing(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES], page[PAGE_BYTES], out[XOR_RLE_BYTES_MAX];
    struct rng r;

    rng_seed(&r, 4);
    for (unsigned i = 0; i < PAIRS; i++) {
        size_t bytes, cut;
        struct boxed_page b;
        uint8_t *exact;
        struct view in;

        next_pair(&r, prior, page);
        bytes = xor_rle_put(page, rng_chance(&r, 900000) ? prior : NULL, out, sizeof(out));
        cut = (size_t)rng_below(&r, bytes);
        exact = malloc(cut ? cut : 1);
        must(exact);
        memcpy(exact, out, cut);
        in = (struct view){ exact, cut };
        box(&b, prior);
        assert_int_equal(xor_rle_take(&in, b.page), -EAGAIN);
        assert_true(in.at == exact && in.left == cut && box_is_whole(&b));
        assert_memory_equal(b.page, prior, PAGE_BYTES);
        free(exact);
    }
}

static void broken_markers_are_refused_with_the_page_as_it_was(void **state UNUSED)
{
    static const struct {
        size_t bytes;
        uint8_t octets[16];
    } wrong[] = {
        { 2, { 0x81, 0x00 } },                                                  /* nothing, inside */
        { 2, { 0x81, 0x80 } },                                                  /* no words, inside */
        { 6, { 0x01, 1, 2, 3, 4, 0x00 } },
        { 9, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x80 | 9 } },    /* 1025 words */
        { 9, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x09 } },
    };
    /* All skipped by hand: the old senders wrote 0x00, the format takes it. */
    static const uint8_t right[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x80 | 8 };
    uint8_t page[PAGE_BYTES] = { 7 }, kept[PAGE_BYTES] = { 7 };
    struct view in;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        in = (struct view){ wrong[i].octets, wrong[i].bytes };
        assert_int_equal(xor_rle_take(&in, page), -EPROTO);
        assert_true(in.at == wrong[i].octets && in.left == wrong[i].bytes);
        assert_memory_equal(page, kept, PAGE_BYTES);
    }
    in = (struct view){ right, sizeof(right) };
    assert_int_equal(xor_rle_take(&in, page), 0);
    assert_memory_equal(page, kept, PAGE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unchanged_page_is_one_octet_and_not_zeros),
        cmocka_unit_test(a_page_without_prior_version_is_whole_behind_its_marker),
        cmocka_unit_test(known_changes_have_the_known_octets),
        cmocka_unit_test(a_page_changed_all_over_is_the_longest_there_is),
        cmocka_unit_test(a_run_may_end_where_the_page_does),
        cmocka_unit_test(pages_without_lengths_are_taken_one_by_one),
        cmocka_unit_test(a_page_cut_short_asks_for_more_and_changes_nothing),
        cmocka_unit_test(broken_markers_are_refused_with_the_page_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

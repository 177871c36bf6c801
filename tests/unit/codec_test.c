/* codec_test — round trips over pages of many shapes, twice is once, no room overrun, and no payload,
 * however broken, that writes outside its page or leaves half of one. */
#include "compress/codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "compress/xor_rle.h"
#include "tests/unit/page_shapes.h"

#define PAIRS    12000u
#define OUT_ROOM (PAGE_BYTES + GUARD_BYTES)

static void assert_box_holds(const struct boxed_page *b, const uint8_t *page)
{
    assert_true(box_is_whole(b));
    assert_memory_equal(b->page, page, PAGE_BYTES);
}

static const struct codec *codec_at(size_t i)
{
    const struct codec *c = codec_by_id(i);

    assert_non_null(c);
    return c;
}

static size_t encode(const struct codec *c, const uint8_t *page, const uint8_t *prior, uint8_t *out,
                     size_t room)
{
    return c->encode(page, c->needs_prior ? prior : NULL, out, room);
}

/* Decodes from a copy that ends where the payload ends, so that a sanitizer sees a read beyond. */
static int decode(const struct codec *c, const uint8_t *payload, size_t bytes, struct boxed_page *b)
{
    uint8_t *exact = malloc(bytes > 0 ? bytes : 1);
    int rc;

    must(exact);
    if (bytes > 0)
        memcpy(exact, payload, bytes);
    rc = c->decode(exact, bytes, b->page);
    free(exact);
    return rc;
}

/* A payload that may be broken: refused with the page as it was, or applied within the page and, for
 * deltas, to the same result again. */
static int decode_of_anything(const struct codec *c, const uint8_t *payload, size_t bytes,
                              const uint8_t *prior)
{
    struct boxed_page b, again;
    int rc;

    box(&b, prior);
    rc = decode(c, payload, bytes, &b);
    if (rc < 0) {
        assert_int_equal(rc, -EPROTO);
        assert_box_holds(&b, prior);
        return rc;
    }
    assert_int_equal(rc, 0);
    again = b;
    assert_int_equal(decode(c, payload, bytes, &again), 0);
    assert_box_holds(&again, b.page);
    return 0;
}

/* ---- the table */

static void every_row_stands_at_its_number_and_under_its_name(void **state UNUSED)
{
    for (uint64_t id = 0; id < CODEC_COUNT; id++) {
        const struct codec *c = codec_by_id(id);

        assert_non_null(c);
        assert_int_equal(c->id, id);
        assert_ptr_equal(codec_by_name(c->name), c);
        assert_true(c->bytes_max <= (id == CODEC_XOR_RLE ? XOR_RLE_BYTES_MAX : PAGE_BYTES));
        assert_int_equal(c->needs_prior, id == CODEC_DELTA || id == CODEC_XOR_RLE);
    }
    assert_int_equal(CODEC_RAW, 0);
    assert_int_equal(CODEC_ZERO, 1);
    assert_int_equal(CODEC_DELTA, 2);
    assert_int_equal(CODEC_LZ4, 3);
    assert_int_equal(CODEC_XOR_RLE, 4);
}

static void unknown_numbers_and_names_have_no_row(void **state UNUSED)
{
    assert_null(codec_by_id(CODEC_COUNT));
    assert_null(codec_by_id(UINT64_MAX));
    assert_null(codec_by_id(UINT64_C(1) << 32));
    assert_null(codec_by_name(""));
    assert_null(codec_by_name("delt"));
    assert_null(codec_by_name("deltas"));
}

/* ---- round trips */

static void what_was_encoded_comes_back_and_twice_is_once(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES], page[PAGE_BYTES], kept[PAGE_BYTES], out[OUT_ROOM];
    unsigned worth[CODEC_COUNT] = { 0 };
    struct rng r;

    rng_seed(&r, 1);
    for (unsigned i = 0; i < PAIRS; i++) {
        next_pair(&r, prior, page);
        for (size_t id = 0; id < CODEC_COUNT; id++) {
            const struct codec *c = codec_at(id);
            struct boxed_page b;
            size_t bytes;

            memcpy(kept, prior, PAGE_BYTES);
            bytes = encode(c, page, prior, out, PAGE_BYTES);
            assert_memory_equal(prior, kept, PAGE_BYTES);
            if (bytes == CODEC_NOT_WORTH)
                continue;
            worth[id]++;
            assert_true(bytes <= c->bytes_max);
            box(&b, prior);
            assert_int_equal(decode(c, out, bytes, &b), 0);
            assert_box_holds(&b, page);
            assert_int_equal(decode(c, out, bytes, &b), 0);
            assert_box_holds(&b, page);
        }
    }
    assert_int_equal(worth[CODEC_RAW], PAIRS);
    assert_true(worth[CODEC_DELTA] > PAIRS / 2);
    assert_true(worth[CODEC_LZ4] > PAIRS / 2);
    assert_true(worth[CODEC_ZERO] > PAIRS / 20);
}

static void encoders_keep_within_their_room(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES], page[PAGE_BYTES], whole[OUT_ROOM], out[OUT_ROOM];
    struct rng r;

    rng_seed(&r, 2);
    for (unsigned i = 0; i < PAIRS; i++) {
        const struct codec *c = codec_at(rng_below(&r, CODEC_COUNT));
        size_t need, room, got;

        next_pair(&r, prior, page);
        need = encode(c, page, prior, whole, PAGE_BYTES);
        room = (size_t)rng_below(&r, PAGE_BYTES + 1);
        if (need <= PAGE_BYTES && rng_chance(&r, 500000))
            room = need - (need > 0 ? (size_t)rng_below(&r, 2) : 0); /* just fits, or just doesn't */
        memset(out, GUARD, sizeof(out));
        got = encode(c, page, prior, out, room);
        assert_true(all_guard(out + room, sizeof(out) - room));
        if (need == CODEC_NOT_WORTH || need > room) {
            assert_true(got == CODEC_NOT_WORTH);
        } else if (got != need) {
            assert_int_equal(c->id, CODEC_LZ4); /* liblz4 asks for a few octets of slack */
            assert_true(got == CODEC_NOT_WORTH && room - need < 16);
        } else {
            assert_memory_equal(out, whole, need);
        }
    }
}

/* ---- broken payloads */

static void payloads_cut_stretched_or_flipped_do_no_harm(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES], page[PAGE_BYTES], out[OUT_ROOM];
    struct rng r;

    rng_seed(&r, 3);
    for (unsigned i = 0; i < PAIRS; i++) {
        const struct codec *c = codec_at(rng_below(&r, CODEC_COUNT));
        size_t bytes, cut;

        next_pair(&r, prior, page);
        memset(out, 0, sizeof(out));
        bytes = encode(c, page, prior, out, PAGE_BYTES);
        if (bytes == CODEC_NOT_WORTH)
            continue;
        cut = bytes > 0 ? (size_t)rng_below(&r, bytes) : 0;
        if (cut > 0 || (bytes > 0 && c->id != CODEC_DELTA)) /* no octets: an unchanged page */
            assert_int_equal(decode_of_anything(c, out, cut, prior), -EPROTO);
        assert_int_equal(decode_of_anything(c, out, bytes + 1 + rng_below(&r, GUARD_BYTES - 1), prior),
                         -EPROTO);
        for (unsigned flips = 0; bytes > 0 && flips < 8; flips++) {
            uint64_t front = rng_chance(&r, 500000) && bytes > 24 ? 24 : bytes;

            out[rng_below(&r, front)] ^= (uint8_t)(1u << rng_below(&r, 8));
            (void)decode_of_anything(c, out, bytes, prior);
        }
    }
}

static void noise_of_any_length_does_no_harm(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES], noise[2 * PAGE_BYTES];
    struct rng r;

    rng_seed(&r, 4);
    fill_text(&r, prior);
    for (unsigned i = 0; i < PAIRS; i++) {
        size_t bytes = (size_t)rng_below(&r, rng_chance(&r, 500000) ? 64 : sizeof(noise));

        rng_fill(&r, noise, bytes);
        if (bytes > 1 && rng_chance(&r, 700000)) {
            noise[0] = (uint8_t)(1 + rng_below(&r, 2)); /* a mode, and one group */
            noise[1] = (uint8_t)(1u << rng_below(&r, 8));
        }
        (void)decode_of_anything(codec_at(rng_below(&r, CODEC_COUNT)), noise, bytes, prior);
    }
}

static void lengths_beyond_the_longest_are_refused_unread(void **state UNUSED)
{
    static const uint8_t octet = 1;
    uint8_t prior[PAGE_BYTES] = { 7 };

    for (size_t id = 0; id < CODEC_COUNT; id++) {
        const size_t lengths[] = { codec_at(id)->bytes_max + 1, UINT32_MAX, (size_t)INT32_MAX + 1,
                                   SIZE_MAX };

        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
            struct boxed_page b;

            box(&b, prior);
            assert_int_equal(codec_at(id)->decode(&octet, lengths[i], b.page), -EPROTO);
            assert_box_holds(&b, prior);
        }
    }
}

/* Well-formed but longer than the page they make: raw is their form. */
static void payloads_as_long_as_a_page_are_refused_by_all_but_raw(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES] = { 7 }, payload[2 * PAGE_BYTES];
    size_t literals;

    memset(payload, 0xff, sizeof(payload)); /* lz4: all literals, 15 + 16 * 255 + 1 of them */
    payload[0] = 0xf0;
    payload[17] = 0x01;
    assert_int_equal(decode_of_anything(codec_at(CODEC_LZ4), payload, 18 + PAGE_BYTES, prior), -EPROTO);

    memset(payload, 0xff, sizeof(payload)); /* delta: every word of the page */
    payload[0] = 1;
    literals = 2 + PAGE_BYTES / GROUP + PAGE_BYTES / LINE;
    assert_int_equal(decode_of_anything(codec_at(CODEC_DELTA), payload, literals + PAGE_BYTES, prior),
                     -EPROTO);
    assert_int_equal(decode_of_anything(codec_at(CODEC_RAW), payload, PAGE_BYTES, prior), 0);
}

/* ---- the delta's format, octet by octet */

static void delta_of_known_changes_has_the_known_octets(void **state UNUSED)
{
    /* Octet 3 of word 2 of line 1 of group 5. */
    static const uint8_t one_octet[] = { 2, 1u << 5, 1u << 1, 1u << 2, 1u << 3, 0x99 };
    /* Words 0 and 7 of line 0 of group 0, word 7 of line 7 of group 7, all of their octets. */
    static const uint8_t words[] = {
        1, 0x81, 0x01, 0x80, 0x81, 0x80,                                        /* bitmaps */
        1, 2,    3,    4,    5,    6,    7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8,
    };
    static const size_t word_at[] = { 0, 56, PAGE_BYTES - 8 };
    uint8_t prior[PAGE_BYTES] = { 0 }, page[PAGE_BYTES] = { 0 }, out[OUT_ROOM];
    const struct codec *delta = codec_at(CODEC_DELTA);

    page[5 * GROUP + 1 * LINE + 2 * 8 + 3] = 0x99;
    assert_int_equal(delta->encode(page, prior, out, PAGE_BYTES), sizeof(one_octet));
    assert_memory_equal(out, one_octet, sizeof(one_octet));

    memset(page, 0, sizeof(page));
    for (size_t w = 0; w < ARRAY_LEN(word_at); w++)
        for (uint8_t o = 0; o < 8; o++)
            page[word_at[w] + o] = (uint8_t)(o + 1);
    assert_int_equal(delta->encode(page, prior, out, PAGE_BYTES), sizeof(words));
    assert_memory_equal(out, words, sizeof(words));

    assert_int_equal(delta->encode(page, page, out, 0), 0); /* unchanged */
}

static void delta_refuses_unknown_modes_and_empty_branches(void **state UNUSED)
{
    static const struct {
        size_t bytes;
        uint8_t payload[16];
    } wrong[] = {
        { 1, { 1 } },
        { 1, { 2 } },
        { 2, { 1, 0 } },                                     /* a delta without a change   */
        { 2, { 2, 0 } },
        { 12, { 0, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9 } },      /* modes that are none        */
        { 12, { 3, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9 } },
        { 12, { 0x81, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9 } },
        { 3, { 1, 1, 0 } },                                  /* a group without lines      */
        { 13, { 1, 3, 1, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9 } },
        { 4, { 1, 1, 1, 0 } },                               /* a line without words       */
        { 13, { 1, 1, 3, 1, 0, 9, 9, 9, 9, 9, 9, 9, 9 } },
        { 5, { 2, 1, 1, 1, 0 } },                            /* a word without octets      */
        { 7, { 2, 1, 1, 3, 1, 0, 9 } },
        { 11, { 1, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9 } },         /* a literal too short        */
        { 13, { 1, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9 } },   /* and one too long           */
        { 5, { 2, 1, 1, 1, 1 } },
        { 7, { 2, 1, 1, 1, 1, 9, 9 } },
    };
    static const uint8_t right[] = { 1, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9 };
    uint8_t prior[PAGE_BYTES] = { 7 };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(decode_of_anything(codec_at(CODEC_DELTA), wrong[i].payload, wrong[i].bytes,
                                            prior), -EPROTO);
    assert_int_equal(decode_of_anything(codec_at(CODEC_DELTA), right, sizeof(right), prior), 0);
}

/* The size that the format gives, counted part by part: an oracle for the encoder's choice. */
static size_t smallest_delta(const uint8_t *page, const uint8_t *prior)
{
    size_t words = 0, octets = 0, bitmaps = 2;

    for (size_t g = 0; g < PAGE_BYTES; g += GROUP)
        bitmaps += memcmp(page + g, prior + g, GROUP) != 0;
    for (size_t l = 0; l < PAGE_BYTES; l += LINE)
        bitmaps += memcmp(page + l, prior + l, LINE) != 0;
    for (size_t w = 0; w < PAGE_BYTES; w += 8)
        words += memcmp(page + w, prior + w, 8) != 0;
    for (size_t o = 0; o < PAGE_BYTES; o++)
        octets += page[o] != prior[o];
    if (words == 0)
        return 0;
    return bitmaps + (words * 8 < words + octets ? words * 8 : words + octets);
}

static void delta_is_as_short_as_the_format_allows(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES], page[PAGE_BYTES], out[OUT_ROOM];
    struct rng r;

    rng_seed(&r, 5);
    for (unsigned i = 0; i < PAIRS; i++) {
        size_t bytes, least;

        next_pair(&r, prior, page);
        least = smallest_delta(page, prior);
        bytes = codec_at(CODEC_DELTA)->encode(page, prior, out, PAGE_BYTES);
        assert_true(bytes == (least < PAGE_BYTES ? least : CODEC_NOT_WORTH));
    }
}

/* ---- the choice */

static void the_choice_comes_back_and_is_allowed_and_never_longer_than_raw(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES], page[PAGE_BYTES], out[OUT_ROOM], whole[OUT_ROOM];
    unsigned chosen[CODEC_COUNT] = { 0 };
    struct rng r;

    rng_seed(&r, 6);
    for (unsigned i = 0; i < PAIRS; i++) {
        struct codec_choice allowed = { .delta = (enum codec_changes)rng_below(&r, 3),
                                        .lz4 = rng_chance(&r, 500000) };
        const struct codec *changes = codec_at(allowed.delta == CODEC_BY_DELTA ? CODEC_DELTA
                                                                                : CODEC_XOR_RLE);
        const uint8_t *known = rng_chance(&r, 800000) ? prior : NULL;
        const struct codec *c = NULL;
        struct boxed_page b;
        size_t bytes, by_delta;

        next_pair(&r, prior, page);
        memset(out, GUARD, sizeof(out));
        bytes = codec_encode_best(allowed, page, known, out, &c);
        assert_true(all_guard(out + PAGE_BYTES, sizeof(out) - PAGE_BYTES));
        assert_true(bytes <= c->bytes_max);
        assert_true(!c->needs_prior || (allowed.delta && known && c == changes));
        assert_true(c->id != CODEC_LZ4 || allowed.lz4);
        if (allowed.delta && known) {
            by_delta = changes->encode(page, prior, whole, PAGE_BYTES);
            assert_true(bytes <= by_delta); /* CODEC_NOT_WORTH is the greatest */
        }
        box(&b, prior);
        assert_int_equal(decode(c, out, bytes, &b), 0);
        assert_box_holds(&b, page);
        chosen[c->id]++;
    }
    for (size_t id = 0; id < CODEC_COUNT; id++)
        assert_true(chosen[id] > 100);
}

static const char *choice(struct codec_choice allowed, const uint8_t *page, const uint8_t *prior)
{
    const struct codec *c = NULL;
    uint8_t out[PAGE_BYTES];

    codec_encode_best(allowed, page, prior, out, &c);
    return c->name;
}

static void each_kind_of_page_gets_the_codec_made_for_it(void **state UNUSED)
{
    const struct codec_choice all = { .delta = CODEC_BY_DELTA, .lz4 = true }, none = { .lz4 = false };
    uint8_t zero[PAGE_BYTES] = { 0 }, text[PAGE_BYTES], noise[PAGE_BYTES], touched[PAGE_BYTES];
    struct rng r;

    rng_seed(&r, 7);
    fill_text(&r, text);
    fill_random(&r, noise);
    memcpy(touched, noise, PAGE_BYTES);
    touched[99] ^= 1;
    assert_string_equal(choice(all, zero, noise), "zero");
    assert_string_equal(choice(none, zero, NULL), "zero");
    assert_string_equal(choice(all, touched, noise), "delta");
    assert_string_equal(choice(all, touched, NULL), "raw");
    assert_string_equal(choice(none, touched, noise), "raw");
    assert_string_equal(choice(all, noise, noise), "delta"); /* unchanged, in no octets */
    assert_string_equal(choice(all, text, NULL), "lz4");
    assert_string_equal(choice(all, text, noise), "lz4");
    assert_string_equal(choice(none, text, noise), "raw");
    assert_string_equal(choice(all, noise, text), "raw");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_stands_at_its_number_and_under_its_name),
        cmocka_unit_test(unknown_numbers_and_names_have_no_row),
        cmocka_unit_test(what_was_encoded_comes_back_and_twice_is_once),
        cmocka_unit_test(encoders_keep_within_their_room),
        cmocka_unit_test(payloads_cut_stretched_or_flipped_do_no_harm),
        cmocka_unit_test(noise_of_any_length_does_no_harm),
        cmocka_unit_test(lengths_beyond_the_longest_are_refused_unread),
        cmocka_unit_test(payloads_as_long_as_a_page_are_refused_by_all_but_raw),
        cmocka_unit_test(delta_of_known_changes_has_the_known_octets),
        cmocka_unit_test(delta_refuses_unknown_modes_and_empty_branches),
        cmocka_unit_test(delta_is_as_short_as_the_format_allows),
        cmocka_unit_test(the_choice_comes_back_and_is_allowed_and_never_longer_than_raw),
        cmocka_unit_test(each_kind_of_page_gets_the_codec_made_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

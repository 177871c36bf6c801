/* pages_pack_test — packed chunks say what the unpacked ones said and are shorter; when it is tried, and
 * what is refused from outside. */
#include "checkpoint/pages_pack.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

#define PAGES 64u

static uint8_t wire[RECORD_HEADER_BYTES + PAGES_BODY_MAX + 8], plain[sizeof(wire)];
static uint8_t pages[PAGES * PAGE_BYTES];

/* Puts a chunk of pages into wire; returns its sink. Text packs well, noise does not. */
static struct sink make_chunk(bool is_noise, struct pages_tally *tally)
{
    uint64_t pfns[PAGES];
    uint8_t types[PAGES] = { 0 };
    struct pages_source from = { pages, pfns, types, PAGES };
    struct pages_rules rules = { { .delta = CODEC_BY_DELTA }, 2, 1, 7, false };
    struct sink out = { wire, sizeof(wire) };
    struct rng r;

    rng_seed(&r, 1);
    for (size_t i = 0; i < PAGES; i++) {
        pfns[i] = i * 3;
        if (is_noise)
            rng_fill(&r, pages + i * PAGE_BYTES, PAGE_BYTES);
        else
            memset(pages + i * PAGE_BYTES, (int)(i + 1), PAGE_BYTES);
    }
    assert_int_equal(pages_encode(&out, &from, &rules, NULL, tally), 0);
    return out;
}

static struct record record_in_wire(const struct sink *out)
{
    struct view in = { wire, sizeof(wire) - out->left };
    struct record got;
    struct err e;

    assert_int_equal(record_take(&in, PAGES_BODY_MAX, &got, &e), 1);
    assert_int_equal(in.left, 0);
    return got;
}

static bool pack(struct pages_packer *p, bool is_behind, bool is_noise)
{
    struct pages_tally tally = { 0 };
    struct sink out = make_chunk(is_noise, &tally);
    bool is_packed = pages_pack(p, is_behind, wire, &out, &tally);

    assert_int_equal(tally.wire_bytes, sizeof(wire) - out.left);
    assert_int_equal(record_wire_bytes(record_in_wire(&out).bytes), tally.wire_bytes);
    return is_packed;
}

static void a_packed_chunk_reads_as_it_did_and_is_shorter(void **state UNUSED)
{
    struct pages_packer p = { .packing = PAGES_PACK_ON };
    struct pages_tally tally = { 0 };
    struct sink out = make_chunk(false, &tally);
    size_t before = sizeof(wire) - out.left;
    struct pages_reader r;
    struct pages_entry entry;
    struct record got;
    struct err e;

    assert_true(pages_pack(&p, false, wire, &out, &tally));
    assert_true(sizeof(wire) - out.left < before / 4);
    got = record_in_wire(&out);
    assert_int_equal(pages_open(&r, &got, 1000, &e), 0);
    assert_true(r.is_packed);
    assert_int_equal(r.batch, 7);
    for (size_t i = 0; i < PAGES; i++) {
        assert_int_equal(pages_next(&r, &entry, &e), 1);
        assert_int_equal(entry.pfn, i * 3);
        assert_int_equal(entry.bytes, PAGE_BYTES);
        assert_memory_equal(entry.payload, pages + i * PAGE_BYTES, PAGE_BYTES);
    }
    assert_int_equal(pages_next(&r, &entry, &e), 0);
}

static void a_chunk_that_would_not_be_shorter_stays_as_it_is(void **state UNUSED)
{
    struct pages_packer p = { .packing = PAGES_PACK_ON };
    struct pages_tally tally = { 0 };
    struct sink out = make_chunk(true, &tally);
    size_t bytes = sizeof(wire) - out.left;

    memcpy(plain, wire, bytes);
    assert_false(pages_pack(&p, true, wire, &out, &tally));
    assert_int_equal(sizeof(wire) - out.left, bytes);
    assert_memory_equal(wire, plain, bytes);
}

static void auto_packs_only_while_the_link_is_behind(void **state UNUSED)
{
    struct pages_packer automatic = { 0 }, off = { .packing = PAGES_PACK_OFF };
    struct pages_packer on = { .packing = PAGES_PACK_ON };

    assert_false(pack(&automatic, false, false));
    assert_true(pack(&automatic, true, false));
    assert_false(pack(&off, true, false));
    assert_true(pack(&on, false, false));
}

static unsigned chunks_until_the_next_try(struct pages_packer *p)
{
    unsigned n = 0;

    while (!pack(p, true, false)) /* each of these would pay */
        n++;
    return n;
}

static void auto_pauses_after_chunks_that_do_not_pay_and_longer_each_time(void **state UNUSED)
{
    struct pages_packer p = { 0 };

    assert_false(pack(&p, true, true));
    assert_int_equal(chunks_until_the_next_try(&p), 4);
    assert_true(pack(&p, true, false)); /* it paid: no pause */
    for (unsigned pause = 4; pause <= 64; pause *= 2) {
        assert_false(pack(&p, true, true));
        for (unsigned i = 0; i < pause; i++)
            assert_false(pack(&p, true, false));
    }
    assert_false(pack(&p, true, true));
    assert_int_equal(chunks_until_the_next_try(&p), 64); /* not for ever */
}

static void assert_refused(const struct record *from)
{
    struct pages_reader r;
    struct err e;

    assert_int_equal(pages_open(&r, from, 1000, &e), -EPROTO);
}

static void packed_chunks_that_lie_are_refused(void **state UNUSED)
{
    struct pages_packer p = { .packing = PAGES_PACK_ON };
    struct pages_tally tally = { 0 };
    struct sink out = make_chunk(false, &tally);
    uint8_t *body = wire + RECORD_HEADER_BYTES;
    static const uint32_t lies[] = { 0, 1, UINT32_MAX, PAGES_BODY_MAX, PAGES_BODY_MAX + 1 };
    uint32_t index, payload;
    struct record got, cut;

    assert_true(pages_pack(&p, true, wire, &out, &tally));
    got = record_in_wire(&out);
    index = load_u32(body + 16);
    payload = load_u32(body + 20);
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        store_u32(body + 16, lies[i]);
        assert_refused(&got);
        store_u32(body + 16, index);
        store_u32(body + 20, lies[i]);
        assert_refused(&got);
        store_u32(body + 20, payload);
    }
    store_u32(body + 20, payload + 1);
    assert_refused(&got);
    store_u32(body + 20, payload);
    for (cut = got; cut.bytes-- > PAGES_FIXED_BYTES;)
        assert_refused(&cut);
    store_u32(body + 4, 7); /* not said to be packed */
    assert_refused(&got);
}

/* Flipped octets are found by the digest at the latest; here they must only do no harm. */
static void damaged_packed_chunks_are_read_within_their_bounds(void **state UNUSED)
{
    struct pages_packer p = { .packing = PAGES_PACK_ON };
    struct pages_tally tally = { 0 };
    struct sink out = make_chunk(false, &tally);
    struct record got;
    struct rng r;

    rng_seed(&r, 2);
    assert_true(pages_pack(&p, true, wire, &out, &tally));
    got = record_in_wire(&out);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t *octet = wire + RECORD_HEADER_BYTES + rng_below(&r, got.bytes);
        uint8_t kept = *octet;
        struct pages_reader reader;
        struct pages_entry entry;
        struct err e;

        *octet ^= (uint8_t)(1 + rng_below(&r, 255));
        if (pages_open(&reader, &got, 1000, &e) == 0)
            while (pages_next(&reader, &entry, &e) == 1)
                assert_true(entry.bytes <= PAGE_BYTES + 9);
        if (rng_chance(&r, 900000))
            *octet = kept;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packed_chunk_reads_as_it_did_and_is_shorter),
        cmocka_unit_test(a_chunk_that_would_not_be_shorter_stays_as_it_is),
        cmocka_unit_test(auto_packs_only_while_the_link_is_behind),
        cmocka_unit_test(auto_pauses_after_chunks_that_do_not_pay_and_longer_each_time),
        cmocka_unit_test(packed_chunks_that_lie_are_refused),
        cmocka_unit_test(damaged_packed_chunks_are_read_within_their_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

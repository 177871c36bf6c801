/* pages_reader_test — chunks of pages made by hand: no octets from a peer pass that break a rule. */
#include "checkpoint/pages.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

#define LIMIT UINT64_C(4096) /* pages of the guest */

/* Reads a chunk to its end: 0, or the first failure. */
static int read_all(const struct record *from, uint64_t limit, struct err *e)
{
    struct pages_reader r;
    struct pages_entry entry;
    int rc = pages_open(&r, from, limit, e);

    if (rc < 0)
        return rc;
    while ((rc = pages_next(&r, &entry, e)) > 0) {
        assert_true(entry.pfn < limit);
        assert_true(entry.bytes <= entry.codec->bytes_max);
        assert_true(entry.payload >= from->body);
        assert_true(entry.payload + entry.bytes <= from->body + from->bytes);
    }
    return rc;
}

/* ---- octets by hand -------------------------------------------------------------------------------- */

struct chunk {
    uint8_t body[3 * PAGE_BYTES];
    struct record record;
};

/* PAGE_DATA_ENCODED with an index as given and `payload` octets of 0xaa. */
static const struct record *chunk_of(struct chunk *c, uint32_t count, const void *index,
                                     uint32_t index_bytes, uint32_t payload)
{
    memset(c->body, 0, 24);
    store_u32(c->body, count);
    store_u32(c->body + 16, index_bytes);
    store_u32(c->body + 20, payload);
    memcpy(c->body + 24, index, index_bytes);
    memset(c->body + 24 + index_bytes, 0xaa, payload);
    c->record = (struct record){ RECORD_PAGE_DATA_ENCODED, 24 + index_bytes + payload, c->body };
    return &c->record;
}

static void refused(const struct record *record, uint64_t limit)
{
    struct err e = { 0 };

    assert_int_equal(read_all(record, limit, &e), -EPROTO);
    assert_int_equal(e.code, EPROTO);
    assert_true(e.text[0] != '\0');
}

#define INDEX(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

static void chunk_by_hand_is_read(void **state)
{
    static struct chunk c;
    struct pages_reader r;
    struct pages_entry entry;
    struct err e;

    (void)state;
    /* pfn 5 zero; pfn 6 type 0xf; pfn 8 delta of 3 octets, type 9 */
    chunk_of(&c, 3, INDEX(5 << 1, 1, 0 << 1 | 1, 0xf, 0, 1 << 1 | 1, 9, 3 << 3 | 2), 3);
    assert_int_equal(pages_open(&r, &c.record, 9, &e), 0);
    assert_true(r.has_digest);
    assert_int_equal(pages_next(&r, &entry, &e), 1);
    assert_int_equal(entry.pfn, 5);
    assert_int_equal(entry.codec->id, CODEC_ZERO);
    assert_int_equal(entry.bytes, 0);
    assert_int_equal(pages_next(&r, &entry, &e), 1);
    assert_int_equal(entry.pfn, 6);
    assert_int_equal(entry.type, PAGE_TYPE_XTAB);
    assert_false(entry.has_content);
    assert_int_equal(pages_next(&r, &entry, &e), 1);
    assert_int_equal(entry.pfn, 8);
    assert_int_equal(entry.type, 9);
    assert_int_equal(entry.codec->id, CODEC_DELTA);
    assert_int_equal(entry.bytes, 3);
    assert_int_equal(entry.payload[0], 0xaa);
    assert_int_equal(pages_next(&r, &entry, &e), 0);
    refused(&c.record, 8);
}

static void entries_that_break_a_rule_are_refused(void **state)
{
    static struct chunk c;

    (void)state;
    for (uint8_t type = 5; type <= 8; type++)
        refused(chunk_of(&c, 1, INDEX(1, type, 1), 0), LIMIT);
    refused(chunk_of(&c, 1, INDEX(1, 0, 1), 0), LIMIT);           /* typed, but as what is the default */
    refused(chunk_of(&c, 1, INDEX(1, 16, 0), 0), LIMIT);          /* types have four bits */
    refused(chunk_of(&c, 1, INDEX(1, 0xff, 0), 0), LIMIT);
    for (uint8_t codec = CODEC_COUNT; codec < 8; codec++)
        refused(chunk_of(&c, 1, INDEX(0, codec), 0), LIMIT);      /* no such codec */
    refused(chunk_of(&c, 1, INDEX(1, 0xf, 1), 0), LIMIT);         /* no content, but not raw */
    refused(chunk_of(&c, 1, INDEX(1, 0xf, 1 << 3), 1), LIMIT);    /* no content, but an octet */
    refused(chunk_of(&c, 1, INDEX(0, 1 << 3 | 1), 1), LIMIT);     /* a zero page has no payload */
    refused(chunk_of(&c, 1, INDEX(0, 0x88, 0x80, 0x02), 4097), LIMIT); /* 4097 octets of raw */
    refused(chunk_of(&c, 1, INDEX(0, 0x80, 0x80, 0x02), 4096), LIMIT); /* raw says no length */
    refused(chunk_of(&c, 1, INDEX(0, 0), 4095), LIMIT);
    refused(chunk_of(&c, 1, INDEX(0, 0), 4097), LIMIT);
    refused(chunk_of(&c, 1, INDEX(0, 3 << 3 | 2), 2), LIMIT);     /* payload beyond the record */
    refused(chunk_of(&c, 1, INDEX(0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), 2), LIMIT);
}

static void pfns_beyond_the_guest_are_refused_without_overflow(void **state)
{
    static struct chunk c;
    struct err e;

    (void)state;
    assert_int_equal(read_all(chunk_of(&c, 2, INDEX(6 << 1, 1, 0, 1), 0), 8, &e), 0);
    refused(&c.record, 7);
    refused(&c.record, 6);
    refused(&c.record, 0);
    refused(chunk_of(&c, 2, INDEX(6 << 1, 1, 1 << 1, 1), 0), 8);
    /* steps of 2^63 - 1, the largest there is: twice it comes around to a small number */
    refused(chunk_of(&c, 2, INDEX(2, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1), 0), 8);
    refused(chunk_of(&c, 3, INDEX(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1,
                                  0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 4, 1), 0),
            UINT64_MAX);
}

static void varints_have_one_form(void **state)
{
    static struct chunk c;

    (void)state;
    refused(chunk_of(&c, 1, INDEX(0x80, 0x00, 1), 0), LIMIT);
    refused(chunk_of(&c, 1, INDEX(0, 0x81, 0x00), 0), LIMIT);
    refused(chunk_of(&c, 1, INDEX(0x80, 0x80), 0), LIMIT);  /* has no end */
    refused(chunk_of(&c, 1, INDEX(0, 0x80), 0), LIMIT);
    refused(chunk_of(&c, 1, INDEX(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1), 0), LIMIT);
}

static void leftover_octets_are_refused(void **state)
{
    static struct chunk c;

    (void)state;
    refused(chunk_of(&c, 1, INDEX(0, 1, 0), 0), LIMIT);        /* an octet of index */
    refused(chunk_of(&c, 1, INDEX(0, 1, 0, 1), 0), LIMIT);     /* an entry of index */
    refused(chunk_of(&c, 1, INDEX(0, 1), 1), LIMIT);           /* an octet of payload */
    refused(chunk_of(&c, 2, INDEX(0, 1, 0), 0), LIMIT);        /* and half an entry too few */
}

static void counts_and_lengths_that_lie_are_refused(void **state)
{
    static const uint32_t lies[] = { 0, 1, 3, 7, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff };
    static struct chunk c;
    struct err e;

    (void)state;
    for (size_t field = 0; field < 3; field++) {
        static const size_t at[] = { 0, 16, 20 };

        for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
            chunk_of(&c, 2, INDEX(0, 2 << 3 | 2, 0, 4 << 3 | 2), 6);
            assert_int_equal(read_all(&c.record, LIMIT, &e), 0);
            store_u32(c.body + at[field], lies[i]);
            refused(&c.record, LIMIT);
        }
    }
    for (uint32_t bytes = 0; bytes < 34; bytes++) { /* cut anywhere */
        chunk_of(&c, 2, INDEX(0, 2 << 3 | 2, 0, 4 << 3 | 2), 6);
        c.record.bytes = bytes;
        refused(&c.record, LIMIT);
    }
    store_u32(c.body, PAGES_CHUNK_MAX + 1);
    c.record.bytes = sizeof(c.body);
    refused(&c.record, LIMIT);
    c.record.type = RECORD_HVM_CONTEXT;
    refused(&c.record, LIMIT);
}

/* ---- the standard record --------------------------------------------------------------------------- */

/* PAGE_DATA with entries as given and `payload` octets. */
static const struct record *plain_of(struct chunk *c, uint32_t count, const uint64_t *entries,
                                     size_t n, uint32_t payload)
{
    memset(c->body, 0, sizeof(c->body));
    store_u32(c->body, count);
    for (size_t i = 0; i < n; i++)
        store_u64(c->body + 8 + 8 * i, entries[i]);
    c->record = (struct record){ RECORD_PAGE_DATA, 8 + 8 * (uint32_t)n + payload, c->body };
    return &c->record;
}

static void plain_entries_need_not_ascend(void **state)
{
    static const uint64_t entries[] = { 9, 3, 0xf000000000000003 };
    static struct chunk c;
    struct pages_reader r;
    struct pages_entry entry;
    struct err e;

    (void)state;
    plain_of(&c, 3, entries, 3, 2 * PAGE_BYTES);
    assert_int_equal(pages_open(&r, &c.record, 10, &e), 0);
    assert_false(r.has_digest);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pages_next(&r, &entry, &e), 1);
        assert_int_equal(entry.pfn, entries[i] & 0xfff);
        assert_int_equal(entry.codec->id, CODEC_RAW);
        assert_int_equal(entry.bytes, i < 2 ? PAGE_BYTES : 0);
    }
    assert_int_equal(pages_next(&r, &entry, &e), 0);
    refused(&c.record, 9);
}

static void plain_records_that_break_a_rule_are_refused(void **state)
{
    static const uint32_t lies[] = { 0, 1, 3, 0x20000000, 0x20000001, 0xffffffff };
    static const uint64_t two[] = { 1, 2 };
    static struct chunk c;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++)
        refused(plain_of(&c, lies[i], two, 2, 2 * PAGE_BYTES), LIMIT);
    refused(plain_of(&c, 2, two, 2, 2 * PAGE_BYTES - 1), LIMIT);
    refused(plain_of(&c, 2, two, 2, 2 * PAGE_BYTES + 1), LIMIT);
    for (uint64_t type = 5; type <= 8; type++)
        refused(plain_of(&c, 1, (const uint64_t[]){ type << 60 | 1 }, 1, PAGE_BYTES), LIMIT);
    for (unsigned bit = 52; bit < 60; bit++)
        refused(plain_of(&c, 1, (const uint64_t[]){ UINT64_C(1) << bit | 1 }, 1, PAGE_BYTES), LIMIT);
    for (uint64_t type = 0xd; type <= 0xf; type++) /* these carry no content */
        refused(plain_of(&c, 1, (const uint64_t[]){ type << 60 | 1 }, 1, PAGE_BYTES), LIMIT);
    plain_of(&c, 2, two, 2, 2 * PAGE_BYTES);
    c.body[4] = 1; /* reserved */
    refused(&c.record, LIMIT);
    for (uint32_t bytes = 0; bytes < 8 + 16; bytes++) {
        plain_of(&c, 2, two, 2, 0);
        c.record.bytes = bytes;
        refused(&c.record, LIMIT);
    }
}

/* ---- noise ----------------------------------------------------------------------------------------- */

static void damaged_chunks_are_read_within_their_bounds_or_refused(void **state)
{
    static const uint64_t plain[] = { 9, 0xf000000000000003 };
    static struct chunk c;
    struct rng r;

    (void)state;
    rng_seed(&r, 5);
    for (int round = 0; round < 40000; round++) {
        uint8_t *copy; /* of its own, so that a sanitizer sees its end */
        struct err e;

        if (round % 2)
            chunk_of(&c, 4, INDEX(0, 3 << 3 | 2, 1, 0xf, 0, 0x80, 1, 0, 2, 1), PAGE_BYTES + 3);
        else
            plain_of(&c, 2, plain, 2, PAGE_BYTES);
        copy = malloc(c.record.bytes);
        memcpy(copy, c.body, c.record.bytes);
        for (uint64_t n = 1 + rng_below(&r, 3); n > 0; n--)
            copy[rng_below(&r, 24 + 12)] = (uint8_t)rng_next(&r);
        read_all(&(struct record){ c.record.type, c.record.bytes, copy }, GUEST_PAGES_MAX, &e);
        free(copy);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunk_by_hand_is_read),
        cmocka_unit_test(entries_that_break_a_rule_are_refused),
        cmocka_unit_test(pfns_beyond_the_guest_are_refused_without_overflow),
        cmocka_unit_test(varints_have_one_form),
        cmocka_unit_test(leftover_octets_are_refused),
        cmocka_unit_test(counts_and_lengths_that_lie_are_refused),
        cmocka_unit_test(plain_entries_need_not_ascend),
        cmocka_unit_test(plain_records_that_break_a_rule_are_refused),
        cmocka_unit_test(damaged_chunks_are_read_within_their_bounds_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

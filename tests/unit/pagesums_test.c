/* pagesums_test — digests of pages, told and taken; what breaks a rule is refused. */
#include "checkpoint/pagesums.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "compress/codec.h"

#define PAGES (3 * PAGE_SUMS_MAX + 100u)

static uint8_t octets[1u << 18];

/* Everything that `from` has, record by record, into `to`. */
static unsigned tell(const struct pagesums *from, struct pagesums *to, uint64_t epoch)
{
    uint64_t cursor = 0;
    unsigned n = 0;
    struct err e;

    for (;; n++) {
        struct sink out = { octets, sizeof(octets) };
        struct view in;
        struct record rec;
        int rc = pagesums_put(from, epoch, &cursor, &out);

        assert_true(rc == 0 || rc == 1);
        if (rc == 0)
            return n;
        in = (struct view){ octets, sizeof(octets) - out.left };
        assert_true(in.left <= PAGESUMS_RECORD_MAX);
        assert_int_equal(record_take(&in, SESSION_BODY_MAX, &rec, &e), 1);
        assert_true(in.left == 0 && rec.type == RECORD_PAGE_SUMS);
        assert_int_equal(pagesums_take(to, epoch, &rec, &e), 0);
    }
}

static void what_is_told_is_what_is_taken(void **state UNUSED)
{
    struct pagesums a, b;
    struct rng r;
    struct err e;

    rng_seed(&r, 3);
    assert_int_equal(pagesums_open(&a, PAGES, &e), 0);
    assert_int_equal(pagesums_open(&b, PAGES, &e), 0);
    for (unsigned round = 0; round < 30; round++) {
        pagesums_clear(&a);
        pagesums_clear(&b);
        for (uint64_t pfn = 0; pfn < PAGES; pfn++)
            a.sums[pfn] = rng_below(&r, 30) <= round ? rng_next(&r) : 0;
        (void)tell(&a, &b, round);
        assert_memory_equal(a.sums, b.sums, PAGES * sizeof(*a.sums));
    }
    pagesums_close(&a);
    pagesums_close(&a);
    pagesums_close(&b);
}

static void a_map_of_holes_is_one_record(void **state UNUSED)
{
    struct pagesums a, b;
    struct err e;

    assert_int_equal(pagesums_open(&a, UINT64_C(1) << 24, &e), 0);
    assert_int_equal(pagesums_open(&b, UINT64_C(1) << 24, &e), 0);
    assert_int_equal(tell(&a, &b, 1), 0);
    a.sums[(1u << 24) - 1] = 7;
    assert_int_equal(tell(&a, &b, 1), 1);
    assert_true(pagesums_next(&b, 0) == (1u << 24) - 1 && b.sums[(1u << 24) - 1] == 7);
    pagesums_close(&a);
    pagesums_close(&b);
}

static void a_sink_that_is_short_gets_nothing(void **state UNUSED)
{
    struct sink out = { octets, 39 };
    struct pagesums a;
    uint64_t cursor = 0;
    struct err e;

    assert_int_equal(pagesums_open(&a, PAGES, &e), 0);
    a.sums[5] = 1;
    assert_int_equal(pagesums_put(&a, 1, &cursor, &out), -ENOBUFS);
    assert_true(cursor == 0 && out.left == 39);
    out.left = 40;
    assert_int_equal(pagesums_put(&a, 1, &cursor, &out), 1);
    assert_true(cursor == 6 && out.left == 0);
    pagesums_close(&a);
}

static int take(struct pagesums *s, uint64_t epoch, uint64_t first, uint32_t count, uint32_t zero, size_t bytes)
{
    struct record rec = { .type = RECORD_PAGE_SUMS, .bytes = (uint32_t)bytes, .body = octets };
    struct err e;

    memset(octets, 0x55, sizeof(octets));
    store_u64(octets, epoch);
    store_u64(octets + 8, first);
    store_u32(octets + 16, count);
    store_u32(octets + 20, zero);
    return pagesums_take(s, 9, &rec, &e);
}

static void what_breaks_a_rule_is_refused(void **state UNUSED)
{
    struct pagesums s;
    struct err e;

    assert_int_equal(pagesums_open(&s, 100, &e), 0);
    assert_int_equal(take(&s, 9, 98, 2, 0, 24 + 16), 0);
    assert_true(pagesums_next(&s, 0) == 98);
    assert_int_equal(take(&s, 8, 0, 2, 0, 24 + 16), -EPROTO); /* another epoch's */
    assert_int_equal(take(&s, 9, 0, 0, 0, 24), -EPROTO);
    assert_int_equal(take(&s, 9, 0, 2, 1, 24 + 16), -EPROTO);
    assert_int_equal(take(&s, 9, 0, 3, 0, 24 + 16), -EPROTO);
    assert_int_equal(take(&s, 9, 0, 2, 0, 24 + 24), -EPROTO);
    assert_int_equal(take(&s, 9, 99, 2, 0, 24 + 16), -EPROTO);
    assert_int_equal(take(&s, 9, 100, 1, 0, 24 + 8), -EPROTO);
    assert_int_equal(take(&s, 9, UINT64_MAX, 1, 0, 24 + 8), -EPROTO);
    assert_true(pagesums_next(&s, 0) == 98);
    pagesums_close(&s);
}

static void every_bit_of_a_page_counts(void **state UNUSED)
{
    static uint8_t page[PAGE_BYTES];
    uint64_t zeros = pagesums_of(page);

    assert_true(zeros != 0);
    for (unsigned bit = 0; bit < 8 * PAGE_BYTES; bit++) {
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(pagesums_of(page) != zeros);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(pagesums_of(page) == zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_is_what_is_taken),
        cmocka_unit_test(a_map_of_holes_is_one_record),
        cmocka_unit_test(a_sink_that_is_short_gets_nothing),
        cmocka_unit_test(what_breaks_a_rule_is_refused),
        cmocka_unit_test(every_bit_of_a_page_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

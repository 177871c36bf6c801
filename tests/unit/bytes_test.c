/* bytes_test — views and sinks never pass their end, and every value has one form. */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

#define GUARD 0xa5

static void integers_have_the_order_that_their_name_says(void **state UNUSED)
{
    static const uint8_t expected[] = {
        0x01,                                           /* u8   */
        0x02, 0x01,                                     /* u16  */
        0x04, 0x03, 0x02, 0x01,                         /* u32  */
        0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, /* u64  */
        0x01, 0x02,                                     /* be16 */
        0x01, 0x02, 0x03, 0x04,                         /* be32 */
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, /* be64 */
    };
    uint8_t octets[sizeof(expected)];
    struct sink s = { octets, sizeof(octets) };

    assert_int_equal(sink_u8(&s, 0x01), 0);
    assert_int_equal(sink_u16(&s, 0x0102), 0);
    assert_int_equal(sink_u32(&s, 0x01020304), 0);
    assert_int_equal(sink_u64(&s, UINT64_C(0x0102030405060708)), 0);
    assert_int_equal(sink_be16(&s, 0x0102), 0);
    assert_int_equal(sink_be32(&s, 0x01020304), 0);
    assert_int_equal(sink_be64(&s, UINT64_C(0x0102030405060708)), 0);
    assert_int_equal(s.left, 0);
    assert_memory_equal(octets, expected, sizeof(expected));
}

static void a_view_reads_back_what_a_sink_wrote(void **state UNUSED)
{
    uint8_t octets[29];
    struct sink s = { octets, sizeof(octets) };
    struct view v = { octets, sizeof(octets) };
    uint8_t a;
    uint16_t b, be_b;
    uint32_t c, be_c;
    uint64_t d, be_d;

    assert_int_equal(sink_u8(&s, 0xfe) | sink_u16(&s, 0xfedc) | sink_u32(&s, 0xfedcba98), 0);
    assert_int_equal(sink_u64(&s, UINT64_MAX - 1) | sink_be16(&s, 0x8001), 0);
    assert_int_equal(sink_be32(&s, 0x80000001) | sink_be64(&s, UINT64_MAX - 2), 0);
    assert_int_equal(view_u8(&v, &a) | view_u16(&v, &b) | view_u32(&v, &c) | view_u64(&v, &d), 0);
    assert_int_equal(view_be16(&v, &be_b) | view_be32(&v, &be_c) | view_be64(&v, &be_d), 0);
    assert_int_equal(v.left, 0);
    assert_int_equal(a, 0xfe);
    assert_int_equal(b, 0xfedc);
    assert_int_equal(c, 0xfedcba98);
    assert_true(d == UINT64_MAX - 1);
    assert_int_equal(be_b, 0x8001);
    assert_int_equal(be_c, 0x80000001);
    assert_true(be_d == UINT64_MAX - 2);
}

static void a_short_view_refuses_and_stays_as_it_was(void **state UNUSED)
{
    static const uint8_t octets[8] = { 1, 2, 3 };
    struct view v = { octets, 3 };
    const uint8_t *at = NULL;
    uint32_t c = 77;
    uint64_t d = 77;

    assert_int_equal(view_u32(&v, &c), -1);
    assert_int_equal(view_be32(&v, &c), -1);
    assert_int_equal(view_u64(&v, &d), -1);
    assert_int_equal(view_take(&v, 4, &at), -1);
    assert_int_equal(view_take(&v, SIZE_MAX, &at), -1);
    assert_null(at);
    assert_int_equal(c, 77);
    assert_int_equal(d, 77);
    assert_ptr_equal(v.at, octets);
    assert_int_equal(v.left, 3);
    assert_int_equal(view_take(&v, 3, &at), 0);
    assert_ptr_equal(at, octets);
    assert_int_equal(view_take(&v, 0, &at), 0);
    assert_int_equal(v.left, 0);
}

static void a_full_sink_refuses_and_writes_nothing(void **state UNUSED)
{
    uint8_t octets[8];
    struct sink s = { octets, 3 };
    uint8_t *at = NULL;

    memset(octets, GUARD, sizeof(octets));
    assert_int_equal(sink_u32(&s, 1), -1);
    assert_int_equal(sink_be64(&s, 1), -1);
    assert_int_equal(sink_put(&s, "abcd", 4), -1);
    assert_int_equal(sink_room(&s, SIZE_MAX, &at), -1);
    assert_int_equal(sink_varint(&s, UINT64_C(1) << 21), -1);
    assert_null(at);
    assert_int_equal(s.left, 3);
    for (size_t i = 0; i < sizeof(octets); i++)
        assert_int_equal(octets[i], GUARD);
    assert_int_equal(sink_put(&s, NULL, 0), 0);
    assert_int_equal(sink_put(&s, "abc", 3), 0);
    assert_int_equal(s.left, 0);
    assert_int_equal(octets[3], GUARD);
}

static void varints_of_every_length_come_back(void **state UNUSED)
{
    struct rng r;

    rng_seed(&r, 1);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t value = rng_next(&r) >> rng_below(&r, 64), back;
        uint8_t octets[VARINT_BYTES_MAX];
        struct sink s = { octets, sizeof(octets) };
        struct view v;

        assert_int_equal(sink_varint(&s, value), 0);
        v = (struct view){ octets, sizeof(octets) - s.left };
        for (struct view cut = { octets, 0 }; cut.left < v.left; cut.left++)
            assert_int_equal(view_varint(&(struct view){ octets, cut.left }, &back), -1);
        assert_int_equal(view_varint(&v, &back), 0);
        assert_true(back == value);
        assert_int_equal(v.left, 0);
    }
}

static void varints_at_the_edges_have_the_known_octets(void **state UNUSED)
{
    static const struct {
        uint64_t value;
        size_t bytes;
        uint8_t octets[VARINT_BYTES_MAX];
    } known[] = {
        { 0, 1, { 0 } },
        { 127, 1, { 0x7f } },
        { 128, 2, { 0x80, 0x01 } },
        { 16383, 2, { 0xff, 0x7f } },
        { 16384, 3, { 0x80, 0x80, 0x01 } },
        { UINT64_MAX, 10, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 } },
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        uint8_t octets[VARINT_BYTES_MAX];
        struct sink s = { octets, sizeof(octets) };

        assert_int_equal(sink_varint(&s, known[i].value), 0);
        assert_int_equal(sizeof(octets) - s.left, known[i].bytes);
        assert_memory_equal(octets, known[i].octets, known[i].bytes);
    }
}

static void a_varint_longer_than_needed_or_than_64_bits_is_refused(void **state UNUSED)
{
    static const struct {
        size_t bytes;
        uint8_t octets[12];
    } wrong[] = {
        { 2, { 0x80, 0x00 } },
        { 3, { 0xff, 0x80, 0x00 } },
        { 10, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00 } },
        { 10, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 } },
        { 10, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81 } },
        { 11, { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 } },
        { 0, { 0 } },
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct view v = { wrong[i].octets, wrong[i].bytes };
        uint64_t value = 77;

        assert_int_equal(view_varint(&v, &value), -1);
        assert_int_equal(v.left, wrong[i].bytes);
        assert_int_equal(value, 77);
    }
}

/* Whatever octets come, a varint that is accepted is the one that the writer would have made. */
static void every_accepted_varint_is_written_the_same_again(void **state UNUSED)
{
    struct rng r;

    rng_seed(&r, 2);
    for (unsigned i = 0; i < 200000; i++) {
        uint8_t octets[12], again[VARINT_BYTES_MAX];
        struct view v = { octets, sizeof(octets) };
        struct sink s = { again, sizeof(again) };
        uint64_t value;

        rng_fill(&r, octets, sizeof(octets));
        for (size_t o = 0; o < rng_below(&r, 12); o++)
            octets[o] |= 0x80;
        if (view_varint(&v, &value) < 0)
            continue;
        assert_int_equal(sink_varint(&s, value), 0);
        assert_int_equal(sizeof(again) - s.left, sizeof(octets) - v.left);
        assert_memory_equal(again, octets, sizeof(again) - s.left);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_have_the_order_that_their_name_says),
        cmocka_unit_test(a_view_reads_back_what_a_sink_wrote),
        cmocka_unit_test(a_short_view_refuses_and_stays_as_it_was),
        cmocka_unit_test(a_full_sink_refuses_and_writes_nothing),
        cmocka_unit_test(varints_of_every_length_come_back),
        cmocka_unit_test(varints_at_the_edges_have_the_known_octets),
        cmocka_unit_test(a_varint_longer_than_needed_or_than_64_bits_is_refused),
        cmocka_unit_test(every_accepted_varint_is_written_the_same_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* record_test — framing: what record_take accepts, what it waits for, what it refuses. */
#include "checkpoint/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct row {
    const char *name;
    uint32_t type;
    size_t least, most;
} rows[] = {
#define RECORD(name, type, least, most, origin) { #name, type, least, most },
#include "checkpoint/records.def"
#undef RECORD
};

#define SHORT_MAX 8192u

static int take(const uint8_t *octets, size_t bytes, size_t body_max, struct record *ret, struct err *e)
{
    struct view in = { octets, bytes };
    struct record got = { .type = 0xabababab };
    int rc = record_take(&in, body_max, &got, e);

    if (rc == 1) {
        assert_int_equal(bytes - in.left, record_wire_bytes(got.bytes));
        assert_ptr_equal(in.at, octets + record_wire_bytes(got.bytes));
        *ret = got;
    } else {
        assert_ptr_equal(in.at, octets); /* nothing is taken */
        assert_int_equal(in.left, bytes);
        assert_int_equal(got.type, 0xabababab);
    }
    return rc;
}

/* record_take on nothing but a header. */
static int take_header(uint32_t type, uint32_t bytes, size_t body_max, struct err *e)
{
    uint8_t header[8];
    struct record ret;

    store_u32(header, type);
    store_u32(header + 4, bytes);
    return take(header, sizeof(header), body_max, &ret, e);
}

static void every_known_record_comes_back_as_it_was_put(void **state)
{
    static uint8_t octets[SHORT_MAX + 64], body[SHORT_MAX];
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (uint8_t)(i * 7 + 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t most = rows[i].most < SHORT_MAX ? rows[i].most : SHORT_MAX;

        for (size_t bytes = rows[i].least; bytes <= most; bytes += bytes < rows[i].least + 9 ? 1 : 977) {
            struct sink out = { octets, sizeof(octets) };
            struct record got;

            assert_int_equal(record_put(&out, rows[i].type, body, bytes), 0);
            assert_int_equal(sizeof(octets) - out.left, record_wire_bytes(bytes));
            assert_int_equal(take(octets, sizeof(octets), RECORD_BODY_MAX, &got, &e), 1);
            assert_int_equal(got.type, rows[i].type);
            assert_int_equal(got.bytes, bytes);
            assert_memory_equal(got.body, body, bytes);
        }
    }
}

static void every_prefix_asks_for_more_and_takes_nothing(void **state)
{
    uint8_t octets[64] = { 0 }, body[13] = "hvm context!";
    struct sink out = { octets, sizeof(octets) };
    struct record got;
    struct err e;

    (void)state;
    assert_int_equal(record_put(&out, RECORD_HVM_CONTEXT, body, sizeof(body)), 0);
    for (size_t n = 0; n < record_wire_bytes(sizeof(body)); n++)
        assert_int_equal(take(octets, n, RECORD_BODY_MAX, &got, &e), 0);
    assert_int_equal(take(octets, record_wire_bytes(sizeof(body)), RECORD_BODY_MAX, &got, &e), 1);
}

static void length_outside_the_types_bounds_is_refused_before_the_body_comes(void **state)
{
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].least > 0) {
            assert_int_equal(take_header(rows[i].type, (uint32_t)rows[i].least - 1, SIZE_MAX, &e), -EPROTO);
            assert_non_null(strstr(e.text, rows[i].name));
            assert_int_equal(take_header(rows[i].type, (uint32_t)rows[i].least, SIZE_MAX, &e), 0);
        }
        assert_int_equal(take_header(rows[i].type, (uint32_t)rows[i].most + 1, SIZE_MAX, &e), -EPROTO);
        assert_int_equal(e.code, EPROTO);
        if (rows[i].most > 0)
            assert_int_equal(take_header(rows[i].type, (uint32_t)rows[i].most, SIZE_MAX, &e), 0);
    }
}

static void lengths_that_wrap_when_padded_are_refused(void **state)
{
    struct err e;

    (void)state;
    for (uint32_t bytes = 0xfffffff0u; bytes != 0; bytes++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            assert_int_equal(take_header(rows[i].type, bytes, SIZE_MAX, &e), -EPROTO);
        assert_int_equal(take_header(0x8badf00d, bytes, SIZE_MAX, &e), -EPROTO);
        assert_int_equal(take_header(0x00badf00, bytes, SIZE_MAX, &e), -EPROTO);
    }
}

static void length_above_the_callers_limit_is_refused(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(take_header(RECORD_HVM_CONTEXT, 4096, 4096, &e), 0);
    assert_int_equal(take_header(RECORD_HVM_CONTEXT, 4097, 4096, &e), -EPROTO);
    assert_non_null(strstr(e.text, "4096"));
    assert_int_equal(take_header(0x80000077, 4097, 4096, &e), -EPROTO);
    assert_int_equal(take_header(0x80000077, RECORD_BODY_MAX + 1, SIZE_MAX, &e), -EPROTO);
}

static void unknown_mandatory_type_is_refused_by_its_number(void **state)
{
    static const uint32_t types[] = { 0x0b, 0x13, 0x01000000, 0x52500000, 0x52500005, 0x7fffffff };
    char number[16];
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        assert_int_equal(take_header(types[i], 0, SIZE_MAX, &e), -EPROTO);
        snprintf(number, sizeof(number), "0x%x", types[i]);
        assert_non_null(strstr(e.text, number));
    }
}

static void unknown_optional_record_is_delivered(void **state)
{
    uint8_t octets[32], body[5] = { 1, 2, 3, 4, 5 };
    struct sink out = { octets, sizeof(octets) };
    struct record got;
    struct err e;

    (void)state;
    assert_int_equal(record_put(&out, 0x80000001, body, sizeof(body)), 0); /* not PAGE_DATA */
    assert_int_equal(take(octets, sizeof(octets) - out.left, 64, &got, &e), 1);
    assert_int_equal(got.type, 0x80000001);
    assert_int_equal(got.bytes, sizeof(body));
    assert_null(record_name(got.type));
}

static void padding_that_is_not_zero_is_refused(void **state)
{
    uint8_t octets[64], body[16];
    struct record got;
    struct err e;

    (void)state;
    memset(body, 0xff, sizeof(body));
    for (size_t bytes = 9; bytes < 16; bytes++) {
        for (size_t at = bytes; at < 16; at++) {
            struct sink out = { octets, sizeof(octets) };

            assert_int_equal(record_put(&out, RECORD_HVM_CONTEXT, body, bytes), 0);
            octets[RECORD_HEADER_BYTES + at] = 0x10;
            assert_int_equal(take(octets, sizeof(octets), 64, &got, &e), -EPROTO);
            assert_non_null(strstr(e.text, "padding"));
        }
    }
}

static void short_sink_gets_nothing(void **state)
{
    uint8_t octets[32], untouched[32], body[13] = { 0 };

    (void)state;
    memset(untouched, 0x5a, sizeof(untouched));
    for (size_t room = 0; room < record_wire_bytes(sizeof(body)); room++) {
        struct sink out = { octets, room };

        memset(octets, 0x5a, sizeof(octets));
        assert_int_equal(record_put(&out, RECORD_HVM_CONTEXT, body, sizeof(body)), -ENOBUFS);
        assert_ptr_equal(out.at, octets);
        assert_int_equal(out.left, room);
        assert_memory_equal(octets + room, untouched, sizeof(octets) - room);
    }
}

static void names_are_those_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(record_name(rows[i].type), rows[i].name);
    assert_null(record_name(0x0b));
    assert_null(record_name(0xffffffff));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_record_comes_back_as_it_was_put),
        cmocka_unit_test(every_prefix_asks_for_more_and_takes_nothing),
        cmocka_unit_test(length_outside_the_types_bounds_is_refused_before_the_body_comes),
        cmocka_unit_test(lengths_that_wrap_when_padded_are_refused),
        cmocka_unit_test(length_above_the_callers_limit_is_refused),
        cmocka_unit_test(unknown_mandatory_type_is_refused_by_its_number),
        cmocka_unit_test(unknown_optional_record_is_delivered),
        cmocka_unit_test(padding_that_is_not_zero_is_refused),
        cmocka_unit_test(short_sink_gets_nothing),
        cmocka_unit_test(names_are_those_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* stream_test — the two headers: what opens a stream, and the words for what does not. */
#include "checkpoint/stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Written out by hand from the stream's specification, not by our encoder. */
static const uint8_t hvm_v3[STREAM_HEADERS_BYTES] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'X', 'E', 'N', 'F', 0, 0, 0, 3,
    0, 0, 0, 0, 0, 0, 0, 0,
    2, 0, 0, 0, 12, 0, 0, 0, 4, 0, 0, 0, 17, 0, 0, 0,
};

static int take(const uint8_t *octets, size_t bytes, struct stream_headers *ret, struct err *e)
{
    struct view in = { octets, bytes };
    int rc = stream_headers_take(&in, ret, e);

    assert_int_equal(bytes - in.left, rc == 1 ? STREAM_HEADERS_BYTES : 0);
    return rc;
}

static void headers_are_the_octets_of_the_specification(void **state)
{
    struct stream_headers h = { STREAM_VERSION, STREAM_GUEST_HVM, 4, 17 }, got;
    uint8_t octets[STREAM_HEADERS_BYTES + 3];
    struct sink out = { octets, sizeof(octets) };
    struct err e;

    (void)state;
    assert_int_equal(stream_headers_put(&out, &h), 0);
    assert_int_equal(out.left, 3);
    assert_memory_equal(octets, hvm_v3, sizeof(hvm_v3));
    assert_int_equal(take(octets, sizeof(octets), &got, &e), 1);
    assert_int_equal(got.version, 3);
    assert_int_equal(got.guest, STREAM_GUEST_HVM);
    assert_int_equal(got.xen_major, 4);
    assert_int_equal(got.xen_minor, 17);
}

static void version_2_and_pv_guests_are_read(void **state)
{
    uint8_t octets[STREAM_HEADERS_BYTES];
    struct stream_headers got;
    struct err e;

    (void)state;
    memcpy(octets, hvm_v3, sizeof(octets));
    octets[15] = 2;
    octets[24] = 1;
    assert_int_equal(take(octets, sizeof(octets), &got, &e), 1);
    assert_int_equal(got.version, 2);
    assert_int_equal(got.guest, STREAM_GUEST_PV);
}

static void every_prefix_asks_for_more(void **state)
{
    struct stream_headers got;
    struct err e;

    (void)state;
    for (size_t n = 0; n < sizeof(hvm_v3); n++)
        assert_int_equal(take(hvm_v3, n, &got, &e), 0);
}

static const struct wrong {
    size_t at;
    uint8_t octet;
    const char *words;
} wrongs[] = {
    { 0, 0x7f, "marker" }, { 7, 0xfe, "marker" }, { 8, 'x', "XENF" }, { 11, 0, "XENF" },
    { 12, 3, "version" },  { 14, 1, "version" },  { 15, 1, "version" }, { 15, 4, "version" },
    { 17, 1, "endianness" }, { 17, 0xff, "endianness" },
    { 24, 0, "guest type" }, { 24, 3, "guest type" }, { 27, 1, "guest type" },
    { 28, 13, "page size" }, { 28, 44, "page size" }, { 29, 1, "page size" },
};

static void each_broken_field_is_refused_in_its_own_words_at_its_first_wrong_octet(void **state)
{
    uint8_t octets[STREAM_HEADERS_BYTES];
    struct stream_headers got;
    struct err e;

    (void)state;
    for (const struct wrong *w = wrongs; w < wrongs + ARRAY_LEN(wrongs); w++) {
        memcpy(octets, hvm_v3, sizeof(octets));
        octets[w->at] = w->octet;
        for (size_t n = 0; n <= sizeof(octets); n++) {
            int rc = take(octets, n, &got, &e);

            assert_int_equal(rc, n > w->at ? -EPROTO : 0);
            if (rc < 0)
                assert_non_null(strstr(e.text, w->words));
        }
    }
}

static void reserved_and_informative_fields_may_hold_anything(void **state)
{
    static const size_t free_octets[] = { 16, 18, 19, 20, 21, 22, 23, 30, 31, 32, 35, 36, 39 };
    uint8_t octets[STREAM_HEADERS_BYTES];
    struct stream_headers got;
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(free_octets); i++) {
        memcpy(octets, hvm_v3, sizeof(octets));
        octets[free_octets[i]] = 0xff;
        assert_int_equal(take(octets, sizeof(octets), &got, &e), 1);
    }
    memcpy(octets, hvm_v3, sizeof(octets));
    octets[17] = 0xfe; /* options other than endianness */
    assert_int_equal(take(octets, sizeof(octets), &got, &e), 1);
}

static void short_sink_gets_nothing(void **state)
{
    struct stream_headers h = { STREAM_VERSION, STREAM_GUEST_PV, 0, 1 };
    uint8_t octets[STREAM_HEADERS_BYTES] = { 0x5a };

    (void)state;
    for (size_t room = 0; room < STREAM_HEADERS_BYTES; room++) {
        struct sink out = { octets, room };

        assert_int_equal(stream_headers_put(&out, &h), -ENOBUFS);
        assert_ptr_equal(out.at, octets);
        assert_int_equal(out.left, room);
        assert_int_equal(octets[0], 0x5a);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_the_octets_of_the_specification),
        cmocka_unit_test(version_2_and_pv_guests_are_read),
        cmocka_unit_test(every_prefix_asks_for_more),
        cmocka_unit_test(each_broken_field_is_refused_in_its_own_words_at_its_first_wrong_octet),
        cmocka_unit_test(reserved_and_informative_fields_may_hold_anything),
        cmocka_unit_test(short_sink_gets_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

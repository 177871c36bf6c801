/* units_test — what people write is read exactly, or refused with a word that helps. */
#include "base/units.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct units_range any = { 0, UINT64_MAX };

static void every_suffix_has_its_factor(void **state)
{
    static const struct {
        const char *text;
        uint64_t octets;
    } sizes[] = {
        { "0", 0 }, { "0M", 0 }, { "1B", 1 }, { "4096B", 4096 }, { "1K", 1024 }, { "3KiB", 3072 },
        { "512M", UINT64_C(512) << 20 }, { "512MiB", UINT64_C(512) << 20 },
        { "16G", UINT64_C(16) << 30 }, { "2T", UINT64_C(2) << 40 },
    };
    static const struct {
        const char *text;
        uint64_t ns;
    } times[] = {
        { "0", 0 }, { "7ns", 7 }, { "500us", 500000 }, { "25ms", 25000000 },
        { "1s", 1000000000 }, { "2min", UINT64_C(120000000000) },
    };
    struct err e;
    uint64_t got;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_int_equal(units_parse_size(sizes[i].text, any, &got, &e), 0);
        assert_true(got == sizes[i].octets);
    }
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        assert_int_equal(units_parse_time(times[i].text, any, &got, &e), 0);
        assert_true(got == times[i].ns);
    }
}

static void a_number_without_its_unit_is_refused(void **state)
{
    static const char *const wrong[] = { "25", "", "ms", "25 ms", "-1s", "+1s", "1.5s", "25MS", "1s ",
                                         "0x10ms", "1e3ms", "25mss" };
    struct err e;
    uint64_t got = 77;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(units_parse_time(wrong[i], any, &got, &e), -EINVAL);
        assert_non_null(strstr(e.text, "25ms"));
    }
    assert_int_equal(units_parse_size("512", any, &got, &e), -EINVAL);
    assert_int_equal(units_parse_size("512m", any, &got, &e), -EINVAL);
    assert_int_equal(units_parse_count("5K", any, &got, &e), -EINVAL);
    assert_true(got == 77);
}

static void limits_are_inclusive_and_named(void **state)
{
    static const struct units_range range = { 20000000, 60000000000 };
    struct err e;
    uint64_t got;

    (void)state;
    assert_int_equal(units_parse_time("20ms", range, &got, &e), 0);
    assert_int_equal(units_parse_time("1min", range, &got, &e), 0);
    assert_int_equal(units_parse_time("19ms", range, &got, &e), -ERANGE);
    assert_string_equal(e.text, "\"19ms\" is out of range: 20ms to 1min");
    assert_int_equal(units_parse_time("61s", range, &got, &e), -ERANGE);
    assert_int_equal(units_parse_time("0", range, &got, &e), -ERANGE);
}

static void what_does_not_fit_64_bits_is_refused(void **state)
{
    struct err e;
    uint64_t got;

    (void)state;
    assert_int_equal(units_parse_count("18446744073709551615", any, &got, &e), 0);
    assert_true(got == UINT64_MAX);
    assert_int_equal(units_parse_count("18446744073709551616", any, &got, &e), -ERANGE);
    assert_int_equal(units_parse_size("16777216T", any, &got, &e), -ERANGE);
    assert_int_equal(units_parse_time("99999999999999999999999s", any, &got, &e), -ERANGE);
}

static void what_is_written_is_read_back(void **state)
{
    static const uint64_t values[] = { 0, 1, 999, 1000, 1024, 1025, 25000000, UINT64_C(512) << 20,
                                       UINT64_MAX, UINT64_C(1) << 63, 60000000000 };
    char text[UNITS_TEXT_MAX];
    struct err e;
    uint64_t got;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        assert_int_equal(units_parse_size(units_put_size(text, values[i]), any, &got, &e), 0);
        assert_true(got == values[i]);
        assert_int_equal(units_parse_time(units_put_time(text, values[i]), any, &got, &e), 0);
        assert_true(got == values[i]);
    }
    assert_string_equal(units_put_time(text, 25000000), "25ms");
    assert_string_equal(units_put_size(text, UINT64_C(512) << 20), "512M");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suffix_has_its_factor),
        cmocka_unit_test(a_number_without_its_unit_is_refused),
        cmocka_unit_test(limits_are_inclusive_and_named),
        cmocka_unit_test(what_does_not_fit_64_bits_is_refused),
        cmocka_unit_test(what_is_written_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* err_test — one error contract: what err_set and err_wrap leave behind. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void set_returns_the_negative_code_and_keeps_the_positive(void **state UNUSED)
{
    struct err e = { 0 };

    assert_int_equal(err_set(&e, EPROTO, "record %u of %s", 7u, "web1"), -EPROTO);
    assert_int_equal(e.code, EPROTO);
    assert_string_equal(e.text, "record 7 of web1");
}

static void percent_m_speaks_of_the_code_given_not_of_the_last_call(void **state UNUSED)
{
    struct err e = { 0 };

    errno = EINTR;
    err_set(&e, ENOENT, "open x: %m");
    assert_string_equal(e.text, "open x: No such file or directory");
}

static void wrap_puts_the_outer_story_before_the_inner(void **state UNUSED)
{
    struct err e = { 0 };

    err_set(&e, EPROTO, "length 3");
    assert_int_equal(err_wrap(&e, "record %d", 2), -EPROTO);
    assert_int_equal(err_wrap(&e, "receive %s", "web1"), -EPROTO);
    assert_string_equal(e.text, "receive web1: record 2: length 3");
}

static void set_starts_the_story_anew(void **state UNUSED)
{
    struct err e = { 0 };

    err_set(&e, EPROTO, "a long first text");
    err_set(&e, EIO, "short");
    assert_int_equal(e.code, EIO);
    assert_string_equal(e.text, "short");
}

static void texts_of_any_length_are_cut_and_never_pass_their_end(void **state UNUSED)
{
    struct {
        struct err e;
        char guard[16];
    } box;
    char inner[2 * ERR_TEXT_MAX], outer[2 * ERR_TEXT_MAX];

    for (size_t i = 0; i < sizeof(inner); i += 7)
        for (size_t o = 0; o < sizeof(outer); o += 13) {
            size_t kept = i < ERR_TEXT_MAX ? i : ERR_TEXT_MAX - 1;

            memset(&box, 0x5a, sizeof(box));
            memset(inner, 'i', sizeof(inner));
            memset(outer, 'o', sizeof(outer));
            inner[i] = outer[o] = '\0';
            err_set(&box.e, EIO, "%s", inner);
            assert_int_equal(strlen(box.e.text), kept);
            err_wrap(&box.e, "%s", outer);
            assert_int_equal(box.e.code, EIO);
            assert_true(strnlen(box.e.text, ERR_TEXT_MAX) < ERR_TEXT_MAX);
            if (o + 2 + kept < ERR_TEXT_MAX)
                assert_int_equal(strlen(box.e.text), o + 2 + kept);
            for (size_t g = 0; g < sizeof(box.guard); g++)
                assert_int_equal(box.guard[g], 0x5a);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_the_negative_code_and_keeps_the_positive),
        cmocka_unit_test(percent_m_speaks_of_the_code_given_not_of_the_last_call),
        cmocka_unit_test(wrap_puts_the_outer_story_before_the_inner),
        cmocka_unit_test(set_starts_the_story_anew),
        cmocka_unit_test(texts_of_any_length_are_cut_and_never_pass_their_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tap_test — a guest's words as Ethernet frames, and back. */
#include "replicator/domain/tap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void words_go_to_everybody_and_come_back(UNUSED void **state)
{
    uint8_t words[64], frame[TAP_FRAME_MAX];
    const uint8_t *back;
    size_t bytes = 0;

    for (unsigned i = 0; i < sizeof(words); i++)
        words[i] = (uint8_t)i;
    assert_int_equal(tap_frame_put(frame, words, sizeof(words)), 78);
    assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff\x02\x08\x09\x0a\x0b\x0c\x88\xb5", 14);
    back = tap_frame_get(frame, 78, &bytes);
    assert_non_null(back);
    assert_int_equal(bytes, sizeof(words));
    assert_memory_equal(back, words, sizeof(words));
}

static void frames_of_others_are_not_for_the_guest(UNUSED void **state)
{
    uint8_t frame[60] = { [12] = 0x08 };
    size_t bytes;

    assert_null(tap_frame_get(frame, sizeof(frame), &bytes));
    assert_null(tap_frame_get(frame, 14, &bytes));
    assert_null(tap_frame_get(frame, 0, &bytes));
}

static void words_too_long_for_a_frame_are_no_frame(UNUSED void **state)
{
    static const uint8_t words[TAP_FRAME_MAX];
    uint8_t frame[TAP_FRAME_MAX];

    assert_int_equal(tap_frame_put(frame, words, sizeof(words)), 0);
    assert_int_equal(tap_frame_put(frame, words, sizeof(words) - 14), sizeof(frame));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_go_to_everybody_and_come_back),
        cmocka_unit_test(frames_of_others_are_not_for_the_guest),
        cmocka_unit_test(words_too_long_for_a_frame_are_no_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

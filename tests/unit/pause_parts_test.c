/* pause_parts — a pause is one value of each part, however many pieces the part was done in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/attr.h"
#include "replicator/engine/pause_parts.h"

static struct pause_parts parts;

static void pieces_of_a_part_are_one_value_of_a_pause(UNUSED void **state)
{
    memset(&parts, 0, sizeof(parts));
    pause_parts_add(&parts, PAUSE_COPY, 30);
    pause_parts_add(&parts, PAUSE_COPY, 12);
    assert_int_equal(parts.ns[PAUSE_COPY].count, 0); /* the pause goes on */
    pause_parts_end(&parts);
    assert_int_equal(parts.ns[PAUSE_COPY].count, 1);
    assert_int_equal(parts.ns[PAUSE_COPY].max, 42);
}

static void a_part_that_a_pause_did_not_have_took_no_time(UNUSED void **state)
{
    memset(&parts, 0, sizeof(parts));
    pause_parts_add(&parts, PAUSE_STATE, 7);
    pause_parts_end(&parts);
    pause_parts_end(&parts);
    assert_int_equal(parts.ns[PAUSE_STATE].count, 2);
    assert_int_equal(parts.ns[PAUSE_STATE].sum, 7);
    assert_int_equal(parts.ns[PAUSE_MARK].count, 2);
    assert_int_equal(parts.ns[PAUSE_MARK].sum, 0);
}

static void every_part_has_a_name_of_its_own(UNUSED void **state)
{
    for (unsigned a = 0; a < PAUSE_PARTS; a++)
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(pause_part_name((enum pause_part)a), pause_part_name((enum pause_part)b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_a_part_are_one_value_of_a_pause),
        cmocka_unit_test(a_part_that_a_pause_did_not_have_took_no_time),
        cmocka_unit_test(every_part_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* output — how much room held output gets, and what frames that found none make of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "netbuf/netbuf_plug.h"
#include "replicator/daemon/output.h"

static void the_limit_is_what_the_rate_makes_of_interval_and_round_trip_twice(UNUSED void **state)
{
    assert_int_equal(netbuf_plug_limit(1000000, 300 * NS_PER_MS, 200 * NS_PER_MS), 1000000);
    assert_int_equal(netbuf_plug_limit(125000000, 25 * NS_PER_MS, 5 * NS_PER_MS), 7500000);
    assert_int_equal(netbuf_plug_limit(0, NS_PER_S, NS_PER_S), NETBUF_PLUG_LIMIT_LEAST);
    assert_int_equal(netbuf_plug_limit(1, 1, 1), NETBUF_PLUG_LIMIT_LEAST);
    assert_int_equal(netbuf_plug_limit(UINT64_MAX, UINT64_MAX / 2, UINT64_MAX / 2), NETBUF_PLUG_LIMIT_MOST);
}

static void auto_grows_with_the_time_that_output_is_held_within_bounds(UNUSED void **state)
{
    /* 10 Gbit/s: 25 ms and a commit of 15 ms, twice, are 100 MB. */
    assert_int_equal(output_limit(25 * NS_PER_MS, 15 * NS_PER_MS), 100000000);
    assert_int_equal(output_limit(25 * NS_PER_MS, 0), output_limit(25 * NS_PER_MS, 25 * NS_PER_MS));
    assert_int_equal(output_limit(0, 1), OUTPUT_LIMIT_LEAST);
    assert_int_equal(output_limit(NS_PER_S, NS_PER_S), OUTPUT_LIMIT_MOST);
}

static void an_overflow_lasts_until_nothing_was_lost_for_a_while(UNUSED void **state)
{
    struct output o = { .dropped = 0 };
    struct netbuf_stats s = { .limit_bytes = 65536 };
    const uint64_t lost_at = 3 * NS_PER_S;

    assert_false(output_count(&o, &s, NS_PER_S));
    assert_string_equal(o.overflow, "");
    s.dropped_frames = 7;
    assert_true(output_count(&o, &s, 2 * NS_PER_S));
    assert_non_null(strstr(o.overflow, "7 frames"));
    assert_non_null(strstr(o.overflow, "65536 octets"));
    s.dropped_frames = 9;
    assert_false(output_count(&o, &s, lost_at));
    assert_non_null(strstr(o.overflow, "9 frames"));
    assert_false(output_count(&o, &s, lost_at + OUTPUT_CALM_NS - 1));
    assert_true(output_count(&o, &s, lost_at + OUTPUT_CALM_NS));
    assert_string_equal(o.overflow, "");
    s.dropped_frames = 3; /* a counter that began anew is no loss */
    assert_false(output_count(&o, &s, 20 * NS_PER_S));
    s.dropped_frames = 4;
    assert_true(output_count(&o, &s, 21 * NS_PER_S));
    assert_non_null(strstr(o.overflow, "1 frames")); /* of this overflow */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_is_what_the_rate_makes_of_interval_and_round_trip_twice),
        cmocka_unit_test(auto_grows_with_the_time_that_output_is_held_within_bounds),
        cmocka_unit_test(an_overflow_lasts_until_nothing_was_lost_for_a_while),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

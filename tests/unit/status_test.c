/* status — what is amiss with the output is in the object and in the words, by name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "replicator/stats/openmetrics.h"
#include "replicator/stats/status_json.h"
#include "replicator/stats/status_words.h"

static const struct histogram none;
static struct pause_parts parts;

static json_t *status_of(const char *degraded, bool is_whole)
{
    static const struct guest_info guest = { .name = "web1" };
    static const struct netbuf_port ports[] = { { "vif7.0", "holding", 3, 400, 50, 6 },
                                                { "vif7.1", "gone", 0, 0, 0, 0 } };
    const struct primary_facts facts = { .guest = &guest, .holds_output = true, .hold_ns = &none, .last_loss = "",
                                         .degraded = degraded, .ports = ports, .port_count = 2 };
    struct primary_status s = {
        .state = P_READY,
        .is_held = true,
        .netbuf = { .held_frames = 3, .held_bytes = 400, .dropped_frames = 6, .lost_frames = 2,
                    .limit_bytes = 65536 },
        .output = { .is_whole = is_whole, .troubles = 4, .newest = "vif7.1 was unplugged" },
        .pause_ns = &none, .commit_ns = &none, .gap_ns = &none, .pause_parts = &parts,
    };

    strcpy(s.output.degraded, degraded);
    return status_json_primary(&s, &facts);
}

/* What is printed of an object. */
static const char *printed(void (*print)(FILE *to, const json_t *what), const json_t *what)
{
    static char text[16384];
    FILE *to = fmemopen(text, sizeof(text), "w");

    assert_non_null(to);
    print(to, what);
    fclose(to);
    return text;
}

static const char *words_of(const json_t *status)
{
    return printed(status_words, status);
}

static void every_interface_is_listed_with_what_it_holds_and_lost(UNUSED void **state)
{
    json_t *o = status_of("", true), *netbuf = json_object_get(o, "netbuf"), *ports;
    const char *words;

    ports = json_object_get(netbuf, "interfaces");
    assert_int_equal(json_array_size(ports), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(ports, 1), "state")), "gone");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(ports, 0), "dropped")), 6);
    assert_int_equal(json_integer_value(json_object_get(netbuf, "lost")), 2);
    assert_int_equal(json_integer_value(json_object_get(netbuf, "limit_bytes")), 65536);
    assert_true(json_is_null(json_object_get(o, "degraded")));
    words = words_of(o);
    assert_non_null(strstr(words, "vif7.0     holding, 3 frames (400 octets) held, 6 dropped"));
    assert_non_null(strstr(words, "4, the newest: vif7.1 was unplugged"));
    assert_null(strstr(words, "DEGRADED"));
    json_decref(o);
}

static void a_degrade_is_named_and_output_that_is_not_held_says_why(UNUSED void **state)
{
    json_t *o = status_of("interface vif7.1 is unplugged", true);

    assert_string_equal(json_string_value(json_object_get(o, "degraded")), "interface vif7.1 is unplugged");
    assert_non_null(strstr(words_of(o), "DEGRADED   interface vif7.1 is unplugged"));
    json_decref(o);
    o = status_of("vif7.1 has filters", false);
    assert_string_equal(json_string_value(json_object_get(o, "reason")),
                        "not all output is held: vif7.1 has filters");
    json_decref(o);
}

static void the_parts_of_a_pause_are_named_in_their_order(UNUSED void **state)
{
    json_t *o, *status;

    pause_parts_add(&parts, PAUSE_SUSPEND, 2000000);
    pause_parts_end(&parts);
    status = status_of("", true);
    o = json_object_get(status, "pause_parts_us");
    assert_int_equal(json_object_size(o), PAUSE_PARTS);
    assert_true(json_real_value(json_object_get(json_object_get(o, "suspend"), "max")) == 2000.0);
    assert_non_null(strstr(words_of(status), "of it    suspend 2.00, mark 0.00, log 0.00, copy 0.00, state "
                                             "0.00, resume 0.00 ms (p50)\n"));
    json_decref(status);
}

static const char *metrics_of(const json_t *list)
{
    return printed(openmetrics_print, list);
}

static void metrics_have_one_family_each_with_all_domains_and_interfaces(UNUSED void **state)
{
    json_t *list = json_pack("[o, o, {s:s, s:s, s:b, s:i}]", status_of("vif7.1 has filters", false),
                             status_of("", true), "domain", "we\"b", "role", "backup", "ready", 1, "epochs", 9);
    const char *text = metrics_of(list), *dropped;

    assert_non_null(strstr(text, "# TYPE replicator_netbuf_dropped_frames counter\n"));
    dropped = strstr(text, "replicator_netbuf_dropped_frames_total{domain=\"web1\",role=\"primary\"} 6\n");
    assert_non_null(dropped);
    assert_non_null(strstr(dropped + 1, "replicator_netbuf_dropped_frames_total{domain=\"web1\""));
    assert_null(strstr(strstr(text, "# TYPE replicator_netbuf_dropped_frames") + 1,
                       "# TYPE replicator_netbuf_dropped_frames"));
    assert_non_null(strstr(text, "replicator_degraded{domain=\"web1\",role=\"primary\"} 1\n"));
    assert_non_null(strstr(text, "replicator_degraded{domain=\"web1\",role=\"primary\"} 0\n"));
    assert_non_null(strstr(text, "replicator_ready{domain=\"we\\\"b\",role=\"backup\"} 1\n"));
    assert_non_null(strstr(text, "replicator_interface_held_bytes{domain=\"web1\",role=\"primary\","
                                 "interface=\"vif7.0\"} 400\n"));
    assert_null(strstr(text, "announced_rounds")); /* nobody has it: no family without a sample */
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    json_decref(list);
}

static void nothing_at_all_is_valid_text_too(UNUSED void **state)
{
    json_t *list = json_array();

    assert_string_equal(metrics_of(list), "# EOF\n");
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_interface_is_listed_with_what_it_holds_and_lost),
        cmocka_unit_test(a_degrade_is_named_and_output_that_is_not_held_says_why),
        cmocka_unit_test(the_parts_of_a_pause_are_named_in_their_order),
        cmocka_unit_test(metrics_have_one_family_each_with_all_domains_and_interfaces),
        cmocka_unit_test(nothing_at_all_is_valid_text_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* guest_sim_spec_test — the command line's words for a simulated guest. */
#include "checkpoint/sim/guest_sim_spec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/rng.h"

static struct err e;
static struct guest_sim_spec spec;

static void a_bare_name_takes_every_default(void **state)
{
    (void)state;
    assert_int_equal(guest_sim_spec_parse("sim:web1", &spec, &e), 0);
    assert_string_equal(spec.name, "web1");
    assert_true(spec.mib == 64 && spec.vcpus == 1 && spec.bytes == 64 && spec.steps == 0);
    assert_int_equal(spec.workload, GUEST_SIM_counter);
    assert_false(guest_sim_spec_has_nic(&spec));
}

static void every_key_is_understood(void **state)
{
    (void)state;
    assert_int_equal(guest_sim_spec_parse("sim:web1?mib=256&workload=kv&dirty=2000&bytes=100&vcpus=2"
                                          "&seed=7&steps=9&frames=3&burst=5&nic=udp:127.0.0.1:9000",
                                          &spec, &e), 0);
    assert_true(spec.mib == 256 && spec.dirty == 2000 && spec.bytes == 100 && spec.vcpus == 2 &&
                spec.seed == 7 && spec.steps == 9 && spec.frames == 3 && spec.burst == 5);
    assert_int_equal(spec.workload, GUEST_SIM_kv);
    assert_string_equal(spec.nic, "udp:127.0.0.1:9000");
    assert_true(guest_sim_spec_has_nic(&spec));
    assert_int_equal(guest_sim_spec_parse("sim:a?nic=tap:vif-7.0_a", &spec, &e), 0);
    assert_true(guest_sim_spec_has_nic(&spec));
    assert_int_equal(guest_sim_spec_parse("sim:a?workload=tcp&nic=tap:t&ip=10.0.0.7", &spec, &e), 0);
    assert_memory_equal(spec.ip, "\x0a\0\0\x07", 4);
    assert_int_equal(guest_sim_spec_parse("sim:a?dirty=max&nic=udp:[::1]:1", &spec, &e), 0);
    assert_true(spec.dirty == GUEST_SIM_DIRTY_MAX);
}

static void what_is_wrong_is_refused_by_name(void **state)
{
    static const struct { const char *text, *says; } wrong[] = {
        { "web1", "sim:" },
        { "sim:", "name" },
        { "sim:a b", "name" },
        { "sim:a/b", "name" },
        { "sim:a?", "key=value" },
        { "sim:a?mib", "key=value" },
        { "sim:a?color=red", "color" },
        { "sim:a?mib=15", "mib" },
        { "sim:a?mib=16385", "mib" },
        { "sim:a?mib=", "mib" },
        { "sim:a?mib=-20", "mib" },
        { "sim:a?mib=+20", "mib" },
        { "sim:a?mib= 20", "mib" },
        { "sim:a?mib=20x", "mib" },
        { "sim:a?mib=max", "mib" },
        { "sim:a?mib=20&mib=20", "mib" },
        { "sim:a?workload=kv&workload=kv", "workload" },
        { "sim:a?workload=", "workload" },
        { "sim:a?nic=none&nic=none", "nic" },
        { "sim:a?bytes=0", "bytes" },
        { "sim:a?bytes=4097", "bytes" },
        { "sim:a?vcpus=9", "vcpus" },
        { "sim:a?vcpus=0", "vcpus" },
        { "sim:a?seed=18446744073709551616", "seed" },
        { "sim:a?dirty=1e6", "dirty" },
        { "sim:a?run=0", "run" },
        { "sim:a?nic=", "nic" },
        { "sim:a?nic=u", "nic" },
        { "sim:a?nic=tap:", "nic" },
        { "sim:a?nic=tap:sixteen-octets-x", "nic" },
        { "sim:a?nic=tap:a/b", "nic" },
        { "sim:a?nic=udp:", "nic" },
        { "sim:a?nic=udp:9000", "nic" },
        { "sim:a?nic=udp::9000", "nic" },
        { "sim:a?nic=udp:h:0", "nic" },
        { "sim:a?nic=udp:h:65536", "nic" },
        { "sim:a?nic=udp:h:9?x", "nic" },
        { "sim:a?ip=10.0.0", "ip" },
        { "sim:a?ip=10.0.0.7&ip=10.0.0.7", "ip" },
        { "sim:a?workload=tcp", "ip=A.B.C.D" },
        { "sim:a?workload=tcp&ip=10.0.0.7&nic=udp:h:9", "nic=tap:NAME" },
    };
    char text[2048];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        memset(&e, 0, sizeof(e));
        assert_int_equal(guest_sim_spec_parse(wrong[i].text, &spec, &e), -EINVAL);
        assert_non_null(strstr(e.text, wrong[i].says));
    }
    memset(text, 'a', sizeof(text));
    memcpy(text, "sim:", 4);
    text[4 + GUEST_NAME_MAX + 1] = '\0';
    assert_int_equal(guest_sim_spec_parse(text, &spec, &e), -EINVAL);
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(guest_sim_spec_parse(text, &spec, &e), -EINVAL);
}

static void canonical_text_parses_to_itself(void **state)
{
    char text[GUEST_SPEC_MAX + 1], again[GUEST_SPEC_MAX + 1];
    struct rng rng;

    (void)state;
    rng_seed(&rng, 1);
    assert_int_equal(guest_sim_spec_parse("sim:x.y-z_0", &spec, &e), 0);
    for (unsigned i = 0; i < 1000; i++) {
        spec.mib = 16 + rng_below(&rng, 16369);
        spec.dirty = i % 5 ? rng_below(&rng, 100000) : GUEST_SIM_DIRTY_MAX;
        spec.seed = rng_next(&rng);
        spec.steps = rng_next(&rng);
        store_u32(spec.ip, 0x0700000au + ((uint32_t)rng_below(&rng, 256) << 16)); /* never none */
        spec.workload = (enum guest_sim_workload)rng_below(&rng, GUEST_SIM_WORKLOAD_COUNT);
        guest_sim_spec_format(&spec, text);
        assert_int_equal(guest_sim_spec_parse(text, &spec, &e), 0);
        guest_sim_spec_format(&spec, again);
        assert_string_equal(text, again);
    }
}

static void the_uuid_depends_on_name_and_seed_only(void **state)
{
    uint8_t a[16], b[16];

    (void)state;
    assert_int_equal(guest_sim_spec_parse("sim:web1?seed=1", &spec, &e), 0);
    guest_sim_spec_uuid(&spec, a);
    assert_int_equal(guest_sim_spec_parse("sim:web1?seed=1&mib=20", &spec, &e), 0);
    guest_sim_spec_uuid(&spec, b);
    assert_memory_equal(a, b, 16);
    assert_int_equal(guest_sim_spec_parse("sim:web1?seed=2", &spec, &e), 0);
    guest_sim_spec_uuid(&spec, b);
    assert_memory_not_equal(a, b, 16);
    assert_int_equal(guest_sim_spec_parse("sim:web2?seed=1", &spec, &e), 0);
    guest_sim_spec_uuid(&spec, b);
    assert_memory_not_equal(a, b, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_name_takes_every_default),
        cmocka_unit_test(every_key_is_understood),
        cmocka_unit_test(what_is_wrong_is_refused_by_name),
        cmocka_unit_test(canonical_text_parses_to_itself),
        cmocka_unit_test(the_uuid_depends_on_name_and_seed_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

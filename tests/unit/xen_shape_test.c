/* xen_shape_test — a domain's shape survives the wire, and a peer's nonsense is refused. */
#include "checkpoint/xen_shape.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CONFIG "{\"c_info\":{\"type\":\"pvh\",\"name\":\"web1\"},\"disks\":[],\"x\":1.5}"

static struct xen_shape any_shape(void)
{
    struct xen_shape s = { .name = "web1", .type = XEN_pvh, .pages = 1044480, .max_memkb = 132096,
                           .tot_pages = 32784, .vcpus = 2, .xen_major = 4, .xen_minor = 17,
                           .config = CONFIG };

    for (unsigned i = 0; i < 16; i++)
        s.uuid[i] = (uint8_t)(i * 17);
    return s;
}

static void what_is_formatted_parses_to_the_same(void **state)
{
    struct xen_shape s = any_shape(), got;
    char text[GUEST_SPEC_MAX + 1], again[GUEST_SPEC_MAX + 1];
    struct err e;

    (void)state;
    for (unsigned type = 0; type < XEN_TYPE_COUNT; type++) {
        s.type = (enum xen_type)type;
        assert_int_equal(xen_shape_format(&s, text, &e), 0);
        assert_int_equal(xen_shape_parse(text, &got, &e), 0);
        assert_int_equal(xen_shape_format(&got, again, &e), 0);
        assert_string_equal(text, again);
        assert_string_equal(got.name, "web1");
        assert_memory_equal(got.uuid, s.uuid, 16);
        assert_int_equal(got.type, type);
        assert_int_equal(got.pages, 1044480);
        assert_int_equal(got.max_memkb, 132096);
        assert_int_equal(got.vcpus, 2);
        assert_string_equal(got.config, CONFIG);
    }
}

static void text_on_the_wire_is_printable_whatever_the_configuration_says(void **state)
{
    struct xen_shape s = any_shape(), got;
    char text[GUEST_SPEC_MAX + 1];
    struct err e;

    (void)state;
    strcpy(s.config, "{\"cmdline\":\"caf\xc3\xa9\\n\\t\"}");
    assert_int_equal(xen_shape_format(&s, text, &e), 0);
    for (const char *at = text; *at; at++)
        assert_true(*at >= ' ' && *at <= '~');
    assert_int_equal(xen_shape_parse(text, &got, &e), 0);
}

static void a_configuration_that_is_too_long_is_refused_with_its_length(void **state)
{
    struct xen_shape s = any_shape();
    char text[GUEST_SPEC_MAX + 1];
    struct err e;

    (void)state;
    memset(s.config, 'a', GUEST_SPEC_MAX);
    memcpy(s.config, "{\"k\":\"", 6);
    memcpy(s.config + GUEST_SPEC_MAX - 2, "\"}", 3);
    assert_int_equal(xen_shape_format(&s, text, &e), -E2BIG);
    assert_non_null(strstr(e.text, "at most 16384"));
    strcpy(s.config, "[]");
    assert_int_equal(xen_shape_format(&s, text, &e), -EINVAL);
}

/* The text with one piece replaced by another. */
static void spoil(char *to, const char *from, const char *what, const char *by)
{
    const char *at = strstr(from, what);

    assert_non_null(at);
    sprintf(to, "%.*s%s%s", (int)(at - from), from, by, at + strlen(what));
}

static void each_field_is_checked(void **state)
{
    static const struct { const char *what, *by, *named; } cases[] = {
        { "xen:", "sim:", "not a Xen" },
        { "{\"name\"", "[{\"name\"", "no JSON object" },
        { "\"web1\"", "\"\"", "name" },
        { "\"00112233-", "\"0011223-", "uuid" },
        { "\"00112233-", "\"g0112233-", "uuid" },
        { "\"pvh\"", "\"pv\"", "type" },
        { "1044480", "0", "pages" },
        { "1044480", "4294967297", "pages" },
        { "1044480", "\"1\"", "pages" },
        { "132096", "-1", "max_memkb" },
        { "\"vcpus\":2", "\"vcpus\":0", "vcpus" },
        { "\"vcpus\":2", "\"vcpus\":4097", "vcpus" },
        { "\"vcpus\"", "\"cpus\"", "vcpus" },
        { "\"xen_minor\":17", "\"xen_minor\":1.7", "xen_minor" },
        { "\"config\":{", "\"other\":{", "config" },
    };
    struct xen_shape s = any_shape(), got;
    char text[GUEST_SPEC_MAX + 1], odd[GUEST_SPEC_MAX + 64];
    struct err e;

    (void)state;
    assert_int_equal(xen_shape_format(&s, text, &e), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        spoil(odd, text, cases[i].what, cases[i].by);
        assert_int_equal(xen_shape_parse(odd, &got, &e), -EPROTO);
        if (!strstr(e.text, cases[i].named))
            fail_msg("case %zu says: %s", i, e.text);
    }
}

static void a_uuid_has_one_form(void **state)
{
    static const char *const odd[] = { "", "00112233445566778899aabbccddeeff",
                                       "00112233-4455-6677-8899-aabbccddeef",
                                       "00112233-4455-6677-8899-aabbccddeeff0",
                                       "00112233-4455-6677-8899_aabbccddeeff" };
    uint8_t uuid[16];
    char text[XEN_UUID_TEXT];

    (void)state;
    assert_int_equal(xen_uuid_parse("00112233-4455-6677-8899-AABBccddeeff", uuid), 0);
    xen_uuid_format(uuid, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        assert_int_equal(xen_uuid_parse(odd[i], uuid), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_formatted_parses_to_the_same),
        cmocka_unit_test(text_on_the_wire_is_printable_whatever_the_configuration_says),
        cmocka_unit_test(a_configuration_that_is_too_long_is_refused_with_its_length),
        cmocka_unit_test(each_field_is_checked),
        cmocka_unit_test(a_uuid_has_one_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

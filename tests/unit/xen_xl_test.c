/* xen_xl_test — what `xl list -l` shows, taken for what it is. */
#include "checkpoint/xen_xl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void the_configuration_is_the_object_within(void **state)
{
    static const char *const listings[] = {
        "[\n {\n \"domid\": 1,\n \"config\": { \"c_info\": { \"name\": \"web1\" } }\n }\n]\n",
        "{ \"domid\": 1, \"config\": { \"c_info\": { \"name\": \"web1\" } } }",
    };
    char config[128];
    struct err e;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(xen_xl_config_of(listings[i], config, sizeof(config) - 1, &e), 0);
        assert_string_equal(config, "{\"c_info\":{\"name\":\"web1\"}}");
    }
}

static void a_listing_without_one_is_refused(void **state)
{
    static const char *const listings[] = { "", "[]", "[{}]", "{\"config\": 1}", "[{\"config\": {}" };
    char config[128];
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof(listings) / sizeof(listings[0]); i++)
        assert_int_equal(xen_xl_config_of(listings[i], config, sizeof(config) - 1, &e), -EPROTO);
    assert_int_equal(xen_xl_config_of("{\"config\":{\"a\":1}}", config, 6, &e), -E2BIG);
    assert_int_equal(xen_xl_config_of("{\"config\":{\"a\":1}}", config, 7, &e), 0);
}

static void devices_that_are_passed_through_are_refused_by_name(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(xen_xl_check_devices("{\"nics\":[{}],\"pcidevs\":[]}", &e), 0);
    assert_int_equal(xen_xl_check_devices("{\"pcidevs\":[{\"dev\":3}]}", &e), -EOPNOTSUPP);
    assert_non_null(strstr(e.text, "pcidevs"));
    assert_int_equal(xen_xl_check_devices("{\"usbdevs\":[{}]}", &e), -EOPNOTSUPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_is_the_object_within),
        cmocka_unit_test(a_listing_without_one_is_refused),
        cmocka_unit_test(devices_that_are_passed_through_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

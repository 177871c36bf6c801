/* announcing — which interfaces are announced for a domain, and what is refused at the start. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/attr.h"
#include "base/clock.h"
#include "replicator/daemon/announcing.h"

static unsigned one_port(UNUSED const struct domain *d, struct announce_port *ret)
{
    memset(ret, 0, sizeof(*ret));
    strcpy(ret->interface, "vif7.0");
    return 1;
}

static const struct domain_ops fake_ops = { .kind = "fake", .ports = one_port };
static const struct domain fake = { .ops = &fake_ops };

static void a_domain_has_its_own_interfaces_and_those_that_name_it(UNUSED void **state)
{
    const struct option_list texts = { 3, { "web1:br0=52:54:00:00:00:01", "web10:br0=52:54:00:00:00:02",
                                            "web1:br1=52:54:00:00:00:03=10.0.0.7" } };
    struct announcing a;
    struct err e;

    assert_int_equal(announcing_check(&texts, &e), 0);
    announcing_begin(&a, &fake, &texts, "web1", 5);
    assert_int_equal(a.announcer.count, 3);
    assert_string_equal(a.announcer.ports[0].interface, "vif7.0");
    assert_string_equal(a.announcer.ports[1].interface, "br0");
    assert_string_equal(a.announcer.ports[2].interface, "br1");
    assert_int_equal(announcing_deadline(&a), 5);
    announcing_begin(&a, &fake, &texts, "db", 5);
    assert_int_equal(a.announcer.count, 1);
}

static void nothing_is_due_before_a_guest_runs_here(UNUSED void **state)
{
    static const struct announcing none;

    assert_int_equal(announcing_deadline(&none), TIME_NEVER);
}

static void a_text_without_domain_interface_and_mac_is_refused(UNUSED void **state)
{
    static const char *const wrong[] = { "br0=52:54:00:00:00:01", ":br0=52:54:00:00:00:01", "web1:",
                                         "web1:br0", "web1:br0=nobody", "web1" };
    struct option_list texts = { .count = 1 };
    struct err e;

    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        texts.all[0] = wrong[i];
        assert_int_equal(announcing_check(&texts, &e), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_domain_has_its_own_interfaces_and_those_that_name_it),
        cmocka_unit_test(nothing_is_due_before_a_guest_runs_here),
        cmocka_unit_test(a_text_without_domain_interface_and_mac_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

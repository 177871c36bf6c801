/* xen_config_test — what a host must have is read from libxl's configuration, and nonsense is refused. */
#include "checkpoint/xen_config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define C_INFO "\"c_info\":{\"type\":\"pvh\",\"domid\":7,\"name\":\"web1\",\"uuid\":\"x\"}"
#define B_INFO "\"b_info\":{\"max_memkb\":131072,\"target_memkb\":131072,\"video_memkb\":8192,\"shadow_memkb\":2048}"
#define NIC    "{\"devid\":0,\"mac\":\"00:16:3e:0a:0B:0c\",\"bridge\":\"xenbr0\",\"ip\":\"10.0.0.7 fd00::7\"}"
#define WITH(more) "{" C_INFO "," B_INFO more "}"

static struct xen_config read_well(const char *json)
{
    struct xen_config c;
    struct err e = { 0 };

    if (xen_config_read(json, &c, &e) < 0)
        fail_msg("%s", e.text);
    return c;
}

static void assert_refused(const char *json, const char *words)
{
    struct xen_config c;
    struct err e = { 0 };

    assert_int_equal(xen_config_read(json, &c, &e), -EPROTO);
    if (!strstr(e.text, words))
        fail_msg("\"%s\" does not say \"%s\"", e.text, words);
}

static void interfaces_have_mac_bridge_and_addresses(void **state)
{
    static const uint8_t mac[6] = { 0x00, 0x16, 0x3e, 0x0a, 0x0b, 0x0c };
    struct xen_config c = read_well(WITH(",\"nics\":[" NIC ",{\"mac\":\"00:16:3e:00:00:01\"}]"));

    (void)state;
    assert_int_equal(c.vif_count, 2);
    assert_memory_equal(c.vifs[0].mac, mac, 6);
    assert_string_equal(c.vifs[0].bridge, "xenbr0");
    assert_string_equal(c.vifs[0].addresses, "10.0.0.7 fd00::7");
    assert_string_equal(c.vifs[1].bridge, "");
}

static void only_disks_of_this_host_are_looked_for(void **state)
{
    struct xen_config c = read_well(WITH(
        ",\"disks\":[{\"pdev_path\":\"/dev/vg/web1\",\"vdev\":\"xvda\",\"backend\":\"phy\",\"format\":\"raw\"},"
        "{\"pdev_path\":\"/srv/b.qcow2\",\"vdev\":\"xvdb\",\"backend\":\"qdisk\",\"format\":\"qcow2\"},"
        "{\"vdev\":\"hdc\",\"format\":\"empty\"},"
        "{\"pdev_path\":\"web1\",\"vdev\":\"xvdd\",\"script\":\"block-drbd\"},"
        "{\"pdev_path\":\"/x\",\"vdev\":\"xvde\",\"backend_domname\":\"storage\"}]"));

    (void)state;
    assert_int_equal(c.disk_count, 2);
    assert_string_equal(c.disks[0].path, "/dev/vg/web1");
    assert_string_equal(c.disks[1].vdev, "xvdb");
    assert_string_equal(c.disks[1].path, "/srv/b.qcow2");
}

static void memory_is_the_guests_and_what_it_takes_besides(void **state)
{
    struct xen_config c = read_well(WITH(""));

    (void)state;
    assert_int_equal(c.ram_kb, 131072);
    assert_int_equal(c.memory_kb, 131072 + 8192 + 2048);
    assert_int_equal(c.vif_count + c.disk_count, 0);
}

static void nonsense_is_refused_by_its_key(void **state)
{
    (void)state;
    assert_refused("", "no JSON object");
    assert_refused("[]", "no JSON object");
    assert_refused("{" C_INFO "}", "b_info");
    assert_refused("{\"b_info\":{\"target_memkb\":0}}", "max_memkb");
    assert_refused("{\"b_info\":{\"max_memkb\":-1}}", "max_memkb");
    assert_refused("{\"b_info\":{\"max_memkb\":\"1\"}}", "max_memkb");
    assert_refused("{\"b_info\":{\"max_memkb\":99999999999999999}}", "max_memkb");
    assert_refused(WITH(",\"nics\":[{\"mac\":\"00:16:3e:00:00\"}]"), "MAC");
    assert_refused(WITH(",\"nics\":[{\"mac\":\"00:16:3e:00:00:01x\"}]"), "mac");
    assert_refused(WITH(",\"nics\":[{\"mac\":7}]"), "mac");
    assert_refused(WITH(",\"nics\":[{\"mac\":\"00:16:3e:00:00:01\",\"bridge\":\"../../etc\"}]"), "bridge");
    assert_refused(WITH(",\"nics\":[{\"mac\":\"00:16:3e:00:00:01\",\"bridge\":\"a-bridge-with-a-long-name\"}]"),
                   "bridge");
    assert_refused(WITH(",\"disks\":[{\"pdev_path\":[]}]"), "pdev_path");
}

static void more_devices_than_there_is_room_for_are_refused(void **state)
{
    static char json[64 << 10];
    size_t n = (size_t)sprintf(json, "{" B_INFO ",\"nics\":[");

    (void)state;
    for (unsigned i = 0; i <= XEN_VIFS_MAX; i++)
        n += (size_t)sprintf(json + n, "%s" NIC, i ? "," : "");
    strcpy(json + n, "]}");
    assert_refused(json, "at most 32");
    n = (size_t)sprintf(json, "{" B_INFO ",\"disks\":[");
    for (unsigned i = 0; i <= XEN_DISKS_MAX; i++)
        n += (size_t)sprintf(json + n, "%s{\"pdev_path\":\"/a\"}", i ? "," : "");
    strcpy(json + n, "]}");
    assert_refused(json, "at most 64");
}

static void the_shells_configuration_differs_in_name_and_number_only(void **state)
{
    char to[512];
    struct err e;

    (void)state;
    assert_int_equal(xen_config_rename("{" C_INFO ",\"disks\":[]}", "web1--replica", to, sizeof(to), &e), 0);
    assert_string_equal(to, "{\"c_info\":{\"type\":\"pvh\",\"name\":\"web1--replica\",\"uuid\":\"x\"},\"disks\":[]}");
    assert_int_equal(xen_config_rename("{" C_INFO "}", "web1--replica", to, 20, &e), -E2BIG);
    assert_int_equal(xen_config_rename("{}", "web1--replica", to, sizeof(to), &e), -EPROTO);
    assert_int_equal(xen_config_rename("not JSON", "web1--replica", to, sizeof(to), &e), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interfaces_have_mac_bridge_and_addresses),
        cmocka_unit_test(only_disks_of_this_host_are_looked_for),
        cmocka_unit_test(memory_is_the_guests_and_what_it_takes_besides),
        cmocka_unit_test(nonsense_is_refused_by_its_key),
        cmocka_unit_test(more_devices_than_there_is_room_for_are_refused),
        cmocka_unit_test(the_shells_configuration_differs_in_name_and_number_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* replica_xen_host_test — a host without what a domain needs is told so, in words, before protection
 * begins; and which stretches of a guest's memory are whole. */
#include "checkpoint/replica_xen_host.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "checkpoint/replica_xen_memory.h"

#define MIB_PAGES 256u

static void a_bridge_that_is_missing_is_named(void **state)
{
    struct xen_config c = { .vif_count = 1, .vifs = { { .bridge = "no-such-bridge" } } };
    struct err e;

    (void)state;
    assert_int_equal(replica_xen_check_devices(&c, &e), -ENODEV);
    assert_non_null(strstr(e.text, "no-such-bridge"));
    assert_null(strstr(e.text, "is not one"));
}

static void an_interface_that_is_no_bridge_is_told_apart(void **state)
{
    struct xen_config c = { .vif_count = 1, .vifs = { { .bridge = "lo" } } };
    struct err e;

    (void)state;
    assert_int_equal(replica_xen_check_devices(&c, &e), -ENODEV);
    assert_non_null(strstr(e.text, "is not one"));
}

static void interfaces_without_a_bridge_need_none(void **state)
{
    struct xen_config c = { .vif_count = 1 };
    struct err e;

    (void)state;
    assert_int_equal(replica_xen_check_devices(&c, &e), 0);
}

/* libxl serves a file by a loop device when it is told `backendtype=phy`, and when it is told nothing. */
static void a_disk_must_be_there_and_be_a_device_or_a_file_whatever_serves_it(void **state)
{
    static const char *const backends[] = { "", ",\"backend\":\"phy\"", ",\"backend\":\"qdisk\"" };
    char path[64], json[512];
    struct xen_config c;
    struct err e = { 0 };
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "/tmp/replica-disk-%d", (int)getpid());
    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
        snprintf(json, sizeof(json), "{\"b_info\":{\"max_memkb\":4},\"disks\":[{\"pdev_path\":\"%s\","
                 "\"vdev\":\"xvda\",\"format\":\"raw\"%s}]}", path, backends[i]);
        assert_int_equal(xen_config_read(json, &c, &e), 0);
        assert_int_equal(replica_xen_check_devices(&c, &e), -ENOENT);
        assert_non_null(strstr(e.text, "xvda"));
        assert_non_null(strstr(e.text, path));
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(replica_xen_check_devices(&c, &e), 0);
        unlink(path);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(replica_xen_check_devices(&c, &e), -ENOTBLK);
        assert_non_null(strstr(e.text, "neither"));
        rmdir(path);
    }
}

static void stretches_are_whole_below_the_hole_and_above_4_gib(void **state)
{
    const uint64_t gib = 1024 * MIB_PAGES;

    (void)state;
    assert_true(replica_xen_memory_is_whole(0, 128 * MIB_PAGES));
    assert_true(replica_xen_memory_is_whole(126 * MIB_PAGES, 128 * MIB_PAGES));
    assert_false(replica_xen_memory_is_whole(126 * MIB_PAGES, 127 * MIB_PAGES));
    assert_false(replica_xen_memory_is_whole(128 * MIB_PAGES, 128 * MIB_PAGES));
    assert_false(replica_xen_memory_is_whole(3 * gib, 8 * gib));
    assert_true(replica_xen_memory_is_whole(4 * gib, 8 * gib));
    assert_true(replica_xen_memory_is_whole(9 * gib - 2 * MIB_PAGES, 8 * gib));
    assert_false(replica_xen_memory_is_whole(9 * gib, 8 * gib));
    assert_false(replica_xen_memory_is_whole(4 * gib, 3 * gib));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bridge_that_is_missing_is_named),
        cmocka_unit_test(an_interface_that_is_no_bridge_is_told_apart),
        cmocka_unit_test(interfaces_without_a_bridge_need_none),
        cmocka_unit_test(a_disk_must_be_there_and_be_a_device_or_a_file_whatever_serves_it),
        cmocka_unit_test(stretches_are_whole_below_the_hole_and_above_4_gib),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

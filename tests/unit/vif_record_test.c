/* vif_record — what is written is read back, and nothing else is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netbuf/vif_record.h"

static struct vif_record sample(void)
{
    struct vif_record r = { .domain = "web-1.a", .uuid = { 1, 2, 0xfe }, .pid = 77, .started = 123456,
                            .mode = PLUG_HOLDING, .count = 2 };

    r.vifs[0] = (struct vif_record_row){ "vif7.0", "rp-vif7.0", 12, false };
    r.vifs[1] = (struct vif_record_row){ "vif7.1", "rp-vif7.1", 13, true };
    return r;
}

static void parse_undoes_format(UNUSED void **state)
{
    char text[VIF_RECORD_BYTES_MAX], again[VIF_RECORD_BYTES_MAX];
    struct vif_record r = sample(), back;
    size_t bytes = vif_record_format(&r, text);
    struct err e;

    assert_int_equal(vif_record_parse(text, bytes, &back, &e), 0);
    assert_int_equal(vif_record_format(&back, again), bytes);
    assert_memory_equal(again, text, bytes);
    assert_int_equal(back.mode, PLUG_HOLDING);
    assert_true(back.vifs[1].had_ingress);
    assert_string_equal(back.vifs[0].ifb, "rp-vif7.0");
}

static void the_longest_record_fits(UNUSED void **state)
{
    char text[VIF_RECORD_BYTES_MAX];
    struct vif_record r = sample(), back;
    struct err e;

    memset(r.domain, 'd', VIF_RECORD_NAME_MAX);
    r.count = VIF_RECORD_VIFS_MAX;
    for (unsigned i = 0; i < r.count; i++) {
        memset(r.vifs[i].name, 'n', IFNAMSIZ - 1);
        memset(r.vifs[i].ifb, 'i', IFNAMSIZ - 1);
        r.vifs[i].ifindex = 2147483647;
        r.vifs[i].had_ingress = true;
    }
    assert_int_equal(vif_record_parse(text, vif_record_format(&r, text), &back, &e), 0);
    assert_int_equal(back.count, VIF_RECORD_VIFS_MAX);
}

/* Every prefix of a record is no record, unless it ends with a whole row; no changed octet of the
 * first line passes. */
static void a_torn_or_changed_record_is_refused(UNUSED void **state)
{
    char text[VIF_RECORD_BYTES_MAX];
    struct vif_record r = sample(), back;
    size_t bytes = vif_record_format(&r, text);
    struct err e;

    for (size_t cut = 0; cut < bytes; cut++)
        if (cut == 0 || text[cut - 1] != '\n' || !strstr(text, "mode") || cut < 40)
            assert_int_equal(vif_record_parse(text, cut, &back, &e), -EPROTO);
    for (size_t at = 0; at < 20; at++) {
        text[at] ^= 1;
        assert_int_equal(vif_record_parse(text, bytes, &back, &e), -EPROTO);
        text[at] ^= 1;
    }
}

static void a_file_is_stored_listed_loaded_and_removed(UNUSED void **state)
{
    char folder[] = "/tmp/vif_record_test.XXXXXX", names[4][VIF_RECORD_NAME_MAX + 1];
    struct vif_record r = sample(), back;
    struct err e;

    assert_non_null(mkdtemp(folder));
    assert_int_equal(vif_record_load(folder, "web-1.a", &back, &e), -ENOENT);
    assert_int_equal(vif_record_store(folder, &r, &e), 0);
    strcpy(r.domain, "a");
    assert_int_equal(vif_record_store(folder, &r, &e), 0);
    assert_int_equal(vif_record_list(folder, names, 4, &e), 2);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "web-1.a");
    assert_int_equal(vif_record_load(folder, "web-1.a", &back, &e), 0);
    assert_int_equal(back.pid, 77);
    assert_int_equal(vif_record_remove(folder, "web-1.a", &e), 0);
    assert_int_equal(vif_record_remove(folder, "web-1.a", &e), 0);
    assert_int_equal(vif_record_remove(folder, "a", &e), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(vif_record_list(folder, names, 4, &e), 0);
}

static void a_name_cannot_lead_out_of_the_folder(UNUSED void **state)
{
    struct vif_record r = sample();
    struct err e;

    strcpy(r.domain, "../x");
    assert_int_equal(vif_record_store("/tmp", &r, &e), -EINVAL);
}

static void the_owner_lives_while_its_start_time_is_the_same(UNUSED void **state)
{
    struct vif_record r = sample();
    struct err e;

    assert_int_equal(vif_record_sign(&r, &e), 0);
    assert_int_equal(r.pid, getpid());
    assert_true(vif_record_owner_lives(&r));
    r.started++;
    assert_false(vif_record_owner_lives(&r)); /* the pid was used again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_undoes_format),
        cmocka_unit_test(the_longest_record_fits),
        cmocka_unit_test(a_torn_or_changed_record_is_refused),
        cmocka_unit_test(a_file_is_stored_listed_loaded_and_removed),
        cmocka_unit_test(a_name_cannot_lead_out_of_the_folder),
        cmocka_unit_test(the_owner_lives_while_its_start_time_is_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

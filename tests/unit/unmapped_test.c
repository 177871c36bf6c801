/* unmapped_test — the list of pages that a restore frees when everything else is done. */
#include "checkpoint/formats/unmapped.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "base/bytes.h"

static void list(struct unmapped *u, uint64_t pages, size_t n, const uint64_t *pfns)
{
    uint8_t octets[8 * 8];
    struct err e;

    assert_true(n <= 8);
    for (size_t i = 0; i < n; i++)
        store_u64(octets + 8 * i, pfns[i]);
    assert_int_equal(unmapped_take(u, 0, octets, n * 8, pages, &e), 0);
}

#define LIST(u, pages, ...) \
    list(u, pages, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, (const uint64_t[]){ __VA_ARGS__ })

static void nothing_is_unmapped_before_a_commit(void **state)
{
    struct unmapped u = { .words = 0 };

    (void)state;
    LIST(&u, 200, 3, 64, 199);
    assert_true(unmapped_next(&u, 0) == UINT64_MAX);
    unmapped_commit(&u);
    assert_int_equal(unmapped_next(&u, 0), 3);
    assert_int_equal(unmapped_next(&u, 4), 64);
    assert_int_equal(unmapped_next(&u, 65), 199);
    assert_true(unmapped_next(&u, 200) == UINT64_MAX);
    unmapped_close(&u);
    unmapped_close(&u);
}

static void a_new_list_replaces_the_old_one_unless_it_is_dropped(void **state)
{
    struct unmapped u = { .words = 0 };
    struct err e;

    (void)state;
    LIST(&u, 100, 5);
    unmapped_commit(&u);
    LIST(&u, 100, 6);
    unmapped_drop(&u);
    unmapped_commit(&u);
    assert_int_equal(unmapped_next(&u, 0), 5);
    LIST(&u, 100, 7);
    unmapped_commit(&u);
    assert_int_equal(unmapped_next(&u, 0), 7);
    assert_int_equal(unmapped_take(&u, 0, NULL, 0, 100, &e), 0);
    unmapped_commit(&u);
    assert_true(unmapped_next(&u, 0) == UINT64_MAX);
    unmapped_close(&u);
}

static void a_list_may_come_in_pieces_and_name_pages_that_nobody_has(void **state)
{
    struct unmapped u = { .words = 0 };
    uint8_t octets[8];
    struct err e;

    (void)state;
    LIST(&u, 10, 1, 10, UINT64_MAX);
    store_u64(octets, 9);
    assert_int_equal(unmapped_take(&u, 24, octets, 8, 10, &e), 0);
    unmapped_commit(&u);
    assert_int_equal(unmapped_next(&u, 0), 1);
    assert_int_equal(unmapped_next(&u, 2), 9);
    assert_true(unmapped_next(&u, 10) == UINT64_MAX);
    LIST(&u, 1000, 2, 999); /* the guest has grown */
    unmapped_drop(&u);
    assert_int_equal(unmapped_next(&u, 2), 9);
    unmapped_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_unmapped_before_a_commit),
        cmocka_unit_test(a_new_list_replaces_the_old_one_unless_it_is_dropped),
        cmocka_unit_test(a_list_may_come_in_pieces_and_name_pages_that_nobody_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

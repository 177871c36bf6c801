/* pagebuf_test — room, waiting, reset; memory that is really there. */
#include "checkpoint/pagebuf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

static struct err e;

static void impossible_capacities_are_refused(void **state)
{
    struct pagebuf b;

    (void)state;
    assert_int_equal(pagebuf_open(&b, 0, &e), -EINVAL);
    assert_int_equal(pagebuf_open(&b, PAGEBUF_PAGES_MAX + 1, &e), -EINVAL);
    pagebuf_close(&b);
}

static void room_and_waiting_follow_filling_and_draining(void **state)
{
    struct pagebuf b;

    (void)state;
    assert_int_equal(pagebuf_open(&b, 10, &e), 0);
    assert_int_equal(pagebuf_room(&b), 10);
    b.filled = 7;
    b.drained = 3;
    assert_int_equal(pagebuf_room(&b), 3);
    assert_int_equal(pagebuf_waiting(&b), 4);
    pagebuf_reset(&b);
    assert_int_equal(pagebuf_room(&b), 10);
    assert_int_equal(pagebuf_waiting(&b), 0);
    pagebuf_close(&b);
    pagebuf_close(&b);
}

static void every_page_is_in_memory_from_the_start(void **state)
{
    enum { PAGES = 600 };
    static unsigned char resident[PAGES];
    struct pagebuf b;

    (void)state;
    assert_int_equal(pagebuf_open(&b, PAGES, &e), 0);
    assert_int_equal(mincore(b.pages, PAGES * PAGE_BYTES, resident), 0);
    for (size_t i = 0; i < PAGES; i++)
        assert_true(resident[i] & 1);
    pagebuf_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_capacities_are_refused),
        cmocka_unit_test(room_and_waiting_follow_filling_and_draining),
        cmocka_unit_test(every_page_is_in_memory_from_the_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

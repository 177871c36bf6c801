/* xen_memory_test — where one question answers for a block of pages, and where it must not. */
#include "checkpoint/xen_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MEMORY UINT64_C(0x8100)

static size_t span_at(uint64_t first, size_t n)
{
    uint64_t pfns[64];

    for (size_t i = 0; i < 64; i++)
        pfns[i] = first + i;
    return xen_memory_span(MEMORY, pfns, n);
}

static void a_block_in_the_hole_is_asked_for_once(void **state)
{
    (void)state;
    assert_int_equal(span_at(MEMORY, 64), XEN_BLOCK_PAGES);
    assert_int_equal(span_at(0x80000, XEN_BLOCK_PAGES), XEN_BLOCK_PAGES);
    assert_int_equal(span_at(XEN_DEVICES_START - XEN_BLOCK_PAGES, 64), XEN_BLOCK_PAGES);
}

static void memory_and_devices_are_asked_for_page_by_page(void **state)
{
    (void)state;
    assert_int_equal(span_at(0, 64), 1);
    assert_int_equal(span_at(MEMORY - XEN_BLOCK_PAGES, 64), 1);
    assert_int_equal(span_at(XEN_DEVICES_START, 64), 1);
    assert_int_equal(span_at(UINT64_C(0x100000), 64), 1);
}

static void a_part_of_a_block_is_asked_for_page_by_page(void **state)
{
    static const uint64_t sparse[XEN_BLOCK_PAGES] = { 0x80000, 0x80001, 0x80003, 0x80004, 0x80005, 0x80006,
                                                      0x80007, 0x80008, 0x80009, 0x8000a, 0x8000b, 0x8000c,
                                                      0x8000d, 0x8000e, 0x8000f, 0x80010 };

    (void)state;
    assert_int_equal(span_at(0x80001, 64), 1);
    assert_int_equal(span_at(0x80000, XEN_BLOCK_PAGES - 1), 1);
    assert_int_equal(xen_memory_span(MEMORY, sparse, XEN_BLOCK_PAGES), 1);
}

/* Behind a page that is not there, too: as many pages as are missing were once left uncopied at the end. */
static void every_ordinary_page_goes_to_its_place(void **state UNUSED)
{
    uint8_t pages[6][1], types[] = { PAGE_TYPE_XTAB, 0, PAGE_TYPE_XTAB, 0, 0, PAGE_TYPE_XALLOC, 0, PAGE_TYPE_XTAB };
    const int errors[] = { 0, 0, -EINVAL, 0 };
    uint8_t *places[] = { pages[1], pages[3], pages[4], pages[5] };
    uint64_t frames[8];

    assert_int_equal(xen_memory_sort(types, 8, errors, frames, places), 3);
    assert_true(frames[0] == 0 && frames[1] == 1 && frames[2] == 3);
    assert_true(places[0] == pages[1] && places[1] == pages[3] && places[2] == pages[5]);
    assert_true(types[1] == PAGE_TYPE_NORMAL && types[3] == PAGE_TYPE_NORMAL && types[4] == PAGE_TYPE_DEFERRED &&
                types[5] == PAGE_TYPE_XALLOC && types[6] == PAGE_TYPE_NORMAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_in_the_hole_is_asked_for_once),
        cmocka_unit_test(memory_and_devices_are_asked_for_page_by_page),
        cmocka_unit_test(a_part_of_a_block_is_asked_for_page_by_page),
        cmocka_unit_test(every_ordinary_page_goes_to_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

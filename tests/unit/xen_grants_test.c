/* xen_grants_test — of a table of grants, the pages that somebody else may write just now. */
#include "checkpoint/xen_grants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "compress/codec.h"

#define PAGES      1000u
#define PERMITTED  1u      /* as the guest offers it; another type is a transfer */
#define READ_ONLY  (1u << 2)
#define IS_READ    (1u << 3)
#define IS_WRITTEN (1u << 4)

static uint8_t frame[PAGE_BYTES];

static void grant(size_t i, uint16_t flags, uint32_t pfn)
{
    store_u16(frame + i * 8, flags);
    store_u16(frame + i * 8 + 2, 0); /* to domain 0 */
    store_u32(frame + i * 8 + 4, pfn);
}

static void pages_that_are_mapped_for_writing_are_picked(void **state UNUSED)
{
    struct dirty into;
    struct err e;

    assert_int_equal(dirty_open(&into, PAGES, &e), 0);
    xen_grants_pick(frame, &into);
    assert_int_equal(dirty_count(&into), 0);
    grant(0, PERMITTED, 1);                         /* offered only */
    grant(8, PERMITTED | IS_READ | READ_ONLY, 2);   /* read only */
    grant(9, PERMITTED | IS_READ | IS_WRITTEN, 3);
    grant(XEN_GRANTS_A_FRAME - 1, PERMITTED | IS_WRITTEN, 999);
    grant(10, PERMITTED | IS_WRITTEN, PAGES);       /* a guest may write anything there */
    grant(11, PERMITTED | IS_WRITTEN, UINT32_MAX);
    grant(12, 2u | IS_WRITTEN, 4);                  /* bits of a transfer mean something else */
    xen_grants_pick(frame, &into);
    assert_int_equal(dirty_count(&into), 2);
    assert_true(dirty_has(&into, 3) && dirty_has(&into, 999));
    dirty_close(&into);
}

static void no_table_leads_past_the_guest(void **state UNUSED)
{
    struct dirty into;
    struct err e;

    assert_int_equal(dirty_open(&into, 3, &e), 0);
    memset(frame, 0xff, sizeof(frame));
    xen_grants_pick(frame, &into);
    for (uint32_t i = 0; i < XEN_GRANTS_A_FRAME; i++)
        grant(i, PERMITTED | IS_WRITTEN, i);
    xen_grants_pick(frame, &into);
    assert_int_equal(dirty_count(&into), 3);
    dirty_close(&into);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_that_are_mapped_for_writing_are_picked),
        cmocka_unit_test(no_table_leads_past_the_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

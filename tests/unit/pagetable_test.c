/* pagetable_test — what is committed stays, what is dropped is as if never said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "checkpoint/guest.h"
#include "checkpoint/formats/pagetable.h"

#define PAGES 5000u

static struct pagetable *opened(void)
{
    struct pagetable *t;
    struct err e;

    assert_int_equal(pagetable_open(&t, &e), 0);
    return t;
}

static void set(struct pagetable *t, uint64_t pfn, uint64_t offset)
{
    struct page_note note = { .is_populated = true, .place = PAGE_IN_INPUT, .offset = offset };
    struct err e;

    assert_int_equal(pagetable_set(t, pfn, note, &e), 0);
}

static void a_page_that_was_never_set_is_all_zero(UNUSED void **state)
{
    struct pagetable *t = opened();

    assert_false(pagetable_get(t, 7).is_populated);
    assert_false(pagetable_get(t, GUEST_PAGES_MAX - 1).is_populated);
    assert_true(pagetable_next(t, 0) == UINT64_MAX);
    pagetable_close(t);
}

static void the_last_page_of_all_can_be_set(UNUSED void **state)
{
    struct pagetable *t = opened();
    uint64_t populated, end;

    set(t, GUEST_PAGES_MAX - 1, 9);
    assert_true(pagetable_next(t, 3) == GUEST_PAGES_MAX - 1);
    pagetable_count(t, &populated, &end);
    assert_true(populated == 1 && end == GUEST_PAGES_MAX);
    pagetable_close(t);
}

static void all_fields_come_back(UNUSED void **state)
{
    struct page_note note = { .is_populated = true, .type = 0xf, .place = PAGE_IN_SPOOL,
                              .offset = (UINT64_C(1) << 56) - 1 }, got;
    struct pagetable *t = opened();
    struct err e;

    assert_int_equal(pagetable_set(t, 1, note, &e), 0);
    got = pagetable_get(t, 1);
    assert_true(got.is_populated && got.type == 0xf && got.place == PAGE_IN_SPOOL && got.offset == note.offset);
    pagetable_close(t);
}

/* A record of 128 MiB can name 16 million pages that are 2 MiB apart: the table must not cost 160 GiB. */
static void pages_far_apart_are_refused_before_they_cost_much(UNUSED void **state)
{
    struct page_note note = { .is_populated = true };
    struct pagetable *t = opened();
    uint64_t n = 0;
    struct err e;
    int rc;

    while ((rc = pagetable_set(t, n * 512, note, &e)) == 0 && n < 100000)
        n++;
    assert_int_equal(rc, -EPROTO);
    assert_in_range(n * 512 * 20, UINT64_C(256) << 20, UINT64_C(280) << 20);
    pagetable_close(t);
}

static void a_guest_of_which_every_fourth_page_is_there_is_not(UNUSED void **state)
{
    struct pagetable *t = opened();

    for (uint64_t pfn = 0; pfn < 28000 * UINT64_C(512); pfn += 4)
        set(t, pfn, 0);
    pagetable_close(t);
}

/* Beside two plain arrays, the committed one and the newest one. */
static void any_order_of_sets_commits_and_drops_is_as_two_arrays_say(UNUSED void **state)
{
    static uint64_t committed[PAGES], newest[PAGES];
    struct pagetable *t = opened();
    struct rng rng;

    rng_seed(&rng, 6);
    for (unsigned step = 1; step < 60000; step++) {
        uint64_t pfn = rng_below(&rng, PAGES), what = rng_below(&rng, 1000);

        if (what < 996) {
            set(t, pfn, step);
            newest[pfn] = step;
        } else if (what < 998) {
            pagetable_commit(t);
            memcpy(committed, newest, sizeof(newest));
        } else {
            pagetable_drop(t);
            memcpy(newest, committed, sizeof(newest));
        }
        if (step % 997 == 0)
            for (uint64_t i = 0; i < PAGES; i++)
                assert_true(pagetable_get(t, i).offset == newest[i]);
    }
    pagetable_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_that_was_never_set_is_all_zero),
        cmocka_unit_test(the_last_page_of_all_can_be_set),
        cmocka_unit_test(all_fields_come_back),
        cmocka_unit_test(pages_far_apart_are_refused_before_they_cost_much),
        cmocka_unit_test(a_guest_of_which_every_fourth_page_is_there_is_not),
        cmocka_unit_test(any_order_of_sets_commits_and_drops_is_as_two_arrays_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

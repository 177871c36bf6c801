/* xen_absent_test — pages that were given back and come again are found, whatever the log says. */
#include "checkpoint/xen_absent.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PAGES  (UINT64_C(1) << 20) /* 4 GiB: no memory above the devices */
#define MEMORY UINT64_C(32768)

struct world {
    struct xen_absent absent;
    struct dirty gone, into; /* what the hypervisor would say; what was found */
    uint64_t count, asked;
    bool fails;
};

static int ask(void *context, const uint64_t *pfns, size_t n, uint8_t *ret, struct err *e)
{
    struct world *w = context;

    if (w->fails)
        return err_set(e, EIO, "no answer");
    w->asked += n;
    for (size_t i = 0; i < n; i++)
        ret[i] = pfns[i] >= MEMORY || dirty_has(&w->gone, pfns[i]) ? PAGE_TYPE_XTAB : PAGE_TYPE_NORMAL;
    return 0;
}

static int setup(void **state)
{
    static struct world w;
    struct err e;

    w = (struct world){ .count = MEMORY };
    assert_int_equal(xen_absent_open(&w.absent, PAGES, MEMORY, &e), 0);
    assert_int_equal(dirty_open(&w.gone, PAGES, &e), 0);
    assert_int_equal(dirty_open(&w.into, PAGES, &e), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    xen_absent_close(&w->absent);
    xen_absent_close(&w->absent);
    dirty_close(&w->gone);
    dirty_close(&w->into);
    return 0;
}

static uint64_t look(struct world *w)
{
    struct err e;

    dirty_clear(&w->into);
    w->asked = 0;
    assert_int_equal(xen_absent_look(&w->absent, w->count, ask, w, &w->into, &e), 0);
    assert_int_equal(w->absent.count, dirty_count(&w->absent.pages));
    return dirty_count(&w->into);
}

static void give_back(struct world *w, uint64_t pfn)
{
    dirty_set(&w->gone, pfn);
    w->count--;
}

static void take_again(struct world *w, uint64_t pfn)
{
    dirty_unset(&w->gone, pfn);
    w->count++;
}

static void a_page_that_comes_again_is_dirty(void **state)
{
    struct world *w = *state;

    look(w);
    give_back(w, 77);
    assert_int_equal(look(w), 0);
    take_again(w, 77);
    assert_int_equal(look(w), 1);
    assert_true(dirty_has(&w->into, 77));
    assert_int_equal(look(w), 0);
}

static void a_page_that_comes_as_another_goes_is_dirty_too(void **state)
{
    struct world *w = *state;

    look(w);
    give_back(w, 5);
    look(w);
    take_again(w, 5);
    give_back(w, 6);
    assert_int_equal(look(w), 1);
    assert_true(dirty_has(&w->into, 5));
}

static void what_a_copy_saw_is_remembered(void **state)
{
    static const uint64_t pfns[] = { 9, 10, 500000 };
    static const uint8_t types[] = { PAGE_TYPE_XTAB, PAGE_TYPE_NORMAL, PAGE_TYPE_XTAB };
    struct world *w = *state;

    look(w);
    xen_absent_note(&w->absent, pfns, types, 3); /* 500000 is among the devices: no memory */
    assert_int_equal(dirty_count(&w->absent.pages), 1);
    assert_int_equal(look(w), 1);
    assert_true(dirty_has(&w->into, 9));
}

static void nothing_absent_costs_no_question(void **state)
{
    struct world *w = *state;

    look(w);
    assert_true(w->asked >= MEMORY && w->asked < PAGES / 2);
    look(w);
    assert_int_equal(w->asked, 0);
}

static void a_question_without_an_answer_is_asked_again(void **state)
{
    struct world *w = *state;
    struct err e;

    look(w);
    give_back(w, 3);
    look(w);
    take_again(w, 3);
    w->fails = true;
    assert_int_equal(xen_absent_look(&w->absent, w->count, ask, w, &w->into, &e), -EIO);
    w->fails = false;
    assert_int_equal(look(w), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_page_that_comes_again_is_dirty, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_that_comes_as_another_goes_is_dirty_too, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_copy_saw_is_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_absent_costs_no_question, setup, teardown),
        cmocka_unit_test_setup_teardown(a_question_without_an_answer_is_asked_again, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

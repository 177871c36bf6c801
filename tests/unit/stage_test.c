/* stage_test — an epoch that arrives whole is applied whole, from plain and encoded chunks, once or
 * twice. */
#include "replicator/apply/stage.h"

#include "tests/unit/stage_bench.h"

/* ---- what must go ---------------------------------------------------------------------------- */

static void epochs_are_applied_whole(void **state UNUSED)
{
    seed();
    for (unsigned i = 0; i < 300; i++) {
        make_epoch(0, rng_below(&b->r, PAGES + 1), 1 + rng_below(&b->r, 20));
        assert_int_equal(stage_made(), 0);
        memory_is_as_committed(); /* not before the commit */
        commit();
    }
    assert_int_equal(b->model.commits, 301);
    assert_true(b->stage.high_water > 0 && b->stage.high_water <= LIMIT);
}

static void plain_pages_are_taken_too(void **state UNUSED)
{
    const uint64_t pfns[] = { 1, 5, 6, 60 };

    seed();
    make_begin(0);
    for (unsigned i = 0; i < 4; i++)
        write_page(pfns[i]);
    make_chunk(pfns, 4, true);
    make_state();
    make_end();
    assert_int_equal(stage_made(), 0);
    commit();
}

static void applying_twice_is_applying_once(void **state UNUSED)
{
    seed();
    for (unsigned i = 0; i < 20; i++) {
        make_epoch(0, 40, 7);
        assert_int_equal(stage_made(), 0);
        stage_commit(&b->stage);
        for (unsigned n = 0; n < 3; n++) /* half way, and then from the start again */
            assert_true(stage_apply(&b->stage));
        b->stage.apply_at = 0;
        while (stage_apply(&b->stage))
            ;
        assert_memory_equal(b->model.memory, b->guest, PAGES * PAGE_BYTES);
        memcpy(b->held, b->guest, PAGES * PAGE_BYTES);
        b->committed = b->epoch;
    }
}

static void a_seed_is_applied_as_it_comes(void **state UNUSED)
{
    make_epoch(EPOCH_SEED, PAGES, 16);
    assert_int_equal(stage_made(), 0);
    assert_memory_equal(b->model.memory, b->guest, PAGES * PAGE_BYTES);
    assert_int_equal(b->model.commits, 0); /* but nothing is committed before its end */
    commit();
    assert_int_equal(b->model.commits, 1);
}

static void the_rest_of_a_void_epoch_is_ignored(void **state UNUSED)
{
    struct view in;
    struct record rec;
    struct err e;

    seed();
    make_epoch(0, 20, 5);
    stage_begin(&b->stage, b->epoch, b->flags);
    stage_void(&b->stage);
    in = (struct view){ b->octets, b->bytes };
    while (record_take(&in, SESSION_BODY_MAX, &rec, &e) == 1)
        assert_int_equal(stage_record(&b->stage, &rec, &e), 0);
    assert_int_equal(stage_seal(&b->stage, &b->end, &e), 0);
    assert_false(b->stage.is_sealed);
    nothing_has_moved();
}

static void a_page_sent_twice_ends_as_its_second_version(void **state UNUSED)
{
    const uint64_t pfn = 7;

    seed();
    make_begin(0);
    for (unsigned i = 0; i < 2; i++) {
        rng_fill(&b->r, b->guest[pfn], PAGE_BYTES);
        make_chunk(&pfn, 1, true);
    }
    make_state();
    make_end();
    assert_int_equal(stage_made(), 0);
    commit();
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int compare(void)
{
    int rc;

    while ((rc = stage_compare(&b->stage)) == 1)
        ;
    return rc;
}

static void commit_as_it_is(void)
{
    stage_commit(&b->stage);
    while (stage_apply(&b->stage))
        ;
}

static void a_replica_that_is_right_compares_equal(void **state UNUSED)
{
    seed();
    assert_int_equal(compare(), -ENODATA); /* nothing was said of it */
    for (unsigned i = 0; i < 20; i++) {
        make_epoch(0, 10, 7);
        make_truth();
        assert_int_equal(stage_made(), 0);
        commit_as_it_is();
        assert_int_equal(compare(), 0);
        assert_true(b->stage.compared.pages == PAGES && b->stage.compared.differing == 0);
        assert_int_equal(compare(), -ENODATA); /* once an epoch */
        b->committed = b->epoch;
    }
}

static void every_page_of_the_replica_that_differs_is_found(void **state UNUSED)
{
    for (uint64_t pfn = 0; pfn < PAGES; pfn++) {
        uint64_t other = rng_below(&b->r, PAGES);

        if (pfn == 0)
            seed();
        make_epoch(0, 0, 7);
        make_truth();
        assert_int_equal(stage_made(), 0);
        b->model.memory[pfn][rng_below(&b->r, PAGE_BYTES)] ^= (uint8_t)(1u << rng_below(&b->r, 8));
        if (other != pfn)
            b->model.memory[other][0] ^= 1;
        commit_as_it_is();
        assert_int_equal(compare(), 0);
        assert_true(b->stage.compared.differing == 1 + (other != pfn));
        assert_true(b->stage.compared.pfns[0] == (other < pfn ? other : pfn));
        memcpy(b->model.memory, b->guest, PAGES * PAGE_BYTES);
        b->committed = b->epoch;
    }
}

static void what_was_said_of_a_void_epoch_is_forgotten(void **state UNUSED)
{
    seed();
    make_epoch(0, 5, 7);
    make_truth();
    assert_int_equal(stage_made(), 0);
    stage_void(&b->stage);
    make_epoch(0, PAGES, 7);
    make_sums(PAGES - 1);
    make_end();
    assert_int_equal(stage_made(), 0);
    commit_as_it_is();
    assert_int_equal(compare(), 0);
    assert_true(b->stage.compared.pages == 1 && b->stage.compared.differing == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(epochs_are_applied_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plain_pages_are_taken_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(applying_twice_is_applying_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_seed_is_applied_as_it_comes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_rest_of_a_void_epoch_is_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_sent_twice_ends_as_its_second_version, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_replica_that_is_right_compares_equal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_page_of_the_replica_that_differs_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_said_of_a_void_epoch_is_forgotten, set_up, tear_down),
    };

    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    decoder_threads = 3; /* all of it again */
    return rc + cmocka_run_group_tests(tests, NULL, NULL);
}

/* stage_refusal_test — whatever is wrong with an epoch, it is refused, and the replica's memory and
 * its committed state stay what they were. */
#include "replicator/apply/stage.h"

#include "tests/unit/stage_bench.h"

/* ---- what must not --------------------------------------------------------------------------- */

static void a_torn_epoch_is_refused(void **state UNUSED)
{
    seed();
    make_epoch(0, 30, 6);
    for (size_t bytes = 0; bytes < b->bytes; bytes += 1 + b->bytes / 500) {
        assert_true(stage_octets(b->octets, bytes, &b->end) < 0);
        nothing_has_moved();
    }
    assert_int_equal(stage_made(), 0);
    commit();
}

static void no_flipped_octet_is_applied(void **state UNUSED)
{
    uint8_t *spoiled = malloc(EPOCH_ROOM);

    seed();
    make_epoch(0, 12, 4);
    for (size_t at = 0; at < b->bytes; at++) {
        memcpy(spoiled, b->octets, b->bytes);
        spoiled[at] ^= (uint8_t)(1u << rng_below(&b->r, 8));
        assert_true(stage_octets(spoiled, b->bytes, &b->end) < 0);
        if (at % 64 == 0)
            nothing_has_moved();
        stage_void(&b->stage);
    }
    nothing_has_moved();
    assert_int_equal(stage_made(), 0);
    commit();
    free(spoiled);
}

static void an_end_that_counts_differently_is_refused(void **state UNUSED)
{
    struct epoch_end wrong[7];

    seed();
    make_epoch(0, 12, 4);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        wrong[i] = b->end;
    wrong[0].epoch++;
    wrong[1].pages--;
    wrong[2].digest ^= 1;
    wrong[3].chunks++;
    wrong[4].state_records = 0;
    wrong[5].flags = EPOCH_FINAL;
    wrong[6].pages = UINT64_MAX;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(stage_octets(b->octets, b->bytes, &wrong[i]), -EPROTO);
        assert_false(b->stage.is_sealed);
        nothing_has_moved();
    }
}

static void a_delta_that_does_not_meet_its_base_is_told_apart(void **state UNUSED)
{
    const uint64_t pfn = 3;

    seed();
    make_begin(0);
    store_u64(b->guest[pfn] + 64, rng_next(&b->r)); /* little changes: a delta */
    make_chunk(&pfn, 1, false);
    make_state();
    make_end();
    b->model.memory[pfn][1000] ^= 1; /* the base is another */
    assert_int_equal(stage_made(), -EILSEQ);
    b->model.memory[pfn][1000] ^= 1;
    nothing_has_moved();
    assert_int_equal(stage_made(), 0);
}

static void a_second_delta_of_one_page_is_refused(void **state UNUSED)
{
    const uint64_t pfn = 3;
    size_t chunk;

    seed();
    make_begin(0);
    store_u64(b->guest[pfn] + 64, rng_next(&b->r));
    make_chunk(&pfn, 1, false);
    chunk = b->bytes;
    memcpy(b->octets + chunk, b->octets, chunk);
    b->bytes = 2 * chunk;
    b->end.chunks++;
    b->end.pages++;
    make_state();
    make_end();
    assert_int_equal(stage_made(), -EPROTO);
    nothing_has_moved();
}

static void a_delta_has_no_place_in_a_seed(void **state UNUSED)
{
    const uint64_t pfn = 3;

    seed();
    make_begin(0);
    store_u64(b->guest[pfn] + 64, rng_next(&b->r));
    make_chunk(&pfn, 1, false);
    b->flags = b->end.flags = EPOCH_SEED;
    make_state();
    make_end();
    assert_int_equal(stage_made(), -EPROTO);
    memory_is_as_committed();
}

static void more_than_the_limit_is_refused_not_half_taken(void **state UNUSED)
{
    uint64_t pfns[PAGES];

    for (size_t i = 0; i < PAGES; i++)
        pfns[i] = i;
    seed();
    make_begin(0);
    for (unsigned n = 0; n <= LIMIT / (PAGES * PAGE_BYTES); n++)
        make_chunk(pfns, PAGES, true);
    make_state();
    make_end();
    assert_int_equal(stage_made(), -ENOSPC);
    nothing_has_moved();
    assert_true(b->stage.high_water <= LIMIT);
    make_epoch(0, 10, 5);
    assert_int_equal(stage_made(), 0);
    commit();
}

static void more_state_than_a_guest_has_is_refused(void **state UNUSED)
{
    static uint8_t much[GUEST_STATE_MAX / 2];
    struct record rec = { RECORD_HVM_CONTEXT, sizeof(much) - 8, much + 8 };
    struct err e;

    seed();
    make_begin(0);
    stage_begin(&b->stage, b->epoch, 0);
    assert_int_equal(stage_record(&b->stage, &rec, &e), 0);
    assert_int_equal(stage_record(&b->stage, &rec, &e), 0);
    assert_int_equal(stage_record(&b->stage, &rec, &e), -ENOSPC);
    nothing_has_moved();
}

static void a_state_that_could_not_be_committed_is_refused(void **state UNUSED)
{
    seed();
    make_epoch(0, 4, 4);
    make_state(); /* a second one: not what this replica takes */
    make_end();
    assert_int_equal(stage_made(), -EPROTO);
    nothing_has_moved();
}

static void a_page_that_cannot_be_had_is_found_before_the_commit(void **state UNUSED)
{
    const uint64_t pfn = 9;

    make_epoch(EPOCH_SEED, 0, 1);
    assert_int_equal(stage_made(), 0);
    commit();
    make_begin(0);
    rng_fill(&b->r, b->guest[pfn], PAGE_BYTES);
    make_chunk(&pfn, 1, false);
    make_state();
    make_end();
    b->model.refuses = pfn;
    assert_int_equal(stage_made(), -ENOMEM);
    b->model.refuses = UINT64_MAX;
    nothing_has_moved();
    assert_int_equal(stage_made(), 0);
    commit();
}

static void nothing_comes_between_the_end_and_the_checkpoint(void **state UNUSED)
{
    struct view in;
    struct record rec;
    struct err e;

    seed();
    make_epoch(0, 4, 4);
    assert_int_equal(stage_made(), 0);
    in = (struct view){ b->octets, b->bytes };
    assert_int_equal(record_take(&in, SESSION_BODY_MAX, &rec, &e), 1);
    assert_int_equal(stage_record(&b->stage, &rec, &e), -EPROTO);
    assert_int_equal(stage_seal(&b->stage, &b->end, &e), -EPROTO);
    nothing_has_moved();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_torn_epoch_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_flipped_octet_is_applied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_end_that_counts_differently_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_delta_that_does_not_meet_its_base_is_told_apart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_second_delta_of_one_page_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_delta_has_no_place_in_a_seed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_the_limit_is_refused_not_half_taken, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_state_than_a_guest_has_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_state_that_could_not_be_committed_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_page_that_cannot_be_had_is_found_before_the_commit,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_comes_between_the_end_and_the_checkpoint, set_up,
                                        tear_down),
    };

    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    decoder_threads = 3; /* all of it again */
    return rc + cmocka_run_group_tests(tests, NULL, NULL);
}

/* epoch_sums_test — what an epoch says of every page is what the backup must have, and says it when the
 * two are not the same. */
#include "replicator/engine/epoch_sums.h"

#include "tests/unit/epoch_out_bench.h"

static struct pagesums told; /* by the newest epoch */

static int set_up_verifying(void **state)
{
    struct err e;
    int rc;

    verify_every = 2;
    rc = set_up(state);
    verify_every = 0;
    return rc ? rc : pagesums_open(&told, PAGES, &e);
}

static int tear_down_verifying(void **state)
{
    pagesums_close(&told);
    return tear_down(state);
}

/* The pause of an epoch that is verified, if its turn it is; how many pages it says something of. */
static uint64_t pause_and_tell(void)
{
    uint64_t n = 0;
    struct view in;
    struct record rec;
    struct err e;
    int rc;

    pagesums_clear(&told);
    epoch_out_verify(&b->out);
    assert_int_equal(pass(false), 0);
    while ((rc = epoch_out_verify_rest(&b->out, &e)) == 1)
        ;
    assert_int_equal(rc, 0);
    encode_all();
    stage(NULL);
    in.at = b->sink.at;
    while ((rc = epoch_out_sums(&b->out, &b->sink)) == 1)
        ;
    assert_int_equal(rc, 0);
    in.left = (size_t)(b->sink.at - in.at);
    while (in.left > 0) {
        assert_int_equal(record_take(&in, SESSION_BODY_MAX, &rec, &e), 1);
        assert_int_equal(pagesums_take(&told, b->epoch, &rec, &e), 0);
    }
    for (uint64_t pfn = 0; (pfn = pagesums_next(&told, pfn)) < PAGES; pfn++)
        n++;
    return n;
}

/* An epoch that is not verified: the next one's turn it is. */
static void one_epoch_before(void)
{
    struct epoch_end end;

    begin(0);
    assert_int_equal(pause_and_tell(), 0);
    finish(&end);
    acked();
}

static void every_second_epoch_says_what_every_page_is(void **state UNUSED)
{
    struct epoch_end end;

    for (unsigned i = 0; i < 10; i++) {
        b->guest.types[7] = PAGE_TYPE_XTAB;
        guest_writes_some(20);
        begin(0);
        assert_int_equal(pause_and_tell(), i % 2 == 0 ? 0 : PAGES - 1);
        for (uint64_t pfn = 0; pfn < PAGES && i % 2; pfn++)
            assert_true(pfn == 7 || told.sums[pfn] == pagesums_of(b->staged[pfn]));
        finish(&end);
        acked();
    }
}

static void a_page_that_changed_past_the_log_shows(void **state UNUSED)
{
    one_epoch_before();
    b->guest.memory[42][0] ^= 1;
    begin(0);
    assert_int_equal(pause_and_tell(), PAGES);
    for (uint64_t pfn = 0; pfn < PAGES; pfn++)
        assert_int_equal(told.sums[pfn] == pagesums_of(b->staged[pfn]), pfn != 42);
}

static void what_is_written_in_the_pause_is_the_next_epochs(void **state UNUSED)
{
    static uint8_t copied[PAGE_BYTES];
    struct err e;
    int rc;

    one_epoch_before();
    guest_writes(5);
    begin(0);
    epoch_out_verify(&b->out);
    assert_int_equal(pass(false), 0);
    memcpy(copied, b->guest.memory[5], PAGE_BYTES);
    guest_writes(5); /* by whoever can while it lies still: a copy is what it was, */
    guest_writes(6); /* and what was not copied can't be compared */
    while ((rc = epoch_out_verify_rest(&b->out, &e)) == 1)
        ;
    assert_int_equal(rc, 0);
    assert_true(b->out.sums.sums.sums[5] == pagesums_of(copied) && b->out.sums.sums.sums[6] == 0);
    assert_true(dirty_has(&b->out.carry, 5) && dirty_has(&b->out.carry, 6));
    assert_int_equal(dirty_count(&b->out.carry), 2);
}

static void a_log_that_fails_behind_the_reading_loses_no_page(void **state UNUSED)
{
    struct err e;
    int rc;

    one_epoch_before();
    begin(0);
    epoch_out_verify(&b->out);
    assert_int_equal(pass(false), 0);
    b->guest.dirty_fails = true;
    while ((rc = epoch_out_verify_rest(&b->out, &e)) == 1)
        ;
    assert_true(rc < 0);
    assert_int_equal(dirty_count(&b->out.carry), PAGES);
}

static void nothing_is_said_of_pages_that_the_epoch_could_not_have(void **state UNUSED)
{
    one_epoch_before();
    guest_writes(9);
    b->guest.deferred[9] = true;
    begin(0);
    assert_int_equal(pause_and_tell(), PAGES - 1);
    assert_true(told.sums[9] == 0);
}

static void a_switchover_is_always_verified(void **state UNUSED)
{
    begin(EPOCH_SWITCHOVER);
    assert_int_equal(pause_and_tell(), PAGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_second_epoch_says_what_every_page_is, set_up_verifying,
                                        tear_down_verifying),
        cmocka_unit_test_setup_teardown(a_page_that_changed_past_the_log_shows, set_up_verifying,
                                        tear_down_verifying),
        cmocka_unit_test_setup_teardown(nothing_is_said_of_pages_that_the_epoch_could_not_have,
                                        set_up_verifying, tear_down_verifying),
        cmocka_unit_test_setup_teardown(what_is_written_in_the_pause_is_the_next_epochs, set_up_verifying,
                                        tear_down_verifying),
        cmocka_unit_test_setup_teardown(a_log_that_fails_behind_the_reading_loses_no_page, set_up_verifying,
                                        tear_down_verifying),
        cmocka_unit_test_setup_teardown(a_switchover_is_always_verified, set_up_verifying,
                                        tear_down_verifying),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

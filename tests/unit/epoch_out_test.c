/* epoch_out_test — whatever happens to an epoch, no page is forgotten: what the backup lacks is in
 * the guest's log, in the carry, or on its way. */
#include "replicator/engine/epoch_out.h"

#include "tests/unit/epoch_out_bench.h"

static void the_first_epoch_has_every_page(void **state UNUSED)
{
    struct epoch_end end;

    begin(EPOCH_SEED);
    assert_int_equal(pass(false), 0);
    assert_int_equal(dirty_count(&b->out.set), PAGES);
    assert_int_equal(dirty_count(&b->out.carry) + dirty_count(&b->out.todo), 0);
    finish(&end);
    assert_int_equal(end.pages, PAGES);
    assert_int_equal(end.state_records, 1);
    assert_int_equal(end.flags, EPOCH_SEED);
    acked();
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
    assert_int_equal(dirty_count(&b->out.set), 0);
}

static void every_written_page_is_in_the_next_epoch_and_no_other(void **state UNUSED)
{
    struct epoch_end end;

    commit_all();
    for (unsigned n = 0; n < 50; n++) {
        uint64_t written = 0;

        guest_writes_some(rng_below(&b->r, PAGES));
        for (uint64_t pfn = 0; pfn < PAGES; pfn++)
            written += b->guest.log[pfn];
        begin(0);
        assert_int_equal(pass(false), 0);
        assert_int_equal(dirty_count(&b->out.set), written);
        finish(&end);
        assert_int_equal(end.pages, written);
        acked();
        assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
    }
}

static void pages_written_during_the_live_copy_are_copied_again(void **state UNUSED)
{
    struct epoch_end end;

    begin(EPOCH_SEED);
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(pass(true), 0);
        guest_writes_some(40);
    }
    assert_int_equal(pass(false), 0);
    finish(&end);
    assert_true(end.pages > PAGES);
    acked();
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
}

static void more_pages_than_the_buffer_holds_are_two_batches(void **state UNUSED)
{
    struct epoch_end end;
    struct err e;

    commit_all();
    for (uint64_t pfn = 0; pfn < BUFFER + 10; pfn++)
        guest_writes(pfn);
    begin(0);
    assert_int_equal(epoch_out_pass(&b->out, &e), BUFFER + 10);
    assert_int_equal(epoch_out_copy(&b->out, &e), 1);
    assert_int_equal(pagebuf_waiting(&b->out.buffer), BUFFER);
    assert_int_equal(epoch_out_copy(&b->out, &e), 1); /* full: nothing is lost, nothing goes on */
    assert_int_equal(dirty_count(&b->out.todo), 10);
    encode_all();
    assert_int_equal(epoch_out_copy(&b->out, &e), 0);
    assert_int_equal(pagebuf_waiting(&b->out.buffer), 10); /* these may wait until the guest runs */
    finish(&end);
    assert_int_equal(end.batches, 2);
    assert_int_equal(b->batches, 2);
    assert_int_equal(end.pages, BUFFER + 10);
    acked();
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
}

static void deferred_pages_stay_in_the_carry_until_they_are_sent(void **state UNUSED)
{
    commit_all();
    guest_writes(3);
    guest_writes(4);
    guest_writes(5);
    b->guest.deferred[4] = true;
    commit_all();
    assert_int_equal(dirty_count(&b->out.carry), 1);
    assert_true(dirty_has(&b->out.carry, 4));
    nothing_is_forgotten();
    commit_all(); /* not written since, still not to be had */
    assert_true(dirty_has(&b->out.carry, 4));
    b->guest.deferred[4] = false;
    commit_all();
    assert_int_equal(dirty_count(&b->out.carry), 0);
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
}

static void an_epoch_of_deferred_pages_only_is_empty(void **state UNUSED)
{
    struct epoch_end end;

    commit_all();
    for (uint64_t pfn = 0; pfn < 10; pfn++) {
        guest_writes(pfn);
        b->guest.deferred[pfn] = true;
    }
    begin(0);
    assert_int_equal(pass(false), 0);
    finish(&end);
    assert_int_equal(end.pages, 0);
    assert_int_equal(end.chunks, 0);
    acked();
    assert_int_equal(dirty_count(&b->out.carry), 10);
}

static void abandoning_returns_every_page_wherever_it_was(void **state UNUSED)
{
    struct err e;

    commit_all();
    for (uint64_t pfn = 0; pfn < 2 * BUFFER; pfn++)
        guest_writes(pfn);
    begin(0);
    assert_int_equal(epoch_out_pass(&b->out, &e), 2 * BUFFER);
    assert_int_equal(epoch_out_copy(&b->out, &e), 1); /* one half in the buffer, one to do */
    epoch_out_abandon(&b->out);
    assert_int_equal(dirty_count(&b->out.carry), 2 * BUFFER);
    assert_int_equal(dirty_count(&b->out.set) + dirty_count(&b->out.todo), 0);
    nothing_is_forgotten();
    commit_all();
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
}

static void versions_of_an_abandoned_epoch_are_no_bases(void **state UNUSED)
{
    struct epoch_end end;

    commit_all();
    for (unsigned n = 0; n < 30; n++) {
        guest_writes_some(60);
        begin(0);
        assert_int_equal(pass(false), 0);
        finish(&end);
        if (rng_chance(&b->r, 500000)) /* sent whole, and lost */
            epoch_out_abandon(&b->out);
        else
            acked();
    }
    commit_all();
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
}

static void after_a_failed_read_of_the_log_everything_is_to_do(void **state UNUSED)
{
    struct err e;

    commit_all();
    guest_writes_some(20);
    begin(0);
    b->guest.dirty_fails = true;
    assert_true(epoch_out_pass(&b->out, &e) < 0);
    epoch_out_abandon(&b->out);
    assert_int_equal(dirty_count(&b->out.carry), PAGES);
    b->guest.dirty_fails = false;
    commit_all();
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
}

static void a_failed_copy_or_state_loses_no_page(void **state UNUSED)
{
    struct err e;

    commit_all();
    guest_writes_some(100);
    begin(0);
    b->guest.copy_fails = true;
    assert_true(pass(false) < 0);
    epoch_out_abandon(&b->out);
    nothing_is_forgotten();
    b->guest.copy_fails = false;
    begin(0);
    assert_int_equal(pass(false), 0);
    b->guest.state_fails = true;
    assert_true(epoch_out_state(&b->out, &e) < 0);
    epoch_out_abandon(&b->out);
    nothing_is_forgotten();
    b->guest.state_fails = false;
    commit_all();
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
}

static void nothing_is_appended_to_a_sink_that_is_short(void **state UNUSED)
{
    struct err e;
    uint8_t octets[64];
    struct sink little = { octets, sizeof(octets) };

    commit_all();
    guest_writes(1);
    begin(0);
    assert_int_equal(pass(false), 0);
    assert_int_equal(epoch_out_state(&b->out, &e), 0);
    encode_all();
    assert_true(epoch_out_finish_bytes(&b->out) > sizeof(octets));
    assert_int_equal(epoch_out_finish(&b->out, &little), -ENOBUFS);
    assert_int_equal(little.left, sizeof(octets));
}

/* ---- what may be a base ------------------------------------------------------------------------ */

static bool has_content(uint64_t pfn)
{
    return b->guest.types[pfn] < PAGE_TYPE_BROKEN;
}

/* Words that go to and fro: a delta from too old a version lacks what has come back to what it was. */
static void guest_writes_to_and_fro(uint64_t n)
{
    while (n-- > 0) {
        uint64_t pfn = rng_below(&b->r, PAGES);

        store_u64(b->guest.memory[pfn] + 8 * rng_below(&b->r, 3), rng_below(&b->r, 2));
        b->guest.log[pfn] = true;
    }
}

/* A page becomes a page table, or loses its content, or is ordinary again: each is a change to be sent. */
static void types_change(void)
{
    static const uint8_t types[] = { 0, 0, 0, 1, 4, 0x9, 0xd, 0xf };

    for (uint64_t n = rng_below(&b->r, 20); n > 0; n--) {
        uint64_t pfn = rng_below(&b->r, PAGES);

        b->guest.types[pfn] = types[rng_below(&b->r, sizeof(types))];
        guest_writes(pfn);
    }
}

/* Some pages can't be had for a while: what is known of them grows old meanwhile. */
static void pages_hide(void)
{
    for (uint64_t n = rng_below(&b->r, 10); n > 0; n--) {
        uint64_t pfn = rng_below(&b->r, PAGES);

        b->guest.deferred[pfn] = !b->guest.deferred[pfn];
    }
}

/* Epochs lost on the way, types that come and go, reconnects, backups that know nothing: whatever the order,
 * no delta ever starts from what the backup does not hold (stage_chunk compares every digest). */
static void no_delta_starts_from_what_the_backup_lacks(void **state UNUSED)
{
    struct epoch_end end;

    for (unsigned n = 0; n < 400; n++) {
        begin(b->out.committed == 0 ? EPOCH_SEED : 0);
        for (uint64_t passes = 1 + rng_below(&b->r, 3); passes > 0; passes--) {
            guest_writes_to_and_fro(rng_below(&b->r, 80));
            types_change();
            pages_hide();
            assert_int_equal(pass(true), 0);
        }
        finish(&end);
        if (rng_chance(&b->r, 700000)) {
            acked();
            for (uint64_t pfn = 0; pfn < PAGES; pfn++)
                if (has_content(pfn) && !dirty_has(&b->out.carry, pfn))
                    assert_memory_equal(b->backup[pfn], b->guest.memory[pfn], PAGE_BYTES);
            continue;
        }
        epoch_out_abandon(&b->out);
        if (rng_chance(&b->r, 500000)) {
            epoch_out_resume(&b->out, b->out.committed); /* the same backup again */
        } else if (rng_chance(&b->r, 300000)) {
            epoch_out_forget(&b->out);
            rng_fill(&b->r, b->backup[0], PAGES * PAGE_BYTES);
        }
    }
    assert_true(b->out.tally.by_codec[CODEC_DELTA] > 1000);
}

/* ---- chunks in the making --------------------------------------------------------------------- */

enum { EPOCHS = 25 };

/* What each of some epochs puts on the wire, by so many threads: its digest. */
static void octets_of_epochs(unsigned threads, uint64_t ret[EPOCHS])
{
    struct epoch_end end;

    encoder_threads = threads;
    set_up(NULL);
    b->out.is_link_behind = true; /* so that packing, which learns, has its say */
    for (unsigned n = 0; n < EPOCHS; n++) {
        begin(b->out.committed == 0 ? EPOCH_SEED : 0);
        guest_writes_some(rng_below(&b->r, 2 * PAGES));
        if (n % 5 == 0) /* noise does not pack */
            for (uint64_t pfn = 0; pfn < PAGES; pfn += 3) {
                rng_fill(&b->r, b->guest.memory[pfn], PAGE_BYTES);
                b->guest.log[pfn] = true;
            }
        assert_int_equal(pass(n % 2), 0);
        finish(&end);
        if (n % 4 == 3) {
            epoch_out_abandon(&b->out);
        } else {
            acked();
            assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
        }
        ret[n] = digest_of(b->octets, b->taken);
    }
    encoder_threads = 0;
    tear_down(NULL);
}

static void the_octets_are_the_same_for_any_number_of_threads(void **state UNUSED)
{
    uint64_t alone[EPOCHS], together[EPOCHS];

    octets_of_epochs(0, alone);
    for (unsigned threads = 1; threads <= 4; threads++) {
        octets_of_epochs(threads, together);
        assert_memory_equal(together, alone, sizeof(alone));
    }
}

/* What a link has not sent yet must be what it was, whatever happens to the guest meanwhile. */
static void pages_on_their_way_are_left_alone_until_they_are_gone(void **state UNUSED)
{
    const struct pages_built *built;
    struct pages_built given;
    uint64_t before;
    struct err e;

    begin(EPOCH_SEED);
    assert_int_equal(epoch_out_pass(&b->out, &e), PAGES);
    assert_int_equal(epoch_out_copy(&b->out, &e), 1);
    assert_true(epoch_out_encode(&b->out));
    assert_non_null(built = epoch_out_ready(&b->out));
    given = *built;
    assert_int_equal(given.pieces[1].left, BUFFER * PAGE_BYTES); /* by reference: these are raw pages */
    before = digest_of(given.pieces[1].at, given.pieces[1].left);
    epoch_out_give(&b->out, 1000);
    assert_true(epoch_out_is_drained(&b->out));
    assert_int_equal(epoch_out_copy(&b->out, &e), -EBUSY);
    epoch_out_gone(&b->out, 999);
    assert_int_equal(epoch_out_copy(&b->out, &e), -EBUSY);
    assert_int_equal(digest_of(given.pieces[1].at, given.pieces[1].left), before);
    epoch_out_gone(&b->out, 1000);
    assert_int_equal(epoch_out_copy(&b->out, &e), 1);
}

static void an_epoch_is_abandoned_while_threads_encode_it(void **state UNUSED)
{
    struct err e;

    encoder_threads = 3;
    tear_down(NULL);
    set_up(NULL);
    encoder_threads = 0;
    commit_all();
    for (unsigned n = 0; n < 200; n++) {
        guest_writes_some(BUFFER);
        begin(0);
        assert_true(epoch_out_pass(&b->out, &e) > 0);
        assert_true(epoch_out_copy(&b->out, &e) >= 0);
        while (epoch_out_encode(&b->out))
            ;
        epoch_out_abandon(&b->out);
        nothing_is_forgotten();
    }
    commit_all();
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
}

static void forgetting_makes_every_page_dirty_and_every_version_unknown(void **state UNUSED)
{
    commit_all();
    commit_all();
    epoch_out_forget(&b->out);
    assert_int_equal(dirty_count(&b->out.carry), PAGES);
    assert_int_equal(b->out.committed, 0);
    memset(b->backup, 0, PAGES * PAGE_BYTES); /* another backup */
    commit_all();
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
}

static void the_digest_is_that_of_the_octets(void **state UNUSED)
{
    struct epoch_end end;

    commit_all();
    guest_writes_some(90);
    begin(0);
    assert_int_equal(pass(false), 0);
    finish(&end);
    assert_int_equal(end.digest,
                     digest_of(b->octets, b->taken - record_wire_bytes(40) - record_wire_bytes(0)));
}

static void live_passes_end_when_little_is_left_or_after_a_few(void **state UNUSED)
{
    begin(EPOCH_SEED);
    assert_false(epoch_out_is_small(&b->out, PAGES));
    assert_true(epoch_out_is_small(&b->out, 1));
    for (unsigned n = 0; n < 10; n++)
        assert_int_equal(pass(true), 0);
    assert_true(epoch_out_is_small(&b->out, PAGES)); /* a guest that writes all the time */
}

static void no_order_of_failures_forgets_a_page(void **state UNUSED)
{
    struct epoch_end end;
    struct err e;

    for (unsigned n = 0; n < 600; n++) {
        bool is_live = rng_chance(&b->r, 300000);

        b->guest.dirty_fails = rng_chance(&b->r, 50000);
        b->guest.copy_fails = rng_chance(&b->r, 50000);
        b->guest.deferred[rng_below(&b->r, PAGES)] = rng_chance(&b->r, 500000);
        guest_writes_some(rng_below(&b->r, 100));
        begin(b->out.committed == 0 ? EPOCH_SEED : 0);
        if ((is_live && pass(true) < 0) || (guest_writes_some(5), pass(false) < 0) ||
            rng_chance(&b->r, 100000)) {
            epoch_out_abandon(&b->out);
        } else {
            assert_int_equal(epoch_out_state(&b->out, &e), 0);
            guest_writes_some(20); /* it runs again */
            finish(&end);
            if (rng_chance(&b->r, 200000))
                epoch_out_abandon(&b->out);
            else
                acked();
        }
        nothing_is_forgotten();
    }
    memset(b->guest.deferred, 0, sizeof(b->guest.deferred));
    b->guest.dirty_fails = b->guest.copy_fails = false;
    commit_all();
    assert_memory_equal(b->backup, b->guest.memory, PAGES * PAGE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_epoch_has_every_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_written_page_is_in_the_next_epoch_and_no_other,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(pages_written_during_the_live_copy_are_copied_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_pages_than_the_buffer_holds_are_two_batches, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(deferred_pages_stay_in_the_carry_until_they_are_sent,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_epoch_of_deferred_pages_only_is_empty, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(abandoning_returns_every_page_wherever_it_was, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(versions_of_an_abandoned_epoch_are_no_bases, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(after_a_failed_read_of_the_log_everything_is_to_do, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failed_copy_or_state_loses_no_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_appended_to_a_sink_that_is_short, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_delta_starts_from_what_the_backup_lacks, set_up, tear_down),
        cmocka_unit_test(the_octets_are_the_same_for_any_number_of_threads),
        cmocka_unit_test_setup_teardown(pages_on_their_way_are_left_alone_until_they_are_gone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_epoch_is_abandoned_while_threads_encode_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(forgetting_makes_every_page_dirty_and_every_version_unknown,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_digest_is_that_of_the_octets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(live_passes_end_when_little_is_left_or_after_a_few, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_order_of_failures_forgets_a_page, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

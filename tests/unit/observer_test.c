/* observer — a judge that can't condemn is no judge: one good history, and each kind of bad one. */
#include "replicator/demo/observer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

#define DOMAIN  UINT64_C(77)
#define PRIMARY UINT64_C(1000)
#define BACKUP  UINT64_C(2000)
#define OTHER   UINT64_C(3000)

/* One vCPU's stream as an honest guest makes it; copying it is the checkpoint. */
struct stream {
    uint64_t number, seq, chain, steps;
    uint32_t boot;
    uint8_t vcpu;
    struct frame newest;
};

static struct stream stream_of(uint8_t vcpu)
{
    return (struct stream){ .chain = frame_chain_start(DOMAIN, vcpu), .boot = 1, .vcpu = vcpu };
}

static struct frame next(struct stream *s)
{
    uint64_t payload = rng_mix(s->seq + 1000 * s->boot + s->vcpu);

    s->chain = frame_chain(s->chain, payload);
    s->newest = (struct frame){
        .domain = DOMAIN, .vcpu = s->vcpu, .boot = s->boot, .number = ++s->number, .seq = ++s->seq,
        .chain = s->chain, .payload = payload, .steps = s->steps += 3,
    };
    return s->newest;
}

static struct frame again(struct stream *s, const struct frame *old)
{
    struct frame f = *old;

    f.number = ++s->number;
    f.flags = FRAME_AGAIN;
    f.boot = s->boot;
    return f;
}

static struct frame_ack ack;

static bool hear(struct observer *o, uint64_t source, struct frame f)
{
    uint8_t octets[FRAME_BYTES];

    frame_put(octets, &f);
    return observer_frame(o, source, octets, sizeof(octets), 100 * (o->frames + 1), &ack);
}

static void hear_many(struct observer *o, uint64_t source, struct stream *s, unsigned n)
{
    while (n-- > 0)
        assert_true(hear(o, source, next(s)));
}

static void assert_only(const struct observer *o, enum observer_fault fault,
                        enum observer_promise promise)
{
    for (unsigned i = 0; i < OBSERVER_FAULT_COUNT; i++)
        assert_int_equal(o->faults[i] > 0, i == (unsigned)fault);
    for (unsigned i = 0; i < OBSERVER_PROMISES; i++)
        assert_int_equal(observer_keeps(o, (enum observer_promise)i), i != (unsigned)promise);
    assert_true(o->words[0] != '\0');
}

static void assert_good(const struct observer *o)
{
    for (unsigned i = 0; i < OBSERVER_PROMISES; i++)
        assert_true(observer_keeps(o, (enum observer_promise)i));
    assert_string_equal(o->words, "");
}

static int make(void **state)
{
    struct observer *o = malloc(sizeof(*o));

    if (!o)
        return -1;
    observer_init(o, DOMAIN);
    *state = o;
    return 0;
}

static int unmake(void **state)
{
    free(*state);
    return 0;
}

/* A primary that said `said` payloads after its last checkpoint and died; the backup's stream. */
static struct stream fail_over(struct observer *o, unsigned committed, unsigned held)
{
    struct stream s = stream_of(0), backup;

    hear_many(o, PRIMARY, &s, committed);
    while (held-- > 0)
        next(&s); /* in the committed epoch, but never let out */
    backup = s;
    backup.boot = 2;
    return backup;
}

static void a_quiet_history_keeps_every_promise(void **state)
{
    struct observer *o = *state;
    struct stream a = stream_of(0), b = stream_of(1);

    for (unsigned i = 0; i < 10000; i++)
        hear_many(o, PRIMARY, i % 3 ? &a : &b, 1);
    assert_good(o);
    assert_int_equal(o->frames, 10000);
    assert_int_equal(o->vcpus[0].complete, a.newest.seq);
    assert_int_equal(o->vcpus[1].complete, b.newest.seq);
    assert_int_equal(observer_new_payloads(o), 10000);
}

static void a_failover_that_repeats_held_payloads_is_good(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0), backup;
    struct frame lost[3];

    hear_many(o, PRIMARY, &s, 50);
    for (unsigned i = 0; i < 3; i++)
        lost[i] = next(&s);
    backup = s;
    backup.boot = 2;
    hear_many(o, BACKUP, &backup, 1);
    assert_int_equal(observer_missing(o), 3);
    assert_false(observer_keeps(o, OBSERVER_LOST));
    for (unsigned i = 0; i < 3; i++)
        assert_true(hear(o, BACKUP, again(&backup, &lost[i])));
    assert_int_equal(ack.seq, 54);
    assert_good(o);
    assert_int_equal(o->held_died, 3);
    assert_int_equal(o->sources, 2);
    assert_int_equal(observer_new_payloads(o), 4);
}

static void what_is_acknowledged_has_no_holes(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);
    struct frame first = next(&s);

    hear(o, PRIMARY, first);
    next(&s);
    assert_true(hear(o, PRIMARY, next(&s)));
    assert_int_equal(ack.seq, 1);
    assert_int_equal(observer_missing(o), 1);
}

static void a_guest_set_back_before_what_it_said_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0), old;

    hear_many(o, PRIMARY, &s, 50);
    old = s;
    hear_many(o, PRIMARY, &s, 1); /* let out before it was committed */
    old.boot = 2;
    hear(o, BACKUP, next(&old));
    assert_true(o->faults[OBSERVER_NUMBER] > 0 && o->faults[OBSERVER_CONTENT] > 0);
    assert_false(observer_keeps(o, OBSERVER_P1));
}

static void a_frame_number_that_comes_again_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);

    hear_many(o, PRIMARY, &s, 5);
    hear(o, PRIMARY, s.newest);
    assert_only(o, OBSERVER_NUMBER, OBSERVER_P1);
}

static void a_payload_with_other_content_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);
    struct frame f;

    hear_many(o, PRIMARY, &s, 5);
    f = again(&s, &s.newest);
    f.payload++;
    hear(o, PRIMARY, f);
    assert_only(o, OBSERVER_CONTENT, OBSERVER_P1);
}

static void a_payload_acknowledged_long_ago_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);
    struct frame first = next(&s);

    hear(o, PRIMARY, first);
    hear_many(o, PRIMARY, &s, OBSERVER_WINDOW);
    hear(o, PRIMARY, again(&s, &first));
    assert_only(o, OBSERVER_FORGOTTEN, OBSERVER_P1);
}

static void a_broken_chain_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);

    hear_many(o, PRIMARY, &s, 5);
    s.chain ^= 1;
    hear(o, PRIMARY, next(&s));
    assert_only(o, OBSERVER_CHAIN, OBSERVER_P2);
}

static void a_chain_that_breaks_in_a_gap_is_condemned_when_the_gap_fills(void **state)
{
    struct observer *o = *state;
    struct stream backup = fail_over(o, 5, 1);
    struct frame other;

    hear(o, BACKUP, next(&backup));
    other = backup.newest; /* payload 6 of a history that does not lead to payload 7 */
    other.seq = 6;
    other.payload = 99;
    other.chain = frame_chain(o->vcpus[0].window[5].chain, 99);
    other.number++;
    hear(o, BACKUP, other);
    assert_true(o->faults[OBSERVER_CHAIN] > 0);
    assert_false(observer_keeps(o, OBSERVER_P2));
}

static void a_payload_far_ahead_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);
    struct frame f;

    hear_many(o, PRIMARY, &s, 5);
    f = next(&s);
    f.seq += OBSERVER_WINDOW;
    hear(o, PRIMARY, f);
    assert_only(o, OBSERVER_CHAIN, OBSERVER_P2);
}

static void work_that_goes_back_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);

    hear_many(o, PRIMARY, &s, 5);
    s.steps -= 10;
    hear(o, PRIMARY, next(&s));
    assert_only(o, OBSERVER_STEPS, OBSERVER_P2);
}

static void a_boot_that_changes_on_one_host_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);

    hear_many(o, PRIMARY, &s, 5);
    s.boot = 2;
    hear(o, PRIMARY, next(&s));
    assert_only(o, OBSERVER_BOOT, OBSERVER_P2);
}

static void a_second_host_with_the_first_ones_boot_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);

    hear_many(o, PRIMARY, &s, 5);
    hear(o, BACKUP, next(&s));
    assert_only(o, OBSERVER_BOOT, OBSERVER_P2);
}

static void a_primary_that_speaks_after_the_backup_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0), t = stream_of(1);

    hear_many(o, PRIMARY, &s, 5);
    s.boot = 2;
    hear_many(o, BACKUP, &s, 5);
    hear(o, PRIMARY, next(&t)); /* even where its frames contradict nothing */
    assert_false(observer_keeps(o, OBSERVER_P3));
    assert_int_equal(o->faults[OBSERVER_STALE], 1);
}

static void hosts_without_end_are_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);

    for (unsigned i = 0; i <= OBSERVER_SOURCES_MAX; i++, s.boot++)
        hear(o, OTHER + i, next(&s));
    assert_only(o, OBSERVER_SOURCES, OBSERVER_P3);
}

static void a_gap_without_a_failover_is_condemned(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);
    struct frame lost;

    hear_many(o, PRIMARY, &s, 5);
    lost = next(&s);
    hear(o, PRIMARY, next(&s));
    hear(o, PRIMARY, again(&s, &lost));
    assert_int_equal(observer_missing(o), 0);
    assert_only(o, OBSERVER_GAP, OBSERVER_LOST);
}

static void a_payload_that_never_comes_counts_as_lost(void **state)
{
    struct observer *o = *state;
    struct stream backup = fail_over(o, 5, 1);

    hear_many(o, BACKUP, &backup, 100);
    assert_int_equal(observer_missing(o), 1);
    assert_false(observer_keeps(o, OBSERVER_LOST));
    assert_true(observer_keeps(o, OBSERVER_P1));
}

static void strangers_are_counted_and_never_answered(void **state)
{
    struct observer *o = *state;
    struct stream s = stream_of(0);
    struct frame f = next(&s);

    assert_false(observer_frame(o, PRIMARY, (const uint8_t *)"x", 1, 1, &ack));
    f.domain++;
    assert_false(hear(o, PRIMARY, f));
    assert_int_equal(o->strangers, 2);
    assert_int_equal(o->frames, 0);
    assert_good(o);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        T(a_quiet_history_keeps_every_promise),
        T(a_failover_that_repeats_held_payloads_is_good),
        T(what_is_acknowledged_has_no_holes),
        T(a_guest_set_back_before_what_it_said_is_condemned),
        T(a_frame_number_that_comes_again_is_condemned),
        T(a_payload_with_other_content_is_condemned),
        T(a_payload_acknowledged_long_ago_is_condemned),
        T(a_broken_chain_is_condemned),
        T(a_chain_that_breaks_in_a_gap_is_condemned_when_the_gap_fills),
        T(a_payload_far_ahead_is_condemned),
        T(work_that_goes_back_is_condemned),
        T(a_boot_that_changes_on_one_host_is_condemned),
        T(a_second_host_with_the_first_ones_boot_is_condemned),
        T(a_primary_that_speaks_after_the_backup_is_condemned),
        T(hosts_without_end_are_condemned),
        T(a_gap_without_a_failover_is_condemned),
        T(a_payload_that_never_comes_counts_as_lost),
        T(strangers_are_counted_and_never_answered),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}

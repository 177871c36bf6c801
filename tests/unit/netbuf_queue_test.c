/* netbuf_queue_test — nothing leaves before its epoch, out of order, after the lease, or after drop. */
#include "netbuf/netbuf_queue.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"

static struct err e;

static struct {
    uint64_t count, next, wrong; /* frames hold ascending numbers */
    size_t last_bytes;
} out;

static void take_frame(void *context, const uint8_t *frame, size_t bytes)
{
    uint64_t number;

    (void)context;
    memcpy(&number, frame, sizeof(number));
    out.wrong += number < out.next; /* frames may be dropped, never reordered */
    for (size_t i = sizeof(number); i < bytes; i++)
        out.wrong += frame[i] != (uint8_t)number;
    out.next = number + 1;
    out.last_bytes = bytes;
    out.count++;
}

static struct netbuf *open_queue(size_t limit)
{
    struct netbuf *n = NULL;

    memset(&out, 0, sizeof(out));
    assert_int_equal(netbuf_queue_open(&n, limit, (struct netbuf_sink){ take_frame, NULL }, &e), 0);
    return n;
}

static void push(struct netbuf *n, uint64_t number, size_t bytes)
{
    static uint8_t frame[NETBUF_QUEUE_FRAME_MAX + 1];

    memset(frame, (uint8_t)number, sizeof(frame));
    memcpy(frame, &number, sizeof(number));
    netbuf_queue_push(n, frame, bytes);
}

static void release(struct netbuf *n, uint64_t epoch)
{
    assert_int_equal(n->ops->release(n, epoch, TIME_NEVER, &e), 0);
}

static void frames_pass_until_the_first_mark(void **state)
{
    struct netbuf *n = open_queue(1 << 20);

    (void)state;
    assert_true(n->ops->holds);
    push(n, 1, 64);
    assert_int_equal(out.count, 1);
    assert_int_equal(n->ops->mark(n, 1, &e), 0);
    push(n, 2, 64);
    assert_int_equal(out.count, 1);
    n->ops->close(n);
    assert_int_equal(out.count, 1);
}

static void a_release_lets_out_the_marked_epoch_and_no_more(void **state)
{
    struct netbuf *n = open_queue(1 << 20);

    (void)state;
    assert_int_equal(n->ops->mark(n, 1, &e), 0);
    push(n, 1, 64);
    push(n, 2, 64);
    release(n, 1); /* of frames before mark 1: there were none */
    assert_int_equal(out.count, 0);
    assert_int_equal(n->ops->mark(n, 2, &e), 0);
    push(n, 3, 64);
    release(n, 1);
    assert_int_equal(out.count, 0);
    release(n, 2);
    assert_int_equal(out.count, 2);
    release(n, 2);
    release(n, 1000);
    assert_int_equal(out.count, 2);
    assert_int_equal(out.wrong, 0);
    n->ops->close(n);
}

static void a_second_mark_joins_older_frames_to_the_later_epoch(void **state)
{
    struct netbuf *n = open_queue(1 << 20);

    (void)state;
    assert_int_equal(n->ops->mark(n, 1, &e), 0);
    push(n, 1, 64);
    assert_int_equal(n->ops->mark(n, 2, &e), 0);
    push(n, 2, 64);
    assert_int_equal(n->ops->mark(n, 3, &e), 0);
    release(n, 2);
    assert_int_equal(out.count, 0);
    release(n, 3);
    assert_int_equal(out.count, 2);
    assert_int_equal(n->ops->mark(n, 2, &e), -EINVAL);
    n->ops->close(n);
}

static void nothing_leaves_after_the_lease(void **state)
{
    struct netbuf *n = open_queue(1 << 20);
    struct netbuf_stats stats;

    (void)state;
    assert_int_equal(n->ops->mark(n, 1, &e), 0);
    push(n, 1, 64);
    assert_int_equal(n->ops->mark(n, 2, &e), 0);
    assert_int_equal(n->ops->release(n, 2, clock_now_ns() - 1, &e), -ETIME);
    assert_int_equal(out.count, 0);
    n->ops->stats(n, &stats);
    assert_true(stats.held_frames == 1 && stats.held_bytes == 64 && stats.dropped_frames == 0);
    release(n, 2); /* a renewed lease */
    assert_int_equal(out.count, 1);
    assert_int_equal(n->ops->release(n, 2, 0, &e), 0); /* nothing left that could be late */
    n->ops->close(n);
}

static void slow_frame(void *context, const uint8_t *frame, size_t bytes)
{
    uint64_t until = *(uint64_t *)context;

    take_frame(NULL, frame, bytes);
    while (clock_now_ns() <= until)
        ;
}

static void the_lease_is_looked_at_before_every_frame(void **state)
{
    uint64_t lease;
    struct netbuf *n = NULL;

    (void)state;
    memset(&out, 0, sizeof(out));
    assert_int_equal(netbuf_queue_open(&n, 1 << 20, (struct netbuf_sink){ slow_frame, &lease }, &e),
                     0);
    assert_int_equal(n->ops->mark(n, 1, &e), 0);
    push(n, 1, 64);
    push(n, 2, 64);
    assert_int_equal(n->ops->mark(n, 2, &e), 0);
    for (uint64_t ns = 10 * NS_PER_MS; out.count == 0; ns *= 2) { /* again when it was over at once */
        lease = clock_now_ns() + ns; /* the first frame's sending outlasts it */
        assert_int_equal(n->ops->release(n, 2, lease, &e), -ETIME);
        assert_true(ns < 1000 * NS_PER_S);
    }
    assert_int_equal(out.count, 1);
    n->ops->close(n);
}

static void opening_lets_everything_out_in_order_and_then_passes(void **state)
{
    struct netbuf *n = open_queue(1 << 20);

    (void)state;
    assert_int_equal(n->ops->mark(n, 1, &e), 0);
    for (uint64_t i = 0; i < 100; i++)
        push(n, i, 64);
    assert_int_equal(n->ops->open(n, &e), 0);
    assert_int_equal(out.count, 100);
    push(n, 100, 64);
    assert_int_equal(out.count, 101);
    assert_int_equal(n->ops->mark(n, 2, &e), 0);
    push(n, 101, 64);
    assert_int_equal(out.count, 101);
    assert_int_equal(out.wrong, 0);
    n->ops->close(n);
}

static void after_drop_nothing_ever_leaves(void **state)
{
    struct netbuf *n = open_queue(1 << 20);
    struct netbuf_stats stats;

    (void)state;
    assert_int_equal(n->ops->mark(n, 1, &e), 0);
    push(n, 1, 64);
    assert_int_equal(n->ops->mark(n, 2, &e), 0);
    assert_int_equal(n->ops->drop(n, &e), 0);
    assert_int_equal(n->ops->drop(n, &e), 0);
    push(n, 2, 64);
    release(n, 2);
    assert_int_equal(n->ops->mark(n, 3, &e), 0);
    push(n, 3, 64);
    assert_int_equal(n->ops->open(n, &e), -EPERM);
    push(n, 4, 64);
    assert_int_equal(out.count, 0);
    n->ops->stats(n, &stats);
    assert_int_equal(stats.held_frames, 0);
    n->ops->close(n);
}

static void a_full_queue_drops_the_newest_and_counts(void **state)
{
    struct netbuf *n = open_queue(NETBUF_QUEUE_LIMIT_LEAST);
    struct netbuf_stats stats;

    (void)state;
    assert_int_equal(n->ops->mark(n, 1, &e), 0);
    for (uint64_t i = 0; i < 10; i++)
        push(n, i, 30000);
    n->ops->stats(n, &stats);
    assert_int_equal(stats.held_frames, 4);
    assert_int_equal(stats.dropped_frames, 6);
    assert_int_equal(n->ops->mark(n, 2, &e), 0);
    release(n, 2);
    assert_int_equal(out.count, 4);
    assert_int_equal(out.next, 4);
    push(n, 10, NETBUF_QUEUE_FRAME_MAX + 1);
    push(n, 11, NETBUF_QUEUE_FRAME_MAX);
    n->ops->stats(n, &stats);
    assert_true(stats.dropped_frames == 7 && stats.held_frames == 1 && stats.released_frames == 4);
    n->ops->close(n);
}

static void frames_of_all_sizes_survive_the_ring_going_round(void **state)
{
    struct netbuf *n = open_queue(NETBUF_QUEUE_LIMIT_LEAST);
    uint64_t number = 0, epoch = 1;
    struct netbuf_stats stats;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 1);
    assert_int_equal(n->ops->mark(n, epoch, &e), 0);
    for (unsigned round = 0; round < 20000; round++) {
        for (uint64_t i = rng_below(&rng, 12); i > 0; i--)
            push(n, number++, 8 + (size_t)rng_below(&rng, rng_chance(&rng, 1000) ? 65000 : 1500));
        if (rng_chance(&rng, 300000))
            assert_int_equal(n->ops->mark(n, ++epoch, &e), 0);
        if (rng_chance(&rng, 300000))
            release(n, epoch);
    }
    assert_int_equal(n->ops->open(n, &e), 0);
    n->ops->stats(n, &stats);
    assert_int_equal(out.wrong, 0);
    assert_int_equal(stats.held_frames, 0);
    assert_int_equal(stats.held_bytes, 0);
    assert_int_equal(out.count + stats.dropped_frames, number);
    assert_true(stats.dropped_frames > 0 && out.count > number / 2);
    n->ops->close(n);
}

static void hold_times_are_known(void **state)
{
    struct netbuf *n = open_queue(1 << 20);
    struct histogram holds;
    uint64_t before = clock_now_ns(), took;

    (void)state;
    push(n, 0, 64); /* not held: not counted */
    assert_int_equal(n->ops->mark(n, 1, &e), 0);
    push(n, 1, 64);
    assert_int_equal(n->ops->mark(n, 2, &e), 0);
    release(n, 2);
    took = clock_now_ns() - before;
    netbuf_queue_holds(n, &holds);
    assert_int_equal(holds.count, 1);
    assert_true(netbuf_queue_hold_quantile(n, 0.99) <= took);
    n->ops->close(n);
}

/* The guest's side while the ops go on: numbers ascend over the whole run. */
static void *push_many(void *context)
{
    struct netbuf *n = context;
    uint8_t frame[64];

    for (uint64_t i = 0; i < 200000; i++) {
        memset(frame, (uint8_t)i, sizeof(frame));
        memcpy(frame, &i, sizeof(i));
        netbuf_queue_push(n, frame, sizeof(frame));
    }
    return NULL;
}

static void pushes_from_another_thread_never_overtake(void **state)
{
    struct netbuf *n = open_queue(1 << 20);
    struct netbuf_stats stats;
    pthread_t guest;

    (void)state;
    assert_int_equal(pthread_create(&guest, NULL, push_many, n), 0);
    for (uint64_t epoch = 1; epoch <= 2000; epoch++) {
        assert_int_equal(n->ops->mark(n, epoch, &e), 0);
        release(n, epoch);
        if (epoch % 100 == 0)
            assert_int_equal(n->ops->open(n, &e), 0);
    }
    assert_int_equal(n->ops->open(n, &e), 0);
    assert_int_equal(pthread_join(guest, NULL), 0);
    n->ops->stats(n, &stats);
    assert_int_equal(out.wrong, 0);
    assert_int_equal(out.count + stats.dropped_frames, 200000);
    n->ops->close(n);
}

static void impossible_limits_are_refused(void **state)
{
    const struct netbuf_sink to = { take_frame, NULL };
    struct netbuf *n = NULL;

    (void)state;
    assert_int_equal(netbuf_queue_open(&n, NETBUF_QUEUE_LIMIT_LEAST - 1, to, &e), -EINVAL);
    assert_int_equal(netbuf_queue_open(&n, NETBUF_QUEUE_LIMIT_MOST + 1, to, &e), -EINVAL);
    assert_null(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_pass_until_the_first_mark),
        cmocka_unit_test(a_release_lets_out_the_marked_epoch_and_no_more),
        cmocka_unit_test(a_second_mark_joins_older_frames_to_the_later_epoch),
        cmocka_unit_test(nothing_leaves_after_the_lease),
        cmocka_unit_test(the_lease_is_looked_at_before_every_frame),
        cmocka_unit_test(opening_lets_everything_out_in_order_and_then_passes),
        cmocka_unit_test(after_drop_nothing_ever_leaves),
        cmocka_unit_test(a_full_queue_drops_the_newest_and_counts),
        cmocka_unit_test(frames_of_all_sizes_survive_the_ring_going_round),
        cmocka_unit_test(hold_times_are_known),
        cmocka_unit_test(pushes_from_another_thread_never_overtake),
        cmocka_unit_test(impossible_limits_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* guest_sim_test — the simulated guest is deterministic, its log misses nothing, its pause stops all. */
#include "checkpoint/sim/guest_sim.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/rng.h"
#include "checkpoint/sim/guest_sim_memory.h"
#include "tests/unit/guest_scene.h"

static struct err e;

static void wait_for_end(struct guest *g)
{
    struct pollfd fd = { .fd = g->ops->event_fd(g), .events = POLLIN };

    scene_resume(g);
    assert_int_equal(poll(&fd, 1, -1), 1);
    assert_int_equal(g->ops->life(g), GUEST_SHUT_DOWN);
    assert_int_equal(g->ops->pause(g, &e), -ECANCELED);
}

static uint64_t memory_digest(const struct guest *g)
{
    return digest_of(guest_sim_memory(g), (size_t)scene_pages(g) * PAGE_BYTES);
}

static uint64_t steps_of(struct guest *g)
{
    struct guest_sim_registers r;
    uint64_t steps = 0;

    guest_sim_registers(g, &r);
    for (unsigned i = 0; i < r.vcpus; i++)
        steps += r.cpus[i].steps;
    return steps;
}

static void same_seed_and_steps_give_the_same_memory(void **state)
{
    static const char *const workloads[] = { "idle", "counter", "kv", "web", "random" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
        uint64_t digests[3];

        for (unsigned n = 0; n < 3; n++) {
            char spec[200];
            struct guest *g;

            snprintf(spec, sizeof(spec), "sim:a?mib=16&dirty=max&workload=%s&bytes=%u&seed=%u&steps=%u",
                     workloads[i], i % 2 ? 100u : 4096u, n == 2 ? 8u : 7u, i == 0 ? 2u : 20000u);
            g = scene_open(spec);
            wait_for_end(g);
            digests[n] = memory_digest(g);
            if (guest_sim_check(g, &e) < 0)
                fail_msg("%s", e.text);
            g->ops->close(g);
        }
        assert_true(digests[0] == digests[1]);
        assert_true(digests[0] != digests[2]);
    }
}

static void a_resumed_guest_goes_on(void **state)
{
    struct guest *g = scene_open("sim:a?mib=16&dirty=max&vcpus=4&workload=random");
    uint64_t steps;

    (void)state;
    scene_run_a_while(g, 100);
    steps = steps_of(g);
    assert_true(steps >= 100);
    scene_run_a_while(g, 100);
    assert_true(steps_of(g) >= steps + 100);
    assert_int_equal(guest_sim_check(g, &e), 0);
    assert_int_equal(g->ops->life(g), GUEST_RUNS);
    g->ops->close(g);
}

struct counting_nic {
    pthread_mutex_t lock;
    struct guest *guest;
    uint64_t frames, again, wrong;
    uint64_t number[8], seq[8], chain[8];
    bool answers;
};

static void count_frame(void *context, const uint8_t *octets, size_t bytes)
{
    struct counting_nic *c = context;
    uint8_t answer[FRAME_ACK_BYTES] = { 0 };
    struct frame f;

    pthread_mutex_lock(&c->lock);
    c->frames++;
    if (frame_get(octets, bytes, &f) < 0 || f.number <= c->number[f.vcpu]) {
        c->wrong++;
    } else {
        uint64_t before = f.seq == 1 ? frame_chain_start(f.domain, f.vcpu) : c->chain[f.vcpu];

        c->number[f.vcpu] = f.number;
        c->again += f.flags & FRAME_AGAIN;
        if (f.seq == c->seq[f.vcpu] + 1) {
            c->wrong += f.chain != frame_chain(before, f.payload);
            c->seq[f.vcpu] = f.seq;
            c->chain[f.vcpu] = f.chain;
        } else {
            c->wrong += f.seq > c->seq[f.vcpu];
        }
        frame_ack_put(answer, &(const struct frame_ack){ f.domain, f.vcpu, c->seq[f.vcpu] });
    }
    pthread_mutex_unlock(&c->lock);
    if (c->answers)
        guest_sim_input(c->guest, answer, sizeof(answer));
}

static void connect_counting(struct guest *g, struct counting_nic *c)
{
    memset(c, 0, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->guest = g;
    guest_sim_connect(g, (struct guest_nic){ count_frame, c });
}

static void a_paused_guest_changes_nothing_and_sends_nothing(void **state)
{
    struct guest *g = scene_open("sim:a?mib=16&dirty=max&vcpus=4&workload=web&nic=udp:h:1");
    struct counting_nic nic;

    (void)state;
    connect_counting(g, &nic);
    nic.answers = true;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t digest, frames;

        scene_run_a_while(g, 100);
        digest = memory_digest(g);
        frames = nic.frames;
        for (unsigned n = 0; n < 100; n++)
            sched_yield();
        assert_true(digest == memory_digest(g));
        assert_true(frames == nic.frames);
        if (guest_sim_check(g, &e) < 0)
            fail_msg("%s", e.text);
    }
    assert_true(nic.frames > 0);
    assert_int_equal(nic.wrong, 0);
    g->ops->close(g);
}

static void copy_logged(struct guest *g, const struct dirty *d, uint8_t *replica)
{
    uint64_t cursor = 0, pfns[64];
    uint8_t types[64];
    static uint8_t batch[64 * PAGE_BYTES];
    uint8_t *to[64];
    size_t n;

    for (size_t i = 0; i < ARRAY_LEN(to); i++)
        to[i] = batch + i * PAGE_BYTES;
    while ((n = dirty_take(d, &cursor, pfns, ARRAY_LEN(pfns))) > 0) {
        assert_int_equal(g->ops->copy(g, pfns, n, to, types, &e), 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(types[i], PAGE_TYPE_NORMAL);
            memcpy(replica + pfns[i] * PAGE_BYTES, batch + i * PAGE_BYTES, PAGE_BYTES);
        }
    }
}

static void live_copy(const char *spec)
{
    struct guest *g = scene_open(spec);
    uint8_t *replica = calloc((size_t)scene_pages(g), PAGE_BYTES);
    struct counting_nic nic;
    struct dirty d;

    assert_non_null(replica);
    connect_counting(g, &nic);
    assert_int_equal(dirty_open(&d, scene_pages(g), &e), 0);
    for (unsigned epoch = 0; epoch < 10; epoch++) {
        scene_resume(g);
        for (unsigned round = 0; round < 20; round++) {
            dirty_clear(&d);
            scene_read_log(g, &d, 20);
            copy_logged(g, &d, replica);
        }
        scene_pause(g);
        dirty_clear(&d);
        assert_int_equal(g->ops->dirty(g, &d, &e), 0);
        copy_logged(g, &d, replica);
        assert_memory_equal(replica, guest_sim_memory(g), (size_t)scene_pages(g) * PAGE_BYTES);
    }
    dirty_close(&d);
    free(replica);
    g->ops->close(g);
}

static void the_log_never_misses_a_write_under_live_copying(void **state)
{
    (void)state;
    live_copy("sim:a?mib=16&dirty=max&vcpus=2&workload=kv&bytes=4096");
    live_copy("sim:a?mib=16&dirty=max&vcpus=3&workload=random&bytes=8");
    live_copy("sim:a?mib=16&dirty=20000&vcpus=8&workload=web&nic=udp:h:1");
}

static void reading_the_log_clears_it(void **state)
{
    struct guest *g = scene_open("sim:a?mib=16&dirty=max&vcpus=2");
    struct dirty d;

    (void)state;
    scene_run_a_while(g, 10);
    assert_int_equal(dirty_open(&d, scene_pages(g), &e), 0);
    assert_int_equal(g->ops->dirty(g, &d, &e), 0);
    dirty_clear(&d);
    assert_int_equal(g->ops->dirty(g, &d, &e), 0);
    assert_int_equal(dirty_count(&d), 0);
    dirty_close(&d);
    g->ops->close(g);
}

/* A paused guest that has begun and not ended; one that ended first is tried again. */
static struct guest *open_in_mid_work(const char *spec)
{
    struct guest *g;
    struct dirty d;
    int rc;

    for (;;) {
        g = scene_open(spec);
        assert_int_equal(dirty_open(&d, scene_pages(g), &e), 0);
        scene_resume(g);
        scene_read_log(g, &d, 1000);
        rc = g->ops->pause(g, &e);
        dirty_close(&d);
        if (rc == 0)
            return g;
        assert_int_equal(rc, -ECANCELED);
        g->ops->close(g);
    }
}

static void a_guest_moved_at_any_step_ends_like_one_that_stayed(void **state)
{
    static const char *const workloads[] = { "counter", "kv", "random" };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct guest *moved, *stayed, *b;
        struct guest_sim_spec spec;
        struct scene_instant at;
        char text[200];

        snprintf(text, sizeof(text), "sim:a?mib=16&dirty=max&workload=%s&steps=300000", workloads[i]);
        stayed = scene_open(text);
        wait_for_end(stayed);
        moved = open_in_mid_work(text);
        scene_take(moved, &at);
        spec = *guest_sim_spec_of(moved);
        moved->ops->close(moved);
        b = scene_wake_up(&spec, &at);
        assert_int_equal(guest_sim_check(b, &e), 0);
        wait_for_end(b);
        assert_int_equal(steps_of(b), 300000);
        assert_true(memory_digest(b) == memory_digest(stayed));
        b->ops->close(b);
        stayed->ops->close(stayed);
    }
}

static uint64_t read_count(struct counting_nic *c, const uint64_t *count)
{
    uint64_t value;

    pthread_mutex_lock(&c->lock);
    value = *count;
    pthread_mutex_unlock(&c->lock);
    return value;
}

static void an_answered_stream_never_repeats_itself_and_an_unanswered_one_stops_at_64(void **state)
{
    struct guest *g = scene_open("sim:a?mib=16&dirty=0&vcpus=2&frames=20000&nic=udp:h:1");
    struct counting_nic nic;

    (void)state;
    connect_counting(g, &nic);
    nic.answers = true;
    scene_resume(g);
    while (read_count(&nic, &nic.seq[1]) < 500)
        sched_yield();
    scene_pause(g);
    assert_int_equal(guest_sim_check(g, &e), 0);
    connect_counting(g, &nic); /* forgets the chain, answers no more */
    scene_resume(g);
    while (read_count(&nic, &nic.again) < 300)
        sched_yield();
    scene_pause(g);
    assert_true(nic.frames - nic.again <= 128);
    if (guest_sim_check(g, &e) < 0)
        fail_msg("%s", e.text);
    g->ops->close(g);
}

static void garbage_input_is_ignored(void **state)
{
    struct guest *g = scene_open("sim:a?mib=16&vcpus=2&nic=udp:h:1&dirty=max&workload=web");
    struct counting_nic nic;
    uint8_t octets[100], uuid[16];
    struct rng rng;

    (void)state;
    rng_seed(&rng, 1);
    connect_counting(g, &nic);
    scene_resume(g);
    guest_sim_spec_uuid(guest_sim_spec_of(g), uuid);
    for (unsigned i = 0; i < 3000; i++) {
        const struct frame_ack a = { i % 2 ? frame_domain(uuid) : rng_next(&rng),
                                     (uint8_t)rng_below(&rng, 8), rng_next(&rng) };

        rng_fill(&rng, octets, sizeof(octets));
        guest_sim_input(g, octets, rng_below(&rng, sizeof(octets) + 1));
        frame_ack_put(octets, &a);
        guest_sim_input(g, octets, FRAME_ACK_BYTES);
    }
    scene_pause(g);
    if (guest_sim_check(g, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(nic.wrong, 0);
    g->ops->close(g);
}

static void a_destroyed_guest_never_runs_again_and_says_nothing_of_it(void **state)
{
    struct guest *g = scene_open("sim:a?mib=16&dirty=max");
    struct pollfd fd = { .fd = g->ops->event_fd(g), .events = POLLIN };
    uint64_t digest;

    (void)state;
    scene_run_a_while(g, 10);
    scene_resume(g);
    g->ops->destroy(g);
    digest = memory_digest(g);
    assert_int_equal(g->ops->resume(g, &e), -EPERM);
    assert_true(digest == memory_digest(g));
    assert_int_equal(poll(&fd, 1, 0), 0);
    g->ops->close(g);
}

static void a_pause_is_no_guest_time_and_not_made_up_for(void **state)
{
    struct guest *g = scene_open("sim:a?mib=16&dirty=1000");
    struct guest_sim_registers before, after;
    uint64_t resumed_ns;

    (void)state;
    scene_run_a_while(g, 20);
    guest_sim_registers(g, &before);
    for (unsigned i = 0; i < 10000; i++)
        sched_yield();
    resumed_ns = clock_now_ns();
    scene_run_a_while(g, 1);
    guest_sim_registers(g, &after);
    assert_true(after.run_ns - before.run_ns <= clock_now_ns() - resumed_ns);
    assert_true(after.cpus[0].steps <= after.run_ns / NS_PER_MS + 1);
    g->ops->close(g);
}

static void a_guest_closes_in_any_state(void **state)
{
    struct guest *g = scene_open("sim:a?mib=16&vcpus=8&dirty=max");

    (void)state;
    g->ops->close(g);
    g = scene_open("sim:a?mib=16&vcpus=8&dirty=0");
    scene_resume(g);
    g->ops->close(g);
    g = scene_open("sim:a?mib=16384&vcpus=8&dirty=max");
    scene_resume(g);
    scene_resume(g);
    g->ops->close(g);
    assert_int_equal(guest_sim_open(&g, "sim:a?mib=1", &e), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_and_steps_give_the_same_memory),
        cmocka_unit_test(a_paused_guest_changes_nothing_and_sends_nothing),
        cmocka_unit_test(a_resumed_guest_goes_on),
        cmocka_unit_test(the_log_never_misses_a_write_under_live_copying),
        cmocka_unit_test(reading_the_log_clears_it),
        cmocka_unit_test(a_guest_moved_at_any_step_ends_like_one_that_stayed),
        cmocka_unit_test(an_answered_stream_never_repeats_itself_and_an_unanswered_one_stops_at_64),
        cmocka_unit_test(garbage_input_is_ignored),
        cmocka_unit_test(a_destroyed_guest_never_runs_again_and_says_nothing_of_it),
        cmocka_unit_test(a_pause_is_no_guest_time_and_not_made_up_for),
        cmocka_unit_test(a_guest_closes_in_any_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

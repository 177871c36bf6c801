/* guest_sim_tcp_test — a guest's TCP endpoint: everything it knows is in logged pages of the guest, and a
 * connection goes on in whoever goes on from them. */
#include "checkpoint/sim/guest_sim_tcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/rng.h"
#include "tests/unit/guest_scene.h"

#define SPEC "sim:a?mib=16&workload=tcp&ip=10.0.0.7&dirty=2000&vcpus=2"

static struct err e;

#define HEARD_MAX 8u

/* The other end: what the guest sent, by its threads. What it says again counts once, because it does so
 * whenever this process gets no processor for as long as that. */
struct peer {
    pthread_mutex_t lock;
    pthread_cond_t heard;
    struct packet_host host;
    struct packet_end end, guest;
    struct packet_segment all[HEARD_MAX]; /* the newest has its payload */
    uint8_t payload[PACKET_SEGMENT_MAX];
    unsigned count;
};

static struct peer peer = { .lock = PTHREAD_MUTEX_INITIALIZER, .heard = PTHREAD_COND_INITIALIZER };

static bool was_heard(const struct packet_segment *s)
{
    for (unsigned i = 0; i < peer.count; i++)
        if (peer.all[i].flags == s->flags && peer.all[i].seq == s->seq &&
            peer.all[i].payload_bytes == s->payload_bytes)
            return true;
    return false;
}

static void peer_hears(void *context, const uint8_t *frame, size_t bytes)
{
    struct packet_segment s;

    (void)context;
    if (packet_segment_get(frame, bytes, &peer.host, &s) < 0)
        return;
    pthread_mutex_lock(&peer.lock);
    if (!was_heard(&s) && peer.count < HEARD_MAX) {
        memcpy(peer.payload, s.payload, s.payload_bytes);
        s.payload = peer.payload;
        peer.all[peer.count++] = s;
        pthread_cond_signal(&peer.heard);
    }
    pthread_mutex_unlock(&peer.lock);
}

/* Waits for the one after the first `count`. */
static struct packet_segment hear_after(unsigned count)
{
    struct packet_segment s;

    pthread_mutex_lock(&peer.lock);
    while (peer.count == count)
        pthread_cond_wait(&peer.heard, &peer.lock);
    s = peer.all[count];
    pthread_mutex_unlock(&peer.lock);
    return s;
}

static const struct guest_nic to_peer = { peer_hears, NULL };

static void peer_start(const struct guest_sim_spec *spec)
{
    const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 }, ip[4] = { 10, 0, 0, 9 };
    struct packet_host guest;

    packet_host_make(&peer.host, mac, ip);
    guest_sim_tcp_host(spec, &guest);
    peer.end = (struct packet_end){ .ip_bytes = 4, .ip = { 10, 0, 0, 9 }, .port = 40000 };
    peer.guest = (struct packet_end){ .ip_bytes = 4, .ip = { 10, 0, 0, 7 }, .port = 7 };
    memcpy(peer.end.mac, mac, 6);
    memcpy(peer.guest.mac, guest.mac, 6);
    peer.count = 0;
}

static size_t peer_frame(uint8_t frame[PACKET_FRAME_MAX], uint8_t flags, uint32_t seq, uint32_t ack,
                         const void *payload, size_t bytes)
{
    const struct packet_segment s = { .from = peer.end, .to = peer.guest, .flags = flags, .seq = seq,
                                      .ack = ack, .window = 60000, .payload = payload,
                                      .payload_bytes = bytes };

    return packet_segment_put(frame, &s);
}

/* Says something to a running guest and waits for what it says to that. */
static struct packet_segment talk(struct guest *g, uint8_t flags, uint32_t seq, uint32_t ack,
                                  const void *payload, size_t bytes)
{
    uint8_t frame[PACKET_FRAME_MAX];
    unsigned before;

    pthread_mutex_lock(&peer.lock);
    before = peer.count;
    pthread_mutex_unlock(&peer.lock);
    guest_sim_input(g, frame, peer_frame(frame, flags, seq, ack, payload, bytes));
    return hear_after(before);
}

/* A running guest, connected to the peer. */
static struct guest *new_guest(struct guest_sim_spec *ret)
{
    struct guest *g = scene_open(SPEC);

    *ret = *guest_sim_spec_of(g);
    peer_start(ret);
    guest_sim_connect(g, to_peer);
    scene_resume(g);
    return g;
}

/* The one that goes on from the instant in which this one is paused; paused, connected to the peer. */
static struct guest *move(struct guest *g, const struct guest_sim_spec *spec)
{
    struct scene_instant then;

    scene_pause(g);
    assert_int_equal(guest_sim_check(g, &e), 0);
    scene_take(g, &then);
    g->ops->close(g);
    g = scene_wake_up(spec, &then);
    guest_sim_connect(g, to_peer);
    return g;
}

static void a_connection_goes_on_in_the_guest_that_goes_on(void **state)
{
    struct guest_sim_spec spec;
    struct guest *g = new_guest(&spec);
    struct packet_segment s = talk(g, TCP_SYN, 1000, 0, NULL, 0);
    uint32_t iss = s.seq;

    (void)state;
    assert_int_equal(s.flags, TCP_SYN | TCP_ACK);
    s = talk(g, TCP_ACK, 1001, iss + 1, "first", 5);
    assert_int_equal(s.payload_bytes, 5);
    assert_memory_equal(s.payload, "first", 5);
    g = move(g, &spec);
    scene_resume(g);
    s = talk(g, TCP_ACK, 1006, iss + 6, "second", 6);
    assert_int_equal(s.seq, iss + 6);
    assert_int_equal(s.ack, 1012);
    assert_int_equal(s.payload_bytes, 6);
    assert_memory_equal(s.payload, "second", 6);
    scene_pause(g);
    assert_int_equal(guest_sim_check(g, &e), 0);
    g->ops->close(g);
}

static void what_was_not_acknowledged_is_said_again_after_a_move(void **state)
{
    struct guest_sim_spec spec;
    struct guest *g = new_guest(&spec);
    uint32_t iss = talk(g, TCP_SYN, 1000, 0, NULL, 0).seq;
    struct packet_segment s;

    (void)state;
    (void)talk(g, TCP_ACK, 1001, iss + 1, "lost", 4); /* with the host that sent it */
    g = move(g, &spec);
    peer.count = 0; /* before it runs, so that nothing is heard */
    scene_resume(g);
    s = hear_after(0);
    assert_int_equal(s.seq, iss + 1);
    assert_int_equal(s.payload_bytes, 4);
    assert_memory_equal(s.payload, "lost", 4);
    g->ops->close(g);
}

/* ---- the endpoint over bare memory ------------------------------------------------------------------- */

#define PAGES    (GUEST_SIM_TCP_PAGES + 1u)
#define FIRST    1u

static uint8_t memory[PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t copy[PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
static struct guest_sim_tcp tcp;

static void send_nowhere(void *context, const uint8_t *frame, size_t bytes)
{
    (void)context, (void)frame, (void)bytes;
}

static uint64_t memory_sum(uint64_t seed)
{
    uint64_t sum = 0, share;

    for (uint64_t pfn = FIRST; pfn < PAGES; pfn++) {
        assert_true(guest_sim_page_is_whole(memory + pfn * PAGE_BYTES, guest_sim_page_key(seed, pfn), &share));
        sum += share;
    }
    return sum;
}

static void every_page_it_changes_is_logged_and_proves_itself(void **state)
{
    struct guest_sim_tcp_turn turn = { .nic = { send_nowhere, NULL } };
    uint8_t frame[PACKET_FRAME_MAX], payload[1400];
    struct guest_sim_spec spec;
    struct dirty log;
    uint64_t sum = 0;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 5);
    memset(payload, 'p', sizeof(payload));
    assert_int_equal(guest_sim_spec_parse(SPEC, &spec, &e), 0);
    assert_int_equal(dirty_open(&log, PAGES, &e), 0);
    memset(memory, 0, sizeof(memory));
    peer_start(&spec);
    guest_sim_tcp_init(&tcp, &spec, memory, &log, FIRST);
    for (unsigned i = 0; i < 500; i++) {
        peer.end.port = (uint16_t)(40000 + rng_below(&rng, 12)); /* more than there are slots */
        turn.run_ns += rng_below(&rng, NS_PER_S);
        turn.step = i;
        memcpy(copy, memory, sizeof(copy));
        dirty_clear(&log);
        guest_sim_tcp_input(&tcp, &turn, frame,
                            peer_frame(frame, rng_below(&rng, 3) ? TCP_ACK : TCP_SYN,
                                       (uint32_t)rng_below(&rng, 3), (uint32_t)rng_next(&rng), payload,
                                       (size_t)rng_below(&rng, sizeof(payload))));
        (void)guest_sim_tcp_tick(&tcp, &turn);
        sum += guest_sim_tcp_flush(&tcp, turn.step);
        for (uint64_t pfn = 0; pfn < PAGES; pfn++)
            assert_int_equal(dirty_has(&log, pfn),
                             memcmp(copy + pfn * PAGE_BYTES, memory + pfn * PAGE_BYTES, PAGE_BYTES) != 0);
        assert_true(sum == memory_sum(spec.seed));
        assert_true(guest_sim_tcp_is_sound(&tcp));
    }
    dirty_close(&log);
}

static void memory_from_a_peer_leads_nowhere(void **state)
{
    struct guest_sim_tcp_turn turn = { .nic = { send_nowhere, NULL }, .run_ns = UINT64_C(1) << 40 };
    uint8_t frame[PACKET_FRAME_MAX];
    struct guest_sim_spec spec;
    struct dirty log;
    struct rng rng;

    (void)state;
    assert_int_equal(guest_sim_spec_parse(SPEC, &spec, &e), 0);
    assert_int_equal(dirty_open(&log, PAGES, &e), 0);
    peer_start(&spec);
    for (uint64_t seed = 0; seed < 200; seed++) {
        rng_seed(&rng, seed);
        for (size_t i = 0; i < sizeof(memory) / 8; i++) /* small words too: they pass for counters */
            store_u64(memory + i * 8, rng_next(&rng) >> rng_below(&rng, 64));
        guest_sim_tcp_init(&tcp, &spec, memory, &log, FIRST);
        for (unsigned i = 0; i < 20; i++) {
            guest_sim_tcp_input(&tcp, &turn, frame, peer_frame(frame, TCP_ACK, (uint32_t)rng_next(&rng),
                                                               (uint32_t)rng_next(&rng), "x", 1));
            (void)guest_sim_tcp_tick(&tcp, &turn);
            (void)guest_sim_tcp_flush(&tcp, 0);
        }
    }
    dirty_close(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_goes_on_in_the_guest_that_goes_on),
        cmocka_unit_test(what_was_not_acknowledged_is_said_again_after_a_move),
        cmocka_unit_test(every_page_it_changes_is_logged_and_proves_itself),
        cmocka_unit_test(memory_from_a_peer_leads_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

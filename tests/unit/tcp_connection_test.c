/* tcp_connection_test — the echo service by hand-made segments: what a peer sends comes back, once, in
 * order, whatever the network loses. */
#include "checkpoint/sim/tcp_connection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/rng.h"

#define OUT_MAX  64u
#define PEER_ISS 0xfffffff0u /* wraps soon */
#define OWN_ISS  0xffffff00u
#define WINDOW   60000u

/* The wire between: what the connection sent since it was last looked at. */
struct scene {
    struct tcp_connection c;
    struct tcp_io io;
    struct packet_host me;
    uint8_t ring[TCP_RING_BYTES];
    struct packet_segment out[OUT_MAX];
    uint8_t payloads[OUT_MAX][PACKET_SEGMENT_MAX];
    unsigned count;
    uint32_t seq, ack;    /* the peer's next, and what it has got */
    uint16_t window;
};

static void scene_send(void *context, const struct packet_segment *s)
{
    struct scene *t = context;

    assert_true(t->count < OUT_MAX);
    t->out[t->count] = *s;
    if (s->payload_bytes > 0)
        memcpy(t->payloads[t->count], s->payload, s->payload_bytes);
    t->out[t->count].payload = t->payloads[t->count];
    t->count++;
}

static void scene_keep(void *context, uint64_t offset, const uint8_t *from, size_t bytes)
{
    struct scene *t = context;

    for (size_t i = 0; i < bytes; i++)
        t->ring[(offset + i) % TCP_RING_BYTES] = from[i];
}

static void scene_fetch(void *context, uint64_t offset, uint8_t *to, size_t bytes)
{
    const struct scene *t = context;

    for (size_t i = 0; i < bytes; i++)
        to[i] = t->ring[(offset + i) % TCP_RING_BYTES];
}

static struct packet_segment from_peer(const struct scene *t, uint8_t flags, const void *payload, size_t bytes)
{
    return (struct packet_segment){
        .from = { .mac = { 2, 9 }, .ip_bytes = 4, .ip = { 10, 0, 0, 9 }, .port = 40000 },
        .to = { .mac = { 2, 1 }, .ip_bytes = 4, .ip = { 10, 0, 0, 7 }, .port = 7 },
        .seq = t->seq, .ack = t->ack, .window = t->window, .flags = flags,
        .payload = payload, .payload_bytes = bytes,
    };
}

/* Hands a segment over; what comes back is in out[0 … count). */
static void say(struct scene *t, uint8_t flags, const void *payload, size_t bytes)
{
    struct packet_segment s = from_peer(t, flags, payload, bytes);

    t->count = 0;
    tcp_connection_input(&t->c, &t->io, &s);
    assert_true(tcp_connection_is_sound(&t->c));
}

static void tick_at(struct scene *t, uint64_t now_ns)
{
    t->count = 0;
    t->io.now_ns = now_ns;
    tcp_connection_tick(&t->c, &t->io);
    assert_true(tcp_connection_is_sound(&t->c));
}

static void scene_start(struct scene *t)
{
    const uint8_t mac[6] = { 2, 1 }, ip[4] = { 10, 0, 0, 7 };

    memset(t, 0, sizeof(*t));
    packet_host_make(&t->me, mac, ip);
    t->io = (struct tcp_io){ &t->me, 0, scene_send, scene_keep, scene_fetch, t };
    t->seq = PEER_ISS;
    t->window = WINDOW;
}

/* Established, its first word acknowledged. */
static void scene_connect(struct scene *t)
{
    struct packet_segment syn;

    scene_start(t);
    syn = from_peer(t, TCP_SYN, NULL, 0);
    syn.mss = 1000;
    tcp_connection_accept(&t->c, &t->io, &syn, OWN_ISS);
    assert_int_equal(t->count, 1);
    assert_int_equal(t->out[0].flags, TCP_SYN | TCP_ACK);
    assert_int_equal(t->out[0].seq, OWN_ISS);
    assert_int_equal(t->out[0].ack, PEER_ISS + 1);
    assert_int_equal(t->out[0].mss, PACKET_SEGMENT_MAX);
    assert_int_equal(t->out[0].window, TCP_RING_BYTES);
    t->seq++;
    t->ack = OWN_ISS + 1;
    say(t, TCP_ACK, NULL, 0);
    assert_int_equal(t->c.state, TCP_ESTABLISHED);
    assert_int_equal(t->count, 0);
    assert_true(t->c.due_ns == TIME_NEVER);
}

static void what_came_goes_back_with_its_acknowledgement(void **state)
{
    struct scene t;

    (void)state;
    scene_connect(&t);
    say(&t, TCP_ACK | TCP_PSH, "hello", 5);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.out[0].ack, t.seq + 5);
    assert_int_equal(t.out[0].seq, t.ack);
    assert_int_equal(t.out[0].payload_bytes, 5);
    assert_memory_equal(t.out[0].payload, "hello", 5);
    t.seq += 5;
    t.ack += 5;
    say(&t, TCP_ACK, NULL, 0);
    assert_int_equal(t.count, 0);
    assert_true(t.c.due_ns == TIME_NEVER);
}

static void a_syn_that_comes_twice_is_answered_twice_and_alike(void **state)
{
    struct packet_segment syn, first;
    struct scene t;

    (void)state;
    scene_start(&t);
    syn = from_peer(&t, TCP_SYN, NULL, 0);
    tcp_connection_accept(&t.c, &t.io, &syn, OWN_ISS);
    first = t.out[0];
    say(&t, TCP_SYN, NULL, 0);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.out[0].seq, first.seq);
    assert_int_equal(t.out[0].flags, TCP_SYN | TCP_ACK);
    tick_at(&t, TCP_RTO_NS_FIRST); /* and by itself, when the answer to it is lost */
    assert_int_equal(t.count, 1);
    assert_int_equal(t.out[0].flags, TCP_SYN | TCP_ACK);
    assert_int_equal(t.c.mss, 536);
}

static void what_comes_out_of_order_is_dropped_and_asked_for(void **state)
{
    struct scene t;

    (void)state;
    scene_connect(&t);
    t.seq += 3;
    say(&t, TCP_ACK, "def", 3);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.out[0].ack, t.seq - 3);
    assert_int_equal(t.out[0].payload_bytes, 0);
    t.seq -= 3;
    say(&t, TCP_ACK, "abcdef", 6);
    assert_int_equal(t.out[0].payload_bytes, 6);
    assert_memory_equal(t.out[0].payload, "abcdef", 6);
}

static void what_comes_twice_is_kept_once(void **state)
{
    struct scene t;

    (void)state;
    scene_connect(&t);
    say(&t, TCP_ACK, "abc", 3);
    say(&t, TCP_ACK, "abc", 3);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.out[0].payload_bytes, 0);
    assert_int_equal(t.out[0].ack, t.seq + 3);
    say(&t, TCP_ACK, "abcde", 5); /* partly new */
    assert_int_equal(t.c.received, 5);
    assert_int_equal(t.out[0].payload_bytes, 2);
    assert_memory_equal(t.out[0].payload, "de", 2);
}

static void what_is_not_acknowledged_is_sent_again_with_growing_patience(void **state)
{
    uint64_t at, gap = 0;
    struct scene t;

    (void)state;
    scene_connect(&t);
    say(&t, TCP_ACK, "abc", 3);
    for (unsigned i = 0; i < 4; i++) {
        at = t.c.due_ns;
        tick_at(&t, at - 1);
        assert_int_equal(t.count, 0);
        tick_at(&t, at);
        assert_int_equal(t.count, 1);
        assert_int_equal(t.out[0].seq, t.ack);
        assert_memory_equal(t.out[0].payload, "abc", 3);
        assert_true(t.c.due_ns - at > gap);
        gap = t.c.due_ns - at;
    }
    t.ack += 3;
    say(&t, TCP_ACK, NULL, 0);
    assert_true(t.c.due_ns == TIME_NEVER);
}

static void a_peer_that_says_nothing_any_more_is_given_up(void **state)
{
    struct scene t;

    (void)state;
    scene_connect(&t);
    say(&t, TCP_ACK, "abc", 3);
    for (unsigned i = 0; i < TCP_TRIES_MAX; i++) {
        tick_at(&t, t.c.due_ns);
        assert_int_equal(t.count, 1);
    }
    tick_at(&t, t.c.due_ns);
    assert_int_equal(t.c.state, TCP_FREE);
}

static void the_third_duplicate_acknowledgement_brings_the_lost_segment(void **state)
{
    uint8_t much[3000];
    struct scene t;

    (void)state;
    memset(much, 'm', sizeof(much));
    scene_connect(&t);
    say(&t, TCP_ACK, much, sizeof(much));
    assert_int_equal(t.count, 3); /* the peer takes 1000 at a time */
    t.seq += (uint32_t)sizeof(much);
    for (unsigned i = 1; i <= 4; i++) {
        say(&t, TCP_ACK, NULL, 0);
        assert_int_equal(t.count, i == 3);
    }
    say(&t, TCP_ACK, NULL, 0);
    t.ack += 3000;
    say(&t, TCP_ACK, NULL, 0);
    assert_int_equal(t.count, 0);
    assert_int_equal(t.c.acked, 3000);
}

static void a_closed_window_is_respected_and_asked_about(void **state)
{
    struct scene t;

    (void)state;
    scene_connect(&t);
    t.window = 0;
    say(&t, TCP_ACK, "abc", 3);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.out[0].payload_bytes, 0);
    tick_at(&t, t.c.due_ns);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.out[0].payload_bytes, 1);
    t.seq += 3;
    t.window = 100;
    say(&t, TCP_ACK, NULL, 0);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.out[0].seq, t.ack + 1);
    assert_memory_equal(t.out[0].payload, "bc", 2);
}

static void more_than_fits_is_not_taken_and_room_is_told_of(void **state)
{
    static uint8_t much[TCP_RING_BYTES + 1000];
    struct scene t;

    (void)state;
    scene_connect(&t);
    say(&t, TCP_ACK, much, sizeof(much));
    assert_int_equal(t.c.received, TCP_RING_BYTES);
    assert_int_equal(t.out[t.count - 1].window, 0);
    t.seq += TCP_RING_BYTES;
    t.ack += 1000;
    say(&t, TCP_ACK, NULL, 0); /* too little to be told of */
    assert_int_equal(t.out[t.count - 1].window, 0);
    t.ack += 5000;
    say(&t, TCP_ACK, NULL, 0);
    assert_int_equal(t.out[t.count - 1].window, 6000);
}

static void the_end_comes_after_all_that_was_said(void **state)
{
    struct scene t;

    (void)state;
    scene_connect(&t);
    t.window = 2;
    say(&t, TCP_ACK | TCP_FIN, "abcd", 4);
    assert_int_equal(t.out[0].ack, t.seq + 5);
    assert_int_equal(t.out[0].payload_bytes, 2);
    assert_false(t.out[0].flags & TCP_FIN);
    t.seq += 5;
    t.ack += 2;
    t.window = WINDOW;
    say(&t, TCP_ACK, NULL, 0);
    assert_true(t.out[0].flags & TCP_FIN);
    assert_memory_equal(t.out[0].payload, "cd", 2);
    tick_at(&t, t.c.due_ns);
    assert_true(t.out[0].flags & TCP_FIN);
    t.ack += 3;
    say(&t, TCP_ACK, NULL, 0);
    assert_int_equal(t.c.state, TCP_FREE);
}

static void only_the_expected_reset_ends_a_connection(void **state)
{
    struct scene t;

    (void)state;
    scene_connect(&t);
    t.seq++;
    say(&t, TCP_RST, NULL, 0);
    assert_int_equal(t.c.state, TCP_ESTABLISHED);
    say(&t, TCP_SYN, NULL, 0); /* nor does a new beginning: it is asked back */
    assert_int_equal(t.out[0].flags, TCP_ACK);
    t.seq--;
    say(&t, TCP_RST, NULL, 0);
    assert_int_equal(t.c.state, TCP_FREE);
}

static void an_acknowledgement_of_what_was_never_sent_is_contradicted(void **state)
{
    struct scene t;

    (void)state;
    scene_connect(&t);
    t.ack += 5;
    say(&t, TCP_ACK, "abc", 3);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.out[0].ack, t.seq);
    assert_int_equal(t.c.received, 0);
}

static void a_segment_for_nobody_is_refused_and_a_reset_is_not(void **state)
{
    struct packet_segment s;
    struct scene t;

    (void)state;
    scene_start(&t);
    s = from_peer(&t, TCP_ACK, "abc", 3);
    s.ack = 77;
    tcp_refuse(&t.io, &s);
    assert_int_equal(t.out[0].flags, TCP_RST);
    assert_int_equal(t.out[0].seq, 77);
    s.flags = TCP_SYN;
    tcp_refuse(&t.io, &s);
    assert_int_equal(t.out[1].flags, TCP_RST | TCP_ACK);
    assert_int_equal(t.out[1].ack, PEER_ISS + 4);
    s.flags = TCP_RST;
    tcp_refuse(&t.io, &s);
    assert_int_equal(t.count, 2);
}

/* ---- a whole stream over a bad network --------------------------------------------------------------- */

#define STREAM_BYTES 200000u

static uint8_t octet_at(uint64_t offset)
{
    return (uint8_t)(rng_mix(offset / 8) >> (offset % 8 * 8));
}

/* A peer as simple as can be: sends one piece from what is acknowledged, takes what comes in order. */
struct peer {
    uint64_t sent, got; /* acknowledged to it; taken by it */
    uint64_t window_end;
};

static void peer_hears(struct scene *t, struct peer *p, const struct packet_segment *s)
{
    uint64_t acked = p->sent + (uint32_t)(s->ack - (uint32_t)(PEER_ISS + 1 + p->sent));
    uint32_t at = s->seq - (uint32_t)(OWN_ISS + 1 + p->got);

    assert_false(s->flags & TCP_RST);
    if (acked > p->sent && acked - p->sent <= TCP_RING_BYTES)
        p->sent = acked;
    if (p->sent + s->window > p->window_end)
        p->window_end = p->sent + s->window;
    if (at != 0)
        return;
    for (size_t i = 0; i < s->payload_bytes; i++)
        assert_int_equal(s->payload[i], octet_at(p->got + i));
    p->got += s->payload_bytes;
    t->ack = (uint32_t)(OWN_ISS + 1 + p->got);
}

static void peer_speaks(struct scene *t, struct peer *p, struct rng *rng, uint64_t at)
{
    uint8_t octets[1400];
    size_t n = 0;

    while (n < sizeof(octets) && at + n < p->window_end && at + n < STREAM_BYTES)
        n++;
    if (n > 0)
        n = 1 + rng_below(rng, n);
    for (size_t i = 0; i < n; i++)
        octets[i] = octet_at(at + i);
    t->seq = (uint32_t)(PEER_ISS + 1 + at);
    say(t, TCP_ACK, octets, n);
}

static void a_stream_survives_any_loss_and_repetition(void **state)
{
    static struct scene t, copy;
    struct rng rng;

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct peer p = { 0, 0, TCP_RING_BYTES };

        rng_seed(&rng, seed);
        scene_connect(&t);
        for (unsigned turns = 0; p.got < STREAM_BYTES; turns++) {
            assert_true(turns < 1000000);
            t.io.now_ns += rng_below(&rng, NS_PER_S);
            t.window = rng_below(&rng, 20) ? WINDOW : 0;
            if (rng_below(&rng, 4) == 0)
                tick_at(&t, t.io.now_ns);
            else
                peer_speaks(&t, &p, &rng, p.sent + (rng_below(&rng, 5) == 0 ? rng_below(&rng, 2000) : 0));
            copy = t;
            for (unsigned i = 0; i < copy.count; i++)
                for (uint64_t n = rng_below(&rng, 3); n > 0; n--) /* lost, once, twice */
                    peer_hears(&t, &p, &copy.out[i]);
        }
        assert_int_equal(t.c.received, STREAM_BYTES);
    }
}

static void records_that_lead_outside_the_ring_are_not_sound(void **state)
{
    struct tcp_connection bad;
    struct scene t;

    (void)state;
    scene_connect(&t);
    say(&t, TCP_ACK, "abc", 3);
#define SPOILED(field, value)                     \
    do {                                          \
        bad = t.c;                                \
        bad.field = (value);                      \
        assert_false(tcp_connection_is_sound(&bad)); \
    } while (0)
    SPOILED(state, TCP_STATE_COUNT);
    SPOILED(acked, t.c.received + 1);
    SPOILED(sent, t.c.sent_max + 1);
    SPOILED(sent_max, t.c.received + 1);
    SPOILED(received, t.c.advertised + 1);
    SPOILED(advertised, t.c.acked + TCP_RING_BYTES + 1);
    SPOILED(mss, PACKET_SEGMENT_MAX + 1u);
    SPOILED(mss, 0);
    SPOILED(congestion, UINT64_MAX);
    SPOILED(ip_bytes, 5);
    SPOILED(has_fin, 2);
    SPOILED(rto_ns, 0);
#undef SPOILED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_goes_back_with_its_acknowledgement),
        cmocka_unit_test(a_syn_that_comes_twice_is_answered_twice_and_alike),
        cmocka_unit_test(what_comes_out_of_order_is_dropped_and_asked_for),
        cmocka_unit_test(what_comes_twice_is_kept_once),
        cmocka_unit_test(what_is_not_acknowledged_is_sent_again_with_growing_patience),
        cmocka_unit_test(a_peer_that_says_nothing_any_more_is_given_up),
        cmocka_unit_test(the_third_duplicate_acknowledgement_brings_the_lost_segment),
        cmocka_unit_test(a_closed_window_is_respected_and_asked_about),
        cmocka_unit_test(more_than_fits_is_not_taken_and_room_is_told_of),
        cmocka_unit_test(the_end_comes_after_all_that_was_said),
        cmocka_unit_test(only_the_expected_reset_ends_a_connection),
        cmocka_unit_test(an_acknowledgement_of_what_was_never_sent_is_contradicted),
        cmocka_unit_test(a_segment_for_nobody_is_refused_and_a_reset_is_not),
        cmocka_unit_test(a_stream_survives_any_loss_and_repetition),
        cmocka_unit_test(records_that_lead_outside_the_ring_are_not_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

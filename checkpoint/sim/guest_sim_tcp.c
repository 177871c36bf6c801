/* guest_sim_tcp — see guest_sim_tcp.h. A connection is taken out of its slot, worked with, and put back. */
#include "checkpoint/sim/guest_sim_tcp.h"

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/rng.h"

_Static_assert(TCP_CONNECTION_WORDS <= GUEST_SIM_TCP_SLOT_WORDS, "a connection fits its slot");
_Static_assert(sizeof(struct tcp_connection) % 8 == 0, "a connection is words");

#define FRAMES_A_TURN 16u

void guest_sim_tcp_host(const struct guest_sim_spec *spec, struct packet_host *ret)
{
    uint8_t uuid[16], mac[6];

    guest_sim_spec_uuid(spec, uuid);
    frame_ethernet_address(mac, frame_domain(uuid));
    packet_host_make(ret, mac, spec->ip);
}

void guest_sim_tcp_init(struct guest_sim_tcp *t, const struct guest_sim_spec *spec, uint8_t *memory,
                        struct dirty *log, uint64_t first_pfn)
{
    guest_sim_tcp_host(spec, &t->me);
    t->key = rng_mix(spec->seed ^ load_u64(t->me.ipv6 + 8));
    t->words = (struct guest_sim_words){ .memory = memory, .log = log, .seed = spec->seed,
                                         .first_pfn = first_pfn, .pages = GUEST_SIM_TCP_PAGES };
}

/* ---- where things are ------------------------------------------------------------------------------ */

static size_t slot_word(unsigned slot)
{
    return slot * GUEST_SIM_TCP_SLOT_WORDS;
}

/* Octet offset of an octet of the stream. */
static size_t ring_at(unsigned slot, uint64_t offset)
{
    return (GUEST_SIM_TCP_CONNECTIONS * GUEST_SIM_TCP_SLOT_WORDS) * 8u + slot * TCP_RING_BYTES +
           (size_t)(offset % TCP_RING_BYTES);
}

static void load(const struct guest_sim_tcp *t, unsigned slot, struct tcp_connection *ret)
{
    uint64_t words[TCP_CONNECTION_WORDS];

    for (size_t i = 0; i < TCP_CONNECTION_WORDS; i++)
        words[i] = guest_sim_words_get(&t->words, slot_word(slot) + i);
    memcpy(ret, words, sizeof(words));
}

static void store(struct guest_sim_tcp *t, unsigned slot, const struct tcp_connection *c)
{
    uint64_t words[TCP_CONNECTION_WORDS];

    memcpy(words, c, sizeof(words));
    for (size_t i = 0; i < TCP_CONNECTION_WORDS; i++)
        guest_sim_words_put(&t->words, slot_word(slot) + i, words[i], t->step);
}

/* ---- what a connection asks for -------------------------------------------------------------------- */

static void io_send(void *context, const struct packet_segment *s)
{
    struct guest_sim_tcp *t = context;
    uint8_t frame[PACKET_FRAME_MAX];

    t->nic.send(t->nic.context, frame, packet_segment_put(frame, s));
}

static size_t to_wrap(uint64_t offset, size_t bytes)
{
    size_t left = TCP_RING_BYTES - (size_t)(offset % TCP_RING_BYTES);

    return bytes < left ? bytes : left;
}

static void io_keep(void *context, uint64_t offset, const uint8_t *from, size_t bytes)
{
    struct guest_sim_tcp *t = context;

    for (size_t n; bytes > 0; offset += n, from += n, bytes -= n) {
        n = to_wrap(offset, bytes);
        guest_sim_words_write(&t->words, ring_at(t->slot, offset), from, n, t->step);
    }
}

static void io_fetch(void *context, uint64_t offset, uint8_t *to, size_t bytes)
{
    const struct guest_sim_tcp *t = context;

    for (size_t n; bytes > 0; offset += n, to += n, bytes -= n) {
        n = to_wrap(offset, bytes);
        guest_sim_words_read(&t->words, ring_at(t->slot, offset), to, n);
    }
}

static struct tcp_io io_of(struct guest_sim_tcp *t, const struct guest_sim_tcp_turn *turn)
{
    t->nic = turn->nic;
    t->step = turn->step;
    return (struct tcp_io){ .me = &t->me, .now_ns = turn->run_ns, .send = io_send, .keep = io_keep,
                            .fetch = io_fetch, .context = t };
}

/* ---- the outside ----------------------------------------------------------------------------------- */

/* The slot of a segment's connection, or else of a free one; GUEST_SIM_TCP_CONNECTIONS: there is none. */
static unsigned find(struct guest_sim_tcp *t, const struct packet_segment *s, struct tcp_connection *ret)
{
    unsigned unused = GUEST_SIM_TCP_CONNECTIONS;

    for (unsigned i = 0; i < GUEST_SIM_TCP_CONNECTIONS; i++) {
        load(t, i, ret);
        if (!tcp_connection_is_sound(ret))
            ret->state = TCP_FREE;
        if (tcp_connection_is_of(ret, s))
            return i;
        if (ret->state == TCP_FREE)
            unused = i;
    }
    *ret = (struct tcp_connection){ .state = TCP_FREE };
    return unused;
}

static uint32_t initial_number(const struct guest_sim_tcp *t, const struct packet_segment *s,
                               uint64_t run_ns)
{
    uint64_t who = load_u64(s->from.ip) ^ rng_mix(load_u64(s->from.ip + 8) ^ s->from.port);

    return (uint32_t)(rng_mix(t->key ^ rng_mix(who)) + run_ns / 4000); /* RFC 6528 */
}

static void take_segment(struct guest_sim_tcp *t, const struct tcp_io *io, const struct packet_segment *s)
{
    bool is_opening = (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
    struct tcp_connection c;

    t->slot = find(t, s, &c);
    if (t->slot == GUEST_SIM_TCP_CONNECTIONS || s->to.port != GUEST_SIM_TCP_PORT ||
        (c.state == TCP_FREE && !is_opening)) {
        tcp_refuse(io, s);
        return;
    }
    if (c.state == TCP_FREE)
        tcp_connection_accept(&c, io, s, initial_number(t, s, io->now_ns));
    else
        tcp_connection_input(&c, io, s);
    store(t, t->slot, &c);
}

void guest_sim_tcp_input(struct guest_sim_tcp *t, const struct guest_sim_tcp_turn *turn,
                         const uint8_t *frame, size_t bytes)
{
    const struct tcp_io io = io_of(t, turn);
    uint8_t answer[PACKET_FRAME_MAX];
    struct packet_segment s;
    size_t n;

    if (packet_segment_get(frame, bytes, &t->me, &s) == 0) {
        take_segment(t, &io, &s);
        return;
    }
    n = packet_answer(answer, &t->me, frame, bytes);
    if (n > 0)
        t->nic.send(t->nic.context, answer, n);
}

bool guest_sim_tcp_take(struct guest_sim_tcp *t, const struct guest_sim_tcp_turn *turn)
{
    uint8_t frame[FRAME_RING_FRAME_MAX];
    size_t bytes;
    unsigned n = 0;

    for (; n < FRAMES_A_TURN && (bytes = frame_ring_take(&t->in, frame)) > 0; n++)
        guest_sim_tcp_input(t, turn, frame, bytes);
    return n > 0;
}

uint64_t guest_sim_tcp_tick(struct guest_sim_tcp *t, const struct guest_sim_tcp_turn *turn)
{
    const struct tcp_io io = io_of(t, turn);
    uint64_t next_ns = TIME_NEVER;
    struct tcp_connection c;

    for (t->slot = 0; t->slot < GUEST_SIM_TCP_CONNECTIONS; t->slot++) {
        load(t, t->slot, &c);
        if (c.state == TCP_FREE || !tcp_connection_is_sound(&c))
            continue;
        if (c.due_ns <= turn->run_ns) {
            tcp_connection_tick(&c, &io);
            store(t, t->slot, &c);
        }
        if (c.state != TCP_FREE && c.due_ns < next_ns)
            next_ns = c.due_ns;
    }
    return next_ns;
}

uint64_t guest_sim_tcp_flush(struct guest_sim_tcp *t, uint64_t step)
{
    return guest_sim_words_flush(&t->words, step);
}

bool guest_sim_tcp_is_sound(const struct guest_sim_tcp *t)
{
    struct tcp_connection c;

    for (unsigned i = 0; i < GUEST_SIM_TCP_CONNECTIONS; i++) {
        load(t, i, &c);
        if (!tcp_connection_is_sound(&c))
            return false;
    }
    return true;
}

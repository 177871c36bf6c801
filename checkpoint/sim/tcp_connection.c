/* tcp_connection — see tcp_connection.h. */
#include "checkpoint/sim/tcp_connection.h"

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"

#define SEGMENTS_ON_THE_WAY 10u
#define MSS_LEAST           64u
#define MSS_UNTOLD          536u                 /* RFC 9293: a SYN without the option */
#define OPENING             (TCP_RING_BYTES / 4) /* smaller steps of the window are not worth telling */
#define DUPLICATES_TO_RESEND 3u
#define ROUND_TRIP_NS_MAX   (UINT64_C(1) << 40)
#define STREAM_BYTES_MAX    (UINT64_C(1) << 60)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The end of what we have to say: all that came, and our FIN after the peer's. */
static uint64_t end_of(const struct tcp_connection *c)
{
    return c->received + c->has_fin;
}

/* Where the ring begins. */
static uint64_t kept_from(const struct tcp_connection *c)
{
    return least(c->acked, c->received);
}

static uint32_t next_expected(const struct tcp_connection *c)
{
    return (uint32_t)(c->irs + 1 + c->received + c->has_fin);
}

static uint32_t seq_of(const struct tcp_connection *c, uint64_t offset)
{
    return (uint32_t)(c->iss + 1 + offset);
}

bool tcp_connection_is_sound(const struct tcp_connection *c)
{
    if (c->state == TCP_FREE)
        return true;
    return c->state < TCP_STATE_COUNT && c->has_fin <= 1 && c->received <= STREAM_BYTES_MAX &&
           (c->ip_bytes == PACKET_IPV4_BYTES || c->ip_bytes == PACKET_IPV6_BYTES) &&
           c->acked <= c->sent && c->sent <= c->sent_max && c->sent_max <= end_of(c) &&
           c->received <= c->advertised && c->advertised - kept_from(c) <= TCP_RING_BYTES &&
           c->mss >= MSS_LEAST && c->mss <= PACKET_SEGMENT_MAX && c->congestion >= c->mss &&
           c->congestion <= SEGMENTS_ON_THE_WAY * c->mss && c->window <= UINT16_MAX &&
           c->rto_ns >= TCP_RTO_NS_LEAST && c->rto_ns <= TCP_RTO_NS_MOST && c->tries <= TCP_TRIES_MAX &&
           c->smoothed_ns <= ROUND_TRIP_NS_MAX && c->varied_ns <= ROUND_TRIP_NS_MAX;
}

static void peer_of(const struct tcp_connection *c, struct packet_end *ret)
{
    uint8_t mac[8];

    *ret = (struct packet_end){ .ip_bytes = (uint8_t)c->ip_bytes, .port = (uint16_t)c->port };
    store_u64(mac, c->mac);
    memcpy(ret->mac, mac, sizeof(ret->mac));
    store_u64(ret->ip, c->ip[0]);
    store_u64(ret->ip + 8, c->ip[1]);
}

static void remember_peer(struct tcp_connection *c, const struct packet_end *peer)
{
    uint8_t mac[8] = { 0 };

    memcpy(mac, peer->mac, sizeof(peer->mac));
    c->mac = load_u64(mac);
    c->ip_bytes = peer->ip_bytes;
    c->ip[0] = load_u64(peer->ip);
    c->ip[1] = load_u64(peer->ip + 8);
    c->port = peer->port;
}

bool tcp_connection_is_of(const struct tcp_connection *c, const struct packet_segment *s)
{
    return c->state != TCP_FREE && c->port == s->from.port && c->own_port == s->to.port &&
           c->ip_bytes == s->from.ip_bytes && c->ip[0] == load_u64(s->from.ip) &&
           c->ip[1] == load_u64(s->from.ip + 8);
}

/* ---- out ------------------------------------------------------------------------------------------- */

static struct packet_end own_end(const struct packet_host *me, uint8_t ip_bytes, uint16_t port)
{
    struct packet_end end = { .ip_bytes = ip_bytes, .port = port };

    memcpy(end.mac, me->mac, sizeof(end.mac));
    memcpy(end.ip, ip_bytes == PACKET_IPV4_BYTES ? me->ipv4 : me->ipv6, ip_bytes);
    return end;
}

static uint64_t opening_of(const struct tcp_connection *c)
{
    return kept_from(c) + TCP_RING_BYTES - c->advertised;
}

/* Every segment carries the newest acknowledgement and window; the window is never taken back. */
static void put_out(struct tcp_connection *c, const struct tcp_io *io, struct packet_segment *s)
{
    s->from = own_end(io->me, (uint8_t)c->ip_bytes, (uint16_t)c->own_port);
    peer_of(c, &s->to);
    s->ack = next_expected(c);
    if (opening_of(c) >= OPENING)
        c->advertised = kept_from(c) + TCP_RING_BYTES;
    s->window = (uint16_t)(c->advertised - c->received);
    io->send(io->context, s);
}

static void send_ack(struct tcp_connection *c, const struct tcp_io *io)
{
    struct packet_segment s = { .seq = seq_of(c, c->sent_max), .flags = TCP_ACK };

    put_out(c, io, &s);
}

static void send_syn_ack(struct tcp_connection *c, const struct tcp_io *io)
{
    struct packet_segment s = { .seq = (uint32_t)c->iss, .flags = TCP_SYN | TCP_ACK,
                                .mss = PACKET_SEGMENT_MAX };

    put_out(c, io, &s);
}

static void send_at(struct tcp_connection *c, const struct tcp_io *io, uint64_t offset, uint64_t bytes,
                    bool is_last)
{
    uint8_t payload[PACKET_SEGMENT_MAX];
    struct packet_segment s = {
        .seq = seq_of(c, offset),
        .flags = (uint8_t)(TCP_ACK | (bytes ? TCP_PSH : 0) | (is_last ? TCP_FIN : 0)),
        .payload = payload,
        .payload_bytes = (size_t)bytes,
    };

    io->fetch(io->context, offset, payload, (size_t)bytes);
    put_out(c, io, &s);
}

/* Sends what may go before `limit`; true when a segment left. */
static bool send_up_to(struct tcp_connection *c, const struct tcp_io *io, uint64_t limit)
{
    bool has_sent = false;

    while (c->sent < end_of(c) && c->sent < limit) {
        uint64_t left = c->received - least(c->sent, c->received);
        uint64_t n = least(left, least(c->mss, limit - c->sent));
        bool is_last = c->has_fin && n == left && c->sent + n < limit;

        if (n < c->mss && n < left && c->sent > c->acked)
            break; /* a small piece waits for a larger window while something is on its way */
        send_at(c, io, c->sent, n, is_last);
        c->sent += n + is_last;
        has_sent = true;
        if (c->timed_until == 0 && c->sent > c->sent_max) { /* what is sent again says nothing */
            c->timed_until = c->sent;
            c->timed_ns = io->now_ns;
        }
        if (c->sent > c->sent_max)
            c->sent_max = c->sent;
    }
    return has_sent;
}

/* Whatever waits, in flight or before a closed window, is looked at again. */
static bool send_more(struct tcp_connection *c, const struct tcp_io *io)
{
    bool has_sent = send_up_to(c, io, c->acked + least(c->window, c->congestion));

    if (c->due_ns == TIME_NEVER && c->acked < end_of(c))
        c->due_ns = io->now_ns + c->rto_ns;
    return has_sent;
}

void tcp_refuse(const struct tcp_io *io, const struct packet_segment *s)
{
    struct packet_segment out = { .to = s->from, .flags = TCP_RST };

    if (s->flags & TCP_RST)
        return;
    out.from = own_end(io->me, s->from.ip_bytes, s->to.port);
    if (s->flags & TCP_ACK) {
        out.seq = s->ack;
    } else {
        out.flags |= TCP_ACK;
        out.ack = (uint32_t)(s->seq + s->payload_bytes + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN));
    }
    io->send(io->context, &out);
}

/* ---- in -------------------------------------------------------------------------------------------- */

void tcp_connection_accept(struct tcp_connection *c, const struct tcp_io *io,
                           const struct packet_segment *syn, uint32_t iss)
{
    uint64_t mss = syn->mss ? syn->mss : MSS_UNTOLD;

    if (mss < MSS_LEAST)
        mss = MSS_LEAST;
    *c = (struct tcp_connection){
        .state = TCP_SYN_RECEIVED,
        .own_port = syn->to.port,
        .irs = syn->seq,
        .iss = iss,
        .window = syn->window,
        .mss = least(mss, PACKET_SEGMENT_MAX),
        .rto_ns = TCP_RTO_NS_FIRST,
        .due_ns = io->now_ns + TCP_RTO_NS_FIRST,
        .timed_ns = io->now_ns,
    };
    c->congestion = SEGMENTS_ON_THE_WAY * c->mss;
    remember_peer(c, &syn->from);
    send_syn_ack(c, io);
}

static void measure(struct tcp_connection *c, uint64_t now_ns)
{
    uint64_t took = least(now_ns - c->timed_ns, ROUND_TRIP_NS_MAX), off;

    if (c->smoothed_ns == 0) {
        c->smoothed_ns = took;
        c->varied_ns = took / 2;
        return;
    }
    off = took > c->smoothed_ns ? took - c->smoothed_ns : c->smoothed_ns - took;
    c->varied_ns = (3 * c->varied_ns + off) / 4;
    c->smoothed_ns = (7 * c->smoothed_ns + took) / 8;
}

static void reset_timeout(struct tcp_connection *c)
{
    uint64_t rto = c->smoothed_ns ? c->smoothed_ns + 4 * c->varied_ns : TCP_RTO_NS_FIRST;

    c->rto_ns = rto < TCP_RTO_NS_LEAST ? TCP_RTO_NS_LEAST : least(rto, TCP_RTO_NS_MOST);
    c->tries = 0;
}

static void take_new_ack(struct tcp_connection *c, uint64_t more, uint64_t now_ns)
{
    c->acked += more;
    if (c->sent < c->acked)
        c->sent = c->acked;
    c->duplicates = 0;
    if (c->timed_until != 0 && c->acked >= c->timed_until) {
        measure(c, now_ns);
        c->timed_until = 0;
    }
    c->congestion = least(c->congestion + c->mss, SEGMENTS_ON_THE_WAY * c->mss);
    reset_timeout(c);
    c->due_ns = c->sent > c->acked ? now_ns + c->rto_ns : TIME_NEVER;
}

static void take_same_ack(struct tcp_connection *c, const struct tcp_io *io, const struct packet_segment *s)
{
    uint64_t first = least(c->mss, c->received - kept_from(c));

    c->tries = 0; /* the peer lives */
    if (s->payload_bytes > 0 || s->window != c->window || c->sent == c->acked)
        return;
    if (++c->duplicates == DUPLICATES_TO_RESEND && first > 0)
        send_at(c, io, c->acked, least(first, c->sent - c->acked), false);
}

static void become_established(struct tcp_connection *c, const struct tcp_io *io)
{
    if (c->tries == 0)
        measure(c, io->now_ns);
    c->state = TCP_ESTABLISHED;
    c->due_ns = TIME_NEVER;
    reset_timeout(c);
}

/* False: the segment says nothing more that counts. */
static bool take_ack(struct tcp_connection *c, const struct tcp_io *io, const struct packet_segment *s)
{
    int32_t more = (int32_t)(s->ack - seq_of(c, c->acked));

    if (c->state == TCP_SYN_RECEIVED && more != 0) {
        tcp_refuse(io, s);
        return false;
    }
    if (c->state == TCP_SYN_RECEIVED)
        become_established(c, io);
    if (more > 0 && (uint64_t)more > c->sent_max - c->acked) {
        send_ack(c, io); /* of what was never sent */
        return false;
    }
    if (more < 0)
        return true;
    if (more > 0)
        take_new_ack(c, (uint64_t)more, io->now_ns);
    else
        take_same_ack(c, io, s);
    c->window = s->window;
    return true;
}

/* Keeps what is next in order and fits; true when the peer is owed an acknowledgement. */
static bool take_data(struct tcp_connection *c, const struct tcp_io *io, const struct packet_segment *s)
{
    int32_t ahead = (int32_t)(s->seq - next_expected(c));
    bool has_fin = s->flags & TCP_FIN;
    uint64_t old, fresh;

    if (s->payload_bytes == 0 && !has_fin)
        return ahead != 0; /* a probe whether we live */
    if (ahead > 0 || c->has_fin)
        return true;
    old = (uint64_t)-(int64_t)ahead;
    if (old > s->payload_bytes)
        return true;
    fresh = least(s->payload_bytes - old, c->advertised - c->received);
    if (fresh > 0)
        io->keep(io->context, c->received, s->payload + old, (size_t)fresh);
    c->received += fresh;
    c->has_fin = has_fin && old + fresh == s->payload_bytes;
    return true;
}

void tcp_connection_input(struct tcp_connection *c, const struct tcp_io *io,
                          const struct packet_segment *s)
{
    bool owes;

    if (s->flags & TCP_RST) {
        if (s->seq == next_expected(c)) /* RFC 5961: anybody could guess the rest */
            *c = (struct tcp_connection){ .state = TCP_FREE };
        return;
    }
    if (s->flags & TCP_SYN) {
        if (c->state == TCP_SYN_RECEIVED && s->seq == (uint32_t)c->irs)
            send_syn_ack(c, io);
        else
            send_ack(c, io);
        return;
    }
    if (!(s->flags & TCP_ACK) || !take_ack(c, io, s))
        return;
    if (c->has_fin && c->acked == end_of(c)) {
        *c = (struct tcp_connection){ .state = TCP_FREE };
        return;
    }
    owes = take_data(c, io, s);
    if ((!send_more(c, io) && owes) || opening_of(c) >= OPENING)
        send_ack(c, io);
}

void tcp_connection_tick(struct tcp_connection *c, const struct tcp_io *io)
{
    if (c->state == TCP_FREE || io->now_ns < c->due_ns)
        return;
    if (++c->tries > TCP_TRIES_MAX) {
        *c = (struct tcp_connection){ .state = TCP_FREE };
        return;
    }
    c->rto_ns = least(2 * c->rto_ns, TCP_RTO_NS_MOST);
    c->due_ns = io->now_ns + c->rto_ns;
    c->timed_until = 0;
    c->duplicates = 0;
    if (c->state == TCP_SYN_RECEIVED) {
        send_syn_ack(c, io);
        return;
    }
    c->sent = c->acked;
    c->congestion = c->mss;
    /* Where the window is closed one octet asks whether it still is. */
    send_up_to(c, io, c->acked + (c->window ? least(c->window, c->mss) : 1));
}

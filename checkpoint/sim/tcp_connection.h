/* tcp_connection — one connection of the simulated guest's echo service, after RFC 9293: what came in
 * order is kept and sent back. A segment or a tick in, segments out; its whole state is this record and
 * the ring of octets received and not yet acknowledged back. No clock, no memory of its own.
 *
 * Offsets count octets of the stream from 0, the same in both directions: acked ≤ sent ≤ received. What
 * comes out of order is dropped, and asked for by the acknowledgement. Retransmission: RFC 6298, and the
 * third duplicate acknowledgement; at most ten segments are on their way (RFC 6928), one after a timeout. */
#ifndef REPLICATOR_CHECKPOINT_TCP_CONNECTION_H
#define REPLICATOR_CHECKPOINT_TCP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/sim/packet.h"

#define TCP_RING_BYTES   16384u
#define TCP_RTO_NS_FIRST UINT64_C(1000000000)
#define TCP_RTO_NS_LEAST UINT64_C(200000000)
#define TCP_RTO_NS_MOST  UINT64_C(10000000000)
#define TCP_TRIES_MAX    15u /* without a sign of the peer; then the connection is given up */

enum tcp_state { TCP_FREE, TCP_SYN_RECEIVED, TCP_ESTABLISHED, TCP_STATE_COUNT };

/* Only words, since it is kept as words. Zeros: free. */
struct tcp_connection {
    uint64_t state;
    uint64_t mac, ip_bytes, ip[2], port;  /* of the peer; octets as they come */
    uint64_t own_port;
    uint64_t irs, iss;                    /* sequence numbers of both SYNs */
    uint64_t received;                    /* in order, ever; the peer's FIN is not counted … */
    uint64_t has_fin;                     /* … but here */
    uint64_t acked, sent, sent_max;       /* sent falls back to acked when it is sent again */
    uint64_t window, congestion, mss;     /* the peer's, ours, the smaller of both */
    uint64_t advertised;                  /* up to here the peer was told that it may send */
    uint64_t duplicates;                  /* acknowledgements of nothing new, in a row */
    uint64_t due_ns, rto_ns, tries;       /* when to send again; UINT64_MAX: nothing waits */
    uint64_t smoothed_ns, varied_ns;      /* round trip; 0: never measured */
    uint64_t timed_ns, timed_until;       /* the segment being measured, 0: none */
};
#define TCP_CONNECTION_WORDS (sizeof(struct tcp_connection) / 8)

/* Where segments go and the ring is; every slot filled. */
struct tcp_io {
    const struct packet_host *me;
    uint64_t now_ns;
    void (*send)(void *context, const struct packet_segment *s);
    void (*keep)(void *context, uint64_t offset, const uint8_t *from, size_t bytes);
    void (*fetch)(void *context, uint64_t offset, uint8_t *to, size_t bytes);
    void *context;
};

/* Whether a record that came from a peer can be worked with: nothing in it leads outside the ring. */
bool tcp_connection_is_sound(const struct tcp_connection *c);

bool tcp_connection_is_of(const struct tcp_connection *c, const struct packet_segment *s);

/* The peer's SYN makes it, and is answered. */
void tcp_connection_accept(struct tcp_connection *c, const struct tcp_io *io,
                           const struct packet_segment *syn, uint32_t iss);

/* A segment of this connection; it may be free afterwards. */
void tcp_connection_input(struct tcp_connection *c, const struct tcp_io *io,
                          const struct packet_segment *s);

/* Does what is due; when due_ns is not yet there, nothing. */
void tcp_connection_tick(struct tcp_connection *c, const struct tcp_io *io);

/* Answers a segment that no connection is for: RST, unless it is one. */
void tcp_refuse(const struct tcp_io *io, const struct packet_segment *s);

#endif

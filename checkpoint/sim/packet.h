/* packet — Ethernet frames of the simulated guest's TCP endpoint: what is read of them, what is written.
 * IPv4 and IPv6, whole datagrams only, every checksum looked at. Encode and decode are twins, pure; no
 * frame from outside makes them read past its end. */
#ifndef REPLICATOR_CHECKPOINT_PACKET_H
#define REPLICATOR_CHECKPOINT_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define PACKET_FRAME_MAX   1514u
#define PACKET_SEGMENT_MAX 1440u /* octets of a segment that fit a frame, under either IP */
#define PACKET_IPV4_BYTES  4u
#define PACKET_IPV6_BYTES  16u

enum packet_flags { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

/* One end: its addresses. Two of them are the same end when all octets are. */
struct packet_end {
    uint8_t mac[6];
    uint8_t ip_bytes; /* 4 or 16 */
    uint8_t ip[16];   /* those past ip_bytes are zero */
    uint16_t port;
};

struct packet_segment {
    struct packet_end from, to;
    uint32_t seq, ack;
    uint16_t window;
    uint16_t mss;  /* the option, with TCP_SYN only; 0: not there */
    uint8_t flags; /* enum packet_flags; others are not read and not written */
    const uint8_t *payload; /* not owned */
    size_t payload_bytes;
};

/* Where a frame must be for to be answered. */
struct packet_host {
    uint8_t mac[6];
    uint8_t ipv4[PACKET_IPV4_BYTES];
    uint8_t ipv6[PACKET_IPV6_BYTES];
};

/* A host of this Ethernet address: its IPv6 address is the link-local one made of it. */
void packet_host_make(struct packet_host *ret, const uint8_t mac[6], const uint8_t ipv4[4]);

/* The frame's length. At most PACKET_SEGMENT_MAX octets of payload, less four with an mss. */
size_t packet_segment_put(uint8_t to[PACKET_FRAME_MAX], const struct packet_segment *s);

/* A whole TCP segment for this host; -1: anything else, or damaged. */
MUST_CHECK int packet_segment_get(const uint8_t *frame, size_t bytes, const struct packet_host *me,
                                  struct packet_segment *ret);

/* What the host answers to a question for it (ARP, neighbour solicitation, echo request): the answer's
 * length, 0: it is no question, or not for us. */
size_t packet_answer(uint8_t to[PACKET_FRAME_MAX], const struct packet_host *me, const uint8_t *frame,
                     size_t bytes);

#endif

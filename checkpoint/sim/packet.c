/* packet — see packet.h. RFC 826, 791, 8200, 4861, 792, 4443, 9293. */
#include "checkpoint/sim/packet.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

#define ETHERNET_BYTES 14u
#define IPV4_BYTES     20u
#define IPV6_BYTES     40u
#define TCP_BYTES      20u
#define ARP_BYTES      28u
#define FRAME_MIN      60u /* shorter ones are padded */

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_ARP  0x0806u
#define ETHERTYPE_IPV6 0x86ddu

#define PROTOCOL_ICMP   1u
#define PROTOCOL_TCP    6u
#define PROTOCOL_ICMPV6 58u
#define HOPS            64u

#define ICMP_ECHO_REPLY     0u
#define ICMP_ECHO           8u
#define ICMPV6_ECHO         128u
#define ICMPV6_ECHO_REPLY   129u
#define ICMPV6_SOLICIT      135u
#define ICMPV6_ADVERTISE    136u
#define SOLICIT_BYTES       24u
#define ADVERTISE_BYTES     32u
#define ADVERTISE_ASKED     0x60000000u /* solicited, override */
#define OPTION_LINK_ADDRESS 2u
#define HOPS_OF_NEIGHBOURS  255u        /* RFC 4861: nothing that was routed */

#define TCP_OPTION_END 0u
#define TCP_OPTION_NOP 1u
#define TCP_OPTION_MSS 2u
#define TCP_MSS_BYTES  4u

/* An IP datagram without its head. */
struct datagram {
    struct packet_end from, to; /* ports are 0 */
    uint8_t protocol, hops;
    const uint8_t *body;
    size_t bytes;
};

void packet_host_make(struct packet_host *ret, const uint8_t mac[6], const uint8_t ipv4[4])
{
    static const uint8_t link_local[8] = { 0xfe, 0x80 };

    memcpy(ret->mac, mac, 6);
    memcpy(ret->ipv4, ipv4, 4);
    memcpy(ret->ipv6, link_local, 8);
    memcpy(ret->ipv6 + 8, mac, 3);
    ret->ipv6[8] ^= 2; /* RFC 4291: the universal bit is inverted */
    ret->ipv6[11] = 0xff;
    ret->ipv6[12] = 0xfe;
    memcpy(ret->ipv6 + 13, mac + 3, 3);
}

/* ---- checksums ------------------------------------------------------------------------------------- */

static uint32_t add_octets(uint32_t sum, const uint8_t *at, size_t bytes)
{
    for (; bytes >= 2; at += 2, bytes -= 2)
        sum += load_be16(at);
    return bytes ? sum + ((uint32_t)*at << 8) : sum;
}

static uint16_t folded(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* The sum over a datagram's pseudo header and body; 0 when the checksum in the body is right. */
static uint16_t sum_of(const struct datagram *d)
{
    uint32_t sum = d->protocol + (uint32_t)d->bytes;

    sum = add_octets(sum, d->from.ip, d->from.ip_bytes);
    sum = add_octets(sum, d->to.ip, d->to.ip_bytes);
    return folded(add_octets(sum, d->body, d->bytes));
}

/* ---- datagrams ------------------------------------------------------------------------------------- */

static int ipv4_get(const uint8_t *at, size_t bytes, struct datagram *ret)
{
    size_t head, whole;

    if (bytes < IPV4_BYTES || at[0] >> 4 != 4)
        return -1;
    head = (at[0] & 15u) * 4u;
    whole = load_be16(at + 2);
    if (head < IPV4_BYTES || whole < head || whole > bytes || folded(add_octets(0, at, head)) != 0 ||
        (load_be16(at + 6) & 0x3fff) != 0) /* a fragment */
        return -1;
    ret->hops = at[8];
    ret->protocol = at[9];
    ret->from.ip_bytes = ret->to.ip_bytes = PACKET_IPV4_BYTES;
    memcpy(ret->from.ip, at + 12, 4);
    memcpy(ret->to.ip, at + 16, 4);
    ret->body = at + head;
    ret->bytes = whole - head;
    return 0;
}

/* Extension headers are not read: nobody on a link needs them to talk TCP. */
static int ipv6_get(const uint8_t *at, size_t bytes, struct datagram *ret)
{
    if (bytes < IPV6_BYTES || at[0] >> 4 != 6 || load_be16(at + 4) > bytes - IPV6_BYTES)
        return -1;
    ret->protocol = at[6];
    ret->hops = at[7];
    ret->from.ip_bytes = ret->to.ip_bytes = PACKET_IPV6_BYTES;
    memcpy(ret->from.ip, at + 8, 16);
    memcpy(ret->to.ip, at + 24, 16);
    ret->body = at + IPV6_BYTES;
    ret->bytes = load_be16(at + 4);
    return 0;
}

static int datagram_get(const uint8_t *frame, size_t bytes, struct datagram *ret)
{
    const uint8_t *at = frame + ETHERNET_BYTES;

    *ret = (struct datagram){ .bytes = 0 };
    if (bytes < ETHERNET_BYTES)
        return -1;
    memcpy(ret->to.mac, frame, 6);
    memcpy(ret->from.mac, frame + 6, 6);
    switch (load_be16(frame + 12)) {
    case ETHERTYPE_IPV4:
        return ipv4_get(at, bytes - ETHERNET_BYTES, ret);
    case ETHERTYPE_IPV6:
        return ipv6_get(at, bytes - ETHERNET_BYTES, ret);
    default:
        return -1;
    }
}

static bool is_address_of(const struct packet_host *me, const struct packet_end *to)
{
    return memcmp(to->ip, to->ip_bytes == PACKET_IPV4_BYTES ? me->ipv4 : me->ipv6, to->ip_bytes) == 0;
}

/* Heads of Ethernet and IP before a body of so many octets; where the body goes. */
static uint8_t *heads_put(uint8_t *to, const struct datagram *d)
{
    bool is_v4 = d->from.ip_bytes == PACKET_IPV4_BYTES;
    uint8_t *at = to + ETHERNET_BYTES;

    memcpy(to, d->to.mac, 6);
    memcpy(to + 6, d->from.mac, 6);
    store_be16(to + 12, is_v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    if (is_v4) {
        memset(at, 0, IPV4_BYTES);
        at[0] = 0x45;
        store_be16(at + 2, (uint16_t)(IPV4_BYTES + d->bytes));
        at[6] = 0x40; /* whole or not at all */
        at[8] = d->hops;
        at[9] = d->protocol;
        memcpy(at + 12, d->from.ip, 4);
        memcpy(at + 16, d->to.ip, 4);
        store_be16(at + 10, folded(add_octets(0, at, IPV4_BYTES)));
        return at + IPV4_BYTES;
    }
    store_be32(at, 0x60000000u);
    store_be16(at + 4, (uint16_t)d->bytes);
    at[6] = d->protocol;
    at[7] = d->hops;
    memcpy(at + 8, d->from.ip, 16);
    memcpy(at + 24, d->to.ip, 16);
    return at + IPV6_BYTES;
}

static size_t padded(uint8_t *to, size_t bytes)
{
    if (bytes >= FRAME_MIN)
        return bytes;
    memset(to + bytes, 0, FRAME_MIN - bytes);
    return FRAME_MIN;
}

/* ---- TCP ------------------------------------------------------------------------------------------- */

size_t packet_segment_put(uint8_t to[PACKET_FRAME_MAX], const struct packet_segment *s)
{
    size_t head = TCP_BYTES + (s->mss ? TCP_MSS_BYTES : 0);
    struct datagram d = { .from = s->from, .to = s->to, .protocol = PROTOCOL_TCP, .hops = HOPS,
                          .bytes = head + s->payload_bytes };
    uint8_t *at = heads_put(to, &d);

    must(d.bytes <= TCP_BYTES + PACKET_SEGMENT_MAX);
    store_be16(at, s->from.port);
    store_be16(at + 2, s->to.port);
    store_be32(at + 4, s->seq);
    store_be32(at + 8, s->ack);
    store_be16(at + 12, (uint16_t)((head / 4) << 12 | s->flags));
    store_be16(at + 14, s->window);
    store_be32(at + 16, 0); /* checksum, urgent pointer */
    if (s->mss)
        store_be32(at + TCP_BYTES, TCP_OPTION_MSS << 24 | TCP_MSS_BYTES << 16 | s->mss);
    if (s->payload_bytes > 0)
        memcpy(at + head, s->payload, s->payload_bytes);
    d.body = at;
    store_be16(at + 16, sum_of(&d));
    return padded(to, (size_t)(at - to) + d.bytes);
}

/* The option in a SYN; 0 when it is not there, and for options that make no sense. */
static uint16_t mss_of(const uint8_t *at, size_t left)
{
    while (left > 0 && *at != TCP_OPTION_END) {
        size_t n = *at == TCP_OPTION_NOP ? 1 : left >= 2 ? at[1] : 0;

        if (n == 0 || n > left || (n == 1 && *at != TCP_OPTION_NOP))
            return 0;
        if (*at == TCP_OPTION_MSS && n == TCP_MSS_BYTES)
            return load_be16(at + 2);
        at += n;
        left -= n;
    }
    return 0;
}

int packet_segment_get(const uint8_t *frame, size_t bytes, const struct packet_host *me,
                       struct packet_segment *ret)
{
    struct datagram d;
    size_t head;

    if (datagram_get(frame, bytes, &d) < 0 || memcmp(d.to.mac, me->mac, 6) != 0 ||
        !is_address_of(me, &d.to) || d.protocol != PROTOCOL_TCP || d.bytes < TCP_BYTES)
        return -1;
    head = (size_t)(d.body[12] >> 4) * 4;
    if (head < TCP_BYTES || head > d.bytes || sum_of(&d) != 0)
        return -1;
    *ret = (struct packet_segment){
        .from = d.from,
        .to = d.to,
        .seq = load_be32(d.body + 4),
        .ack = load_be32(d.body + 8),
        .flags = d.body[13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK),
        .window = load_be16(d.body + 14),
        .payload = d.body + head,
        .payload_bytes = d.bytes - head,
    };
    ret->from.port = load_be16(d.body);
    ret->to.port = load_be16(d.body + 2);
    if (ret->flags & TCP_SYN)
        ret->mss = mss_of(d.body + TCP_BYTES, head - TCP_BYTES);
    return 0;
}

/* ---- questions ------------------------------------------------------------------------------------- */

static size_t answer_arp(uint8_t *to, const struct packet_host *me, const uint8_t *frame, size_t bytes)
{
    static const uint8_t request[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
    const uint8_t *in = frame + ETHERNET_BYTES;
    uint8_t *at = to + ETHERNET_BYTES;

    if (bytes < ETHERNET_BYTES + ARP_BYTES || memcmp(in, request, 8) != 0 ||
        memcmp(in + 24, me->ipv4, 4) != 0)
        return 0;
    memcpy(to, in + 8, 6);
    memcpy(to + 6, me->mac, 6);
    store_be16(to + 12, ETHERTYPE_ARP);
    memcpy(at, request, 8);
    at[7] = 2;
    memcpy(at + 8, me->mac, 6);
    memcpy(at + 14, me->ipv4, 4);
    memcpy(at + 18, in + 8, 10);
    return padded(to, ETHERNET_BYTES + ARP_BYTES);
}

static size_t answer_solicitation(uint8_t *to, const struct packet_host *me, const struct datagram *d)
{
    struct datagram out = { .to = d->from, .protocol = PROTOCOL_ICMPV6, .hops = HOPS_OF_NEIGHBOURS,
                            .bytes = ADVERTISE_BYTES };
    uint8_t *at;

    if (d->bytes < SOLICIT_BYTES || d->hops != HOPS_OF_NEIGHBOURS || d->body[1] != 0 ||
        memcmp(d->body + 8, me->ipv6, 16) != 0)
        return 0;
    out.from.ip_bytes = PACKET_IPV6_BYTES;
    memcpy(out.from.mac, me->mac, 6);
    memcpy(out.from.ip, me->ipv6, 16);
    out.body = at = heads_put(to, &out);
    memset(at, 0, ADVERTISE_BYTES);
    at[0] = ICMPV6_ADVERTISE;
    store_be32(at + 4, ADVERTISE_ASKED);
    memcpy(at + 8, me->ipv6, 16);
    at[24] = OPTION_LINK_ADDRESS;
    at[25] = 1;
    memcpy(at + 26, me->mac, 6);
    store_be16(at + 2, sum_of(&out));
    return (size_t)(at - to) + ADVERTISE_BYTES;
}

/* The same octets go back, as a reply. */
static size_t answer_echo(uint8_t *to, const struct datagram *d, uint8_t reply)
{
    struct datagram out = { .from = d->to, .to = d->from, .protocol = d->protocol, .hops = HOPS,
                            .bytes = d->bytes };
    uint8_t *at;

    if (d->bytes < 8 || d->bytes > PACKET_FRAME_MAX - ETHERNET_BYTES - IPV6_BYTES)
        return 0;
    out.body = at = heads_put(to, &out);
    memcpy(at, d->body, d->bytes);
    at[0] = reply;
    store_be16(at + 2, 0);
    store_be16(at + 2, d->protocol == PROTOCOL_ICMP ? folded(add_octets(0, at, d->bytes)) : sum_of(&out));
    return padded(to, (size_t)(at - to) + d->bytes);
}

size_t packet_answer(uint8_t to[PACKET_FRAME_MAX], const struct packet_host *me, const uint8_t *frame,
                     size_t bytes)
{
    struct datagram d;

    if (bytes >= ETHERNET_BYTES && load_be16(frame + 12) == ETHERTYPE_ARP)
        return answer_arp(to, me, frame, bytes);
    if (datagram_get(frame, bytes, &d) < 0 || d.bytes < 8)
        return 0;
    if (d.protocol == PROTOCOL_ICMPV6 && d.from.ip_bytes == PACKET_IPV6_BYTES && sum_of(&d) == 0 &&
        d.body[0] == ICMPV6_SOLICIT)
        return answer_solicitation(to, me, &d);
    if (memcmp(d.to.mac, me->mac, 6) != 0 || !is_address_of(me, &d.to))
        return 0;
    if (d.protocol == PROTOCOL_ICMP && d.from.ip_bytes == PACKET_IPV4_BYTES &&
        folded(add_octets(0, d.body, d.bytes)) == 0 && d.body[0] == ICMP_ECHO)
        return answer_echo(to, &d, ICMP_ECHO_REPLY);
    if (d.protocol == PROTOCOL_ICMPV6 && d.from.ip_bytes == PACKET_IPV6_BYTES && sum_of(&d) == 0 &&
        d.body[0] == ICMPV6_ECHO)
        return answer_echo(to, &d, ICMPV6_ECHO_REPLY);
    return 0;
}

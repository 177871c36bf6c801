/* announce — see announce.h. Layouts: RFC 826 (ARP), RFC 903 (RARP), RFC 4861 §4.4 (advertisement),
 * RFC 5227 §3 (why an ARP request, not a reply: every host takes it). */
#include "netbuf/announce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"

#define SHORTEST_FRAME   60u
#define ARP_REQUEST      1
#define RARP_REQUEST     3 /* "who am I": only the source address of the frame matters to switches */
#define NEXT_ICMPV6      58
#define HOP_LIMIT        255 /* advertisements with less came from elsewhere */
#define ADVERTISEMENT    136
#define OVERRIDE         0x20
#define OPTION_TARGET_LINK_ADDRESS 2
#define IPV6_AT          ETH_HLEN
#define ICMP_AT          (IPV6_AT + 40u)
#define ICMP_BYTES       32u

static const uint8_t everybody[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t all_nodes_mac[ETH_ALEN] = { 0x33, 0x33, 0, 0, 0, 1 };
static const uint8_t all_nodes[16] = { 0xff, 0x02, [15] = 1 };

static void put_ethernet(uint8_t *frame, const uint8_t to[6], const uint8_t mac[6], uint16_t type)
{
    memset(frame, 0, ANNOUNCE_FRAME_MAX);
    memcpy(frame, to, ETH_ALEN);
    memcpy(frame + ETH_ALEN, mac, ETH_ALEN);
    store_be16(frame + 2 * ETH_ALEN, type);
}

static uint8_t *put_arp_head(uint8_t *at, uint16_t operation)
{
    store_be16(at, 1); /* Ethernet */
    store_be16(at + 2, ETH_P_IP);
    at[4] = ETH_ALEN;
    at[5] = 4;
    store_be16(at + 6, operation);
    return at + 8;
}

size_t announce_arp(uint8_t to[ANNOUNCE_FRAME_MAX], const uint8_t mac[6], const uint8_t ipv4[4])
{
    uint8_t *at;

    put_ethernet(to, everybody, mac, ETH_P_ARP);
    at = put_arp_head(to + ETH_HLEN, ARP_REQUEST);
    memcpy(at, mac, ETH_ALEN);
    memcpy(at + ETH_ALEN, ipv4, 4);
    memcpy(at + 2 * ETH_ALEN + 4, ipv4, 4); /* asks for itself */
    return SHORTEST_FRAME;
}

size_t announce_rarp(uint8_t to[ANNOUNCE_FRAME_MAX], const uint8_t mac[6])
{
    uint8_t *at;

    put_ethernet(to, everybody, mac, ETH_P_RARP);
    at = put_arp_head(to + ETH_HLEN, RARP_REQUEST);
    memcpy(at, mac, ETH_ALEN);
    memcpy(at + ETH_ALEN + 4, mac, ETH_ALEN);
    return SHORTEST_FRAME;
}

/* RFC 1071, over the pseudo-header (addresses, length, next header) and the message. */
static uint16_t checksum(const uint8_t *ipv6, const uint8_t *icmp)
{
    uint32_t sum = ICMP_BYTES + NEXT_ICMPV6;

    for (unsigned i = 8; i < 40; i += 2)
        sum += load_be16(ipv6 + i);
    for (unsigned i = 0; i < ICMP_BYTES; i += 2)
        sum += load_be16(icmp + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

size_t announce_neighbour(uint8_t to[ANNOUNCE_FRAME_MAX], const uint8_t mac[6], const uint8_t ipv6[16])
{
    uint8_t *head = to + IPV6_AT, *icmp = to + ICMP_AT;

    put_ethernet(to, all_nodes_mac, mac, ETH_P_IPV6);
    head[0] = 6 << 4;
    store_be16(head + 4, ICMP_BYTES);
    head[6] = NEXT_ICMPV6;
    head[7] = HOP_LIMIT;
    memcpy(head + 8, ipv6, 16);
    memcpy(head + 24, all_nodes, 16);
    icmp[0] = ADVERTISEMENT;
    icmp[4] = OVERRIDE;
    memcpy(icmp + 8, ipv6, 16);
    icmp[24] = OPTION_TARGET_LINK_ADDRESS;
    icmp[25] = 1; /* in units of 8 octets */
    memcpy(icmp + 26, mac, ETH_ALEN);
    store_be16(icmp + 2, checksum(head, icmp));
    return ICMP_AT + ICMP_BYTES;
}

static bool parse_address(const char *text, size_t length, struct announce_address *ret)
{
    char copy[INET6_ADDRSTRLEN];

    if (length >= sizeof(copy))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    ret->family_bytes = strchr(copy, ':') ? 16 : 4;
    return inet_pton(ret->family_bytes == 4 ? AF_INET : AF_INET6, copy, ret->bytes) == 1;
}

int announce_parse(const char *text, struct announce_nic *ret, struct err *e)
{
    struct announce_nic nic = { .count = 0 };
    uint8_t *m = nic.mac;
    const char *at;
    int end = 0;

    if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5],
               &end) != 6 || end != 17 || (m[0] & 1) || (text[end] != '\0' && text[end] != '='))
        return err_set(e, EINVAL, "\"%.60s\": want MAC or MAC=ADDRESS,ADDRESS…", text);
    for (at = text + end; *at; ) {
        size_t length = strcspn(++at, ",");

        if (nic.count == ANNOUNCE_ADDRESSES_MAX || !parse_address(at, length, &nic.addresses[nic.count]))
            return err_set(e, EINVAL, "\"%.60s\": no address, or more than %u", at, ANNOUNCE_ADDRESSES_MAX);
        nic.count++;
        at += length;
    }
    *ret = nic;
    return 0;
}

static int send_one(int fd, const uint8_t *frame, size_t bytes, const char *interface, struct err *e)
{
    if (send(fd, frame, bytes, MSG_DONTWAIT) == (ssize_t)bytes)
        return 0;
    return err_set(e, errno ? errno : EIO, "announce on %s: %m", interface);
}

int announce_send(const char *interface, const struct announce_nic *nic, struct err *e)
{
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface) };
    AUTO_CLOSE int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    uint8_t frame[ANNOUNCE_FRAME_MAX];
    int rc;

    if (fd < 0)
        return err_set(e, errno, "announce: packet socket: %m%s",
                       errno == EPERM ? " (CAP_NET_RAW is missing)" : "");
    if (to.sll_ifindex == 0)
        return err_set(e, ENODEV, "announce: there is no interface %s", interface);
    if (bind(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
        return err_set(e, errno, "announce on %s: %m", interface);
    rc = send_one(fd, frame, announce_rarp(frame, nic->mac), interface, e);
    for (unsigned i = 0; rc == 0 && i < nic->count; i++) {
        const struct announce_address *a = &nic->addresses[i];
        size_t bytes = a->family_bytes == 4 ? announce_arp(frame, nic->mac, a->bytes)
                                            : announce_neighbour(frame, nic->mac, a->bytes);

        rc = send_one(fd, frame, bytes, interface, e);
    }
    return rc;
}

/* announce — tells the network that a guest's addresses are now reached through this host: gratuitous
 * ARP, RARP and unsolicited neighbour advertisements, sent as the guest would, by packet socket. Switches
 * learn the MAC's new place from any of them, neighbours refresh what they cached. */
#ifndef REPLICATOR_NETBUF_ANNOUNCE_H
#define REPLICATOR_NETBUF_ANNOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define ANNOUNCE_ADDRESSES_MAX 32u
#define ANNOUNCE_FRAME_MAX     86u /* the advertisement; the others are padded to 60 */

struct announce_address {
    uint8_t family_bytes; /* 4 or 16 */
    uint8_t bytes[16];
};

struct announce_nic {
    uint8_t mac[6];
    unsigned count;
    struct announce_address addresses[ANNOUNCE_ADDRESSES_MAX];
};

/* Encoders, pure; the length of the frame. */
size_t announce_arp(uint8_t to[ANNOUNCE_FRAME_MAX], const uint8_t mac[6], const uint8_t ipv4[4]);
size_t announce_rarp(uint8_t to[ANNOUNCE_FRAME_MAX], const uint8_t mac[6]);
size_t announce_neighbour(uint8_t to[ANNOUNCE_FRAME_MAX], const uint8_t mac[6], const uint8_t ipv6[16]);

/* "52:54:00:12:34:56" or with addresses "52:54:00:12:34:56=10.0.0.7,fd00::7". -EINVAL. */
MUST_CHECK int announce_parse(const char *text, struct announce_nic *ret, struct err *e);

/* Sends every frame of the guest's NIC once, out of an interface of this host (a bridge, as a rule). The
 * caller does it several times, some apart: frames get lost. -EPERM naming the capability, -ENODEV. */
MUST_CHECK int announce_send(const char *interface, const struct announce_nic *nic, struct err *e);

#endif

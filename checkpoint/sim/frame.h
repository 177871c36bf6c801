/* frame — what the simulated guest's NIC says and hears; an outside observer judges by it.
 * Each vCPU sends one endless stream of payloads. A chain value ties each payload to all before it,
 * so that a guest that took back what it said contradicts itself. Encode and decode are twins, pure.
 *
 * A frame, 64 octets little-endian (longer ones are padded with anything):
 *   u64 magic · u64 domain · u8 vcpu · u8 flags · u16 zero · u32 boot
 *   u64 number · u64 seq · u64 chain · u64 payload · u64 steps
 * An acknowledgement, 32 octets: u64 magic · u64 domain · u8 vcpu · 7 zero · u64 seq */
#ifndef REPLICATOR_CHECKPOINT_FRAME_H
#define REPLICATOR_CHECKPOINT_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define FRAME_BYTES     64u
#define FRAME_ACK_BYTES 32u
#define FRAME_VCPUS_MAX 8u

enum frame_flags { FRAME_AGAIN = 1 /* this payload was sent before */ };

struct frame {
    uint64_t domain;  /* frame_domain() */
    uint8_t vcpu;     /* below FRAME_VCPUS_MAX */
    uint8_t flags;
    uint32_t boot;    /* 1 on the first host, one more after every activation */
    uint64_t number;  /* grows with every frame of this vCPU, repeated ones too; the first is 1 */
    uint64_t seq;     /* the payload's number: 1, 2, 3 … */
    uint64_t chain;   /* frame_chain() over the payloads 1 … seq */
    uint64_t payload;
    uint64_t steps;   /* of the vCPU when the payload was made */
};

/* Everything up to seq has arrived. */
struct frame_ack {
    uint64_t domain;
    uint8_t vcpu;
    uint64_t seq;
};

void frame_put(uint8_t to[FRAME_BYTES], const struct frame *f);
void frame_ack_put(uint8_t to[FRAME_ACK_BYTES], const struct frame_ack *a);

/* -1 and nothing written when the octets are no such thing. */
MUST_CHECK int frame_get(const uint8_t *from, size_t bytes, struct frame *ret);
MUST_CHECK int frame_ack_get(const uint8_t *from, size_t bytes, struct frame_ack *ret);

/* Names a domain by its uuid; the chain of a vCPU before its first payload; and after one more. */
uint64_t frame_domain(const uint8_t uuid[16]);
void frame_ethernet_address(uint8_t ret[6], uint64_t domain); /* a local one */
uint64_t frame_chain_start(uint64_t domain, uint8_t vcpu);
uint64_t frame_chain(uint64_t before, uint64_t payload);

#endif

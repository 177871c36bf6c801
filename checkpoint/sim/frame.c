/* frame — see frame.h. */
#include "checkpoint/sim/frame.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/rng.h"

#define FRAME_MAGIC UINT64_C(0x31454d4152465052) /* "RPFRAME1" */
#define ACK_MAGIC   UINT64_C(0x314b434152465052) /* "RPFRACK1" */

void frame_put(uint8_t to[FRAME_BYTES], const struct frame *f)
{
    must(f->vcpu < FRAME_VCPUS_MAX && (f->flags & ~FRAME_AGAIN) == 0);
    store_u64(to, FRAME_MAGIC);
    store_u64(to + 8, f->domain);
    store_u8(to + 16, f->vcpu);
    store_u8(to + 17, f->flags);
    store_u16(to + 18, 0);
    store_u32(to + 20, f->boot);
    store_u64(to + 24, f->number);
    store_u64(to + 32, f->seq);
    store_u64(to + 40, f->chain);
    store_u64(to + 48, f->payload);
    store_u64(to + 56, f->steps);
}

int frame_get(const uint8_t *from, size_t bytes, struct frame *ret)
{
    if (bytes < FRAME_BYTES || load_u64(from) != FRAME_MAGIC || from[16] >= FRAME_VCPUS_MAX ||
        (from[17] & ~FRAME_AGAIN) != 0 || load_u16(from + 18) != 0)
        return -1;
    *ret = (struct frame){
        .domain = load_u64(from + 8),
        .vcpu = from[16],
        .flags = from[17],
        .boot = load_u32(from + 20),
        .number = load_u64(from + 24),
        .seq = load_u64(from + 32),
        .chain = load_u64(from + 40),
        .payload = load_u64(from + 48),
        .steps = load_u64(from + 56),
    };
    return 0;
}

void frame_ack_put(uint8_t to[FRAME_ACK_BYTES], const struct frame_ack *a)
{
    must(a->vcpu < FRAME_VCPUS_MAX);
    store_u64(to, ACK_MAGIC);
    store_u64(to + 8, a->domain);
    store_u64(to + 16, a->vcpu); /* and seven zeros */
    store_u64(to + 24, a->seq);
}

int frame_ack_get(const uint8_t *from, size_t bytes, struct frame_ack *ret)
{
    if (bytes != FRAME_ACK_BYTES || load_u64(from) != ACK_MAGIC ||
        load_u64(from + 16) >= FRAME_VCPUS_MAX)
        return -1;
    *ret = (struct frame_ack){
        .domain = load_u64(from + 8),
        .vcpu = from[16],
        .seq = load_u64(from + 24),
    };
    return 0;
}

uint64_t frame_domain(const uint8_t uuid[16])
{
    return digest_of(uuid, 16);
}

void frame_ethernet_address(uint8_t ret[6], uint64_t domain)
{
    uint8_t octets[8];

    store_u64(octets, domain);
    ret[0] = 0x02;
    memcpy(ret + 1, octets, 5);
}

uint64_t frame_chain_start(uint64_t domain, uint8_t vcpu)
{
    return rng_mix(domain ^ rng_mix(vcpu));
}

uint64_t frame_chain(uint64_t before, uint64_t payload)
{
    return rng_mix(before ^ rng_mix(payload));
}

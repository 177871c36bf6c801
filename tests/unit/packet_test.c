/* packet_test — what is written is read back the same; what is damaged, in pieces or for others is not. */
#include "checkpoint/sim/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/rng.h"

static const uint8_t mac[6] = { 0x02, 0xe6, 0xd6, 0x00, 0xba, 0xf2 }, ipv4[4] = { 10, 0, 0, 7 };
static const uint8_t asker[6] = { 0x02, 0, 0, 0, 0, 9 };
static struct packet_host me;

static int make_host(void **state)
{
    (void)state;
    packet_host_make(&me, mac, ipv4);
    return 0;
}

static void random_octets(struct rng *rng, uint8_t *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)rng_next(rng);
}

static struct packet_segment random_segment(struct rng *rng, uint8_t payload[PACKET_SEGMENT_MAX])
{
    struct packet_segment s = {
        .seq = (uint32_t)rng_next(rng),
        .ack = (uint32_t)rng_next(rng),
        .window = (uint16_t)rng_next(rng),
        .flags = (uint8_t)(rng_next(rng) & 31),
        .payload = payload,
        .payload_bytes = rng_below(rng, PACKET_SEGMENT_MAX + 1),
    };

    random_octets(rng, payload, PACKET_SEGMENT_MAX);
    s.from.ip_bytes = s.to.ip_bytes = rng_below(rng, 2) ? PACKET_IPV4_BYTES : PACKET_IPV6_BYTES;
    random_octets(rng, s.from.mac, 6);
    random_octets(rng, s.from.ip, s.from.ip_bytes);
    memcpy(s.to.mac, me.mac, 6);
    memcpy(s.to.ip, s.to.ip_bytes == PACKET_IPV4_BYTES ? me.ipv4 : me.ipv6, s.to.ip_bytes);
    s.from.port = (uint16_t)rng_next(rng);
    s.to.port = (uint16_t)rng_next(rng);
    if (s.flags & TCP_SYN) {
        s.mss = (uint16_t)rng_below(rng, 65536);
        s.payload_bytes = 0;
    }
    return s;
}

static void segments_survive_the_wire(void **state)
{
    uint8_t frame[PACKET_FRAME_MAX], payload[PACKET_SEGMENT_MAX];
    struct packet_segment s, got;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 1);
    for (unsigned i = 0; i < 2000; i++) {
        s = random_segment(&rng, payload);
        assert_int_equal(packet_segment_get(frame, packet_segment_put(frame, &s), &me, &got), 0);
        assert_memory_equal(&got.from, &s.from, sizeof(s.from));
        assert_memory_equal(&got.to, &s.to, sizeof(s.to));
        assert_true(got.seq == s.seq && got.ack == s.ack && got.window == s.window &&
                    got.flags == s.flags && got.mss == s.mss && got.payload_bytes == s.payload_bytes);
        if (s.payload_bytes > 0)
            assert_memory_equal(got.payload, payload, s.payload_bytes);
    }
}

static void a_damaged_or_shortened_segment_is_none(void **state)
{
    uint8_t frame[PACKET_FRAME_MAX], payload[PACKET_SEGMENT_MAX];
    struct packet_segment s, got;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 2);
    for (unsigned i = 0; i < 200; i++) {
        size_t n, at;

        s = random_segment(&rng, payload);
        s.payload_bytes = 100;
        n = packet_segment_put(frame, &s);
        assert_int_equal(packet_segment_get(frame, n - 1, &me, &got), -1);
        at = 14 + (size_t)rng_below(&rng, n - 14);
        if (s.from.ip_bytes == PACKET_IPV6_BYTES && (at < 18 || at == 21))
            continue; /* IPv6 has no checksum over its head: traffic class, flow label, hops */
        frame[at] ^= (uint8_t)(1u << rng_below(&rng, 8));
        assert_int_equal(packet_segment_get(frame, n, &me, &got), -1);
    }
}

static void segments_for_others_and_fragments_are_none(void **state)
{
    uint8_t frame[PACKET_FRAME_MAX], payload[PACKET_SEGMENT_MAX];
    struct packet_segment s, got;
    struct rng rng;
    size_t n;

    (void)state;
    rng_seed(&rng, 3);
    do
        s = random_segment(&rng, payload);
    while (s.to.ip_bytes != PACKET_IPV4_BYTES);
    s.to.mac[5] ^= 1;
    n = packet_segment_put(frame, &s);
    assert_int_equal(packet_segment_get(frame, n, &me, &got), -1);
    s.to.mac[5] ^= 1;
    s.to.ip[3] ^= 1;
    n = packet_segment_put(frame, &s);
    assert_int_equal(packet_segment_get(frame, n, &me, &got), -1);
    s.to.ip[3] ^= 1;
    n = packet_segment_put(frame, &s);
    assert_int_equal(packet_segment_get(frame, n, &me, &got), 0);
    frame[14 + 6] = 0x20; /* more fragments, in place of whole or not at all */
    store_be16(frame + 24, (uint16_t)(load_be16(frame + 24) + 0x2000));
    assert_int_equal(packet_segment_get(frame, n, &me, &got), -1);
}

static size_t ask_arp(uint8_t *frame, const uint8_t target[4])
{
    static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };

    memset(frame, 0xff, 6);
    memcpy(frame + 6, asker, 6);
    store_be16(frame + 12, 0x0806);
    memcpy(frame + 14, head, 8);
    memcpy(frame + 22, asker, 6);
    memcpy(frame + 28, "\x0a\0\0\x09", 4);
    memset(frame + 32, 0, 6);
    memcpy(frame + 38, target, 4);
    return 42;
}

static void who_asks_for_its_address_is_told(void **state)
{
    uint8_t frame[60], answer[PACKET_FRAME_MAX];
    const uint8_t other[4] = { 10, 0, 0, 8 };
    size_t n;

    (void)state;
    n = packet_answer(answer, &me, frame, ask_arp(frame, ipv4));
    assert_int_equal(n, 60);
    assert_memory_equal(answer, asker, 6);
    assert_memory_equal(answer + 6, mac, 6);
    assert_int_equal(answer[21], 2);
    assert_memory_equal(answer + 22, mac, 6);
    assert_memory_equal(answer + 28, ipv4, 4);
    assert_memory_equal(answer + 38, "\x0a\0\0\x09", 4);
    assert_int_equal(packet_answer(answer, &me, frame, ask_arp(frame, other)), 0);
    assert_int_equal(packet_answer(answer, &me, frame, ask_arp(frame, ipv4) - 1), 0);
}

/* A neighbour solicitation for `target`, as RFC 4861 has it; its checksum by the pseudo header's sum. */
static size_t ask_neighbour(uint8_t *frame, const uint8_t target[16], uint8_t hops)
{
    uint32_t sum = 58 + 24;

    memset(frame, 0, 14 + 40 + 24);
    memcpy(frame, "\x33\x33\xff\0\xba\xf2", 6);
    memcpy(frame + 6, asker, 6);
    store_be16(frame + 12, 0x86dd);
    frame[14] = 0x60;
    frame[19] = 24;
    frame[20] = 58;
    frame[21] = hops;
    memcpy(frame + 22, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x09", 16);
    memcpy(frame + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\0\xba\xf2", 16);
    frame[54] = 135;
    memcpy(frame + 62, target, 16);
    for (size_t i = 22; i < 78; i += 2)
        sum += load_be16(frame + i);
    store_be16(frame + 56, (uint16_t)~((sum & 0xffff) + (sum >> 16)));
    return 78;
}

static void a_neighbour_is_told_too_unless_it_is_far_away(void **state)
{
    uint8_t frame[78], answer[PACKET_FRAME_MAX], other[16];
    size_t n;

    (void)state;
    n = packet_answer(answer, &me, frame, ask_neighbour(frame, me.ipv6, 255));
    assert_int_equal(n, 14 + 40 + 32);
    assert_memory_equal(answer, asker, 6);
    assert_memory_equal(answer + 22, me.ipv6, 16);
    assert_int_equal(answer[54], 136);
    assert_memory_equal(answer + 62, me.ipv6, 16);
    assert_memory_equal(answer + 80, mac, 6);
    assert_int_equal(packet_answer(answer, &me, frame, ask_neighbour(frame, me.ipv6, 254)), 0);
    memcpy(other, me.ipv6, 16);
    other[15] ^= 1;
    assert_int_equal(packet_answer(answer, &me, frame, ask_neighbour(frame, other, 255)), 0);
}

static void its_own_answer_is_no_question(void **state)
{
    uint8_t frame[78], answer[PACKET_FRAME_MAX], again[PACKET_FRAME_MAX];

    (void)state;
    assert_int_equal(packet_answer(again, &me, answer,
                                   packet_answer(answer, &me, frame, ask_arp(frame, ipv4))), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_survive_the_wire),
        cmocka_unit_test(a_damaged_or_shortened_segment_is_none),
        cmocka_unit_test(segments_for_others_and_fragments_are_none),
        cmocka_unit_test(who_asks_for_its_address_is_told),
        cmocka_unit_test(a_neighbour_is_told_too_unless_it_is_far_away),
        cmocka_unit_test(its_own_answer_is_no_question),
    };

    return cmocka_run_group_tests(tests, make_host, NULL);
}

/* frame_test — twins, and refusal of everything else. */
#include "checkpoint/sim/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

static struct frame random_frame(struct rng *rng)
{
    return (struct frame){
        .domain = rng_next(rng),
        .vcpu = (uint8_t)rng_below(rng, FRAME_VCPUS_MAX),
        .flags = (uint8_t)rng_below(rng, 2),
        .boot = (uint32_t)rng_next(rng),
        .number = rng_next(rng),
        .seq = rng_next(rng),
        .chain = rng_next(rng),
        .payload = rng_next(rng),
        .steps = rng_next(rng),
    };
}

static void frames_survive_the_wire(void **state)
{
    uint8_t octets[FRAME_BYTES], again[FRAME_BYTES];
    struct frame f, got;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 1);
    for (unsigned i = 0; i < 1000; i++) {
        f = random_frame(&rng);
        frame_put(octets, &f);
        assert_int_equal(frame_get(octets, sizeof(octets), &got), 0);
        frame_put(again, &got);
        assert_memory_equal(octets, again, sizeof(octets));
        assert_true(got.seq == f.seq && got.steps == f.steps && got.vcpu == f.vcpu);
    }
}

static void a_padded_frame_is_a_frame_and_a_short_one_is_not(void **state)
{
    uint8_t octets[FRAME_BYTES + 9] = { 0 };
    struct frame f = { .vcpu = 3, .seq = 9 }, got;

    (void)state;
    frame_put(octets, &f);
    assert_int_equal(frame_get(octets, sizeof(octets), &got), 0);
    assert_int_equal(got.seq, 9);
    assert_int_equal(frame_get(octets, FRAME_BYTES - 1, &got), -1);
}

static void acks_survive_the_wire_and_nothing_else_is_one(void **state)
{
    const struct frame_ack a = { .domain = 5, .vcpu = 7, .seq = UINT64_MAX };
    uint8_t octets[FRAME_ACK_BYTES];
    struct frame_ack got;
    struct frame f;

    (void)state;
    frame_ack_put(octets, &a);
    assert_int_equal(frame_ack_get(octets, sizeof(octets), &got), 0);
    assert_true(got.domain == 5 && got.vcpu == 7 && got.seq == UINT64_MAX);
    assert_int_equal(frame_ack_get(octets, sizeof(octets) - 1, &got), -1);
    assert_int_equal(frame_get(octets, sizeof(octets), &f), -1);
    for (size_t i = 0; i < 24; i++) {
        if (i >= 8 && i < 16)
            continue; /* the domain may be anything */
        octets[i] ^= 0x80;
        assert_int_equal(frame_ack_get(octets, sizeof(octets), &got), -1);
        octets[i] ^= 0x80;
    }
}

static void reserved_bits_of_a_frame_must_be_zero(void **state)
{
    const struct frame f = { .vcpu = 1, .seq = 1 };
    uint8_t octets[FRAME_BYTES];
    struct frame got;

    (void)state;
    frame_put(octets, &f);
    for (size_t i = 16; i < 20; i++) {
        octets[i] ^= 0x80;
        assert_int_equal(frame_get(octets, sizeof(octets), &got), -1);
        octets[i] ^= 0x80;
    }
    assert_int_equal(frame_get(octets, sizeof(octets), &got), 0);
}

static void chains_of_other_payloads_orders_and_vcpus_differ(void **state)
{
    const uint64_t start = frame_chain_start(1, 0);
    const uint64_t ab = frame_chain(frame_chain(start, 10), 20);

    (void)state;
    assert_true(ab != frame_chain(frame_chain(start, 20), 10));
    assert_true(ab != frame_chain(frame_chain(start, 10), 21));
    assert_true(start != frame_chain_start(1, 1));
    assert_true(start != frame_chain_start(2, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_survive_the_wire),
        cmocka_unit_test(a_padded_frame_is_a_frame_and_a_short_one_is_not),
        cmocka_unit_test(acks_survive_the_wire_and_nothing_else_is_one),
        cmocka_unit_test(reserved_bits_of_a_frame_must_be_zero),
        cmocka_unit_test(chains_of_other_payloads_orders_and_vcpus_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

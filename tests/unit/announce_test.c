/* announce — frames octet by octet, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "netbuf/announce.h"

static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

static void arp_asks_everybody_for_the_guests_own_address(UNUSED void **state)
{
    static const uint8_t want[42] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x08, 0x06,
        0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 0, 7,
        0, 0, 0, 0, 0, 0, 10, 0, 0, 7,
    };
    const uint8_t ip[4] = { 10, 0, 0, 7 };
    uint8_t frame[ANNOUNCE_FRAME_MAX];

    assert_int_equal(announce_arp(frame, mac, ip), 60);
    assert_memory_equal(frame, want, sizeof(want));
}

static void rarp_needs_no_address(UNUSED void **state)
{
    uint8_t frame[ANNOUNCE_FRAME_MAX];

    assert_int_equal(announce_rarp(frame, mac), 60);
    assert_int_equal(load_be16(frame + 12), 0x8035);
    assert_int_equal(load_be16(frame + 20), 3);
    assert_memory_equal(frame + 22, mac, 6);
    assert_memory_equal(frame + 32, mac, 6);
}

/* The sum over pseudo-header and message, checksum included, is all ones. */
static void advertisement_is_unsolicited_overrides_and_sums_up(UNUSED void **state)
{
    const uint8_t ip[16] = { 0xfd, 0, [15] = 7 };
    uint8_t frame[ANNOUNCE_FRAME_MAX];
    uint32_t sum = 32 + 58;

    assert_int_equal(announce_neighbour(frame, mac, ip), 86);
    for (unsigned i = 22; i < 86; i += 2)
        sum += load_be16(frame + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal(sum, 0xffff);
    assert_int_equal(frame[54], 136);
    assert_int_equal(frame[58], 0x20);
    assert_memory_equal(frame + 62, ip, 16);
    assert_memory_equal(frame + 80, mac, 6);
}

static void nic_is_a_mac_with_any_addresses(UNUSED void **state)
{
    struct announce_nic nic;
    struct err e;

    assert_int_equal(announce_parse("52:54:00:12:34:56=10.0.0.7,fd00::7", &nic, &e), 0);
    assert_memory_equal(nic.mac, mac, 6);
    assert_int_equal(nic.count, 2);
    assert_int_equal(nic.addresses[0].family_bytes, 4);
    assert_int_equal(nic.addresses[1].bytes[15], 7);
    assert_int_equal(announce_parse("52:54:00:12:34:56", &nic, &e), 0);
    assert_int_equal(nic.count, 0);
}

static void what_is_no_nic_is_refused(UNUSED void **state)
{
    static const char *const wrong[] = { "", "52:54", "52:54:00:12:34:56=", "52:54:00:12:34:56=1.2.3",
                                         "53:54:00:12:34:56", "52:54:00:12:34:56,1.2.3.4",
                                         "52:54:00:12:34:56=1.2.3.4,", "5:54:00:12:34:56" };
    struct announce_nic nic;
    struct err e;

    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(announce_parse(wrong[i], &nic, &e), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arp_asks_everybody_for_the_guests_own_address),
        cmocka_unit_test(rarp_needs_no_address),
        cmocka_unit_test(advertisement_is_unsolicited_overrides_and_sums_up),
        cmocka_unit_test(nic_is_a_mac_with_any_addresses),
        cmocka_unit_test(what_is_no_nic_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

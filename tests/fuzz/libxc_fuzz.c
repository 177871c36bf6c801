/* libxc_fuzz — any octets as a libxc stream, version 2 or 3. The first octet chooses what the caller
 * knows: 1, 2 the guest, 4, 8 the mode, 16 strict; 32 puts sound headers before the rest. */
#include "tests/fuzz/consumer_check.h"

#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    static const uint8_t headers[STREAM_HEADERS_BYTES] =
        "\xff\xff\xff\xff\xff\xff\xff\xffXENF\0\0\0\3\0\0\0\0\0\0\0\0"
        "\2\0\0\0\14\0\0\0\4\0\0\0\21\0\0";
    static uint8_t whole[STREAM_HEADERS_BYTES + INPUT_MAX];
    struct stream_wishes wishes = { .framing = FRAMING_LIBXC, .pages_max = 4096 };

    if (bytes == 0 || bytes > INPUT_MAX)
        return 0;
    wishes.guest = (octets[0] & 3) % 3;
    wishes.mode = (enum stream_mode)((octets[0] >> 2 & 3) % 3);
    wishes.strict = octets[0] >> 4 & 1;
    if (!(octets[0] & 0x20)) {
        check_reading(&wishes, octets + 1, bytes - 1);
        return 0;
    }
    memcpy(whole, headers, sizeof(headers));
    if (octets[0] & 0x40)
        whole[24] = STREAM_GUEST_PV;
    memcpy(whole + sizeof(headers), octets + 1, bytes - 1);
    check_reading(&wishes, whole, sizeof(headers) + bytes - 1);
    return 0;
}

/* legacy_fuzz — any octets as a stream of Xen 3.x to 4.5. The first octet chooses what the caller knows:
 * 1, 2 the guest, 4, 8 the toolstack's width, 16, 32 the mode, 64 strict. */
#include "tests/fuzz/consumer_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    struct stream_wishes wishes = { .framing = FRAMING_LEGACY, .pages_max = 4096 };

    if (bytes == 0)
        return 0;
    wishes.guest = (octets[0] & 3) % 3;
    wishes.toolstack_width = octets[0] & 4 ? 4 : octets[0] & 8 ? 8 : 0;
    wishes.mode = (enum stream_mode)((octets[0] >> 4 & 3) % 3);
    wishes.strict = octets[0] >> 6 & 1;
    check_reading(&wishes, octets + 1, bytes - 1);
    return 0;
}

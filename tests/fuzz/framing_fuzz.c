/* framing_fuzz — any octets as whatever they look like: libxl and xl above all, and what lies in them.
 * The first octet: 1, 2 the mode, 4 strict. */
#include "tests/fuzz/consumer_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    struct stream_wishes wishes = { .framing = FRAMING_AUTO, .pages_max = 4096 };

    if (bytes == 0)
        return 0;
    wishes.mode = (enum stream_mode)((octets[0] & 3) % 3);
    wishes.strict = octets[0] >> 2 & 1;
    check_reading(&wishes, octets + 1, bytes - 1);
    return 0;
}

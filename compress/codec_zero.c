/* codec_zero — a page of zeros, in no octets at all. */
#include "compress/codec_rows.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#define LINE_BYTES 64u

bool page_is_zero(const uint8_t *page)
{
    for (size_t at = 0; at < PAGE_BYTES; at += LINE_BYTES) {
        uint64_t any = 0;

        for (size_t w = 0; w < LINE_BYTES; w += sizeof(any))
            any |= load_u64(page + at + w);
        if (any != 0)
            return false;
    }
    return true;
}

static size_t zero_encode(const uint8_t *page, const uint8_t *prior UNUSED, uint8_t *out UNUSED,
                          size_t room UNUSED)
{
    return page_is_zero(page) ? 0 : CODEC_NOT_WORTH;
}

static int zero_decode(const uint8_t *payload UNUSED, size_t bytes, uint8_t *page)
{
    if (bytes != 0)
        return -EPROTO;
    memset(page, 0, PAGE_BYTES);
    return 0;
}

const struct codec codec_zero = {
    .name = "zero",
    .id = CODEC_ZERO,
    .needs_prior = false,
    .bytes_max = 0,
    .encode = zero_encode,
    .decode = zero_decode,
};

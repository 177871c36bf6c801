/* codec_raw — the page as it is: what is left when nothing else pays, and never fails to fit. */
#include "compress/codec_rows.h"

#include <errno.h>
#include <string.h>

static size_t raw_encode(const uint8_t *page, const uint8_t *prior UNUSED, uint8_t *out, size_t room)
{
    if (room < PAGE_BYTES)
        return CODEC_NOT_WORTH;
    memcpy(out, page, PAGE_BYTES);
    return PAGE_BYTES;
}

static int raw_decode(const uint8_t *payload, size_t bytes, uint8_t *page)
{
    if (bytes != PAGE_BYTES)
        return -EPROTO;
    memcpy(page, payload, PAGE_BYTES);
    return 0;
}

const struct codec codec_raw = {
    .name = "raw",
    .id = CODEC_RAW,
    .needs_prior = false,
    .bytes_max = PAGE_BYTES,
    .encode = raw_encode,
    .decode = raw_decode,
};

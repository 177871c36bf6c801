/* codec_xor_rle — the form of Remus' own compression as a row of the table: see xor_rle.h. */
#include "compress/codec_rows.h"

#include <errno.h>

#include "compress/xor_rle.h"

static size_t xor_rle_encode(const uint8_t *page, const uint8_t *prior, uint8_t *out, size_t room)
{
    return xor_rle_put(page, prior, out, room);
}

static int xor_rle_decode(const uint8_t *payload, size_t bytes, uint8_t *page)
{
    struct view in = { payload, bytes }, rest = in;

    if (bytes > XOR_RLE_BYTES_MAX || xor_rle_skip(&rest) < 0 || rest.left > 0)
        return -EPROTO;
    return xor_rle_take(&in, page);
}

const struct codec codec_xor_rle = {
    .name = "xor-rle",
    .id = CODEC_XOR_RLE,
    .needs_prior = true,
    .bytes_max = XOR_RLE_BYTES_MAX,
    .encode = xor_rle_encode,
    .decode = xor_rle_decode,
};

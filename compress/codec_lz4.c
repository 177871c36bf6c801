/* codec_lz4 — one page as one LZ4 block, by liblz4. For pages without a usable prior version.
 * The decoder unpacks beside the page and copies at the end: a block that turns out broken in its
 * last octet must not leave half a page. */
#include "compress/codec_rows.h"

#include <errno.h>
#include <string.h>

#include "compress/lz4_block.h"

#define LZ4_BYTES_MAX (PAGE_BYTES - 1)

static size_t lz4_encode(const uint8_t *page, const uint8_t *prior UNUSED, uint8_t *out, size_t room)
{
    size_t most = room < LZ4_BYTES_MAX ? room : LZ4_BYTES_MAX;
    size_t bytes = lz4_block_pack(page, PAGE_BYTES, out, most, LZ4_BLOCK_PAGE);

    return bytes > 0 ? bytes : CODEC_NOT_WORTH;
}

static int lz4_decode(const uint8_t *payload, size_t bytes, uint8_t *page)
{
    uint8_t unpacked[PAGE_BYTES];

    if (bytes == 0 || bytes > LZ4_BYTES_MAX)
        return -EPROTO;
    if (!lz4_block_unpack(payload, bytes, unpacked, PAGE_BYTES))
        return -EPROTO;
    memcpy(page, unpacked, PAGE_BYTES);
    return 0;
}

const struct codec codec_lz4 = {
    .name = "lz4",
    .id = CODEC_LZ4,
    .needs_prior = false,
    .bytes_max = LZ4_BYTES_MAX,
    .encode = lz4_encode,
    .decode = lz4_decode,
};

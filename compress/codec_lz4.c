/* codec_lz4 — one page as one LZ4 block, by liblz4. For pages without a usable prior version.
 * The decoder unpacks beside the page and copies at the end: a block that turns out broken in its
 * last octet must not leave half a page. */
#include "compress/codec_rows.h"

#include <errno.h>
#include <lz4.h>
#include <string.h>

#define LZ4_BYTES_MAX    (PAGE_BYTES - 1)
#define LZ4_ACCELERATION 1

/* liblz4's scratch (16 KiB), too big for a thread's stack to repeat per call; it carries nothing
 * from one page to the next. */
static _Thread_local LZ4_stream_t lz4_scratch;

static size_t lz4_encode(const uint8_t *page, const uint8_t *prior UNUSED, uint8_t *out, size_t room)
{
    size_t limit = room < LZ4_BYTES_MAX ? room : LZ4_BYTES_MAX;
    int bytes = LZ4_compress_fast_extState(&lz4_scratch, (const char *)page, (char *)out,
                                           (int)PAGE_BYTES, (int)limit, LZ4_ACCELERATION);

    return bytes > 0 ? (size_t)bytes : CODEC_NOT_WORTH;
}

static int lz4_decode(const uint8_t *payload, size_t bytes, uint8_t *page)
{
    uint8_t unpacked[PAGE_BYTES];

    if (bytes == 0 || bytes > LZ4_BYTES_MAX)
        return -EPROTO;
    if (LZ4_decompress_safe((const char *)payload, (char *)unpacked, (int)bytes, (int)PAGE_BYTES) !=
        (int)PAGE_BYTES)
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

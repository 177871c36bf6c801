/* codec — the table of encodings, and the choice of one for a page.
 * The choice is by size with two thumbs on the scale: a delta well below a page is taken without
 * asking lz4, which costs ten times as much; and lz4 must save an eighth, or raw is the better
 * bargain for both sides. */
#include "compress/codec.h"

#include <string.h>

#include "compress/codec_rows.h"

#define DELTA_IS_GOOD_BYTES (PAGE_BYTES / 4 * 3)
#define LZ4_PAYS_BYTES_MAX  (PAGE_BYTES / 8 * 7)

static const struct codec *const codecs[CODEC_COUNT] = {
    [CODEC_RAW] = &codec_raw,
    [CODEC_ZERO] = &codec_zero,
    [CODEC_DELTA] = &codec_delta,
    [CODEC_LZ4] = &codec_lz4,
};

const struct codec *codec_by_id(uint64_t id)
{
    return id < CODEC_COUNT ? codecs[id] : NULL;
}

const struct codec *codec_by_name(const char *name)
{
    for (size_t i = 0; i < CODEC_COUNT; i++)
        if (strcmp(codecs[i]->name, name) == 0)
            return codecs[i];
    return NULL;
}

/* Puts the page into out by lz4 when that is shorter than `to_beat`; leaves out alone when not. */
static size_t lz4_if_shorter(const uint8_t *page, size_t to_beat, uint8_t *out)
{
    uint8_t attempt[LZ4_PAYS_BYTES_MAX];
    size_t room = to_beat <= sizeof(attempt) ? to_beat - 1 : sizeof(attempt);
    size_t bytes = codec_lz4.encode(page, NULL, attempt, room);

    if (bytes != CODEC_NOT_WORTH)
        memcpy(out, attempt, bytes);
    return bytes;
}

size_t codec_encode_best(struct codec_choice allowed, const uint8_t *page, const uint8_t *prior,
                         uint8_t *out, const struct codec **ret_codec)
{
    size_t bytes = codec_zero.encode(page, NULL, out, PAGE_BYTES);

    *ret_codec = &codec_zero;
    if (bytes != CODEC_NOT_WORTH)
        return bytes;

    if (allowed.delta && prior) {
        bytes = codec_delta.encode(page, prior, out, PAGE_BYTES);
        *ret_codec = &codec_delta;
        if (bytes < DELTA_IS_GOOD_BYTES)
            return bytes;
    }
    if (allowed.lz4) {
        size_t by_lz4 = lz4_if_shorter(page, bytes, out);

        if (by_lz4 != CODEC_NOT_WORTH) {
            *ret_codec = &codec_lz4;
            return by_lz4;
        }
    }
    if (bytes != CODEC_NOT_WORTH)
        return bytes; /* a poor delta is still shorter than the page */
    *ret_codec = &codec_raw;
    return codec_raw.encode(page, NULL, out, PAGE_BYTES);
}

/* codec_delta — the row of the delta in the table, on whatever level of the processor is in use. The
 * format stands in delta.h. */
#include "compress/delta.h"

#include "compress/codec_rows.h"

static const struct delta_level *const levels[CPU_LEVELS] = {
    [CPU_PORTABLE] = &delta_portable,
#ifdef __x86_64__
    [CPU_AVX2] = &delta_avx2,
    [CPU_AVX512] = &delta_avx512,
#endif
};

const struct delta_level *delta_level(void)
{
    return levels[cpu_level()];
}

static size_t delta_encode(const uint8_t *page, const uint8_t *prior, uint8_t *out, size_t room)
{
    const struct delta_level *level = delta_level();
    struct delta_size size;
    struct delta_map map;

    level->compare(&map, &page, &prior, 1);
    if (map.lines == 0)
        return 0;
    size = level->size(&map, page, prior);
    if (size.bytes > room) /* or not worth it, which is the longest of all */
        return CODEC_NOT_WORTH;
    level->emit(&map, size, page, out);
    return size.bytes;
}

static int delta_decode(const uint8_t *payload, size_t bytes, uint8_t *page)
{
    return delta_level()->decode(payload, bytes, page);
}

const struct codec codec_delta = {
    .name = "delta",
    .id = CODEC_DELTA,
    .needs_prior = true,
    .bytes_max = DELTA_BYTES_MAX,
    .encode = delta_encode,
    .decode = delta_decode,
};

/* codec_delta_avx512 — the delta by masks: comparing two lines gives the octets' bitmap as a mask
 * register, testing those gives the words', and so on up to the root; compress and expand move
 * literals without a loop over octets. Stores are masked, never load-blend-store, which would wait
 * for a line that is not in the cache. */
#include "compress/delta.h"

#ifdef __x86_64__

#include <errno.h>
#include <immintrin.h>
#include <string.h>

#define AVX512                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,"             \
                          "avx512bitalg,avx512vpopcntdq,avx2,bmi,bmi2,popcnt,prfchw")))
#define INLINE static inline __attribute__((always_inline)) AVX512

INLINE uint64_t low_bits(size_t n) /* n ≤ 64 */
{
    return _bzhi_u64(UINT64_MAX, (unsigned)n);
}

INLINE __m512i load(const void *from)
{
    return _mm512_loadu_si512(from);
}

/* ---- encoding ------------------------------------------------------------------------------------ */

/* Line `at` of one pair; gathers in *any what tells a page of zeros. */
INLINE void compare_line(struct delta_map *map, const uint8_t *page, const uint8_t *prior, size_t l,
                         __m512i *any)
{
    __m512i new = load(page + l * LINE_BYTES);

    map->octets[l] = _mm512_cmpneq_epi8_mask(new, load(prior + l * LINE_BYTES));
    *any = _mm512_or_si512(*any, new);
}

/* From the octets up. */
INLINE void finish_map(struct delta_map *map, __m512i any)
{
    uint64_t lines = 0;

    for (size_t g = 0; g < FANOUT; g++) {
        __m512i octets = load(map->octets + g * FANOUT);
        uint64_t words = _mm512_test_epi8_mask(octets, octets);

        memcpy(map->words + g * FANOUT, &words, sizeof(words));
        lines |= (uint64_t)_mm512_test_epi64_mask(octets, octets) << (g * FANOUT);
    }
    map->lines = lines;
    map->is_zero = _mm512_test_epi64_mask(any, any) == 0;
}

AVX512 static void compare_one(struct delta_map *map, const uint8_t *page, const uint8_t *prior)
{
    __m512i any = _mm512_setzero_si512();

    for (size_t l = 0; l < LINES; l += 4)
        for (size_t k = l; k < l + 4; k++)
            compare_line(map, page, prior, k, &any);
    finish_map(map, any);
}

AVX512 static void avx512_compare(struct delta_map *maps, const uint8_t *const *pages,
                                  const uint8_t *const *priors, size_t n)
{
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;

    if (n < CODEC_BATCH) {
        for (size_t i = 0; i < n; i++)
            compare_one(&maps[i], pages[i], priors[i]);
        return;
    }
    for (size_t l = 0; l < LINES; l++) {
        compare_line(&maps[0], pages[0], priors[0], l, &a);
        compare_line(&maps[1], pages[1], priors[1], l, &b);
        compare_line(&maps[2], pages[2], priors[2], l, &c);
        compare_line(&maps[3], pages[3], priors[3], l, &d);
    }
    finish_map(&maps[0], a);
    finish_map(&maps[1], b);
    finish_map(&maps[2], c);
    finish_map(&maps[3], d);
}

/* The group bitmaps are the octets of map->lines; bit g of the root: octet g is not zero. */
INLINE unsigned root_of(uint64_t lines)
{
    __m128i groups = _mm_cvtsi64_si128((long long)lines);

    return (unsigned)_mm_test_epi8_mask(groups, groups);
}

AVX512 static struct delta_size avx512_size(struct delta_map *map, const uint8_t *page,
                                            const uint8_t *prior)
{
    __m512i octets = _mm512_setzero_si512();
    size_t words;

    (void)page, (void)prior; /* compare found it all */
    for (size_t g = 0; g < FANOUT; g++)
        octets = _mm512_add_epi64(octets, _mm512_popcnt_epi64(load(map->octets + g * FANOUT)));
    words = (size_t)_mm512_reduce_add_epi64(_mm512_popcnt_epi64(load(map->words)));
    return delta_smaller(2 + (size_t)_mm_popcnt_u32(root_of(map->lines)) +
                             (size_t)_mm_popcnt_u64(map->lines),
                         words, (size_t)_mm512_reduce_add_epi64(octets));
}

/* Puts the octets of v that the mask names to out, one behind the other; returns where they end. */
INLINE uint8_t *put_chosen(uint8_t *out, uint64_t chosen, __m512i v)
{
    size_t n = (size_t)_mm_popcnt_u64(chosen);

    _mm512_mask_storeu_epi8(out, low_bits(n), _mm512_maskz_compress_epi8(chosen, v));
    return out + n;
}

INLINE void put_words(const struct delta_map *map, const uint8_t *page, uint8_t *out)
{
    for (uint64_t lines = map->lines; lines != 0; lines = _blsr_u64(lines)) {
        size_t l = (size_t)_tzcnt_u64(lines), n = (size_t)_mm_popcnt_u32(map->words[l]);
        __m512i v = load(page + l * LINE_BYTES);

        _mm512_mask_storeu_epi64(out, (__mmask8)low_bits(n),
                                 _mm512_maskz_compress_epi64(map->words[l], v));
        out += n * WORD_BYTES;
    }
}

INLINE void put_octets(const struct delta_map *map, const uint8_t *page, uint8_t *out)
{
    for (unsigned root = root_of(map->lines); root != 0; root = _blsr_u32(root)) {
        __m512i octets = load(map->octets + _tzcnt_u32(root) * FANOUT);

        out = put_chosen(out, _mm512_test_epi8_mask(octets, octets), octets);
    }
    for (uint64_t lines = map->lines; lines != 0; lines = _blsr_u64(lines)) {
        size_t l = (size_t)_tzcnt_u64(lines);

        out = put_chosen(out, map->octets[l], load(page + l * LINE_BYTES));
    }
}

AVX512 static void avx512_emit(const struct delta_map *map, struct delta_size size,
                               const uint8_t *page, uint8_t *out)
{
    unsigned root = root_of(map->lines);

    *out++ = (uint8_t)size.mode;
    *out++ = (uint8_t)root;
    out = put_chosen(out, root, _mm512_castsi128_si512(_mm_cvtsi64_si128((long long)map->lines)));
    out = put_chosen(out, map->lines, load(map->words));
    if (size.mode == DELTA_WORDS)
        put_words(map, page, out);
    else
        put_octets(map, page, out);
}

AVX512 static void avx512_update(const struct delta_map *map, const uint8_t *page, uint8_t *prior)
{
    for (uint64_t lines = map->lines; lines != 0; lines = _blsr_u64(lines)) {
        size_t at = (size_t)_tzcnt_u64(lines) * LINE_BYTES;

        _mm512_storeu_si512(prior + at, load(page + at));
    }
}

/* ---- decoding ------------------------------------------------------------------------------------ */

struct cursor {
    const uint8_t *at;
    size_t left;
};

/* Asks for the lines that are going to be stored to while the payload is still being checked: nothing
 * is written by that, and masked stores ask for theirs only when it is their turn. */
INLINE void fetch_lines(const uint8_t *page, uint64_t lines)
{
    for (; lines != 0; lines = _blsr_u64(lines))
        __builtin_prefetch(page + _tzcnt_u64(lines) * LINE_BYTES, 1);
}

/* Takes as many octets as the mask has bits and spreads them to the mask's places; -1 when there are
 * fewer or one is zero. */
INLINE int take_bitmaps(struct cursor *c, uint64_t places, __m512i *ret)
{
    size_t n = (size_t)_mm_popcnt_u64(places);
    __m512i v;

    if (c->left < n)
        return -1;
    v = _mm512_maskz_expand_epi8(places, _mm512_maskz_loadu_epi8(low_bits(n), c->at));
    c->at += n;
    c->left -= n;
    *ret = v;
    return _mm512_test_epi8_mask(v, v) == places ? 0 : -1;
}

AVX512 static int apply_words(uint64_t lines, const uint8_t *words, size_t count, struct cursor c,
                              uint8_t *page)
{
    if (c.left != count * WORD_BYTES)
        return -EPROTO;
    for (; lines != 0; lines = _blsr_u64(lines)) {
        size_t l = (size_t)_tzcnt_u64(lines), n = (size_t)_mm_popcnt_u32(words[l]);
        __m512i v = _mm512_maskz_loadu_epi64((__mmask8)low_bits(n), c.at);

        _mm512_mask_storeu_epi64(page + l * LINE_BYTES, words[l],
                                 _mm512_maskz_expand_epi64(words[l], v));
        c.at += n * WORD_BYTES;
    }
    return 0;
}

AVX512 static int apply_octets(uint64_t lines, const uint8_t *words, struct cursor c, uint8_t *page)
{
    _Alignas(64) uint64_t octets[LINES];
    __m512i counts = _mm512_setzero_si512();

    for (unsigned root = root_of(lines); root != 0; root = _blsr_u32(root)) {
        size_t g = (size_t)_tzcnt_u32(root);
        uint64_t group;
        __m512i v;

        memcpy(&group, words + g * FANOUT, sizeof(group));
        if (take_bitmaps(&c, group, &v) < 0)
            return -EPROTO;
        counts = _mm512_add_epi64(counts, _mm512_popcnt_epi64(v));
        _mm512_store_si512(octets + g * FANOUT, v);
    }
    if (c.left != (size_t)_mm512_reduce_add_epi64(counts))
        return -EPROTO;
    for (; lines != 0; lines = _blsr_u64(lines)) {
        size_t l = (size_t)_tzcnt_u64(lines), n = (size_t)_mm_popcnt_u64(octets[l]);
        __m512i v = _mm512_maskz_loadu_epi8(low_bits(n), c.at);

        _mm512_mask_storeu_epi8(page + l * LINE_BYTES, octets[l],
                                _mm512_maskz_expand_epi8(octets[l], v));
        c.at += n;
    }
    return 0;
}

AVX512 static int avx512_decode(const uint8_t *payload, size_t bytes, uint8_t *page)
{
    _Alignas(64) uint8_t words[LINES];
    struct cursor c;
    __m512i v;
    uint64_t lines;

    if (bytes == 0)
        return 0;
    if (bytes < 2 || bytes > DELTA_BYTES_MAX)
        return -EPROTO;
    c = (struct cursor){ payload + 2, bytes - 2 };
    if (payload[1] == 0 || take_bitmaps(&c, payload[1], &v) < 0)
        return -EPROTO;
    lines = (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(v));
    fetch_lines(page, lines);
    if (take_bitmaps(&c, lines, &v) < 0)
        return -EPROTO;
    _mm512_store_si512(words, v);
    switch (payload[0]) {
    case DELTA_WORDS:
        return apply_words(lines, words, (size_t)_mm512_reduce_add_epi64(_mm512_popcnt_epi64(v)), c,
                           page);
    case DELTA_OCTETS:
        return apply_octets(lines, words, c, page);
    default:
        return -EPROTO;
    }
}

const struct delta_level delta_avx512 = {
    .compare = avx512_compare,
    .size = avx512_size,
    .emit = avx512_emit,
    .update = avx512_update,
    .decode = avx512_decode,
};

#endif

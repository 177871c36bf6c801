/* codec_delta_avx2 — the delta with 32 octets an instruction: compares make the octets' bitmaps, and
 * PEXT gathers what they name. */
#include "compress/delta.h"

#ifdef __x86_64__

#include <errno.h>
#include <immintrin.h>
#include <string.h>

#define AVX2   __attribute__((target("avx2,bmi,bmi2,popcnt,prfchw")))
#define INLINE static inline __attribute__((always_inline)) AVX2

#define ONES UINT64_C(0x0101010101010101)

INLINE __m256i load(const void *from)
{
    return _mm256_loadu_si256((const __m256i_u *)from);
}

INLINE uint64_t load_word(const void *from)
{
    uint64_t word;

    memcpy(&word, from, sizeof(word));
    return word;
}

/* Bit n: octet n of the two vectors is the same. */
INLINE uint64_t equal_octets(__m256i a, __m256i b, __m256i c, __m256i d)
{
    uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, c));
    uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, d));

    return (uint64_t)high << 32 | low;
}

/* ---- encoding ------------------------------------------------------------------------------------ */

INLINE void compare_line(struct delta_map *map, const uint8_t *page, const uint8_t *prior, size_t l,
                         __m256i *any)
{
    const uint8_t *a = page + l * LINE_BYTES, *b = prior + l * LINE_BYTES;
    __m256i low = load(a), high = load(a + 32);

    map->octets[l] = ~equal_octets(low, high, load(b), load(b + 32));
    *any = _mm256_or_si256(*any, _mm256_or_si256(low, high));
}

/* From the octets up. */
INLINE void finish_map(struct delta_map *map, __m256i any)
{
    const __m256i zero = _mm256_setzero_si256();
    uint64_t lines = 0;

    for (size_t g = 0; g < FANOUT; g++) {
        const uint64_t *octets = map->octets + g * FANOUT;
        uint64_t words = ~equal_octets(load(octets), load(octets + 4), zero, zero);
        uint64_t any_of = words | (words >> 4 & ONES * 0xf);

        memcpy(map->words + g * FANOUT, &words, sizeof(words));
        any_of |= any_of >> 2;
        any_of |= any_of >> 1;
        lines |= _pext_u64(any_of, ONES) << (g * FANOUT);
    }
    map->lines = lines;
    map->is_zero = _mm256_testz_si256(any, any) != 0;
}

AVX2 static void compare_one(struct delta_map *map, const uint8_t *page, const uint8_t *prior)
{
    __m256i any = _mm256_setzero_si256();

    for (size_t l = 0; l < LINES; l++)
        compare_line(map, page, prior, l, &any);
    finish_map(map, any);
}

AVX2 static void avx2_compare(struct delta_map *maps, const uint8_t *const *pages,
                              const uint8_t *const *priors, size_t n)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;

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

/* The bitmaps of the groups are the octets of map->lines; bit g of the root: octet g is not zero. */
INLINE uint64_t root_of(uint64_t lines)
{
    __m128i equal = _mm_cmpeq_epi8(_mm_cvtsi64_si128((long long)lines), _mm_setzero_si128());

    return ~(uint32_t)_mm_movemask_epi8(equal) & 0xff;
}

AVX2 static struct delta_size avx2_size(struct delta_map *map, const uint8_t *page,
                                        const uint8_t *prior)
{
    size_t words = 0, octets = 0;

    (void)page, (void)prior; /* compare found it all */
    for (size_t g = 0; g < FANOUT; g++)
        words += (size_t)_mm_popcnt_u64(load_word(map->words + g * FANOUT));
    for (uint64_t lines = map->lines; lines != 0; lines = _blsr_u64(lines))
        octets += (size_t)_mm_popcnt_u64(map->octets[_tzcnt_u64(lines)]);
    return delta_smaller(2 + (size_t)_mm_popcnt_u64(root_of(map->lines)) +
                             (size_t)_mm_popcnt_u64(map->lines),
                         words, octets);
}

/* 0xff in each octet that the eight bits name. */
INLINE uint64_t spread(uint64_t bits)
{
    return _pdep_u64(bits, ONES) * 0xff;
}

/* Appends the octets of word that the bits name: stores whole words while there is room for one. */
INLINE uint8_t *put_chosen(uint8_t *out, const uint8_t *end, uint64_t bits, uint64_t word)
{
    size_t n = (size_t)_mm_popcnt_u64(bits);
    uint64_t packed = _pext_u64(word, spread(bits));

    if (end - out >= (ptrdiff_t)sizeof(packed))
        memcpy(out, &packed, sizeof(packed));
    else
        for (size_t i = 0; i < n; i++)
            out[i] = (uint8_t)(packed >> (8 * i));
    return out + n;
}

INLINE void put_words(const struct delta_map *map, const uint8_t *page, uint8_t *out)
{
    for (uint64_t lines = map->lines; lines != 0; lines = _blsr_u64(lines)) {
        size_t l = (size_t)_tzcnt_u64(lines);

        for (unsigned words = map->words[l]; words != 0; words = _blsr_u32(words)) {
            memcpy(out, page + l * LINE_BYTES + _tzcnt_u32(words) * WORD_BYTES, WORD_BYTES);
            out += WORD_BYTES;
        }
    }
}

INLINE void put_octets(const struct delta_map *map, const uint8_t *page, uint8_t *out,
                       const uint8_t *end)
{
    for (uint64_t lines = map->lines; lines != 0; lines = _blsr_u64(lines)) {
        size_t l = (size_t)_tzcnt_u64(lines);

        out = put_chosen(out, end, map->words[l], map->octets[l]);
    }
    for (uint64_t lines = map->lines; lines != 0; lines = _blsr_u64(lines)) {
        size_t l = (size_t)_tzcnt_u64(lines);

        for (unsigned words = map->words[l]; words != 0; words = _blsr_u32(words)) {
            unsigned w = _tzcnt_u32(words);

            out = put_chosen(out, end, map->octets[l] >> (w * FANOUT) & 0xff,
                             load_word(page + l * LINE_BYTES + w * WORD_BYTES));
        }
    }
}

AVX2 static void avx2_emit(const struct delta_map *map, struct delta_size size, const uint8_t *page,
                           uint8_t *out)
{
    const uint8_t *end = out + size.bytes;
    uint64_t root = root_of(map->lines);

    *out++ = (uint8_t)size.mode;
    *out++ = (uint8_t)root;
    out = put_chosen(out, end, root, map->lines);
    for (uint64_t lines = map->lines; lines != 0; lines = _blsr_u64(lines))
        *out++ = map->words[_tzcnt_u64(lines)];
    if (size.mode == DELTA_WORDS)
        put_words(map, page, out);
    else
        put_octets(map, page, out, end);
}

AVX2 static void avx2_update(const struct delta_map *map, const uint8_t *page, uint8_t *prior)
{
    for (uint64_t lines = map->lines; lines != 0; lines = _blsr_u64(lines)) {
        size_t at = (size_t)_tzcnt_u64(lines) * LINE_BYTES;
        __m256i low = load(page + at), high = load(page + at + 32);

        _mm256_storeu_si256((__m256i_u *)(prior + at), low);
        _mm256_storeu_si256((__m256i_u *)(prior + at + 32), high);
    }
}

/* ---- decoding ------------------------------------------------------------------------------------ */

struct cursor {
    const uint8_t *at;
    size_t left;
};

struct changed_line {
    uint8_t line, words;
    uint64_t octets;
};

/* Lines and words of the payload; returns how many lines, or -1. */
INLINE int take_lines(struct cursor *c, unsigned root, const uint8_t *page,
                      struct changed_line *ret)
{
    size_t groups = (size_t)_mm_popcnt_u32(root);
    const uint8_t *words;
    uint64_t lines = 0;
    int n = 0;

    if (c->left < groups)
        return -1;
    words = c->at + groups;
    for (; root != 0; root = _blsr_u32(root), c->at++) {
        if (*c->at == 0)
            return -1;
        lines |= (uint64_t)*c->at << (_tzcnt_u32(root) * FANOUT);
    }
    c->left -= groups;
    if (c->left < (size_t)_mm_popcnt_u64(lines))
        return -1;
    for (; lines != 0; lines = _blsr_u64(lines), n++) {
        ret[n] = (struct changed_line){ (uint8_t)_tzcnt_u64(lines), words[n], 0 };
        __builtin_prefetch(page + ret[n].line * LINE_BYTES, 1);
        if (words[n] == 0)
            return -1;
    }
    c->at += n;
    c->left -= (size_t)n;
    return n;
}

/* Up to eight octets without reading past the payload's end. */
INLINE uint64_t load_short(const uint8_t *from, const uint8_t *end, size_t n)
{
    uint64_t word = 0;

    if (end - from >= (ptrdiff_t)sizeof(word))
        return load_word(from);
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)from[i] << (8 * i);
    return word;
}

AVX2 static int apply_words(const struct changed_line *lines, int n, struct cursor c, uint8_t *page)
{
    size_t count = 0;

    for (int i = 0; i < n; i++)
        count += (size_t)_mm_popcnt_u32(lines[i].words);
    if (c.left != count * WORD_BYTES)
        return -EPROTO;
    for (int i = 0; i < n; i++)
        for (unsigned words = lines[i].words; words != 0; words = _blsr_u32(words)) {
            memcpy(page + lines[i].line * LINE_BYTES + _tzcnt_u32(words) * WORD_BYTES, c.at,
                   WORD_BYTES);
            c.at += WORD_BYTES;
        }
    return 0;
}

/* Only the octets that are named are stored: what is around them need not be in the cache. */
INLINE void store_octets(uint8_t *word, unsigned octets, uint64_t literals)
{
    if (octets == 0xff) {
        memcpy(word, &literals, sizeof(literals));
        return;
    }
    for (; octets != 0; octets = _blsr_u32(octets), literals >>= 8)
        word[_tzcnt_u32(octets)] = (uint8_t)literals;
}

AVX2 static int apply_octets(struct changed_line *lines, int n, struct cursor c, uint8_t *page)
{
    const uint8_t *end = c.at + c.left;
    size_t count = 0;

    for (int i = 0; i < n; i++) {
        size_t words = (size_t)_mm_popcnt_u32(lines[i].words);
        uint64_t places = spread(lines[i].words), octets, zero;

        if ((size_t)(end - c.at) < words)
            return -EPROTO;
        octets = _pdep_u64(load_short(c.at, end, words), places);
        zero = ~((octets | ((octets & ~(ONES << 7)) + (ONES * 0x7f)))) & ONES << 7;
        if (zero & places)
            return -EPROTO;
        lines[i].octets = octets;
        count += (size_t)_mm_popcnt_u64(octets);
        c.at += words;
    }
    if ((size_t)(end - c.at) != count)
        return -EPROTO;
    for (int i = 0; i < n; i++)
        for (unsigned words = lines[i].words; words != 0; words = _blsr_u32(words)) {
            unsigned w = _tzcnt_u32(words), octets = lines[i].octets >> (w * FANOUT) & 0xff;
            size_t bytes = (size_t)_mm_popcnt_u32(octets);

            store_octets(page + lines[i].line * LINE_BYTES + w * WORD_BYTES, octets,
                         load_short(c.at, end, bytes));
            c.at += bytes;
        }
    return 0;
}

AVX2 static int avx2_decode(const uint8_t *payload, size_t bytes, uint8_t *page)
{
    struct changed_line lines[LINES];
    struct cursor c;
    int n;

    if (bytes == 0)
        return 0;
    if (bytes < 2 || bytes > DELTA_BYTES_MAX || payload[1] == 0)
        return -EPROTO;
    c = (struct cursor){ payload + 2, bytes - 2 };
    if ((n = take_lines(&c, payload[1], page, lines)) < 0)
        return -EPROTO;
    switch (payload[0]) {
    case DELTA_WORDS:
        return apply_words(lines, n, c, page);
    case DELTA_OCTETS:
        return apply_octets(lines, n, c, page);
    default:
        return -EPROTO;
    }
}

const struct delta_level delta_avx2 = {
    .compare = avx2_compare,
    .size = avx2_size,
    .emit = avx2_emit,
    .update = avx2_update,
    .decode = avx2_decode,
};

#endif

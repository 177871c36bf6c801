/* codec_delta_portable — the delta in plain C for any processor: whole words and vectors of sixteen
 * octets, which compilers turn into what the machine has. Also what the other levels are measured
 * against and proven equal to. */
#include "compress/delta.h"

#include <errno.h>

#include "base/bytes.h"
#include "compress/codec_rows.h"

typedef uint64_t pair __attribute__((vector_size(16)));
typedef uint8_t sixteen __attribute__((vector_size(16)));

static inline uint64_t word_xor(const uint8_t *a, const uint8_t *b, size_t word)
{
    return load_u64(a + word * WORD_BYTES) ^ load_u64(b + word * WORD_BYTES);
}

static inline pair pair_xor(const uint8_t *a, const uint8_t *b, size_t at)
{
    pair x, y;

    memcpy(&x, a + at, sizeof(x));
    memcpy(&y, b + at, sizeof(y));
    return x ^ y;
}

/* -O2 unrolls no loops, and shifts by a variable cost three times those by a constant. */
#define ONE_TIME(name, number, what)                                                               \
    do {                                                                                           \
        enum { name = (number) };                                                                  \
        what;                                                                                      \
    } while (0)
#define EIGHT_TIMES(name, what)                                                                    \
    do {                                                                                           \
        ONE_TIME(name, 0, what);                                                                   \
        ONE_TIME(name, 1, what);                                                                   \
        ONE_TIME(name, 2, what);                                                                   \
        ONE_TIME(name, 3, what);                                                                   \
        ONE_TIME(name, 4, what);                                                                   \
        ONE_TIME(name, 5, what);                                                                   \
        ONE_TIME(name, 6, what);                                                                   \
        ONE_TIME(name, 7, what);                                                                   \
    } while (0)

/* Not zero where the 64 octets differ. */
static inline pair line_xor(const uint8_t *a, const uint8_t *b)
{
    return (pair_xor(a, b, 0) | pair_xor(a, b, 16)) | (pair_xor(a, b, 32) | pair_xor(a, b, 48));
}

/* One question for the whole group first: in most pages most groups are as they were, and reading
 * ahead in both pages without a decision in between is what the time goes into. */
static inline unsigned changed_lines(const uint8_t *a, const uint8_t *b)
{
    pair any[FANOUT], all;
    unsigned lines = 0;

    all = any[0] = line_xor(a, b);
    for (unsigned l = 1; l < FANOUT; l++)
        all |= any[l] = line_xor(a + l * LINE_BYTES, b + l * LINE_BYTES);
    if ((all[0] | all[1]) == 0)
        return 0;
    for (unsigned l = 0; l < FANOUT; l++)
        lines |= (unsigned)((any[l][0] | any[l][1]) != 0) << l;
    return lines;
}

static inline unsigned changed_words(const uint8_t *a, const uint8_t *b)
{
    unsigned words = 0;

    EIGHT_TIMES(w, words |= (unsigned)(word_xor(a, b, w) != 0) << w);
    return words;
}

/* Lines only: of a page that has changed all over no more is looked at than how much. */
static void portable_compare(struct delta_map *maps, const uint8_t *const *pages,
                             const uint8_t *const *priors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        maps[i].lines = 0;
    for (unsigned g = 0; g < FANOUT; g++)
        for (size_t i = 0; i < n; i++)
            maps[i].lines |= (uint64_t)changed_lines(pages[i] + g * GROUP_BYTES,
                                                     priors[i] + g * GROUP_BYTES)
                             << (g * FANOUT);
    for (size_t i = 0; i < n; i++)
        maps[i].is_zero = page_is_zero(pages[i]);
}

/* Here map->octets is an octet for each word, by its position: a bitmap that only this file reads. */
static inline uint8_t *octets_of_word(struct delta_map *map)
{
    return (uint8_t *)map->octets;
}

/* Adds to each octet of *sums 1 where a and b are the same. */
static inline void count_same(sixteen *sums, const uint8_t *a, const uint8_t *b)
{
    sixteen x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    *sums -= (sixteen)(x == y);
}

/* The sum of sixteen octets. */
static size_t total(sixteen sums)
{
    const uint64_t evens = UINT64_C(0x00ff00ff00ff00ff), units = UINT64_C(0x0001000100010001);
    const pair words = (pair)sums;
    const pair twos = (words & evens) + ((words >> 8) & evens);

    return (size_t)(((twos[0] * units) >> 48) + ((twos[1] * units) >> 48));
}

/* How many octets of the lines differ. An octet of the sums takes 4 a line: 63 lines may go in. */
static size_t count_octets(uint64_t lines, const uint8_t *page, const uint8_t *prior)
{
    const uint64_t halves[] = { lines & UINT32_MAX, lines & ~(uint64_t)UINT32_MAX };
    size_t same = 0;

    for (unsigned half = 0; half < 2; half++) {
        sixteen sums = { 0 };

        for (uint64_t left = halves[half]; left != 0; left &= left - 1) {
            size_t at = (size_t)__builtin_ctzll(left) * LINE_BYTES;

            count_same(&sums, page + at, prior + at);
            count_same(&sums, page + at + 16, prior + at + 16);
            count_same(&sums, page + at + 32, prior + at + 32);
            count_same(&sums, page + at + 48, prior + at + 48);
        }
        same += total(sums);
    }
    return (size_t)__builtin_popcountll(lines) * LINE_BYTES - same;
}

/* How many words of the lines differ: only as many, which is quicker than which. */
static size_t count_words(uint64_t lines, const uint8_t *page, const uint8_t *prior)
{
    size_t all = (size_t)__builtin_popcountll(lines) * FANOUT;
    pair same = { 0, 0 };

    for (; lines != 0; lines &= lines - 1) {
        size_t from = (size_t)__builtin_ctzll(lines) * LINE_BYTES;

        for (size_t at = from; at < from + LINE_BYTES; at += sizeof(pair))
            same -= (pair)(pair_xor(page, prior, at) == 0);
    }
    return all - (size_t)(same[0] + same[1]);
}

/* Returns how many. */
static size_t find_words(struct delta_map *map, const uint8_t *page, const uint8_t *prior)
{
    size_t count = 0;

    for (uint64_t lines = map->lines; lines != 0; lines &= lines - 1) {
        unsigned l = (unsigned)__builtin_ctzll(lines);

        map->words[l] = (uint8_t)changed_words(page + l * LINE_BYTES, prior + l * LINE_BYTES);
        count += (size_t)__builtin_popcount(map->words[l]);
    }
    return count;
}

/* Positions of the changed words, in order; returns how many. Every word of a changed line is written
 * down and stays only if it changed: a decision a word costs more, because none of them can be guessed. */
static size_t list_words(const struct delta_map *map, uint16_t *ret)
{
    size_t n = 0;

    for (uint64_t lines = map->lines; lines != 0; lines &= lines - 1) {
        unsigned l = (unsigned)__builtin_ctzll(lines), words = map->words[l], at = l * FANOUT;

        EIGHT_TIMES(w, (ret[n] = (uint16_t)(at + w), n += words >> w & 1u));
    }
    return n;
}

/* Bit n: octet n of the word is not zero. */
static inline uint64_t octets_of(uint64_t word)
{
    const uint64_t low7 = UINT64_C(0x7f7f7f7f7f7f7f7f);
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t gather = UINT64_C(0x0102040810204080); /* bit 8n of the factor to bit 56+n */

    return (((((word | ((word & low7) + low7)) >> 7) & ones) * gather) >> 56);
}

static void find_octets(struct delta_map *map, const uint8_t *page, const uint8_t *prior)
{
    uint16_t words[WORDS];
    size_t n = list_words(map, words);

    for (size_t i = 0; i < n; i++)
        octets_of_word(map)[words[i]] = (uint8_t)octets_of(word_xor(page, prior, words[i]));
}

/* Octets first: of a page that is new all over they alone say that no delta is worth it, and finding
 * words takes longer. */
static struct delta_size portable_size(struct delta_map *map, const uint8_t *page,
                                       const uint8_t *prior)
{
    size_t bitmaps = 2 + (size_t)__builtin_popcountll(map->lines), octets;
    struct delta_size size = { DELTA_OCTETS, CODEC_NOT_WORTH };

    for (unsigned g = 0; g < FANOUT; g++)
        bitmaps += ((map->lines >> (g * FANOUT)) & 0xff) != 0;
    octets = count_octets(map->lines, page, prior);
    if (bitmaps + octets > DELTA_BYTES_MAX)
        return size;
    if (octets > PAGE_BYTES / 2 &&
        delta_smaller(bitmaps, count_words(map->lines, page, prior), octets).bytes == CODEC_NOT_WORTH)
        return size;
    size = delta_smaller(bitmaps, find_words(map, page, prior), octets);
    if (size.mode == DELTA_OCTETS && size.bytes != CODEC_NOT_WORTH)
        find_octets(map, page, prior);
    return size;
}

static uint8_t *put_bitmaps(const struct delta_map *map, enum delta_mode mode, uint8_t *out)
{
    uint8_t *root = out + 1;

    out[0] = (uint8_t)mode;
    *root = 0;
    out += 2;
    for (unsigned g = 0; g < FANOUT; g++) {
        uint8_t lines = (uint8_t)(map->lines >> (g * FANOUT));

        if (lines == 0)
            continue;
        *root = (uint8_t)(*root | 1u << g);
        *out++ = lines;
    }
    for (uint64_t lines = map->lines; lines != 0; lines &= lines - 1)
        *out++ = map->words[__builtin_ctzll(lines)];
    return out;
}

static void put_words(const struct delta_map *map, const uint8_t *page, uint8_t *out)
{
    for (uint64_t lines = map->lines; lines != 0; lines &= lines - 1) {
        unsigned l = (unsigned)__builtin_ctzll(lines);

        for (unsigned words = map->words[l]; words != 0; words &= words - 1) {
            memcpy(out, page + l * LINE_BYTES + (unsigned)__builtin_ctz(words) * WORD_BYTES,
                   WORD_BYTES);
            out += WORD_BYTES;
        }
    }
}

/* Appends the octets of a word that the bits name, and perhaps one more, which the next one overwrites. */
static inline uint8_t *put_word(uint8_t *out, unsigned octets, uint64_t word)
{
    EIGHT_TIMES(k, (*out = (uint8_t)(word >> (8 * k)), out += octets >> k & 1u));
    return out;
}

static void put_octets(const struct delta_map *map, const uint8_t *page, uint8_t *out)
{
    const uint8_t *octets = (const uint8_t *)map->octets;
    uint16_t words[WORDS];
    size_t n = list_words(map, words), i;

    for (i = 0; i < n; i++)
        *out++ = octets[words[i]];
    for (i = 0; i + 1 < n; i++)
        out = put_word(out, octets[words[i]], load_u64(page + words[i] * WORD_BYTES));
    for (unsigned left = octets[words[i]]; left != 0; left &= left - 1)
        *out++ = page[words[i] * WORD_BYTES + (unsigned)__builtin_ctz(left)];
}

static void portable_emit(const struct delta_map *map, struct delta_size size, const uint8_t *page,
                          uint8_t *out)
{
    out = put_bitmaps(map, size.mode, out);
    if (size.mode == DELTA_WORDS)
        put_words(map, page, out);
    else
        put_octets(map, page, out);
}

static void portable_update(const struct delta_map *map, const uint8_t *page, uint8_t *prior)
{
    if (map->lines == UINT64_MAX) {
        memcpy(prior, page, PAGE_BYTES);
        return;
    }
    for (uint64_t lines = map->lines; lines != 0; lines &= lines - 1) {
        size_t at = (size_t)__builtin_ctzll(lines) * LINE_BYTES;

        memcpy(prior + at, page + at, LINE_BYTES);
    }
}

/* ---- decoding ------------------------------------------------------------------------------------ */

/* The changed words of a payload, as positions in the page. */
struct places {
    size_t count;
    uint16_t words[WORDS];
};

static void places_add_line(struct places *p, unsigned line, unsigned words)
{
    for (; words != 0; words &= words - 1)
        p->words[p->count++] = (uint16_t)(line * FANOUT + (unsigned)__builtin_ctz(words));
}

/* Takes the bitmaps down to the words off the payload; -1 when they are short or one is zero. */
static MUST_CHECK int places_read(struct places *p, struct view *v)
{
    const uint8_t *groups, *words;
    uint64_t lines = 0;
    uint8_t root;

    p->count = 0;
    if (view_u8(v, &root) < 0 || root == 0 ||
        view_take(v, (size_t)__builtin_popcount(root), &groups) < 0)
        return -1;
    for (unsigned left = root; left != 0; left &= left - 1, groups++) {
        if (*groups == 0)
            return -1;
        lines |= (uint64_t)*groups << ((unsigned)__builtin_ctz(left) * FANOUT);
    }
    if (view_take(v, (size_t)__builtin_popcountll(lines), &words) < 0)
        return -1;
    for (; lines != 0; lines &= lines - 1, words++) {
        if (*words == 0)
            return -1;
        places_add_line(p, (unsigned)__builtin_ctzll(lines), *words);
    }
    return 0;
}

static int apply_words(const struct places *p, struct view v, uint8_t *page)
{
    if (v.left != p->count * WORD_BYTES)
        return -EPROTO;
    for (size_t i = 0; i < p->count; i++)
        memcpy(page + p->words[i] * WORD_BYTES, v.at + i * WORD_BYTES, WORD_BYTES);
    return 0;
}

static int apply_octets(const struct places *p, struct view v, uint8_t *page)
{
    const uint8_t *bitmaps;
    size_t count = 0;

    if (view_take(&v, p->count, &bitmaps) < 0)
        return -EPROTO;
    for (size_t i = 0; i < p->count; i++) {
        if (bitmaps[i] == 0)
            return -EPROTO;
        count += (size_t)__builtin_popcount(bitmaps[i]);
    }
    if (v.left != count)
        return -EPROTO;
    for (size_t i = 0; i < p->count; i++)
        for (unsigned octets = bitmaps[i]; octets != 0; octets &= octets - 1)
            page[p->words[i] * WORD_BYTES + (unsigned)__builtin_ctz(octets)] = *v.at++;
    return 0;
}

static int portable_decode(const uint8_t *payload, size_t bytes, uint8_t *page)
{
    struct view v = { payload, bytes };
    struct places p;
    uint8_t mode;

    if (bytes == 0)
        return 0;
    if (bytes > DELTA_BYTES_MAX || view_u8(&v, &mode) < 0 || places_read(&p, &v) < 0)
        return -EPROTO;
    switch (mode) {
    case DELTA_WORDS:
        return apply_words(&p, v, page);
    case DELTA_OCTETS:
        return apply_octets(&p, v, page);
    default:
        return -EPROTO;
    }
}

const struct delta_level delta_portable = {
    .compare = portable_compare,
    .size = portable_size,
    .emit = portable_emit,
    .update = portable_update,
    .decode = portable_decode,
};

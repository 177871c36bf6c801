/* codec_delta — what changed since the version that the other side holds, as an 8-ary tree of
 * bitmaps over the page (4096 = 8^4) followed by the new values.
 *
 *     mode    1 octet: literals are whole words (1) or single octets (2)
 *     root    1 octet: which of the eight 512-octet groups changed
 *     groups  1 octet per changed group: which of its eight 64-octet lines
 *     lines   1 octet per changed line: which of its eight 8-octet words
 *     words   mode 2 only, 1 octet per changed word: which of its octets
 *     literals, in the order of the page
 *
 * Bit n of a bitmap (from the least) is the n-th part. No bitmap is zero: a part named as changed
 * has something changed in it. An unchanged page is the empty payload. Literals are new values, not
 * differences, so applying a delta twice is the same as once. */
#include "compress/codec_rows.h"

#include <errno.h>

#include "base/bytes.h"

#define FANOUT      8u
#define WORD_BYTES  8u
#define LINE_BYTES  (FANOUT * WORD_BYTES)
#define GROUP_BYTES (FANOUT * LINE_BYTES)
#define LINES       (PAGE_BYTES / LINE_BYTES)
#define WORDS       (PAGE_BYTES / WORD_BYTES)

_Static_assert(FANOUT * GROUP_BYTES == PAGE_BYTES, "a bitmap octet for each node, four levels deep");

#define DELTA_BYTES_MAX (PAGE_BYTES - 1) /* from a whole page on, raw is shorter */

enum { MODE_WORDS = 1, MODE_OCTETS = 2 };

/* The bitmaps of one page, level by level in the order of the payload, and the changed words they
 * lead to. Only the first *_count entries mean anything. */
struct tree {
    size_t group_count, line_count, word_count;
    uint8_t root;
    uint8_t groups[FANOUT];
    uint8_t lines[LINES];
    uint8_t octets[WORDS];
    uint16_t words[WORDS]; /* positions in the page, in words */
};

static void tree_add_line(struct tree *t, unsigned line, unsigned words)
{
    t->lines[t->line_count++] = (uint8_t)words;
    for (; words != 0; words &= words - 1)
        t->words[t->word_count++] = (uint16_t)(line * FANOUT + (unsigned)__builtin_ctz(words));
}

static inline uint64_t word_xor(const uint8_t *a, const uint8_t *b, size_t word)
{
    return load_u64(a + word * WORD_BYTES) ^ load_u64(b + word * WORD_BYTES);
}

/* Two words at a time: compilers turn this into what the machine has, and where it has nothing,
 * into two words. */
typedef uint64_t pair __attribute__((vector_size(16)));

static inline pair pair_xor(const uint8_t *a, const uint8_t *b, size_t at)
{
    pair x, y;

    memcpy(&x, a + at, sizeof(x));
    memcpy(&y, b + at, sizeof(y));
    return x ^ y;
}

/* Not zero where the 64 octets differ. Written out, because -O2 does not unroll loops. */
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

    for (unsigned w = 0; w < FANOUT; w++)
        words |= (unsigned)(word_xor(a, b, w) != 0) << w;
    return words;
}

static void tree_compare(struct tree *t, const uint8_t *page, const uint8_t *prior)
{
    t->group_count = t->line_count = t->word_count = 0;
    t->root = 0;
    for (unsigned g = 0; g < FANOUT; g++) {
        unsigned lines = changed_lines(page + g * GROUP_BYTES, prior + g * GROUP_BYTES);

        if (lines == 0)
            continue;
        t->root = (uint8_t)(t->root | 1u << g);
        t->groups[t->group_count++] = (uint8_t)lines;
        for (; lines != 0; lines &= lines - 1) {
            unsigned line = g * FANOUT + (unsigned)__builtin_ctz(lines);
            size_t at = line * LINE_BYTES;

            tree_add_line(t, line, changed_words(page + at, prior + at));
        }
    }
}

/* Fills in the lowest level; returns how many octets changed. */
static size_t tree_compare_octets(struct tree *t, const uint8_t *page, const uint8_t *prior)
{
    const uint64_t low7 = UINT64_C(0x7f7f7f7f7f7f7f7f);
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t gather = UINT64_C(0x0102040810204080); /* bit 8n of the factor to bit 56+n */
    size_t count = 0;

    for (size_t i = 0; i < t->word_count; i++) {
        uint64_t x = word_xor(page, prior, t->words[i]);
        uint64_t changed = ((x | ((x & low7) + low7)) >> 7) & ones;

        t->octets[i] = (uint8_t)((changed * gather) >> 56);
        count += (size_t)((changed * ones) >> 56);
    }
    return count;
}

static uint8_t *put(uint8_t *at, const uint8_t *from, size_t bytes)
{
    memcpy(at, from, bytes);
    return at + bytes;
}

static void put_words(const struct tree *t, const uint8_t *page, uint8_t *at)
{
    for (size_t i = 0; i < t->word_count; i++)
        at = put(at, page + t->words[i] * WORD_BYTES, WORD_BYTES);
}

static void put_octets(const struct tree *t, const uint8_t *page, uint8_t *at)
{
    for (size_t i = 0; i < t->word_count; i++)
        for (unsigned octets = t->octets[i]; octets != 0; octets &= octets - 1)
            *at++ = page[t->words[i] * WORD_BYTES + (unsigned)__builtin_ctz(octets)];
}

static size_t delta_encode(const uint8_t *page, const uint8_t *prior, uint8_t *out, size_t room)
{
    size_t limit = room < DELTA_BYTES_MAX ? room : DELTA_BYTES_MAX;
    size_t bitmaps, by_words, by_octets, bytes;
    struct tree t;

    tree_compare(&t, page, prior);
    if (t.word_count == 0)
        return 0;
    bitmaps = 2 + t.group_count + t.line_count;
    if (bitmaps + 2 * t.word_count > limit)
        return CODEC_NOT_WORTH; /* not even with a single octet changed in each word */
    by_words = bitmaps + t.word_count * WORD_BYTES;
    by_octets = bitmaps + t.word_count + tree_compare_octets(&t, page, prior);
    bytes = by_octets < by_words ? by_octets : by_words;
    if (bytes > limit)
        return CODEC_NOT_WORTH;

    *out++ = by_octets < by_words ? MODE_OCTETS : MODE_WORDS;
    *out++ = t.root;
    out = put(out, t.groups, t.group_count);
    out = put(out, t.lines, t.line_count);
    if (by_octets < by_words)
        put_octets(&t, page, put(out, t.octets, t.word_count));
    else
        put_words(&t, page, out);
    return bytes;
}

/* Takes the bitmaps down to the words off the payload; -1 when they are short or one is zero. */
static MUST_CHECK int tree_read(struct tree *t, struct view *v)
{
    t->group_count = t->line_count = t->word_count = 0;
    if (view_u8(v, &t->root) < 0 || t->root == 0)
        return -1;
    for (unsigned root = t->root; root != 0; root &= root - 1) {
        if (view_u8(v, &t->groups[t->group_count]) < 0 || t->groups[t->group_count] == 0)
            return -1;
        t->group_count++;
    }
    for (unsigned root = t->root, g = 0; root != 0; root &= root - 1, g++)
        for (unsigned lines = t->groups[g]; lines != 0; lines &= lines - 1) {
            unsigned first = (unsigned)__builtin_ctz(root) * FANOUT;
            uint8_t words;

            if (view_u8(v, &words) < 0 || words == 0)
                return -1;
            tree_add_line(t, first + (unsigned)__builtin_ctz(lines), words);
        }
    return 0;
}

static int apply_words(const struct tree *t, struct view v, uint8_t *page)
{
    if (v.left != t->word_count * WORD_BYTES)
        return -EPROTO;
    for (size_t i = 0; i < t->word_count; i++)
        memcpy(page + t->words[i] * WORD_BYTES, v.at + i * WORD_BYTES, WORD_BYTES);
    return 0;
}

static int apply_octets(const struct tree *t, struct view v, uint8_t *page)
{
    const uint8_t *bitmaps;
    size_t count = 0;

    if (view_take(&v, t->word_count, &bitmaps) < 0)
        return -EPROTO;
    for (size_t i = 0; i < t->word_count; i++) {
        if (bitmaps[i] == 0)
            return -EPROTO;
        count += (size_t)__builtin_popcount(bitmaps[i]);
    }
    if (v.left != count)
        return -EPROTO;
    for (size_t i = 0; i < t->word_count; i++)
        for (unsigned octets = bitmaps[i]; octets != 0; octets &= octets - 1)
            page[t->words[i] * WORD_BYTES + (unsigned)__builtin_ctz(octets)] = *v.at++;
    return 0;
}

static int delta_decode(const uint8_t *payload, size_t bytes, uint8_t *page)
{
    struct view v = { payload, bytes };
    struct tree t;
    uint8_t mode;

    if (bytes == 0)
        return 0;
    if (bytes > DELTA_BYTES_MAX || view_u8(&v, &mode) < 0 || tree_read(&t, &v) < 0)
        return -EPROTO;
    switch (mode) {
    case MODE_WORDS:
        return apply_words(&t, v, page);
    case MODE_OCTETS:
        return apply_octets(&t, v, page);
    default:
        return -EPROTO;
    }
}

const struct codec codec_delta = {
    .name = "delta",
    .id = CODEC_DELTA,
    .needs_prior = true,
    .bytes_max = DELTA_BYTES_MAX,
    .encode = delta_encode,
    .decode = delta_decode,
};

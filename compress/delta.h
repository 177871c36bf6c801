/* delta — the inside of codec_delta: what changed in a page as bitmaps, and the functions that find,
 * write and apply it. A level of the processor (cpu.h) is one table of these functions, each table in
 * a file of its own; all make the same octets and refuse the same ones.
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
#ifndef REPLICATOR_COMPRESS_DELTA_H
#define REPLICATOR_COMPRESS_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compress/codec.h"
#include "compress/cpu.h"

#define FANOUT      8u
#define WORD_BYTES  8u
#define LINE_BYTES  (FANOUT * WORD_BYTES)
#define GROUP_BYTES (FANOUT * LINE_BYTES)
#define LINES       (PAGE_BYTES / LINE_BYTES)
#define WORDS       (PAGE_BYTES / WORD_BYTES)

_Static_assert(FANOUT * GROUP_BYTES == PAGE_BYTES, "a bitmap octet for each node, four levels deep");

#define DELTA_BYTES_MAX (PAGE_BYTES - 1) /* from a whole page on, raw is shorter */

enum delta_mode { DELTA_WORDS = 1, DELTA_OCTETS = 2 };

/* What differs between a page and its prior version. octets[l] and words[l] mean something where bit
 * l of lines is set, and after size() said that a delta is worth it. */
struct delta_map {
    _Alignas(64) uint64_t octets[LINES]; /* bit n: octet n of the line */
    uint8_t words[LINES];
    uint64_t lines;
    bool is_zero; /* the page, whatever its prior version is */
};

struct delta_size {
    enum delta_mode mode;
    size_t bytes; /* of the whole payload; CODEC_NOT_WORTH when above DELTA_BYTES_MAX */
};

struct delta_level {
    /* Fills in lines and is_zero of maps[i] for n pairs, CODEC_BATCH at most. Reads all pages side by
     * side: two streams of 4 KiB end before a processor has learned to read ahead of them. */
    void (*compare)(struct delta_map *maps, const uint8_t *const *pages,
                    const uint8_t *const *priors, size_t n);

    /* How long the page's delta is in its shorter mode; makes words good, and octets if that is octet
     * mode. Not for a map without lines. */
    struct delta_size (*size)(struct delta_map *map, const uint8_t *page, const uint8_t *prior);

    /* Writes exactly size.bytes. */
    void (*emit)(const struct delta_map *map, struct delta_size size, const uint8_t *page,
                 uint8_t *out);

    /* Makes prior equal to page, where the map says that they differ. */
    void (*update)(const struct delta_map *map, const uint8_t *page, uint8_t *prior);

    int (*decode)(const uint8_t *payload, size_t bytes, uint8_t *page);
};

extern const struct delta_level delta_portable;
#ifdef __x86_64__
extern const struct delta_level delta_avx2;
extern const struct delta_level delta_avx512;
#endif

/* The level in use. */
const struct delta_level *delta_level(void);

/* Sizes of both modes to the one that is taken; `bitmaps` is mode to lines. */
static inline struct delta_size delta_smaller(size_t bitmaps, size_t words, size_t octets)
{
    size_t by_words = bitmaps + words * WORD_BYTES, by_octets = bitmaps + words + octets;
    struct delta_size s = { DELTA_WORDS, by_words };

    if (by_octets < by_words)
        s = (struct delta_size){ DELTA_OCTETS, by_octets };
    if (s.bytes > DELTA_BYTES_MAX)
        s.bytes = CODEC_NOT_WORTH;
    return s;
}

#endif

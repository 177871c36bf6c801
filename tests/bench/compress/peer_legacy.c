/* peer_legacy — the compression that Remus had, in the straightforward way that its format suggests:
 * word by word, runs of at most 127, kept versions renewed on the way. */
#include <stdbool.h>
#include <string.h>

#include "base/attr.h"
#include "tests/bench/compress/peers.h"

#define WORD       4u
#define WORDS      (PAGE_BYTES / WORD)
#define RUN_MAX    127u
#define SKIP_FLAG  0x80u
#define EMPTY_PAGE 0x00u
#define FULL_PAGE  0x80u

static size_t put_full(const uint8_t *page, uint8_t *kept, uint8_t *out)
{
    out[0] = FULL_PAGE;
    memcpy(out + 1, page, PAGE_BYTES);
    memcpy(kept, page, PAGE_BYTES);
    return 1 + PAGE_BYTES;
}

/* A run or a skip under way: its words so far, and where it began. */
struct stretch {
    bool is_run;
    size_t start, words;
};

static size_t put_stretch(const struct stretch *s, const uint32_t *new, uint8_t *out)
{
    if (s->words == 0)
        return 0;
    if (!s->is_run) {
        out[0] = (uint8_t)(SKIP_FLAG | s->words);
        return 1;
    }
    out[0] = (uint8_t)s->words;
    memcpy(out + 1, new + s->start, s->words * WORD);
    return 1 + s->words * WORD;
}

/* One word after the other, the kept version renewed word by word. */
static size_t put_page(const uint8_t *new_page, uint8_t *kept_page, uint8_t *out)
{
    const uint32_t *new = (const uint32_t *)(const void *)new_page;
    uint32_t *kept = (uint32_t *)(void *)kept_page;
    struct stretch s = { false, 0, 0 };
    bool is_same = true;
    size_t at = 0;

    for (size_t i = 0; i < WORDS; i++) {
        bool differs = new[i] != kept[i];

        if (differs != s.is_run || s.words == RUN_MAX) {
            at += put_stretch(&s, new, out + at);
            s = (struct stretch){ differs, i, 0 };
        }
        s.words++;
        if (differs) {
            kept[i] = new[i];
            is_same = false;
        }
    }
    at += put_stretch(&s, new, out + at);
    if (!is_same)
        return at;
    out[0] = EMPTY_PAGE;
    return 1;
}

/* The same octets by two loops, one that skips and one that runs: what a good optimiser of the time
 * could have made of it. */
static size_t put_page_sharper(const uint8_t *new_page, uint8_t *kept_page, uint8_t *out)
{
    const uint32_t *new = (const uint32_t *)(const void *)new_page;
    uint32_t *kept = (uint32_t *)(void *)kept_page;
    bool is_same = true;
    size_t at = 0, i = 0;

    while (i < WORDS) {
        size_t start = i, most = i + RUN_MAX < WORDS ? i + RUN_MAX : WORDS;

        while (i < most && new[i] == kept[i])
            i++;
        if (i > start) {
            out[at++] = (uint8_t)(SKIP_FLAG | (i - start));
            continue;
        }
        while (i < most && new[i] != kept[i])
            i++;
        is_same = false;
        out[at++] = (uint8_t)(i - start);
        memcpy(out + at, new + start, (i - start) * WORD);
        memcpy(kept + start, new + start, (i - start) * WORD);
        at += (i - start) * WORD;
    }
    if (!is_same)
        return at;
    out[0] = EMPTY_PAGE;
    return 1;
}

typedef size_t put_fn(const uint8_t *new_page, uint8_t *kept_page, uint8_t *out);

static inline __attribute__((always_inline)) void encode_by(put_fn *put, struct bench_work *w)
{
    uint8_t *at = w->out;

    for (size_t i = 0; i < w->n; i++) {
        uint8_t *kept = bench_prior(w, i);
        const uint8_t *page = w->pages + i * PAGE_BYTES;

        at += w->has_prior[i] ? put(page, kept, at) : put_full(page, kept, at);
    }
    w->out_bytes = (size_t)(at - w->out);
}

static void legacy_encode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    encode_by(put_page, w);
}

static void sharper_encode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    encode_by(put_page_sharper, w);
}

static const uint8_t *take_page(const uint8_t *at, uint8_t *page)
{
    size_t done = 0;

    if (*at == EMPTY_PAGE)
        return at + 1;
    if (*at == FULL_PAGE) {
        memcpy(page, at + 1, PAGE_BYTES);
        return at + 1 + PAGE_BYTES;
    }
    while (done < PAGE_BYTES) {
        size_t bytes = (size_t)(*at & RUN_MAX) * WORD;
        int is_skip = *at++ & SKIP_FLAG;

        if (!is_skip) {
            memcpy(page + done, at, bytes);
            at += bytes;
        }
        done += bytes;
    }
    return at;
}

static void legacy_decode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    const uint8_t *at = w->out;

    for (size_t i = 0; i < w->n; i++)
        at = take_page(at, bench_prior(w, i));
}

const struct bench_row peer_legacy = {
    .name = "legacy Remus",
    .encode = legacy_encode,
    .decode = legacy_decode,
};
const struct bench_row peer_legacy_sharper = {
    .name = "legacy, sharper",
    .encode = sharper_encode,
    .decode = legacy_decode,
};

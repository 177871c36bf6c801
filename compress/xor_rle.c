/* xor_rle — see xor_rle.h. */
#include "compress/xor_rle.h"

#include <errno.h>
#include <stdbool.h>

#include "compress/codec.h"

#define WORD_BYTES 4u
#define WORDS      (PAGE_BYTES / WORD_BYTES)
#define RUN_MAX    127u
#define SKIP_FLAG  0x80u
#define EMPTY_PAGE 0x00u
#define FULL_PAGE  0x80u

static inline bool word_differs(const uint8_t *page, const uint8_t *prior, size_t word)
{
    return load_u32(page + word * WORD_BYTES) != load_u32(prior + word * WORD_BYTES);
}

/* The first word from `from` on, before `end`, that differs from (or else is as) its prior version. */
static size_t next_word(const uint8_t *page, const uint8_t *prior, size_t from, size_t end, bool differs)
{
    while (from < end && word_differs(page, prior, from) != differs)
        from++;
    return from;
}

static size_t put_full(const uint8_t *page, uint8_t *out, size_t room)
{
    if (room < 1 + PAGE_BYTES)
        return SIZE_MAX;
    out[0] = FULL_PAGE;
    memcpy(out + 1, page, PAGE_BYTES);
    return 1 + PAGE_BYTES;
}

static int put_skip(struct sink *to, size_t words)
{
    for (size_t n; words > 0; words -= n) {
        n = words < RUN_MAX ? words : RUN_MAX;
        if (sink_u8(to, (uint8_t)(SKIP_FLAG | n)) < 0)
            return -1;
    }
    return 0;
}

static int put_run(struct sink *to, const uint8_t *page, size_t at, size_t words)
{
    if (sink_u8(to, (uint8_t)words) < 0)
        return -1;
    return sink_put(to, page + at * WORD_BYTES, words * WORD_BYTES);
}

size_t xor_rle_put(const uint8_t *page, const uint8_t *prior, uint8_t *out, size_t room)
{
    struct sink to = { out, room };
    size_t at, end;

    if (!prior)
        return put_full(page, out, room);
    at = next_word(page, prior, 0, WORDS, true);
    if (at == WORDS)
        return sink_u8(&to, EMPTY_PAGE) < 0 ? SIZE_MAX : 1;
    if (put_skip(&to, at) < 0)
        return SIZE_MAX;
    while (at < WORDS) {
        end = next_word(page, prior, at, at + RUN_MAX < WORDS ? at + RUN_MAX : WORDS, false);
        if (put_run(&to, page, at, end - at) < 0)
            return SIZE_MAX;
        at = next_word(page, prior, end, WORDS, true);
        if (put_skip(&to, at - end) < 0)
            return SIZE_MAX;
    }
    return room - to.left;
}

/* Walks the markers of one page and stores its runs when page is not NULL. */
static int walk(struct view *in, uint8_t *page)
{
    for (size_t at = 0; at < WORDS;) {
        const uint8_t *run;
        uint8_t marker;
        size_t words;

        if (view_u8(in, &marker) < 0)
            return -EAGAIN;
        words = marker & RUN_MAX;
        if (words == 0 || words > WORDS - at)
            return -EPROTO;
        if (!(marker & SKIP_FLAG)) {
            if (view_take(in, words * WORD_BYTES, &run) < 0)
                return -EAGAIN;
            if (page)
                memcpy(page + at * WORD_BYTES, run, words * WORD_BYTES);
        }
        at += words;
    }
    return 0;
}

int xor_rle_skip(struct view *in)
{
    struct view ahead = *in;
    const uint8_t *full;
    uint8_t first;
    int rc = 0;

    if (view_u8(&ahead, &first) < 0)
        return -EAGAIN;
    if (first == FULL_PAGE) {
        rc = view_take(&ahead, PAGE_BYTES, &full) < 0 ? -EAGAIN : 0;
    } else if (first != EMPTY_PAGE) {
        ahead = *in;
        rc = walk(&ahead, NULL);
    }
    if (rc == 0)
        *in = ahead;
    return rc;
}

int xor_rle_take(struct view *in, uint8_t *page)
{
    struct view whole = *in;
    int rc = xor_rle_skip(in);

    if (rc < 0)
        return rc;
    if (*whole.at == FULL_PAGE)
        memcpy(page, whole.at + 1, PAGE_BYTES);
    else if (*whole.at != EMPTY_PAGE)
        must(walk(&whole, page) == 0); /* the same octets as a moment ago */
    return 0;
}

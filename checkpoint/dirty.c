/* dirty — see dirty.h. Words that are zero cost one load: most of a log is. */
#include "checkpoint/dirty.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/guest.h"

static size_t words_of(uint64_t pages)
{
    return (size_t)((pages + 63) / 64);
}

int dirty_open(struct dirty *d, uint64_t pages, struct err *e)
{
    uint64_t *words;

    *d = (struct dirty){ 0 };
    if (pages == 0 || pages > GUEST_PAGES_MAX)
        return err_set(e, EINVAL, "a bitmap of %" PRIu64 " pages: 1 … %" PRIu64 " are possible",
                       pages, GUEST_PAGES_MAX);
    words = calloc(words_of(pages), sizeof(*words));
    if (!words)
        return err_set(e, ENOMEM, "no memory for a bitmap of %" PRIu64 " pages", pages);
    *d = (struct dirty){ .words = words, .pages = pages };
    return 0;
}

void dirty_close(struct dirty *d)
{
    free(d->words);
    *d = (struct dirty){ 0 };
}

void dirty_set_all(struct dirty *d)
{
    memset(d->words, 0xff, words_of(d->pages) * sizeof(*d->words));
    if (d->pages % 64)
        d->words[d->pages / 64] = (UINT64_C(1) << (d->pages % 64)) - 1;
}

void dirty_clear(struct dirty *d)
{
    memset(d->words, 0, words_of(d->pages) * sizeof(*d->words));
}

void dirty_or(struct dirty *to, const struct dirty *from)
{
    must(to->pages == from->pages);
    for (size_t i = 0; i < words_of(to->pages); i++)
        to->words[i] |= from->words[i];
}

uint64_t dirty_count(const struct dirty *d)
{
    uint64_t count = 0;

    for (size_t i = 0; i < words_of(d->pages); i++)
        count += (uint64_t)__builtin_popcountll(d->words[i]);
    return count;
}

uint64_t dirty_next(const struct dirty *d, uint64_t from)
{
    uint64_t word;
    size_t i;

    if (from >= d->pages)
        return d->pages;
    i = (size_t)(from / 64);
    word = d->words[i] & (UINT64_MAX << (from % 64));
    while (word == 0) {
        if (++i == words_of(d->pages))
            return d->pages;
        word = d->words[i];
    }
    return (uint64_t)i * 64 + (uint64_t)__builtin_ctzll(word);
}

size_t dirty_take(const struct dirty *d, uint64_t *cursor, uint64_t *pfns, size_t n)
{
    size_t taken = 0;

    if (n == 0)
        return 0;
    for (uint64_t i = *cursor / 64; i < words_of(d->pages); i++) {
        uint64_t word = d->words[i];

        if (i == *cursor / 64)
            word &= UINT64_MAX << (*cursor % 64);
        for (; word != 0; word &= word - 1) {
            pfns[taken++] = i * 64 + (uint64_t)__builtin_ctzll(word);
            if (taken == n) {
                *cursor = pfns[n - 1] + 1;
                return n;
            }
        }
    }
    *cursor = d->pages;
    return taken;
}

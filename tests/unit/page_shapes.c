/* page_shapes — see page_shapes.h. */
#include "tests/unit/page_shapes.h"

#include <string.h>

void box(struct boxed_page *b, const uint8_t *page)
{
    memset(b->before, GUARD, GUARD_BYTES);
    memset(b->after, GUARD, GUARD_BYTES);
    memcpy(b->page, page, PAGE_BYTES);
}

bool all_guard(const uint8_t *octets, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (octets[i] != GUARD)
            return false;
    return true;
}

bool box_is_whole(const struct boxed_page *b)
{
    return all_guard(b->before, GUARD_BYTES) && all_guard(b->after, GUARD_BYTES);
}

void fill_random(struct rng *r, uint8_t *page)
{
    rng_fill(r, page, PAGE_BYTES);
}

static void fill_zero(struct rng *r UNUSED, uint8_t *page)
{
    memset(page, 0, PAGE_BYTES);
}

void fill_text(struct rng *r, uint8_t *page)
{
    static const char *const words[] = { "page ", "epoch ", "commit ", "held\n", "guest ", "0x" };

    for (size_t at = 0; at < PAGE_BYTES;) {
        const char *word = words[rng_below(r, ARRAY_LEN(words))];

        for (; *word && at < PAGE_BYTES; word++)
            page[at++] = (uint8_t)*word;
    }
}

static void fill_counters(struct rng *r, uint8_t *page)
{
    memset(page, 0, PAGE_BYTES);
    for (size_t at = 0; at < PAGE_BYTES; at += 8 * (1 + rng_below(r, 16)))
        page[at] = (uint8_t)rng_next(r);
}

static void (*const fills[])(struct rng *, uint8_t *) = { fill_random, fill_zero, fill_text,
                                                         fill_counters };

static void change_nothing(struct rng *r UNUSED, uint8_t *page UNUSED)
{
}

static void change_part(struct rng *r, uint8_t *page, size_t part, uint64_t times)
{
    while (times-- > 0)
        rng_fill(r, page + rng_below(r, PAGE_BYTES / part) * part, part);
}

static void change_octet(struct rng *r, uint8_t *page)
{
    page[rng_below(r, PAGE_BYTES)] ^= (uint8_t)(1 + rng_below(r, 255));
}

static void change_word(struct rng *r, uint8_t *page)
{
    change_part(r, page, 8, 1);
}

static void change_few_words(struct rng *r, uint8_t *page)
{
    change_part(r, page, 8, 2 + rng_below(r, 7));
}

static void change_octets_everywhere(struct rng *r, uint8_t *page)
{
    change_part(r, page, 1, rng_below(r, 2000));
}

static void change_across_a_border(struct rng *r, uint8_t *page)
{
    size_t at = (1 + (size_t)rng_below(r, PAGE_BYTES / 8 - 1)) * 8 - 4;

    rng_fill(r, page + at, 8);
}

static void change_lines(struct rng *r, uint8_t *page)
{
    change_part(r, page, LINE, 1 + rng_below(r, 8));
}

static void change_group(struct rng *r, uint8_t *page)
{
    change_part(r, page, GROUP, 1);
}

static void change_half(struct rng *r, uint8_t *page)
{
    rng_fill(r, page + rng_below(r, 2) * (PAGE_BYTES / 2), PAGE_BYTES / 2);
}

static void change_most(struct rng *r, uint8_t *page)
{
    change_part(r, page, 8, 300 + rng_below(r, 700));
}

static void shift_text(struct rng *r, uint8_t *page)
{
    size_t by = 1 + (size_t)rng_below(r, 256);

    memmove(page + by, page, PAGE_BYTES - by);
}

static void (*const changes[])(struct rng *, uint8_t *) = {
    change_nothing,         change_octet, change_word,  change_few_words, change_octets_everywhere,
    change_across_a_border, change_lines, change_group, change_half,      change_most,
    shift_text,             fill_random,  fill_zero,    fill_text,        fill_counters,
};

void next_pair(struct rng *r, uint8_t *prior, uint8_t *page)
{
    fills[rng_below(r, ARRAY_LEN(fills))](r, prior);
    memcpy(page, prior, PAGE_BYTES);
    changes[rng_below(r, ARRAY_LEN(changes))](r, page);
}

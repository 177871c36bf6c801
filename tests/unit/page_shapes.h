/* page_shapes — pairs of pages as guests make them, and a page between guards. Used by tests of codecs
 * and of whatever carries encoded pages. */
#ifndef REPLICATOR_TESTS_UNIT_PAGE_SHAPES_H
#define REPLICATOR_TESTS_UNIT_PAGE_SHAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "compress/codec.h"

#define GUARD_BYTES 64u
#define GUARD       0xc3
#define LINE        64u
#define GROUP       512u

/* A page with guards on both sides. */
struct boxed_page {
    uint8_t before[GUARD_BYTES], page[PAGE_BYTES], after[GUARD_BYTES];
};

void box(struct boxed_page *b, const uint8_t *page);
bool box_is_whole(const struct boxed_page *b);
bool all_guard(const uint8_t *octets, size_t bytes);

void fill_random(struct rng *r, uint8_t *page);
void fill_text(struct rng *r, uint8_t *page);

/* A page and its prior version: random, zero, text or counters, changed in one of many ways. */
void next_pair(struct rng *r, uint8_t *prior, uint8_t *page);

#endif

/* peer_limit — only reading both versions of every page, and reading and comparing them: no encoder that
 * compares can be faster than these on the machine at hand. */
#include <string.h>

#include "base/attr.h"
#include "compress/delta.h"
#include "tests/bench/compress/peers.h"

static volatile uint64_t seen;

static void limit_encode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    for (size_t i = 0; i + CODEC_BATCH <= w->n; i += CODEC_BATCH) {
        const uint8_t *pages[CODEC_BATCH], *priors[CODEC_BATCH];
        struct delta_map maps[CODEC_BATCH];

        for (size_t k = 0; k < CODEC_BATCH; k++) {
            pages[k] = w->pages + (i + k) * PAGE_BYTES;
            priors[k] = bench_prior(w, i + k);
        }
        delta_level()->compare(maps, pages, priors, CODEC_BATCH);
        seen = maps[0].lines ^ maps[1].lines ^ maps[2].lines ^ maps[3].lines;
    }
    w->out_bytes = 0;
}

/* All octets of both versions once, in the order that they lie in, eight places at a time: the most that
 * one processor gets out of this memory. */
static void reading_encode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    const uint8_t *at[2] = { w->pages, w->priors };
    size_t eighth = w->n * PAGE_BYTES / 8 / 64 * 64;
    uint64_t sum = 0;

    for (unsigned half = 0; half < 2; half++)
        for (size_t i = 0; i < eighth; i += 64) /* a line is read by any of its octets */
            for (size_t part = 0; part < 8; part++)
                sum += *(const uint64_t *)(const void *)(at[half] + part * eighth + i);
    seen = sum;
    w->out_bytes = 0;
}

/* Has written nothing to decode: the pages as they are. */
static void limit_decode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    for (size_t i = 0; i < w->n; i++)
        memcpy(bench_prior(w, i), w->pages + i * PAGE_BYTES, PAGE_BYTES);
}

const struct bench_row peer_limit = {
    .name = "limit: comparing only",
    .encode = limit_encode,
    .decode = limit_decode,
};
const struct bench_row peer_reading = {
    .name = "limit: reading only",
    .encode = reading_encode,
    .decode = limit_decode,
};

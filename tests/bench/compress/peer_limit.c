/* peer_limit — only reading both versions of every page and comparing them: no encoder that compares
 * can be faster than this on the machine at hand. */
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

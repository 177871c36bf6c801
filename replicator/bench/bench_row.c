/* bench_row — see bench_row.h. */
#include "replicator/bench/bench_row.h"

#include <string.h>

#include "base/attr.h"

static void copy_encode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    for (size_t i = 0; i < w->n; i++)
        memcpy(w->out + i * PAGE_BYTES, w->pages + i * PAGE_BYTES, PAGE_BYTES);
    w->out_bytes = w->n * PAGE_BYTES;
}

static void copy_decode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    for (size_t i = 0; i < w->n; i++)
        memcpy(bench_prior(w, i), w->out + i * PAGE_BYTES, PAGE_BYTES);
}

/* As a sender does it: in batches, each page by the best of what is allowed. */
static void best_encode(const struct bench_row *row, struct bench_work *w)
{
    uint8_t *at = w->out;

    for (size_t i = 0; i < w->n; i += CODEC_BATCH) {
        size_t n = w->n - i < CODEC_BATCH ? w->n - i : CODEC_BATCH;
        struct codec_job jobs[CODEC_BATCH];

        for (size_t k = 0; k < n; k++) {
            jobs[k] = (struct codec_job){ .page = w->pages + (i + k) * PAGE_BYTES,
                                          .keep = bench_prior(w, i + k) };
            if (w->has_prior[i + k])
                jobs[k].prior = jobs[k].keep;
        }
        at += codec_encode_batch(row->allowed, jobs, n, at);
        for (size_t k = 0; k < n; k++) {
            w->lengths[i + k] = (uint32_t)jobs[k].bytes;
            w->codecs[i + k] = (uint8_t)jobs[k].codec->id;
        }
    }
    w->out_bytes = (size_t)(at - w->out);
}

/* One codec alone, whole pages where it does not do. */
static void one_encode(const struct bench_row *row, struct bench_work *w)
{
    uint8_t *at = w->out;

    for (size_t i = 0; i < w->n; i++) {
        const uint8_t *page = w->pages + i * PAGE_BYTES;
        const struct codec *c = row->codec;
        size_t bytes = CODEC_NOT_WORTH;

        if (!c->needs_prior || w->has_prior[i])
            bytes = c->encode(page, c->needs_prior ? bench_prior(w, i) : NULL, at, PAGE_BYTES);
        if (bytes == CODEC_NOT_WORTH) {
            c = codec_by_id(CODEC_RAW);
            bytes = c->encode(page, NULL, at, PAGE_BYTES);
        }
        if (row->codec->needs_prior)
            memcpy(bench_prior(w, i), page, PAGE_BYTES);
        w->lengths[i] = (uint32_t)bytes;
        w->codecs[i] = (uint8_t)c->id;
        at += bytes;
    }
    w->out_bytes = (size_t)(at - w->out);
}

static void page_decode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    const uint8_t *at = w->out;

    for (size_t i = 0; i < w->n; i++) {
        must(codec_by_id(w->codecs[i])->decode(at, w->lengths[i], bench_prior(w, i)) == 0);
        at += w->lengths[i];
    }
}

size_t bench_rows(struct bench_row *ret)
{
    static const char *const deltas[CPU_LEVELS] = { "delta portable", "delta avx2", "delta avx512" };
    const struct codec_choice delta = { .delta = CODEC_BY_DELTA };
    const struct codec_choice all = { .delta = CODEC_BY_DELTA, .lz4 = true };
    const enum cpu_level best = cpu_best();
    size_t n = 0;

    ret[n++] = (struct bench_row){ "memcpy", best, delta, NULL, copy_encode, copy_decode };
    for (unsigned level = 0; level <= best; level++)
        ret[n++] = (struct bench_row){ deltas[level], (enum cpu_level)level, delta, NULL, best_encode,
                                       page_decode };
    ret[n++] = (struct bench_row){ "auto", best, all, NULL, best_encode, page_decode };
    for (unsigned id = CODEC_LZ4; id < CODEC_COUNT; id++) {
        const struct codec *c = codec_by_id(id);

        ret[n++] = (struct bench_row){ c->name, best, delta, c, one_encode, page_decode };
    }
    return n;
}

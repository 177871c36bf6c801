/* bench_row — see bench_row.h. */
#include "replicator/bench/bench_row.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "compress/lz4_block.h"

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

/* As a sender does it that need not copy: the page itself is the version that is kept, its prior
 * version's place is free for another, and a page that stays raw is written from where it is. */
static void traded_encode(const struct bench_row *row, struct bench_work *w)
{
    struct codec_choice allowed = row->allowed;
    uint8_t *at = w->out;

    allowed.raw_in_place = true;
    for (size_t i = 0; i < w->n; i += CODEC_BATCH) {
        size_t n = w->n - i < CODEC_BATCH ? w->n - i : CODEC_BATCH;
        struct codec_job jobs[CODEC_BATCH];

        for (size_t k = 0; k < n; k++) {
            jobs[k] = (struct codec_job){ .page = w->pages + (i + k) * PAGE_BYTES };
            if (w->has_prior[i + k])
                jobs[k].prior = bench_prior(w, i + k);
        }
        at += codec_encode_batch(allowed, jobs, n, at);
        for (size_t k = 0; k < n; k++) {
            w->lengths[i + k] = (uint32_t)jobs[k].bytes;
            w->codecs[i + k] = (uint8_t)jobs[k].codec->id;
            w->payloads[i + k] = jobs[k].payload;
            w->kept[i + k] = jobs[k].page;
        }
    }
    w->out_bytes = 0;
    for (size_t i = 0; i < w->n; i++)
        w->out_bytes += w->lengths[i];
}

static void traded_decode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    for (size_t i = 0; i < w->n; i++)
        must(codec_by_id(w->codecs[i])->decode(w->payloads[i], w->lengths[i], bench_prior(w, i)) == 0);
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

/* ---- as the stream has it: chunks of pages with their index, LZ4 over each that becomes shorter ---- */

#define CHUNK_PAGES    256u
#define CHUNK_OVERHEAD 32u /* header and fixed part; here: the packed and both unpacked lengths */
#define INDEX_MAX      (CHUNK_PAGES * 14u)

static _Thread_local uint8_t *chunk; /* unpacked */

static uint8_t *chunk_buffer(void)
{
    if (!chunk)
        chunk = malloc(INDEX_MAX + CHUNK_PAGES * PAGE_BYTES);
    must(chunk);
    return chunk;
}

/* Index and payloads of a chunk to `to`; as the product's, every page a step on. */
static void put_chunk(const struct bench_row *row, const struct bench_work *w, size_t first, size_t n,
                      struct sink *index, uint8_t **payloads)
{
    for (size_t i = first; i < first + n; i += CODEC_BATCH) {
        size_t some = first + n - i < CODEC_BATCH ? first + n - i : CODEC_BATCH;
        struct codec_job jobs[CODEC_BATCH];

        for (size_t k = 0; k < some; k++) {
            jobs[k] = (struct codec_job){ .page = w->pages + (i + k) * PAGE_BYTES,
                                          .keep = bench_prior(w, i + k) };
            if (w->has_prior[i + k])
                jobs[k].prior = jobs[k].keep;
        }
        *payloads += codec_encode_batch(row->allowed, jobs, some, *payloads);
        for (size_t k = 0; k < some; k++)
            must(sink_varint(index, (rng_mix(i + k) & 127) << 1) == 0 &&
                 sink_varint(index, (jobs[k].codec->id == CODEC_RAW ? 0 : (uint64_t)jobs[k].bytes << 3) |
                                          (uint64_t)jobs[k].codec->id) == 0);
    }
}

static void stream_encode(const struct bench_row *row, struct bench_work *w)
{
    uint8_t *at = w->out;

    for (size_t first = 0; first < w->n; first += CHUNK_PAGES) {
        size_t n = w->n - first < CHUNK_PAGES ? w->n - first : CHUNK_PAGES, bytes, packed;
        struct sink index = { chunk_buffer(), INDEX_MAX };
        uint8_t *start = index.at + INDEX_MAX, *payloads = start;
        size_t index_bytes;

        put_chunk(row, w, first, n, &index, &payloads);
        index_bytes = INDEX_MAX - index.left;
        memmove(chunk + index_bytes, start, (size_t)(payloads - start));
        bytes = index_bytes + (size_t)(payloads - start);
        packed = lz4_block_pack(chunk, bytes, at + CHUNK_OVERHEAD, bytes - 1,
                                LZ4_BLOCK_CHUNK);
        if (packed == 0)
            memcpy(at + CHUNK_OVERHEAD, chunk, bytes);
        memset(at, 0, CHUNK_OVERHEAD);
        store_u32(at, (uint32_t)packed);
        store_u32(at + 4, (uint32_t)index_bytes);
        store_u32(at + 8, (uint32_t)bytes);
        at += CHUNK_OVERHEAD + (packed ? packed : bytes);
        w->index_bytes += index_bytes;
    }
    w->out_bytes = (size_t)(at - w->out);
}

static void stream_decode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    const uint8_t *at = w->out;

    for (size_t first = 0; first < w->n; first += CHUNK_PAGES) {
        size_t n = w->n - first < CHUNK_PAGES ? w->n - first : CHUNK_PAGES;
        size_t packed = load_u32(at), index_bytes = load_u32(at + 4), bytes = load_u32(at + 8);
        const uint8_t *body = at + CHUNK_OVERHEAD, *payload;
        struct view index;

        if (packed) {
            must(lz4_block_unpack(body, packed, chunk_buffer(), bytes));
            body = chunk;
        }
        index = (struct view){ body, index_bytes };
        payload = body + index_bytes;
        for (size_t i = first; i < first + n; i++) {
            uint64_t step, coded;

            must(view_varint(&index, &step) == 0 && view_varint(&index, &coded) == 0);
            must(codec_by_id(coded & 7)->decode(payload, coded >> 3, bench_prior(w, i)) == 0);
            payload += coded >> 3;
        }
        at += CHUNK_OVERHEAD + (packed ? packed : bytes);
    }
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
    static const char *const traded[CPU_LEVELS] = { "traded portable", "traded avx2", "traded avx512" };
    const struct codec_choice delta = { .delta = CODEC_BY_DELTA };
    const struct codec_choice all = { .delta = CODEC_BY_DELTA, .lz4 = true };
    const enum cpu_level best = cpu_best();
    size_t n = 0;

    ret[n++] = (struct bench_row){ "memcpy", best, delta, NULL, copy_encode, copy_decode };
    for (unsigned level = 0; level <= best; level++)
        ret[n++] = (struct bench_row){ deltas[level], (enum cpu_level)level, delta, NULL, best_encode,
                                       page_decode };
    for (unsigned level = 0; level <= best; level++)
        ret[n++] = (struct bench_row){ traded[level], (enum cpu_level)level, delta, NULL, traded_encode,
                                       traded_decode };
    ret[n++] = (struct bench_row){ "delta or lz4", best, all, NULL, best_encode, page_decode };
    ret[n++] = (struct bench_row){ "stream", best, delta, NULL, stream_encode, stream_decode };
    for (unsigned id = CODEC_LZ4; id < CODEC_COUNT; id++) {
        const struct codec *c = codec_by_id(id);

        ret[n++] = (struct bench_row){ c->name, best, delta, c, one_encode, page_decode };
    }
    return n;
}

/* peer_zstd — each page by zstd at level 1. */
#include <zstd.h>

#include "base/attr.h"
#include "tests/bench/compress/peers.h"

static void zstd_encode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    uint8_t *at = w->out;

    must(ctx);
    for (size_t i = 0; i < w->n; i++) {
        size_t bytes = ZSTD_compressCCtx(ctx, at, BENCH_OUT_BYTES, w->pages + i * PAGE_BYTES,
                                         PAGE_BYTES, 1);

        must(!ZSTD_isError(bytes));
        w->lengths[i] = (uint32_t)bytes;
        at += bytes;
    }
    w->out_bytes = (size_t)(at - w->out);
    ZSTD_freeCCtx(ctx);
}

static void zstd_decode(const struct bench_row *row UNUSED, struct bench_work *w)
{
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    const uint8_t *at = w->out;

    must(ctx);
    for (size_t i = 0; i < w->n; i++) {
        must(ZSTD_decompressDCtx(ctx, bench_prior(w, i), PAGE_BYTES, at, w->lengths[i]) == PAGE_BYTES);
        at += w->lengths[i];
    }
    ZSTD_freeDCtx(ctx);
}

const struct bench_row peer_zstd = { .name = "zstd-1", .encode = zstd_encode, .decode = zstd_decode };

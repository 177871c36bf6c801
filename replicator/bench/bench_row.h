/* bench_row — what is measured: a way to encode pages and to make them again. The rows of the codec
 * table and memcpy, the mark that all others are held against; other programs bring rows of theirs. */
#ifndef REPLICATOR_BENCH_BENCH_ROW_H
#define REPLICATOR_BENCH_BENCH_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compress/codec.h"
#include "compress/cpu.h"

/* One thread's share of a load. */
struct bench_work {
    size_t n;
    const uint8_t *pages;   /* n × PAGE_BYTES */
    uint8_t *priors;        /* all of the load's; becomes what was sent */
    const uint32_t *slots;  /* where in it */
    const bool *has_prior;
    uint8_t *out;           /* room for n × BENCH_OUT_BYTES */
    size_t out_bytes, index_bytes; /* the latter where a row has an index: part of out before packing */
    /* per page, by the encoder for its decoder */
    uint32_t *lengths;
    uint8_t *codecs;
    const uint8_t **payloads;
    const uint8_t **kept; /* of rows that trade: the version to keep, page i's own place */
};

#define BENCH_OUT_BYTES 4224u /* of the longest page by any row */

struct bench_row {
    const char *name;
    enum cpu_level level;      /* for rows of ours: the level to use */
    struct codec_choice allowed;
    const struct codec *codec; /* this one alone, where not NULL */

    /* Encodes all pages into out, sets out_bytes, and keeps priors as sent. */
    void (*encode)(const struct bench_row *row, struct bench_work *w);
    /* Makes the pages in w->priors, which are the versions before, from out. */
    void (*decode)(const struct bench_row *row, struct bench_work *w);
};

static inline uint8_t *bench_prior(const struct bench_work *w, size_t i)
{
    return w->priors + (size_t)w->slots[i] * PAGE_BYTES;
}

/* Rows of this program that this machine can do; [0] is memcpy. */
#define BENCH_ROWS_MAX 24u
size_t bench_rows(struct bench_row *ret);

#endif

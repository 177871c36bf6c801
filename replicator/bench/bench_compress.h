/* bench_compress — every row over every load, all of them in every round, so that what disturbs a
 * machine disturbs neighbours alike: ratios of neighbours are the result, not absolutes. */
#ifndef REPLICATOR_BENCH_BENCH_COMPRESS_H
#define REPLICATOR_BENCH_BENCH_COMPRESS_H

#include <stdio.h>

#include "base/err.h"
#include "replicator/bench/bench_load.h"
#include "replicator/bench/bench_row.h"

#define BENCH_LOADS_MAX   32u
#define BENCH_ROUNDS_MAX  101u
#define BENCH_THREADS_MAX 64u

struct bench_figure {
    double encode, decode;                   /* GB/s of pages (10^9), median */
    double encode_to_base, decode_to_base;   /* medians of ratios within a round: to memcpy, or with
                                                several threads to the same row with one */
    double ratio;                            /* octets out by octets in */
    double index;                            /* octets of it a page */
};

/* One way of measuring: everything flushed from the caches before each pass, or a set that fits them. */
struct bench_table {
    bool is_cold;
    unsigned threads;
    double probe_gain; /* of arithmetic by so many threads: mean over loads of medians over rounds */
    size_t row_count, load_count;
    const char *rows[BENCH_ROWS_MAX];
    char loads[BENCH_LOADS_MAX][32];
    struct bench_figure at[BENCH_LOADS_MAX][BENCH_ROWS_MAX];
};

/* Measures; rows[0] is the mark. Checks every row's decoded pages once a load. Takes a while. */
MUST_CHECK int bench_compress(struct bench_table *ret, const struct bench_row *rows, size_t row_count,
                              struct bench_load *loads, size_t load_count, unsigned rounds,
                              struct err *e);

/* The row's number by name; row_count when it is not there. */
size_t bench_row_of(const struct bench_table *t, const char *name);

void bench_print(const struct bench_table *t, FILE *to);
/* Appends one object; several make an array by the caller's commas. */
void bench_json(const struct bench_table *t, FILE *to);
/* Speed against ratio, one small plot a load. */
void bench_svg(const struct bench_table *t, FILE *to);

#endif

/* bench_suite — the whole run: loads, tables cold and hot, one thread and many, the pause copy; printed,
 * and written as JSON and a plot. `replicator bench` runs it with its own rows; tests/bench adds peers
 * and judges. */
#ifndef REPLICATOR_BENCH_BENCH_SUITE_H
#define REPLICATOR_BENCH_BENCH_SUITE_H

#include "replicator/bench/bench_compress.h"
#include "replicator/bench/bench_copy.h"

struct bench_suite {
    /* set by caller */
    struct bench_row rows[BENCH_ROWS_MAX];
    size_t row_count;
    char *const *traces; /* files, uncompressed */
    size_t trace_count;
    unsigned rounds, threads;
    bool is_quick; /* the cold table for one thread, no other */
    const char *only_loads, *only_rows; /* beginnings of names, by commas; NULL: all. memcpy stays */
    const char *json, *svg; /* files, or NULL */
    /* returned */
    struct bench_table cold, hot, cold_threads;
    struct bench_copy copy;
};

MUST_CHECK int bench_suite_compress(struct bench_suite *s, struct err *e);
MUST_CHECK int bench_suite_copy(struct bench_suite *s, struct err *e);
/* Writes the files asked for, of what was run. */
MUST_CHECK int bench_suite_write(const struct bench_suite *s, struct err *e);

#endif

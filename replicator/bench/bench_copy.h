/* bench_copy — the pause copy against memcpy: random cold pages of a large memory, all ways in every
 * round, with page faults counted and the gain of threads beside that of plain arithmetic. */
#ifndef REPLICATOR_BENCH_BENCH_COPY_H
#define REPLICATOR_BENCH_BENCH_COPY_H

#include <stdio.h>

#include "base/err.h"

struct bench_copy {
    /* set by caller */
    size_t memory_pages, pages;
    unsigned rounds, threads;
    /* returned: ways in the order of bench_copy_way() */
    size_t ways;
    double ms[8], to_memcpy[8]; /* medians */
    double threads_gain, probe_gain; /* of the best way, of arithmetic: times faster with threads */
    long faults;                 /* in all timed copies together */
};

MUST_CHECK int bench_copy(struct bench_copy *b, struct err *e);
const char *bench_copy_way(size_t i);
void bench_copy_print(const struct bench_copy *b, FILE *to);
void bench_copy_json(const struct bench_copy *b, FILE *to);

#endif

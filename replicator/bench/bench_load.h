/* bench_load — pages to measure with: a prior version and a new one each, made from a fixed seed or
 * read from a trace of a real guest. */
#ifndef REPLICATOR_BENCH_BENCH_LOAD_H
#define REPLICATOR_BENCH_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "compress/codec.h"

struct bench_load {
    char name[32];
    size_t n;
    uint8_t *pages;     /* n × PAGE_BYTES, in order */
    uint8_t *originals; /* prior versions, page i's at slot[i] × PAGE_BYTES */
    uint32_t *slots;    /* a permutation: a cache holds them in another order */
    bool *has_prior;
};

/* The synthetic loads, W1 to W7 of docs/PERFORMANCE.md. */
#define BENCH_LOADS 8u
MUST_CHECK int bench_load_make(struct bench_load *ret, unsigned which, size_t n, struct err *e);

const char *bench_load_name(unsigned which);

/* Of a trace file: records of 1 octet (1: has a prior version, 0: new), 4096 octets prior, 4096 new. */
MUST_CHECK int bench_load_read(struct bench_load *ret, const char *path, struct err *e);

/* What such a load is called: the file's name to its first full stop, and whatever follows. */
const char *bench_load_base(const char *path);

void bench_load_close(struct bench_load *load); /* any state, twice */

#endif

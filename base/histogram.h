/* histogram — how often which value came: quantiles of pauses, holds, latencies in fixed memory.
 * Log-linear buckets: a value is known to within 1/32 of itself, from 0 to 2^64-1. Plain storage:
 * may be copied and zeroed; not thread-safe. */
#ifndef REPLICATOR_BASE_HISTOGRAM_H
#define REPLICATOR_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS_LOG2 5u /* buckets per octave, as a power of two */
#define HISTOGRAM_BUCKETS    ((64u - HISTOGRAM_STEPS_LOG2 + 1u) << HISTOGRAM_STEPS_LOG2)

struct histogram { /* all zero: empty */
    uint64_t count, max, sum; /* sum wraps */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);

/* The least value that a share q (0 … 1, cut to it) of the values does not exceed, rounded up to its
 * bucket's end and never above max; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif

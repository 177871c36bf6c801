/* bench_flush — memory as a guest's is when an epoch ends: in no cache. */
#ifndef REPLICATOR_BENCH_BENCH_FLUSH_H
#define REPLICATOR_BENCH_BENCH_FLUSH_H

#include <stddef.h>

/* Puts the lines of [at, at + bytes) out of all caches; where the processor can't, reads so much else
 * that they leave. */
void bench_flush(const void *at, size_t bytes);

/* How often this thread was put aside for others so far: a measurement with such a pause in it says
 * nothing and is taken again. */
long bench_switches(void);

#endif

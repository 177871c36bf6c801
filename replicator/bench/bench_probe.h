/* bench_probe — how much faster plain arithmetic is with several threads: what the processors of this
 * machine have to give at the moment. Threads of anything else are held against it, because a virtual
 * machine's second processor may be somebody else's too. */
#ifndef REPLICATOR_BENCH_BENCH_PROBE_H
#define REPLICATOR_BENCH_BENCH_PROBE_H

/* What each thread does: no memory, a chain of multiplications, some milliseconds. */
void bench_probe_step(void);

/* So many threads' steps in the time of one step by itself: 1 when they take turns, `threads` when all
 * have a processor each. At most BENCH_PROBE_THREADS_MAX. */
#define BENCH_PROBE_THREADS_MAX 64u
double bench_probe_gain(unsigned threads);

#endif

/* bench_probe — see bench_probe.h. */
#include "replicator/bench/bench_probe.h"

#include <pthread.h>

#include "base/attr.h"
#include "base/clock.h"

#define STEPS 4000000u

static volatile uint64_t result;

void bench_probe_step(void)
{
    uint64_t x = 1;

    for (unsigned i = 0; i < STEPS; i++)
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
    result = x;
}

static void *help(void *start)
{
    pthread_barrier_wait(start);
    bench_probe_step();
    return NULL;
}

/* From the moment that all are there. */
static uint64_t together(unsigned threads)
{
    pthread_t ids[BENCH_PROBE_THREADS_MAX];
    pthread_barrier_t start;
    uint64_t before;

    pthread_barrier_init(&start, NULL, threads + 1);
    for (unsigned t = 0; t < threads; t++)
        must(pthread_create(&ids[t], NULL, help, &start) == 0);
    pthread_barrier_wait(&start);
    before = clock_now_ns();
    for (unsigned t = 0; t < threads; t++)
        pthread_join(ids[t], NULL);
    pthread_barrier_destroy(&start);
    return clock_now_ns() - before;
}

double bench_probe_gain(unsigned threads)
{
    must(threads >= 1 && threads <= BENCH_PROBE_THREADS_MAX);
    return threads * (double)together(1) / (double)together(threads);
}

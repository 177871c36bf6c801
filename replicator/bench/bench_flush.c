/* bench_flush — see bench_flush.h. */
#include "replicator/bench/bench_flush.h"

#include <stdint.h>
#include <sys/resource.h>

#define LINE 64u

long bench_switches(void)
{
    struct rusage u;

    getrusage(RUSAGE_THREAD, &u);
    return u.ru_nivcsw;
}

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

__attribute__((target("clflushopt"))) static void flush_all(const uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE)
        _mm_clflushopt((void *)(uintptr_t)(at + i));
}

void bench_flush(const void *at, size_t bytes)
{
    unsigned a, b = 0, c, d;

    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_CLFLUSHOPT)) /* many at a time */
        flush_all(at, bytes);
    else
        for (size_t i = 0; i < bytes; i += LINE)
            _mm_clflush((const uint8_t *)at + i);
    _mm_mfence();
}
#else
void bench_flush(const void *at, size_t bytes)
{
    static uint8_t others[64u << 20];

    (void)at, (void)bytes;
    for (size_t i = 0; i < sizeof(others); i += LINE)
        *(volatile uint8_t *)(others + i) += 1;
}
#endif

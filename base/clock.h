/* clock — the only place that asks the system for the time, and only for monotonic time.
 * Everything that decides takes the time as an argument (ns since an arbitrary start). */
#ifndef REPLICATOR_BASE_CLOCK_H
#define REPLICATOR_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)
#define TIME_NEVER UINT64_MAX

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t clock_now_ns(void);

/* Sleeps at least so long. For making way for others, never in place of an event. */
void clock_sleep_ns(uint64_t ns);

/* Nanoseconds that the calling thread has been on a processor. For measuring, never for deciding. */
uint64_t clock_thread_ns(void);

#endif

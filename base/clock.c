/* clock — see clock.h. */
#include "base/clock.h"

#include <errno.h>
#include <time.h>

static uint64_t read_clock(clockid_t which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

void clock_sleep_ns(uint64_t ns)
{
    struct timespec left = { (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };

    while (nanosleep(&left, &left) < 0 && errno == EINTR) {
    }
}

uint64_t clock_thread_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

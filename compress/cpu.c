/* cpu — see cpu.h. */
#include "compress/cpu.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static const char *const names[CPU_LEVELS] = {
    [CPU_PORTABLE] = "portable",
    [CPU_AVX2] = "avx2",
    [CPU_AVX512] = "avx512",
};

#define UNKNOWN (-1)
static atomic_int chosen = UNKNOWN;

enum cpu_level cpu_best(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("popcnt"))
        return CPU_PORTABLE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512vbmi") || !__builtin_cpu_supports("avx512vbmi2") ||
        !__builtin_cpu_supports("avx512bitalg") || !__builtin_cpu_supports("avx512vpopcntdq"))
        return CPU_AVX2;
    return CPU_AVX512;
#else
    return CPU_PORTABLE;
#endif
}

/* Two threads that ask first at once find the same answer. */
enum cpu_level cpu_level(void)
{
    int level = atomic_load_explicit(&chosen, memory_order_relaxed);

    if (level == UNKNOWN) {
        level = (int)cpu_best();
        atomic_store_explicit(&chosen, level, memory_order_relaxed);
    }
    return (enum cpu_level)level;
}

const char *cpu_level_name(enum cpu_level level)
{
    return names[level];
}

int cpu_choose(const char *name, struct err *e)
{
    int level = 0;

    if (!name || !*name) {
        atomic_store(&chosen, (int)cpu_best());
        return 0;
    }
    while (level < CPU_LEVELS && strcmp(names[level], name) != 0)
        level++;
    if (level == CPU_LEVELS)
        return err_set(e, EINVAL, "processor level \"%.40s\": want portable, avx2 or avx512", name);
    if (level > (int)cpu_best())
        return err_set(e, ENOTSUP, "this processor can't do %s; its best is %s", name,
                       names[cpu_best()]);
    atomic_store(&chosen, level);
    return 0;
}

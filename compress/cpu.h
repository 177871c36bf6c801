/* cpu — which instructions the hot loops may use: one level, chosen once for the whole process.
 * Every level makes the same octets; they differ in speed only. The build asks for none of them, so
 * the same program runs on all machines of its architecture. */
#ifndef REPLICATOR_COMPRESS_CPU_H
#define REPLICATOR_COMPRESS_CPU_H

#include "base/attr.h"
#include "base/err.h"

enum cpu_level {
    CPU_PORTABLE,
    CPU_AVX2,   /* with BMI1, BMI2, POPCNT; x86-64 only, as the next one */
    CPU_AVX512, /* F, BW, DQ, VL, VBMI, VBMI2, BITALG, VPOPCNTDQ: Ice Lake, Zen 4 and later */
    CPU_LEVELS
};

/* The level in use: the best of this machine until cpu_choose() says otherwise. */
enum cpu_level cpu_level(void);

/* The best that this machine has. */
enum cpu_level cpu_best(void);

/* Uses the level of this name from now on; NULL or "" means the best. For the start of a program
 * (REPLICATOR_CPU) and for tests. -EINVAL: no such name; -ENOTSUP: not on this machine. */
MUST_CHECK int cpu_choose(const char *name, struct err *e);

const char *cpu_level_name(enum cpu_level level);

#endif

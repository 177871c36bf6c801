/* rng — a small seeded generator (xoshiro256**, Blackman and Vigna 2018), the same on every machine.
 * For workloads, simulation and identifiers that must differ, never for secrets. */
#ifndef REPLICATOR_BASE_RNG_H
#define REPLICATOR_BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* Uniform in [0, bound); bound 0 gives 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
/* True `per_million` times in a million. */
bool rng_chance(struct rng *r, uint32_t per_million);
void rng_fill(struct rng *r, void *to, size_t bytes);

/* One well-mixed value from one input (the splitmix64 finaliser): hashing small keys. */
uint64_t rng_mix(uint64_t value);

/* A fresh seed from the system (getrandom). */
uint64_t rng_system_seed(void);

#endif

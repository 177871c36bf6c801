/* rng — see rng.h. */
#include "base/rng.h"

#include <string.h>
#include <sys/random.h>

#include "base/attr.h"

uint64_t rng_mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

void rng_seed(struct rng *r, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_LEN(r->s); i++)
        r->s[i] = rng_mix(seed + i * UINT64_C(0x9e3779b97f4a7c15));
}

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t rng_next(struct rng *r)
{
    uint64_t result = rotate_left(r->s[1] * 5, 7) * 9;
    uint64_t t = r->s[1] << 17;

    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rotate_left(r->s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)rng_next(r) * bound) >> 64);
}

bool rng_chance(struct rng *r, uint32_t per_million)
{
    return rng_below(r, 1000000) < per_million;
}

void rng_fill(struct rng *r, void *to, size_t bytes)
{
    uint8_t *at = to;

    while (bytes > 0) {
        uint64_t value = rng_next(r);
        size_t n = bytes < sizeof(value) ? bytes : sizeof(value);

        memcpy(at, &value, n);
        at += n;
        bytes -= n;
    }
}

uint64_t rng_system_seed(void)
{
    uint64_t seed;

    must(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
    return seed;
}

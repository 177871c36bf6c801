/* digest — 64-bit XXH3 of octets, whole or piece by piece (by libxxhash).
 * Detects every corruption a network or a bug makes; it is no protection against a forger (TLS is). */
#ifndef REPLICATOR_BASE_DIGEST_H
#define REPLICATOR_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* Plain storage for a running digest; no ownership, may be copied. */
struct digest {
    _Alignas(64) unsigned char state[576];
};

uint64_t digest_of(const void *octets, size_t bytes);

void digest_begin(struct digest *d);
void digest_add(struct digest *d, const void *octets, size_t bytes);
uint64_t digest_value(const struct digest *d);

#endif

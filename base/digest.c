/* digest — see digest.h. */
#include "base/digest.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

/* The library finds the widest vectors of this processor by itself, but only under these names. A digest
 * goes over every page that is sent and every one that arrives: it shows. */
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif

_Static_assert(sizeof(XXH3_state_t) <= sizeof(struct digest), "a running XXH3 fits its storage");

static XXH3_state_t *state_of(struct digest *d)
{
    return (XXH3_state_t *)(void *)d->state;
}

uint64_t digest_of(const void *octets, size_t bytes)
{
    return XXH3_64bits(octets, bytes);
}

void digest_begin(struct digest *d)
{
    XXH3_INITSTATE(state_of(d));
    XXH3_64bits_reset(state_of(d));
}

void digest_add(struct digest *d, const void *octets, size_t bytes)
{
    XXH3_64bits_update(state_of(d), octets, bytes);
}

uint64_t digest_value(const struct digest *d)
{
    return XXH3_64bits_digest((const XXH3_state_t *)(const void *)d->state);
}

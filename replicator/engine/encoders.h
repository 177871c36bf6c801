/* encoders — the chunks of an epoch in the making: planned one after the other, built by any number of
 * threads at once, handed out in the order they were planned. What is built depends on that order only,
 * never on who was when done with what: the octets are the same for any number of threads, and for none.
 * Bounded: ENCODERS_CHUNKS at once, reserved at open. Filled and emptied by epoch_out. */
#ifndef REPLICATOR_ENGINE_ENCODERS_H
#define REPLICATOR_ENGINE_ENCODERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/workers.h"
#include "checkpoint/pages.h"
#include "checkpoint/pages_pack.h"

#define ENCODERS_CHUNKS      8u
#define ENCODERS_SENSIBLE_MAX 4u /* beyond this a link or the memory is what is waited for */

struct encoders_chunk {
    struct work work;            /* first: the work is the chunk */
    struct pages_plan plan;
    struct pages_built built;
    bool is_plain, is_packing;
    size_t unpacked_bytes;       /* of a chunk that was tried; 0: there is nothing to learn from it */
    uint64_t until;              /* given: in use until so many octets are gone */
    uint8_t *room, *scratch;
};

/* Numbers of chunks, ever: freed <= given <= begun <= freed + ENCODERS_CHUNKS. */
struct encoders {
    struct workers *workers;
    struct encoders_chunk *chunks;
    uint8_t *rooms;              /* a room and a scratch a chunk */
    size_t room_bytes;
    uint64_t begun, given, freed;
    struct pages_packer packer;
};

/* threads: 0 … ENCODERS_CHUNKS; 0 builds in encoders_begin(). chunk_pages: of the longest chunk. */
MUST_CHECK int encoders_open(struct encoders *c, unsigned threads, size_t chunk_pages,
                             enum pages_packing packing, struct err *e);
void encoders_close(struct encoders *c); /* any state, twice */

static inline bool encoders_have_room(const struct encoders *c)
{
    return c->begun - c->freed < ENCODERS_CHUNKS;
}
/* Planned, but not handed out yet. */
static inline bool encoders_are_busy(const struct encoders *c)
{
    return c->begun > c->given;
}
/* Chunks use the places that they were planned from, until their octets are gone. */
static inline bool encoders_hold_places(const struct encoders *c)
{
    return c->begun > c->freed;
}

/* Plans the next chunk and hands it to a thread; only while there is room. As pages_plan(); plain:
 * PAGE_DATA. is_link_behind: packing is worth a thought. */
void encoders_begin(struct encoders *c, uint8_t **places, const uint64_t *pfns, const uint8_t *types,
                    size_t n, const struct pages_rules *rules, struct pagecache *cache, bool is_plain,
                    bool is_link_behind);

/* The oldest chunk that was not handed out, if it is built; else NULL. */
const struct pages_built *encoders_ready(const struct encoders *c);
/* That one is handed out: its pieces are in use until `until` octets are gone, in the caller's count. */
void encoders_give(struct encoders *c, uint64_t until);
void encoders_gone(struct encoders *c, uint64_t octets);

/* Forgets every chunk, when those that were handed out are gone. Blocks while threads are still building. */
void encoders_abandon(struct encoders *c);

#endif

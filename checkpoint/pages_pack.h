/* pages_pack — LZ4 over a chunk of encoded pages as a whole, where that is worth its time: it sees what
 * pages have in common, and what a delta can't help with (new pages). Slower than a fast link, so it
 * runs only while the link is behind, and pauses after chunks that it could not shorten.
 * The form stands in pages.h; pages_open() reads it. */
#ifndef REPLICATOR_CHECKPOINT_PAGES_PACK_H
#define REPLICATOR_CHECKPOINT_PAGES_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "checkpoint/pages.h"

enum pages_packing { PAGES_PACK_AUTO, PAGES_PACK_OFF, PAGES_PACK_ON };

/* One per stream; zeroes are a good start. */
struct pages_packer {
    enum pages_packing packing;
    /* private */
    unsigned pause;      /* chunks to let pass */
    unsigned next_pause; /* after the next one that does not pay */
};

/* pages_pack() in its three parts, for whoever builds several chunks at once: whether the next chunk is to be
 * tried, in the stream's order; the try, which shares nothing (scratch has room for PAGES_ROOM; the length
 * of the shorter record, or of the one that stays); what came of it, in the same order again. */
bool pages_pack_wants(struct pages_packer *p, bool is_behind);
size_t pages_pack_try(uint8_t *record, uint8_t *scratch, size_t scratch_bytes);
void pages_pack_learn(struct pages_packer *p, size_t before, size_t after);

/* `record` is the PAGE_DATA_ENCODED that pages_encode() has just appended to `out`. Makes it shorter in
 * place, or leaves it: always tried by ON, never by OFF, by AUTO while is_behind and not in a pause.
 * The tally counts the octets saved. True when packed. */
bool pages_pack(struct pages_packer *p, bool is_behind, uint8_t *record, struct sink *out,
                struct pages_tally *tally);

#endif

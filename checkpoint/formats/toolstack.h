/* toolstack — what libxl of Xen 4.2 to 4.5 put into a legacy stream's TOOLSTACK chunk: where the device
 * model had mapped its memory. Later streams carry the same as keys and values of the emulator's
 * xenstore, which is what it is turned into here. Pure. */
#ifndef REPLICATOR_CHECKPOINT_TOOLSTACK_H
#define REPLICATOR_CHECKPOINT_TOOLSTACK_H

#include "base/bytes.h"

/* Room that is enough for what is made of so many octets. */
#define TOOLSTACK_KEYS_MAX(bytes) (8u * (bytes) + 64u)

/* Appends "physmap/OFFSET/start_addr\0…\0" and so on for every mapping; width is the toolstack's, in
 * octets (64-bit ones let four octets of padding through). Nothing for no mapping. -EPROTO: it is no such
 * chunk, or of another version than 1; -ENOBUFS. */
MUST_CHECK int toolstack_keys(struct view chunk, unsigned width, struct sink *out);

#endif

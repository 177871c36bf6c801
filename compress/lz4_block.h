/* lz4_block — one LZ4 block by liblz4, and back. No state from one block to the next. */
#ifndef REPLICATOR_COMPRESS_LZ4_BLOCK_H
#define REPLICATOR_COMPRESS_LZ4_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

/* How hard to look for repetitions: liblz4's acceleration, 1 is hardest. Chunks are packed while a link
 * waits and other work with it; on guests' traces 3 is an eighth to a quarter faster than 1 for 5 to 7 %
 * more octets (docs/PERFORMANCE.md). A page by itself has little to find anyway. */
#define LZ4_BLOCK_PAGE  1
#define LZ4_BLOCK_CHUNK 3

/* Packs bytes octets (2 GiB at most) into to[0..room). Returns the block's length, 0 when it does not
 * fit. */
size_t lz4_block_pack(const void *from, size_t bytes, void *to, size_t room, int acceleration);

/* True when the block unpacks to exactly `bytes` octets, which are in `to` then; else `to` has anything. */
bool lz4_block_unpack(const void *block, size_t block_bytes, void *to, size_t bytes);

#endif

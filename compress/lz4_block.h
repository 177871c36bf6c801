/* lz4_block — one LZ4 block by liblz4, and back. No state from one block to the next. */
#ifndef REPLICATOR_COMPRESS_LZ4_BLOCK_H
#define REPLICATOR_COMPRESS_LZ4_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

/* Packs bytes octets (2 GiB at most) into to[0..room). Returns the block's length, 0 when it does not
 * fit. */
size_t lz4_block_pack(const void *from, size_t bytes, void *to, size_t room);

/* True when the block unpacks to exactly `bytes` octets, which are in `to` then; else `to` has anything. */
bool lz4_block_unpack(const void *block, size_t block_bytes, void *to, size_t bytes);

#endif

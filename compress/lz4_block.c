/* lz4_block — see lz4_block.h. */
#include "compress/lz4_block.h"

#include <limits.h>
#include <lz4.h>

/* liblz4's scratch (16 KiB), too big for a thread's stack to repeat per call; it carries nothing
 * from one block to the next. */
static _Thread_local LZ4_stream_t scratch;

size_t lz4_block_pack(const void *from, size_t bytes, void *to, size_t room, int acceleration)
{
    int length;

    if (bytes > LZ4_MAX_INPUT_SIZE)
        return 0;
    length = LZ4_compress_fast_extState(&scratch, from, to, (int)bytes,
                                        room > INT_MAX ? INT_MAX : (int)room, acceleration);
    return length > 0 ? (size_t)length : 0;
}

bool lz4_block_unpack(const void *block, size_t block_bytes, void *to, size_t bytes)
{
    if (block_bytes > INT_MAX || bytes > INT_MAX)
        return false;
    return LZ4_decompress_safe(block, to, (int)block_bytes, (int)bytes) == (int)bytes;
}

/* pages_inside — the form of a chunk of pages, for its two files. Nobody else includes this.
 *   pages.c         plans and builds
 *   pages_reader.c  takes apart */
#ifndef REPLICATOR_CHECKPOINT_PAGES_INSIDE_H
#define REPLICATOR_CHECKPOINT_PAGES_INSIDE_H

#include "checkpoint/guest.h"
#include "checkpoint/pages.h"

#define PLAIN_FIXED_BYTES  8u
#define PLAIN_ENTRY_BYTES  8u
#define ENTRY_INDEX_MAX    (VARINT_BYTES_MAX + 1u + 3u)
#define ENTRY_INDEX_LEAST  2u
#define PLAIN_TYPE_SHIFT   60
#define PLAIN_PFN_BITS     52
#define PLAIN_PFN_MASK     ((UINT64_C(1) << PLAIN_PFN_BITS) - 1)
#define CODEC_BITS         3

_Static_assert((uint64_t)CODEC_COUNT <= 1u << CODEC_BITS, "a codec's number fits its bits");
_Static_assert(CODEC_BATCH <= PAGECACHE_WAYS, "a batch's places in the cache are distinct");
_Static_assert(PAGES_INDEX_MAX == PAGES_CHUNK_MAX * ENTRY_INDEX_MAX, "the index is entries only");
_Static_assert(GUEST_PAGES_MAX <= PLAIN_PFN_MASK, "every pfn fits a PAGE_DATA entry");
_Static_assert(PLAIN_FIXED_BYTES + PAGES_CHUNK_MAX * (PLAIN_ENTRY_BYTES + PAGE_BYTES) <= PAGES_BODY_MAX,
               "a plain chunk is no longer than an encoded one");

static inline bool type_is_valid(uint64_t type)
{
    return type <= 0x4 || (type >= 0x9 && type <= 0xf);
}

static inline bool type_has_content(uint64_t type)
{
    return type < PAGE_TYPE_BROKEN;
}

#endif

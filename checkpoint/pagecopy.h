/* pagecopy — the copy that a guest pays for with its pause: scattered pages of its memory into the
 * page buffer. Four pages side by side, because a processor learns to read ahead only within a page;
 * and past the caches when there is more than they hold, because then reading a line of the target
 * first only to overwrite it is a third of all traffic.
 * Pure: no allocation, no state. The target must have been touched before, or every page faults. */
#ifndef REPLICATOR_CHECKPOINT_PAGECOPY_H
#define REPLICATOR_CHECKPOINT_PAGECOPY_H

#include <stddef.h>
#include <stdint.h>

/* From this many pages on the copy goes past the caches. Measured with copy and encoding taken together:
 * up to 256 pages the buffer is still in a second-level cache from the epoch before, and going past it
 * costs eight times as much; at 1024 it saves a quarter of the copy and a tenth of both. */
#define PAGECOPY_STREAM_PAGES 512u

/* Copies page pfns[i] of memory to the place to[i], for all i < n. */
void pagecopy(uint8_t *const *to, const uint8_t *memory, const uint64_t *pfns, size_t n);

/* The two ways by themselves, for measuring; the first wants both aligned to 64 octets. */
void pagecopy_stream(uint8_t *const *to, const uint8_t *memory, const uint64_t *pfns, size_t n);
void pagecopy_cached(uint8_t *const *to, const uint8_t *memory, const uint64_t *pfns, size_t n);

#endif

/* pagecache — prior versions of pages as they were last sent: the bases of deltas.
 * A fixed memory bound, everything reserved at open, O(1) per page, no allocation after that.
 * It only remembers; whether a version may serve as base (the backup verifiably holds it) is the
 * caller's rule, for which each version carries the epoch that sent it. */
#ifndef REPLICATOR_COMPRESS_PAGECACHE_H
#define REPLICATOR_COMPRESS_PAGECACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct pagecache;

struct pagecache_stats {
    uint64_t slots, used, hits, misses, evictions;
};

/* Reserves `bytes` in all, index included (0 gives a cache that never holds anything).
 * -ENOMEM when the system refuses. */
MUST_CHECK int pagecache_open(struct pagecache **ret, size_t bytes, struct err *e);
void pagecache_close(struct pagecache *c); /* NULL is fine */

/* The page's last sent version and the epoch that sent it; NULL when not held. The pointer stays
 * good until the next put or drop. Counts a hit or a miss. */
const uint8_t *pagecache_get(struct pagecache *c, uint64_t pfn, uint64_t *ret_epoch);

/* Remembers `page` (copied) as sent by `epoch`, in place of an older version or of a colder page. */
void pagecache_put(struct pagecache *c, uint64_t pfn, uint64_t epoch, const uint8_t *page);

/* Both in one look: the place that holds the page from now on as sent by `epoch`, for the caller to
 * make so before the next call but this one; good until PAGECACHE_WAYS more pages are touched. When
 * *ret_is_held it still has the version that *ret_epoch sent, else nothing of worth. NULL: this cache
 * never holds anything. Counts a hit or a miss. */
#define PAGECACHE_WAYS 8u
uint8_t *pagecache_renew(struct pagecache *c, uint64_t pfn, uint64_t epoch, bool *ret_is_held,
                         uint64_t *ret_epoch);

/* The same without a copy: *page, PAGE_BYTES that hold the version that `epoch` sends, becomes the cache's
 * and *page one that the cache has no more use for. True: that one is the page's version that *ret_epoch
 * sent. False: it has nothing of worth, and may be the very page that was given, which this cache then
 * does not hold. The memory of either side must outlive the other's use of it. Counts a hit or a miss. */
bool pagecache_trade(struct pagecache *c, uint64_t pfn, uint64_t epoch, uint8_t **page,
                     uint64_t *ret_epoch);

/* Forgets one page; forgets every version sent by an epoch later than `committed`; forgets all. */
void pagecache_drop(struct pagecache *c, uint64_t pfn);
void pagecache_drop_after(struct pagecache *c, uint64_t committed);
void pagecache_clear(struct pagecache *c);

void pagecache_stats(const struct pagecache *c, struct pagecache_stats *ret);

#endif

/* pagecache — eight-way sets, two of which are chosen by mixes of the pfn; of the sixteen pages there the
 * one touched longest ago makes room. So the eight pages touched last are always held, whatever their
 * numbers, and which pages are held is nearly what an exact order of all of them would hold: with one set
 * a page it was up to ten in a hundred less (tests/bench/cache.c).
 * One mapping holds the pages and, behind them, the sets that index them. A way knows its page by a
 * pointer, because pages are traded with whoever copies them. */
#include "compress/pagecache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/rng.h"
#include "compress/codec.h"

#define WAYS              PAGECACHE_WAYS
#define CHOICES           2u /* sets that a page may be in */
#define SYSTEM_PAGE_BYTES 4096u

/* touched 0 marks an empty way, so that every pfn may be a key. */
struct set {
    _Alignas(64) uint64_t pfn[WAYS];
    uint64_t epoch[WAYS];
    uint64_t touched[WAYS];
    uint8_t *page[WAYS];
};

#define SET_BYTES (sizeof(struct set) + WAYS * PAGE_BYTES)

struct pagecache {
    uint8_t *pages; /* start of the mapping; NULL when there is not one set */
    struct set *sets;
    size_t set_count, map_bytes;
    uint64_t now; /* counts touches */
    struct pagecache_stats stats;
};

struct place {
    struct set *set;
    unsigned way;
};

static void touch_every_page(uint8_t *map, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += SYSTEM_PAGE_BYTES)
        *(volatile uint8_t *)(map + at) = 0;
}

static void give_pages(struct pagecache *c)
{
    for (size_t i = 0; i < c->set_count * WAYS; i++)
        c->sets[i / WAYS].page[i % WAYS] = c->pages + i * PAGE_BYTES;
}

int pagecache_open(struct pagecache **ret, size_t bytes, struct err *e)
{
    /* Rounded down first: the mapping itself is rounded up and must stay within the bound. */
    size_t set_count = (bytes & ~(size_t)(SYSTEM_PAGE_BYTES - 1)) / SET_BYTES;
    AUTO_FREE struct pagecache *c = calloc(1, sizeof(*c));
    void *map;

    if (!c)
        return err_set(e, ENOMEM, "page cache: %m");
    if (set_count > 0) {
        c->map_bytes = set_count * SET_BYTES;
        map = mmap(NULL, c->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED)
            return err_set(e, ENOMEM, "page cache of %zu MiB: %m; configure a smaller one", bytes >> 20);
        /* Both are advice: without huge pages it is slower, a kernel that can't leave the guest's
         * memory out of a core dump is older than any that we run on. */
        (void)madvise(map, c->map_bytes, MADV_HUGEPAGE);
        (void)madvise(map, c->map_bytes, MADV_DONTDUMP);
        touch_every_page(map, c->map_bytes);
        c->pages = map;
        c->sets = (struct set *)(void *)(c->pages + set_count * WAYS * PAGE_BYTES);
        c->set_count = set_count;
        c->stats.slots = set_count * WAYS;
        give_pages(c);
    }
    *ret = c;
    c = NULL;
    return 0;
}

void pagecache_close(struct pagecache *c)
{
    if (!c)
        return;
    if (c->pages)
        munmap(c->pages, c->map_bytes);
    free(c);
}

static struct set *set_of(const struct pagecache *c, uint64_t pfn, unsigned choice)
{
    uint64_t mixed = rng_mix(choice == 0 ? pfn : ~pfn);

    return &c->sets[(size_t)(((unsigned __int128)mixed * c->set_count) >> 64)];
}

static uint8_t **page_at(struct place p)
{
    return &p.set->page[p.way];
}

static bool find(const struct pagecache *c, uint64_t pfn, struct place *ret)
{
    for (unsigned choice = 0; choice < CHOICES && c->set_count > 0; choice++) {
        struct set *s = set_of(c, pfn, choice);

        for (unsigned w = 0; w < WAYS; w++)
            if (s->pfn[w] == pfn && s->touched[w] != 0) {
                *ret = (struct place){ s, w };
                return true;
            }
    }
    return false;
}

static void forget(struct pagecache *c, struct place p)
{
    p.set->touched[p.way] = 0;
    c->stats.used--;
}

/* The way that a new page takes: an empty one (touched 0 is the least), else the coldest. */
static struct place make_room(struct pagecache *c, uint64_t pfn)
{
    struct place p = { set_of(c, pfn, 0), 0 };

    for (unsigned choice = 0; choice < CHOICES; choice++) {
        struct set *s = set_of(c, pfn, choice);

        for (unsigned w = 0; w < WAYS; w++)
            if (s->touched[w] < p.set->touched[p.way])
                p = (struct place){ s, w };
    }
    if (p.set->touched[p.way] != 0) {
        forget(c, p);
        c->stats.evictions++;
    }
    c->stats.used++;
    return p;
}

const uint8_t *pagecache_get(struct pagecache *c, uint64_t pfn, uint64_t *ret_epoch)
{
    struct place p;

    if (!find(c, pfn, &p)) {
        c->stats.misses++;
        return NULL;
    }
    c->stats.hits++;
    p.set->touched[p.way] = ++c->now;
    *ret_epoch = p.set->epoch[p.way];
    return *page_at(p);
}

static void mark(struct pagecache *c, struct place p, uint64_t pfn, uint64_t epoch)
{
    p.set->pfn[p.way] = pfn;
    p.set->epoch[p.way] = epoch;
    p.set->touched[p.way] = ++c->now;
}

void pagecache_put(struct pagecache *c, uint64_t pfn, uint64_t epoch, const uint8_t *page)
{
    struct place p;

    if (c->set_count == 0)
        return;
    if (!find(c, pfn, &p))
        p = make_room(c, pfn);
    mark(c, p, pfn, epoch);
    memcpy(*page_at(p), page, PAGE_BYTES);
}

/* The place that is the page's from now on; false when this cache never holds anything. */
static bool renew(struct pagecache *c, uint64_t pfn, uint64_t epoch, struct place *ret,
                  bool *ret_is_held, uint64_t *ret_epoch)
{
    bool is_held;
    struct place p;

    if (c->set_count == 0) {
        c->stats.misses++;
        return false;
    }
    is_held = find(c, pfn, &p);
    if (is_held) {
        c->stats.hits++;
        *ret_epoch = p.set->epoch[p.way];
    } else {
        c->stats.misses++;
        p = make_room(c, pfn);
    }
    mark(c, p, pfn, epoch);
    *ret_is_held = is_held;
    *ret = p;
    return true;
}

uint8_t *pagecache_renew(struct pagecache *c, uint64_t pfn, uint64_t epoch, bool *ret_is_held,
                         uint64_t *ret_epoch)
{
    struct place p;

    return renew(c, pfn, epoch, &p, ret_is_held, ret_epoch) ? *page_at(p) : NULL;
}

bool pagecache_trade(struct pagecache *c, uint64_t pfn, uint64_t epoch, uint8_t **page,
                     uint64_t *ret_epoch)
{
    bool is_held = false;
    struct place p;
    uint8_t *older;

    if (!renew(c, pfn, epoch, &p, &is_held, ret_epoch))
        return false;
    older = *page_at(p);
    *page_at(p) = *page;
    *page = older;
    return is_held;
}

void pagecache_drop(struct pagecache *c, uint64_t pfn)
{
    struct place p;

    if (find(c, pfn, &p))
        forget(c, p);
}

void pagecache_drop_after(struct pagecache *c, uint64_t committed)
{
    for (size_t s = 0; s < c->set_count; s++)
        for (unsigned w = 0; w < WAYS; w++)
            if (c->sets[s].touched[w] != 0 && c->sets[s].epoch[w] > committed)
                forget(c, (struct place){ &c->sets[s], w });
}

void pagecache_clear(struct pagecache *c)
{
    for (size_t s = 0; s < c->set_count; s++)
        memset(c->sets[s].touched, 0, sizeof(c->sets[s].touched));
    c->stats.used = 0;
}

void pagecache_stats(const struct pagecache *c, struct pagecache_stats *ret)
{
    *ret = c->stats;
}

/* cache — which pages the page cache keeps, beside an exact LRU of as many: hit ratios over the pages that
 * epochs dirty, for the simulated guests' ways of picking them, for scans, and for traces.
 * usage: cache [TRACE...] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/rng.h"
#include "checkpoint/dirty.h"
#include "checkpoint/sim/guest_sim_work.h"
#include "compress/pagecache.h"
#include "replicator/bench/bench_load.h"

#define PAGES  65536u
#define EPOCHS 200u
#define STEPS  2000u /* an epoch */

/* ---- sequences of pages, each at most once an epoch --------------------------------------------------- */

struct sequence {
    uint32_t *pfns;
    size_t n, room;
};

static void add(struct sequence *s, uint64_t pfn)
{
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 1 << 16;
        s->pfns = realloc(s->pfns, s->room * sizeof(*s->pfns));
        must(s->pfns);
    }
    s->pfns[s->n++] = (uint32_t)pfn;
}

typedef uint64_t pick_fn(uint64_t epoch, uint64_t step, struct rng *r);

static uint64_t by_workload(const char *workload, uint64_t step)
{
    static struct guest_sim_spec spec;
    static const char *of;
    char text[64];
    struct err e;

    if (of != workload) {
        snprintf(text, sizeof(text), "sim:a?mib=256&workload=%s", workload);
        must(guest_sim_spec_parse(text, &spec, &e) == 0);
        of = workload;
    }
    return guest_sim_work_pick(&spec, 0, step, PAGES);
}

static uint64_t pick_kv(uint64_t epoch, uint64_t step, struct rng *r UNUSED)
{
    return by_workload("kv", epoch * STEPS + step);
}

static uint64_t pick_uniform(uint64_t epoch, uint64_t step, struct rng *r UNUSED)
{
    return by_workload("random", epoch * STEPS + step);
}

/* A hot set, and a file that is read once: a fifth of all. */
static uint64_t pick_scan(uint64_t epoch, uint64_t step, struct rng *r)
{
    return step % 5 == 0 ? 8192 + (epoch * STEPS + step) / 5 % (PAGES - 8192) : rng_below(r, 8192);
}

/* Round and round a set that does not fit: an LRU never hits. */
static uint64_t pick_loop(uint64_t epoch, uint64_t step, struct rng *r UNUSED)
{
    return (epoch * STEPS + step) % 20000;
}

/* Popularity falls off as one over the rank. */
static uint64_t pick_zipf(uint64_t epoch UNUSED, uint64_t step UNUSED, struct rng *r)
{
    uint64_t most = PAGES, bits = rng_below(r, 16);

    return rng_mix((UINT64_C(1) << bits) + rng_below(r, UINT64_C(1) << bits)) % most;
}

static void make(struct sequence *s, pick_fn *pick)
{
    struct dirty dirty;
    struct rng r;
    struct err e;

    rng_seed(&r, 1);
    must(dirty_open(&dirty, PAGES, &e) == 0);
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        for (uint64_t step = 0; step < STEPS; step++)
            dirty_set(&dirty, pick(epoch, step, &r));
        for (uint64_t pfn = dirty_next(&dirty, 0); pfn < PAGES; pfn = dirty_next(&dirty, pfn + 1))
            add(s, pfn);
        dirty_clear(&dirty);
    }
    dirty_close(&dirty);
}

/* Traces have no page numbers: a prior version that is some earlier record's new one is the same page. */
static void read_trace(struct sequence *s, const struct bench_load *t)
{
    uint64_t *last = calloc(t->n, sizeof(*last));
    uint32_t next = 0;

    must(last);
    for (size_t i = 0; i < t->n; i++) {
        uint64_t prior = digest_of(t->originals + (size_t)t->slots[i] * PAGE_BYTES, PAGE_BYTES);
        uint32_t page = 0;

        while (page < next && last[page] != prior)
            page++;
        next += page == next;
        last[page] = digest_of(t->pages + i * PAGE_BYTES, PAGE_BYTES);
        add(s, page);
    }
    free(last);
}

/* ---- the two ------------------------------------------------------------------------------------------ */

/* Exact, and slow: the stack distance of each access by a walk through what was touched since. */
static double lru(const struct sequence *s, size_t slots)
{
    uint32_t *next = malloc((PAGES + 1) * sizeof(*next)), *before = malloc((PAGES + 1) * sizeof(*before));
    bool *is_held = calloc(PAGES, 1);
    size_t held = 0, hits = 0;

    must(next && before && is_held);
    next[PAGES] = before[PAGES] = PAGES; /* the ring's anchor: after it the warmest, before it the coldest */
    for (size_t i = 0; i < s->n; i++) {
        uint32_t p = s->pfns[i], out = is_held[p] ? p : before[PAGES];

        hits += is_held[p];
        if (is_held[p] || held == slots) {
            next[before[out]] = next[out];
            before[next[out]] = before[out];
            is_held[out] = false;
            held--;
        }
        next[p] = next[PAGES];
        before[p] = PAGES;
        before[next[PAGES]] = p;
        next[PAGES] = p;
        is_held[p] = true;
        held++;
    }
    free(next);
    free(before);
    free(is_held);
    return (double)hits / (double)s->n;
}

static double ours(const struct sequence *s, struct pagecache *c)
{
    struct pagecache_stats stats;
    bool is_held;
    uint64_t epoch;

    pagecache_clear(c);
    for (size_t i = 0; i < s->n; i++)
        (void)pagecache_renew(c, s->pfns[i], 1, &is_held, &epoch);
    pagecache_stats(c, &stats);
    return (double)stats.hits / (double)s->n;
}

static void compare(const char *name, const struct sequence *s, size_t mib)
{
    struct pagecache_stats stats;
    struct pagecache *c;
    double a, b;
    struct err e;

    if (pagecache_open(&c, mib << 20, &e) < 0) {
        fprintf(stderr, "cache: %s\n", e.text);
        exit(1);
    }
    pagecache_stats(c, &stats);
    a = lru(s, stats.slots);
    b = ours(s, c);
    printf("%-14s %8zu %6zu MiB %8.2f %8.2f\n", name, s->n, mib, 100 * a, 100 * b);
    pagecache_close(c);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        pick_fn *pick;
    } rows[] = { { "kv", pick_kv }, { "uniform", pick_uniform }, { "zipf", pick_zipf },
                 { "hot and scan", pick_scan }, { "loop", pick_loop } };
    static const size_t sizes[] = { 16, 32, 64, 128 };

    printf("%-14s %8s %10s %8s %8s\n", "hits, percent", "accesses", "cache", "LRU", "ours");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sequence s = { 0 };

        make(&s, rows[i].pick);
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++)
            compare(rows[i].name, &s, sizes[k]);
        free(s.pfns);
    }
    for (int i = 1; i < argc; i++) {
        struct sequence s = { 0 };
        struct bench_load t;
        struct err e;

        if (bench_load_read(&t, argv[i], &e) < 0) {
            fprintf(stderr, "cache: %s\n", e.text);
            return 1;
        }
        read_trace(&s, &t);
        for (size_t mib = 1; mib <= 4; mib *= 2)
            compare(t.name, &s, mib);
        free(s.pfns);
        bench_load_close(&t);
    }
    return 0;
}

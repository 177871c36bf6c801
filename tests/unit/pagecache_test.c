/* pagecache_test — the cache against plain arrays: what it gives is always the last version put, what
 * it forgets it forgets wholly, and it never takes more than its bound. */
#include "compress/pagecache.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "compress/codec.h"

#define STEPS        100000u
#define WAYS         8u
#define SET_BYTES    (WAYS * PAGE_BYTES + 256u) /* eight pages and their index */
#define MIB          ((size_t)1 << 20)

static struct pagecache *open_cache(size_t bytes)
{
    struct pagecache *c = NULL;
    struct err e = { 0 };

    assert_int_equal(pagecache_open(&c, bytes, &e), 0);
    assert_non_null(c);
    assert_int_equal(e.code, 0);
    return c;
}

static struct pagecache_stats stats_of(const struct pagecache *c)
{
    struct pagecache_stats s;

    pagecache_stats(c, &s);
    return s;
}

/* The content that `version` of a page has: enough of it to tell any two apart. */
static void make_page(uint8_t *page, uint64_t pfn, uint64_t version)
{
    uint64_t mark = rng_mix(pfn ^ rng_mix(version));

    memset(page, (int)(mark & 0xff), PAGE_BYTES);
    memcpy(page, &mark, sizeof(mark));
    memcpy(page + PAGE_BYTES - sizeof(mark), &mark, sizeof(mark));
}

static void put_version(struct pagecache *c, uint64_t pfn, uint64_t epoch, uint64_t version)
{
    uint8_t page[PAGE_BYTES];

    make_page(page, pfn, version);
    pagecache_put(c, pfn, epoch, page);
}

/* ---- small and large caches against a model that knows the last version of every page */

#define MODEL_PAGES 400u

struct model {
    uint64_t version[MODEL_PAGES], epoch[MODEL_PAGES];
    bool may_be_held[MODEL_PAGES];
};

/* True when the cache holds the page; then it is the version that the model knows. */
static bool check_page(struct pagecache *c, const struct model *m, uint64_t pfn)
{
    uint8_t expected[PAGE_BYTES];
    uint64_t epoch = UINT64_MAX;
    const uint8_t *held = pagecache_get(c, pfn, &epoch);

    if (!held) {
        assert_true(epoch == UINT64_MAX);
        return false;
    }
    assert_true(m->may_be_held[pfn]);
    assert_true(epoch == m->epoch[pfn]);
    assert_int_equal((uintptr_t)held % 64, 0);
    make_page(expected, pfn, m->version[pfn]);
    assert_memory_equal(held, expected, PAGE_BYTES);
    return true;
}

/* As put_version(), in one look: what is held before must be what the model knows. */
static void renew_version(struct pagecache *c, const struct model *before, uint64_t pfn,
                          uint64_t epoch, uint64_t version)
{
    uint8_t expected[PAGE_BYTES];
    bool is_held = false;
    uint64_t sent_by = UINT64_MAX;
    uint8_t *place = pagecache_renew(c, pfn, epoch, &is_held, &sent_by);

    if (!place) {
        assert_int_equal(stats_of(c).slots, 0);
        assert_false(is_held);
        return;
    }
    if (is_held) {
        assert_true(before->may_be_held[pfn]);
        assert_true(sent_by == before->epoch[pfn]);
        make_page(expected, pfn, before->version[pfn]);
        assert_memory_equal(place, expected, PAGE_BYTES);
    }
    make_page(place, pfn, version);
}

static uint8_t *spare; /* what is not the cache's just now */

/* As put_version(), by trade: pages change hands, and none is ever in two places. */
static void trade_version(struct pagecache *c, const struct model *before, uint64_t pfn, uint64_t epoch,
                          uint64_t version)
{
    uint8_t expected[PAGE_BYTES], *given = spare;
    uint64_t sent_by = UINT64_MAX;

    make_page(spare, pfn, version);
    if (pagecache_trade(c, pfn, epoch, &spare, &sent_by)) {
        assert_true(before->may_be_held[pfn]);
        assert_true(sent_by == before->epoch[pfn]);
        make_page(expected, pfn, before->version[pfn]);
        assert_memory_equal(spare, expected, PAGE_BYTES);
    }
    if (stats_of(c).slots == 0) {
        assert_ptr_equal(spare, given);
        return;
    }
    assert_ptr_not_equal(spare, given);
    assert_ptr_equal(pagecache_get(c, pfn, &sent_by), given);
    if (rng_mix(version) % 4 == 0) /* by another copy, so that its own page comes back as well */
        put_version(c, pfn, epoch, version);
}

static void drop_after(struct pagecache *c, struct model *m, uint64_t committed)
{
    pagecache_drop_after(c, committed);
    for (size_t pfn = 0; pfn < MODEL_PAGES; pfn++)
        if (m->epoch[pfn] > committed)
            m->may_be_held[pfn] = false;
}

static void check_everything(struct pagecache *c, const struct model *m)
{
    struct pagecache_stats s = stats_of(c);
    size_t held = 0;

    for (uint64_t pfn = 0; pfn < MODEL_PAGES; pfn++)
        held += check_page(c, m, pfn);
    assert_int_equal(s.used, held);
    assert_true(s.used <= s.slots);
}

static void step(struct pagecache *c, struct model *m, struct rng *r, uint64_t now)
{
    uint64_t pfn = rng_below(r, rng_below(r, MODEL_PAGES) + 1), kind = rng_below(r, 10000);

    if (kind < 5000) {
        if (kind < 1500)
            trade_version(c, m, pfn, now / 100, now);
        else if (kind < 2500)
            renew_version(c, m, pfn, now / 100, now);
        else
            put_version(c, pfn, now / 100, now);
        m->version[pfn] = now;
        m->epoch[pfn] = now / 100;
        m->may_be_held[pfn] = true;
        assert_int_equal(check_page(c, m, pfn), stats_of(c).slots > 0);
    } else if (kind < 9000) {
        (void)check_page(c, m, pfn);
    } else if (kind < 9980) {
        pagecache_drop(c, pfn);
        m->may_be_held[pfn] = false;
        assert_false(check_page(c, m, pfn));
    } else if (kind < 9998) {
        drop_after(c, m, now / 100 - rng_below(r, 5));
    } else {
        pagecache_clear(c);
        memset(m->may_be_held, 0, sizeof(m->may_be_held));
        assert_int_equal(stats_of(c).used, 0);
    }
}

static void a_held_page_is_always_the_last_version_put(void **state UNUSED)
{
    static const size_t sizes[] = { 0, SET_BYTES + 4096, 7 * SET_BYTES, 2 * MIB, 8 * MIB };

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        static _Alignas(64) uint8_t own[PAGE_BYTES];
        struct pagecache *c = open_cache(sizes[i]);
        static struct model m;
        struct rng r;

        spare = own;
        memset(&m, 0, sizeof(m));
        rng_seed(&r, i);
        for (uint64_t now = 1000; now < 1000 + STEPS; now++) {
            step(c, &m, &r, now);
            if (now % 10000 == 0)
                check_everything(c, &m);
        }
        check_everything(c, &m);
        pagecache_close(c);
    }
}

/* One set is an exact LRU of eight: every answer can be foretold. */
static void the_page_touched_longest_ago_makes_room(void **state UNUSED)
{
    struct pagecache *c = open_cache(SET_BYTES + 4096);
    uint64_t warmest[WAYS + 1], evictions = 0; /* pfns, the last touched first */
    size_t held = 0;
    struct rng r;

    assert_int_equal(stats_of(c).slots, WAYS);
    rng_seed(&r, 1);
    for (unsigned i = 0; i < STEPS; i++) {
        uint64_t pfn = rng_below(&r, 12), epoch;
        bool put = rng_chance(&r, 500000);
        size_t at = 0;

        while (at < held && warmest[at] != pfn)
            at++;
        if (put)
            put_version(c, pfn, 1, i);
        else
            assert_int_equal(pagecache_get(c, pfn, &epoch) != NULL, at < held);
        if (at == held && !put)
            continue;
        if (at == held && held < WAYS)
            held++;
        else if (at == held)
            evictions++;
        memmove(warmest + 1, warmest, at * sizeof(warmest[0]));
        warmest[0] = pfn;
        assert_int_equal(stats_of(c).evictions, evictions);
        assert_int_equal(stats_of(c).used, held);
    }
    pagecache_close(c);
}

static void the_eight_pages_touched_last_are_held_whatever_their_numbers(void **state UNUSED)
{
    struct pagecache *c = open_cache(4 * MIB);
    uint64_t last[WAYS], epoch;
    struct rng r;

    rng_seed(&r, 2);
    for (unsigned i = 0; i < STEPS; i++) {
        last[i % WAYS] = rng_chance(&r, 100000) ? UINT64_MAX - rng_below(&r, 3) : rng_next(&r);
        put_version(c, last[i % WAYS], 1, 1);
        if (i >= WAYS)
            assert_non_null(pagecache_get(c, last[(i + 1) % WAYS], &epoch));
    }
    pagecache_close(c);
}

static void a_guest_that_fits_loosely_is_held_nearly_whole(void **state UNUSED)
{
    struct pagecache *c = open_cache(16 * MIB);
    uint64_t slots = stats_of(c).slots, pages = slots / 2;

    for (uint64_t pfn = 0; pfn < pages; pfn++)
        put_version(c, pfn, 1, 1);
    assert_true(stats_of(c).used >= pages * 95 / 100);
    pagecache_close(c);
}

/* ---- epochs, counters */

static void versions_of_uncommitted_epochs_are_dropped_and_no_others(void **state UNUSED)
{
    struct pagecache *c = open_cache(2 * MIB);
    uint64_t epoch = 0;

    put_version(c, 1, 10, 1);
    put_version(c, 2, 11, 1);
    put_version(c, 3, 10, 1);
    put_version(c, 3, 12, 2); /* the older version is gone: nothing to fall back to */
    put_version(c, 4, UINT64_MAX, 1);
    pagecache_drop_after(c, UINT64_MAX);
    assert_int_equal(stats_of(c).used, 4);
    pagecache_drop_after(c, 10);
    assert_non_null(pagecache_get(c, 1, &epoch));
    assert_int_equal(epoch, 10);
    assert_null(pagecache_get(c, 2, &epoch));
    assert_null(pagecache_get(c, 3, &epoch));
    assert_null(pagecache_get(c, 4, &epoch));
    assert_int_equal(stats_of(c).used, 1);
    pagecache_close(c);
}

static void hits_and_misses_are_counted(void **state UNUSED)
{
    struct pagecache *c = open_cache(2 * MIB);
    uint64_t epoch;

    assert_null(pagecache_get(c, 0, &epoch)); /* an empty cache does not hold page 0 */
    put_version(c, 0, 0, 1);
    assert_non_null(pagecache_get(c, 0, &epoch));
    assert_non_null(pagecache_get(c, 0, &epoch));
    assert_int_equal(stats_of(c).hits, 2);
    assert_int_equal(stats_of(c).misses, 1);
    assert_int_equal(stats_of(c).evictions, 0);
    pagecache_close(c);
}

/* ---- the bound */

static void a_cache_without_room_for_one_set_never_holds_anything(void **state UNUSED)
{
    static const size_t sizes[] = { 0, 1, PAGE_BYTES, WAYS * PAGE_BYTES, SET_BYTES - 1 };

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct pagecache *c = open_cache(sizes[i]);
        uint64_t epoch = 77;

        assert_int_equal(stats_of(c).slots, 0);
        put_version(c, 5, 1, 1);
        assert_null(pagecache_get(c, 5, &epoch));
        assert_int_equal(epoch, 77);
        pagecache_drop(c, 5);
        pagecache_drop_after(c, 0);
        pagecache_clear(c);
        assert_int_equal(stats_of(c).used, 0);
        assert_int_equal(stats_of(c).misses, 1);
        pagecache_close(c);
    }
}

/* Octets of address space and of memory in use, in system pages of 4 KiB, by the kernel's account. */
static void memory_in_use(size_t *ret_mapped, size_t *ret_resident)
{
    FILE *f = fopen("/proc/self/statm", "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu %zu", ret_mapped, ret_resident), 2);
    fclose(f);
    *ret_mapped *= 4096;
    *ret_resident *= 4096;
}

static void pages_and_index_fit_the_bound_and_use_it(void **state UNUSED)
{
    struct rng r;

    rng_seed(&r, 3);
    for (unsigned i = 0; i < 20; i++) {
        size_t bytes = MIB + (size_t)rng_below(&r, 16 * MIB), mapped, mapped_then, resident, resident_then;
        struct pagecache *c;
        uint64_t slots;

        memory_in_use(&mapped, &resident);
        c = open_cache(bytes);
        memory_in_use(&mapped_then, &resident_then);
        slots = stats_of(c).slots;
        assert_true(slots * PAGE_BYTES < bytes);
        assert_true(slots * PAGE_BYTES > bytes - bytes / 50 - SET_BYTES - 4096);
        assert_true(mapped_then - mapped <= bytes + MIB); /* the heap may have grown as well */
        for (uint64_t pfn = 0; pfn < 3 * slots; pfn++)
            put_version(c, pfn, 1, 1);
        assert_true(stats_of(c).used <= slots);
        assert_int_equal(stats_of(c).used + stats_of(c).evictions, 3 * slots);
        pagecache_close(c);
    }
}

static void everything_is_in_memory_from_the_start(void **state UNUSED)
{
    size_t mapped, resident, resident_then;
    struct pagecache *c;

    memory_in_use(&mapped, &resident);
    c = open_cache(32 * MIB);
    memory_in_use(&mapped, &resident_then);
    assert_true(resident_then - resident >= 30 * MIB);
    pagecache_close(c);
}

static void a_bound_that_the_system_refuses_is_an_error_that_says_so(void **state UNUSED)
{
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 62 };

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct pagecache *c = NULL;
        struct err e = { 0 };

        assert_int_equal(pagecache_open(&c, sizes[i], &e), -ENOMEM);
        assert_null(c);
        assert_int_equal(e.code, ENOMEM);
        assert_non_null(strstr(e.text, "page cache"));
    }
}

static void closing_nothing_is_fine(void **state UNUSED)
{
    pagecache_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_held_page_is_always_the_last_version_put),
        cmocka_unit_test(the_page_touched_longest_ago_makes_room),
        cmocka_unit_test(the_eight_pages_touched_last_are_held_whatever_their_numbers),
        cmocka_unit_test(a_guest_that_fits_loosely_is_held_nearly_whole),
        cmocka_unit_test(versions_of_uncommitted_epochs_are_dropped_and_no_others),
        cmocka_unit_test(hits_and_misses_are_counted),
        cmocka_unit_test(a_cache_without_room_for_one_set_never_holds_anything),
        cmocka_unit_test(pages_and_index_fit_the_bound_and_use_it),
        cmocka_unit_test(everything_is_in_memory_from_the_start),
        cmocka_unit_test(a_bound_that_the_system_refuses_is_an_error_that_says_so),
        cmocka_unit_test(closing_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* pages_test — chunks of pages: what a backup makes of them is what was sent, and deltas start only
 * from versions that the backup holds. */
#include "checkpoint/pages.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/rng.h"
#include "checkpoint/pages_pack.h"

#define RECORD_ROOM ((size_t)RECORD_HEADER_BYTES + PAGES_BODY_MAX + 8)
#define LIMIT       UINT64_C(4096) /* pages of the guest in tests of single chunks */

static uint8_t wire[RECORD_ROOM];
static const struct codec_choice everything = { .delta = true, .lz4 = true };

static struct record take(size_t bytes)
{
    struct view in = { wire, bytes };
    struct record got;
    struct err e;

    assert_int_equal(record_take(&in, PAGES_BODY_MAX, &got, &e), 1);
    assert_int_equal(in.left, 0);
    return got;
}

static struct pages_packer *packer; /* of records that are packed besides */

static struct record encode(const struct pages_source *from, const struct pages_rules *rules,
                            struct pagecache *cache, struct pages_tally *tally)
{
    struct sink out = { wire, sizeof(wire) };

    assert_int_equal(pages_encode(&out, from, rules, cache, tally), 0);
    if (packer)
        pages_pack(packer, true, wire, &out, tally);
    return take(sizeof(wire) - out.left);
}

/* What a backup does: every page with content is made in `memory`; the digest must hold. */
static void apply(const struct record *from, uint8_t *memory, uint64_t limit, uint8_t *types)
{
    struct pages_reader r;
    struct pages_entry entry;
    struct digest digest;
    struct err e;
    int rc;

    digest_begin(&digest);
    assert_int_equal(pages_open(&r, from, limit, &e), 0);
    while ((rc = pages_next(&r, &entry, &e)) == 1) {
        uint8_t *page = memory + entry.pfn * PAGE_BYTES;

        types[entry.pfn] = entry.type;
        if (!entry.has_content)
            continue;
        assert_int_equal(entry.codec->decode(entry.payload, entry.bytes, page), 0);
        digest_add(&digest, page, PAGE_BYTES);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(pages_next(&r, &entry, &e), 0);
    if (r.has_digest)
        assert_int_equal(r.digest, digest_value(&digest));
}

static struct pagecache *open_cache(size_t pages)
{
    struct pagecache *cache;
    struct err e;

    assert_int_equal(pagecache_open(&cache, pages * (PAGE_BYTES + 64), &e), 0);
    return cache;
}

/* ---- a guest and its backup ---------------------------------------------------------------------- */

#define GUEST_PAGES 600u

struct world {
    struct rng r;
    struct pagecache *cache;
    struct pages_tally tally;
    uint64_t epoch, committed;
    uint8_t *guest, *backup, *staged; /* staged: the backup once the epoch in flight commits */
    uint8_t types[GUEST_PAGES], backup_types[GUEST_PAGES];
    bool is_dirty[GUEST_PAGES];
};

static uint8_t any_type(struct rng *r)
{
    static const uint8_t rare[] = { 1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15 };

    return rng_chance(r, 50000) ? rare[rng_below(r, sizeof(rare))] : PAGE_TYPE_NORMAL;
}

static void page_write(struct rng *r, uint8_t *page)
{
    switch (rng_below(r, 5)) {
    case 0:
        memset(page, 0, PAGE_BYTES);
        break;
    case 1:
        rng_fill(r, page, PAGE_BYTES);
        break;
    case 2:
        memset(page, (int)rng_below(r, 256), rng_below(r, PAGE_BYTES));
        break;
    default: /* a few words */
        for (uint64_t n = rng_below(r, 40); n > 0; n--)
            store_u64(page + 8 * rng_below(r, PAGE_BYTES / 8), rng_next(r));
    }
}

static void guest_runs(struct world *w)
{
    for (uint64_t n = rng_below(&w->r, GUEST_PAGES); n > 0; n--) {
        size_t pfn = rng_below(&w->r, GUEST_PAGES);

        page_write(&w->r, w->guest + pfn * PAGE_BYTES);
        w->types[pfn] = any_type(&w->r);
        w->is_dirty[pfn] = true;
    }
}

static void send_chunk(struct world *w, const struct pages_source *from)
{
    struct pages_rules rules = { everything, w->epoch, w->committed, 0, true };
    struct record record;

    rules.allowed = (struct codec_choice){ .delta = (enum codec_changes)rng_below(&w->r, 3),
                                           .lz4 = rng_chance(&w->r, 500000) };
    if (rng_chance(&w->r, 50000)) {
        struct sink out = { wire, sizeof(wire) };

        assert_int_equal(pages_put_plain(&out, from, &w->tally), 0);
        record = take(sizeof(wire) - out.left);
        for (size_t i = 0; i < from->n; i++) /* the sender's part: plain pages pass the cache by */
            pagecache_drop(w->cache, from->pfns[i]);
    } else {
        record = encode(from, &rules, w->cache, &w->tally);
    }
    apply(&record, w->staged, GUEST_PAGES, w->backup_types);
}

static void send_dirty(struct world *w)
{
    static uint8_t pages[PAGES_CHUNK_MAX * PAGE_BYTES];
    uint64_t pfns[PAGES_CHUNK_MAX];
    uint8_t types[PAGES_CHUNK_MAX];
    size_t n = 0, most = 1 + rng_below(&w->r, PAGES_CHUNK_MAX);

    for (size_t pfn = 0; pfn <= GUEST_PAGES; pfn++) {
        if (n == most || (pfn == GUEST_PAGES && n > 0)) {
            struct pages_source from = { pages, pfns, types, n };

            send_chunk(w, &from);
            n = 0;
        }
        if (pfn == GUEST_PAGES || !w->is_dirty[pfn])
            continue;
        memcpy(pages + n * PAGE_BYTES, w->guest + pfn * PAGE_BYTES, PAGE_BYTES);
        pfns[n] = pfn;
        types[n++] = w->types[pfn];
    }
}

static void one_epoch(struct world *w)
{
    w->epoch++;
    guest_runs(w);
    memcpy(w->staged, w->backup, GUEST_PAGES * PAGE_BYTES);
    send_dirty(w);
    if (rng_chance(&w->r, 300000))
        return; /* lost on the way: the pages stay dirty, the backup as it was */
    memcpy(w->backup, w->staged, GUEST_PAGES * PAGE_BYTES);
    w->committed = w->epoch;
    for (size_t pfn = 0; pfn < GUEST_PAGES; pfn++) {
        if (!w->is_dirty[pfn])
            continue;
        w->is_dirty[pfn] = false;
        assert_int_equal(w->backup_types[pfn], w->types[pfn]);
        if (w->types[pfn] < PAGE_TYPE_BROKEN)
            assert_memory_equal(w->backup + pfn * PAGE_BYTES, w->guest + pfn * PAGE_BYTES, PAGE_BYTES);
    }
}

static void backup_holds_every_committed_page_though_epochs_are_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct world w = { .cache = open_cache(seed % 2 ? GUEST_PAGES * 2 : 100) };

        rng_seed(&w.r, seed);
        w.guest = calloc(GUEST_PAGES, PAGE_BYTES);
        w.backup = calloc(GUEST_PAGES, PAGE_BYTES);
        w.staged = calloc(GUEST_PAGES, PAGE_BYTES);
        for (int i = 0; i < 40; i++) {
            struct pages_packer own = { .packing = PAGES_PACK_ON };

            packer = i % 2 ? &own : NULL;
            one_epoch(&w);
        }
        packer = NULL;
        for (size_t id = 0; id < CODEC_COUNT; id++)
            assert_true(w.tally.by_codec[id] > 0);
        assert_true(w.tally.wire_bytes < w.tally.raw_bytes);
        free(w.guest);
        free(w.backup);
        free(w.staged);
        pagecache_close(w.cache);
    }
}

/* ---- one page at a time: which codec, what is remembered ------------------------------------------- */

static uint8_t one_page[PAGE_BYTES];

/* Encodes one_page as `type` for pfn 7; returns the codec that was taken. */
static enum codec_id encode_page(struct pagecache *cache, uint8_t type, uint64_t epoch,
                                 uint64_t committed, bool use_cache)
{
    uint64_t pfn = 7;
    struct pages_source from = { one_page, &pfn, &type, 1 };
    struct pages_rules rules = { { .delta = true }, epoch, committed, 3, use_cache };
    struct pages_tally tally = { 0 };
    struct record record = encode(&from, &rules, cache, &tally);
    struct pages_reader r;
    struct pages_entry entry;
    struct err e;

    assert_int_equal(pages_open(&r, &record, LIMIT, &e), 0);
    assert_int_equal(r.batch, 3);
    assert_int_equal(pages_next(&r, &entry, &e), 1);
    assert_int_equal(entry.pfn, pfn);
    assert_int_equal(entry.type, type);
    assert_int_equal(pages_next(&r, &entry, &e), 0);
    return entry.codec->id;
}

static void page_changes(uint64_t seed)
{
    struct rng r;

    rng_seed(&r, seed);
    if (one_page[PAGE_BYTES - 1] == 0)
        rng_fill(&r, one_page, PAGE_BYTES);
    one_page[PAGE_BYTES - 1] = 1;
    store_u64(one_page, rng_next(&r));
}

static void version_newer_than_committed_is_never_a_base(void **state)
{
    struct pagecache *cache = open_cache(64);

    (void)state;
    for (uint64_t epoch = 5, committed = 0; committed < 12; committed++) {
        page_changes(committed + 1);
        pagecache_put(cache, 7, epoch, one_page);
        page_changes(committed + 100);
        assert_int_equal(encode_page(cache, 0, 13, committed, true),
                         committed >= epoch ? CODEC_DELTA : CODEC_RAW);
    }
    pagecache_put(cache, 7, 0, one_page); /* nothing is committed: not even epoch 0 is a base */
    page_changes(200);
    assert_int_equal(encode_page(cache, 0, 1, 0, true), CODEC_RAW);
    pagecache_close(cache);
}

static void what_was_sent_is_remembered_with_its_epoch(void **state)
{
    struct pagecache *cache = open_cache(64);
    uint64_t epoch = 0;
    const uint8_t *held;

    (void)state;
    page_changes(1);
    encode_page(cache, 0, 41, 40, true);
    held = pagecache_get(cache, 7, &epoch);
    assert_non_null(held);
    assert_memory_equal(held, one_page, PAGE_BYTES);
    assert_int_equal(epoch, 41);
    page_changes(2);
    assert_int_equal(encode_page(cache, 0, 42, 41, true), CODEC_DELTA);
    assert_memory_equal(pagecache_get(cache, 7, &epoch), one_page, PAGE_BYTES);
    assert_int_equal(epoch, 42);
    pagecache_close(cache);
}

static void other_types_than_ordinary_are_sent_whole_and_forgotten(void **state)
{
    static const uint8_t types[] = { 1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15 };
    struct pagecache *cache = open_cache(64);
    uint64_t epoch;

    (void)state;
    for (size_t i = 0; i < sizeof(types); i++) {
        page_changes(i + 1);
        pagecache_put(cache, 7, 1, one_page);
        page_changes(i + 50);
        assert_int_equal(encode_page(cache, types[i], 3, 2, true), CODEC_RAW);
        assert_null(pagecache_get(cache, 7, &epoch));
    }
    pagecache_close(cache);
}

static void without_the_cache_it_is_neither_read_nor_written(void **state)
{
    struct pagecache *cache = open_cache(64);
    struct pagecache_stats before, after;
    uint64_t epoch = 0;

    (void)state;
    page_changes(1);
    pagecache_put(cache, 7, 1, one_page);
    pagecache_stats(cache, &before);
    page_changes(2);
    assert_int_equal(encode_page(cache, 0, 3, 2, false), CODEC_RAW);
    assert_int_equal(encode_page(NULL, 1, 3, 2, false), CODEC_RAW);
    pagecache_stats(cache, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_non_null(pagecache_get(cache, 7, &epoch));
    assert_int_equal(epoch, 1);
    pagecache_close(cache);
}

/* ---- sending: bounds and counts -------------------------------------------------------------------- */

static uint8_t full_pages[PAGES_CHUNK_MAX * PAGE_BYTES];
static uint64_t full_pfns[PAGES_CHUNK_MAX];
static uint8_t full_types[PAGES_CHUNK_MAX];

/* The longest chunk there is: random contents, every type with content, pfns far apart. */
static struct pages_source longest_source(void)
{
    static const uint8_t contentful[] = { 1, 2, 3, 4, 9, 10, 11, 12 };
    struct rng r;

    rng_seed(&r, 77);
    rng_fill(&r, full_pages, sizeof(full_pages));
    for (size_t i = 0; i < PAGES_CHUNK_MAX; i++) {
        full_pfns[i] = (i + 1) * (GUEST_PAGES_MAX / PAGES_CHUNK_MAX) - 1;
        full_types[i] = contentful[i % sizeof(contentful)];
    }
    return (struct pages_source){ full_pages, full_pfns, full_types, PAGES_CHUNK_MAX };
}

static void longest_chunk_fits_and_is_read_back(void **state)
{
    struct pages_source from = longest_source();
    struct pages_rules rules = { everything, 1, 0, 0, false };
    struct pages_tally tally = { 0 };
    struct record record = encode(&from, &rules, NULL, &tally);
    struct pages_reader r;
    struct pages_entry entry;
    struct err e;

    (void)state;
    assert_int_equal(pages_open(&r, &record, GUEST_PAGES_MAX, &e), 0);
    for (size_t i = 0; i < PAGES_CHUNK_MAX; i++) {
        assert_int_equal(pages_next(&r, &entry, &e), 1);
        assert_int_equal(entry.pfn, full_pfns[i]);
        assert_int_equal(entry.type, full_types[i]);
        assert_memory_equal(entry.payload, full_pages + i * PAGE_BYTES, PAGE_BYTES);
    }
    assert_int_equal(pages_next(&r, &entry, &e), 0);
    assert_int_equal(r.digest, digest_of(full_pages, sizeof(full_pages)));
}

static void short_sink_gets_nothing(void **state)
{
    struct pages_source from = longest_source();
    struct pages_rules rules = { everything, 1, 0, 0, false };
    struct pages_tally tally = { 0 }, none = { 0 };
    struct sink out = { wire, record_wire_bytes(PAGES_BODY_MAX) - 1 }, nowhere = { NULL, 0 };

    (void)state;
    memset(wire, 0x5a, 64);
    assert_int_equal(pages_encode(&out, &from, &rules, NULL, &tally), -ENOBUFS);
    assert_int_equal(pages_put_plain(&out, &from, &tally), -ENOBUFS);
    assert_int_equal(pages_encode(&nowhere, &from, &rules, NULL, &tally), -ENOBUFS);
    assert_int_equal(pages_put_plain(&nowhere, &from, &tally), -ENOBUFS);
    assert_ptr_equal(out.at, wire);
    assert_int_equal(out.left, record_wire_bytes(PAGES_BODY_MAX) - 1);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(wire[i], 0x5a);
    assert_memory_equal(&tally, &none, sizeof(tally));
}

static void tally_counts_pages_octets_and_codecs(void **state)
{
    uint64_t pfns[] = { 0, 1, 4 };
    uint8_t types[] = { 0, 0xf, 0 };
    struct pages_source from = { full_pages, pfns, types, 3 };
    struct pages_rules rules = { everything, 1, 0, 0, false };
    struct pages_tally tally = { .pages = 10, .wire_bytes = 100 };
    struct sink out = { wire, sizeof(wire) };
    struct record record;

    (void)state;
    longest_source();
    memset(full_pages, 0, PAGE_BYTES);
    record = encode(&from, &rules, NULL, &tally);
    assert_int_equal(tally.pages, 13);
    assert_int_equal(tally.raw_bytes, 2 * PAGE_BYTES);
    assert_int_equal(tally.wire_bytes, 100 + record_wire_bytes(record.bytes));
    assert_int_equal(tally.by_codec[CODEC_ZERO], 1);
    assert_int_equal(tally.by_codec[CODEC_RAW], 1);
    assert_int_equal(pages_put_plain(&out, &from, &tally), 0);
    assert_int_equal(tally.pages, 16);
    assert_int_equal(tally.raw_bytes, 4 * PAGE_BYTES);
    assert_int_equal(tally.by_codec[CODEC_RAW], 3);
}

static void plain_record_is_the_octets_of_the_specification(void **state)
{
    uint64_t pfns[] = { 2, 0x345 };
    uint8_t types[] = { 0xf, 0xa };
    static uint8_t pages[2 * PAGE_BYTES];
    struct pages_source from = { pages, pfns, types, 2 };
    static const uint8_t head[] = {
        1, 0, 0, 0, 0x18, 0x10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0, 0, 0, 0, 0, 0xf0, 0x45, 3, 0, 0, 0, 0, 0, 0xa0,
    };
    struct pages_tally tally = { 0 };
    struct sink out = { wire, sizeof(wire) };

    (void)state;
    memset(pages, 0x11, PAGE_BYTES);
    memset(pages + PAGE_BYTES, 0x22, PAGE_BYTES);
    assert_int_equal(pages_put_plain(&out, &from, &tally), 0);
    assert_int_equal(sizeof(wire) - out.left, sizeof(head) + PAGE_BYTES);
    assert_memory_equal(wire, head, sizeof(head));
    assert_memory_equal(wire + sizeof(head), pages + PAGE_BYTES, PAGE_BYTES);
    assert_int_equal(tally.wire_bytes, sizeof(head) + PAGE_BYTES);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(backup_holds_every_committed_page_though_epochs_are_lost),
        cmocka_unit_test(version_newer_than_committed_is_never_a_base),
        cmocka_unit_test(what_was_sent_is_remembered_with_its_epoch),
        cmocka_unit_test(other_types_than_ordinary_are_sent_whole_and_forgotten),
        cmocka_unit_test(without_the_cache_it_is_neither_read_nor_written),
        cmocka_unit_test(longest_chunk_fits_and_is_read_back),
        cmocka_unit_test(short_sink_gets_nothing),
        cmocka_unit_test(tally_counts_pages_octets_and_codecs),
        cmocka_unit_test(plain_record_is_the_octets_of_the_specification),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

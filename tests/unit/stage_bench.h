/* stage_bench — a primary that encodes epochs into a buffer, a stage, and a model replica that
 * watches who touches it. All of it inline, so that its names stay its own. */
#ifndef TESTS_UNIT_STAGE_BENCH_H
#define TESTS_UNIT_STAGE_BENCH_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "checkpoint/pages.h"
#include "replicator/apply/stage.h"

enum { PAGES = 64, EPOCH_ROOM = 4 << 20, STATE_BYTES = 48, LIMIT = 2 << 20 };

/* ---- a replica that watches who touches it --------------------------------------------------- */

struct model {
    struct replica base;
    uint8_t (*memory)[PAGE_BYTES];
    bool populated[PAGES];
    bool is_applying; /* then nothing may be populated any more */
    uint64_t refuses; /* this pfn can't be had */
    uint8_t state[STATE_BYTES];
    unsigned commits;
};

static inline uint64_t model_pages(const struct replica *r UNUSED)
{
    return PAGES;
}

static inline uint8_t *model_page(struct replica *r, uint64_t pfn, struct err *e)
{
    struct model *m = (struct model *)r;

    assert_true(pfn < PAGES);
    if (pfn == m->refuses) {
        err_set(e, ENOMEM, "no memory for it");
        return NULL;
    }
    assert_true(m->populated[pfn] || !m->is_applying);
    m->populated[pfn] = true;
    return m->memory[pfn];
}

static inline int model_preamble(struct replica *r UNUSED, const uint8_t *records UNUSED,
                                 size_t bytes UNUSED, struct err *e UNUSED)
{
    return 0;
}

static inline int model_check_state(struct replica *r UNUSED, const uint8_t *records, size_t bytes,
                                    struct err *e)
{
    return bytes == STATE_BYTES && load_u32(records) == RECORD_HVM_CONTEXT
               ? 0
               : err_set(e, EPROTO, "a state of %zu octets", bytes);
}

static inline void model_commit_state(struct replica *r, const uint8_t *records, size_t bytes)
{
    struct model *m = (struct model *)r;

    memcpy(m->state, records, bytes);
    m->commits++;
}

static inline int model_activate(struct replica *r UNUSED, struct guest **ret UNUSED, struct err *e)
{
    return err_set(e, ENOTSUP, "a model");
}

static inline int model_event_fd(const struct replica *r UNUSED)
{
    return -1;
}

static inline int model_health(struct replica *r UNUSED, struct err *e UNUSED)
{
    return 0;
}

static inline void model_close(struct replica *r UNUSED)
{
}

static const struct replica_ops model_ops = {
    "model", model_pages, model_page, model_preamble, model_check_state, model_commit_state,
    model_activate, model_event_fd, model_health, model_close,
};

/* ---- a primary that encodes into a buffer ---------------------------------------------------- */

struct bench {
    struct rng r;
    struct model model;
    struct stage stage;
    struct pagecache *cache;
    uint64_t epoch, committed;
    uint32_t flags;
    uint8_t (*guest)[PAGE_BYTES]; /* the primary's memory */
    uint8_t (*held)[PAGE_BYTES];  /* what the replica must equal */
    uint8_t held_state[STATE_BYTES];
    unsigned commits;
    uint8_t *octets;              /* records of the epoch that was made last */
    size_t bytes;
    struct epoch_end end;
};

static struct bench *b; /* of the running test */
static unsigned decoder_threads;

static inline int set_up(void **state UNUSED)
{
    struct err e;

    b = calloc(1, sizeof(*b));
    b->model = (struct model){ .base = { &model_ops }, .refuses = UINT64_MAX };
    b->model.memory = calloc(PAGES, PAGE_BYTES);
    b->guest = calloc(PAGES, PAGE_BYTES);
    b->held = calloc(PAGES, PAGE_BYTES);
    b->octets = malloc(EPOCH_ROOM);
    rng_seed(&b->r, 1);
    return b->octets && stage_open(&b->stage, &b->model.base, LIMIT, decoder_threads, &e) == 0 &&
                   pagecache_open(&b->cache, 1 << 20, &e) == 0
               ? 0
               : -1;
}

static inline int tear_down(void **state UNUSED)
{
    stage_close(&b->stage);
    stage_close(&b->stage);
    pagecache_close(b->cache);
    free(b->model.memory);
    free(b->guest);
    free(b->held);
    free(b->octets);
    free(b);
    return 0;
}

static inline void write_page(uint64_t pfn)
{
    uint8_t *page = b->guest[pfn];

    switch (rng_below(&b->r, 4)) {
    case 0:
        rng_fill(&b->r, page, PAGE_BYTES);
        break;
    case 1:
        memset(page, (int)rng_below(&b->r, 3), PAGE_BYTES);
        break;
    default:
        for (unsigned i = 0; i < 5; i++)
            store_u64(page + 8 * rng_below(&b->r, PAGE_BYTES / 8), rng_next(&b->r));
    }
}

static inline void make_chunk(const uint64_t *pfns, size_t n, bool is_plain)
{
    static uint8_t pages[PAGES][PAGE_BYTES];
    uint8_t types[PAGES] = { 0 };
    struct pages_source from = { pages[0], pfns, types, n };
    struct pages_rules rules = {
        { .delta = true, .lz4 = true }, b->epoch, b->flags & EPOCH_SEED ? 0 : b->committed, 1, true
    };
    struct sink out = { b->octets + b->bytes, EPOCH_ROOM - b->bytes };
    struct pages_tally tally = { 0 };

    for (size_t i = 0; i < n; i++)
        memcpy(pages[i], b->guest[pfns[i]], PAGE_BYTES);
    assert_int_equal(is_plain ? pages_put_plain(&out, &from, &tally)
                              : pages_encode(&out, &from, &rules, b->cache, &tally), 0);
    b->bytes = EPOCH_ROOM - out.left;
    b->end.pages += n;
    b->end.chunks++;
}

static inline void make_state(void)
{
    struct sink out = { b->octets + b->bytes, EPOCH_ROOM - b->bytes };
    uint8_t body[STATE_BYTES - RECORD_HEADER_BYTES];

    rng_fill(&b->r, body, sizeof(body));
    assert_int_equal(record_put(&out, RECORD_HVM_CONTEXT, body, sizeof(body)), 0);
    b->bytes = EPOCH_ROOM - out.left;
    b->end.state_records++;
}

static inline void make_begin(uint32_t flags)
{
    b->epoch++;
    b->flags = flags;
    b->bytes = 0;
    b->end = (struct epoch_end){ .epoch = b->epoch, .flags = flags, .batches = 1 };
}

/* What the primary says that its pages are, of those from `first` on. */
static inline void make_sums(uint64_t first)
{
    struct sink out = { b->octets + b->bytes, EPOCH_ROOM - b->bytes };
    struct pagesums sums;
    uint64_t cursor = 0;
    struct err e;

    assert_int_equal(pagesums_open(&sums, PAGES, &e), 0);
    for (uint64_t pfn = first; pfn < PAGES; pfn++)
        sums.sums[pfn] = pagesums_of(b->guest[pfn]);
    assert_int_equal(pagesums_put(&sums, b->epoch, &cursor, &out), 1);
    pagesums_close(&sums);
    b->bytes = EPOCH_ROOM - out.left;
}

static inline void make_end(void)
{
    b->end.digest = digest_of(b->octets, b->bytes);
}

/* An epoch of n pages in chunks of up to `most`. */
static inline void make_epoch(uint32_t flags, size_t n, size_t most)
{
    uint64_t pfns[PAGES];
    size_t taken = 0;

    make_begin(flags);
    for (uint64_t pfn = 0; pfn < PAGES && taken < n; pfn++)
        if (rng_below(&b->r, PAGES - pfn) < n - taken)
            pfns[taken++] = pfn;
    for (size_t i = 0; i < n; i++)
        write_page(pfns[i]);
    for (size_t i = 0; i < n; i += most)
        make_chunk(pfns + i, n - i < most ? n - i : most, false);
    make_state();
    make_end();
}

/* The epoch that was made comes with sums of all pages. */
static inline void make_truth(void)
{
    make_sums(0);
    make_end();
}

/* Feeds `octets` as the records of the epoch and then `end`; 0 when the epoch stands whole. */
static inline int stage_octets(const uint8_t *octets, size_t bytes, const struct epoch_end *end)
{
    struct view in = { octets, bytes };
    struct record rec;
    struct err e;
    int rc;

    stage_begin(&b->stage, b->epoch, b->flags);
    while (in.left > 0) {
        rc = record_take(&in, SESSION_BODY_MAX, &rec, &e);
        if (rc <= 0)
            return rc == 0 ? -EPROTO : rc;
        rc = stage_record(&b->stage, &rec, &e);
        if (rc < 0)
            return rc;
    }
    return stage_seal(&b->stage, end, &e);
}

static inline int stage_made(void)
{
    return stage_octets(b->octets, b->bytes, &b->end);
}

static inline void memory_is_as_committed(void)
{
    assert_memory_equal(b->model.memory, b->held, PAGES * PAGE_BYTES);
}

static inline void commit(void)
{
    stage_commit(&b->stage);
    b->model.is_applying = true;
    while (stage_apply(&b->stage))
        ;
    b->model.is_applying = false;
    b->committed = b->epoch;
    b->commits++;
    memcpy(b->held, b->guest, PAGES * PAGE_BYTES);
    memcpy(b->held_state, b->octets + b->bytes - STATE_BYTES, STATE_BYTES);
    memory_is_as_committed();
    assert_memory_equal(b->model.state, b->held_state, STATE_BYTES);
}

static inline void seed(void)
{
    make_epoch(EPOCH_SEED, PAGES, 16);
    assert_int_equal(stage_made(), 0);
    commit();
}

/* What must be true after anything was refused: nothing moved. */
static inline void nothing_has_moved(void)
{
    stage_void(&b->stage);
    memory_is_as_committed();
    assert_memory_equal(b->model.state, b->held_state, STATE_BYTES);
    assert_int_equal(b->model.commits, b->commits);
}

#endif

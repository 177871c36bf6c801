/* epoch_out_bench — epochs on their way from a model guest to a model backup, gone as the engine
 * goes them. All of it inline, so that its names stay its own. */
#ifndef TESTS_UNIT_EPOCH_OUT_BENCH_H
#define TESTS_UNIT_EPOCH_OUT_BENCH_H

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "checkpoint/record.h"
#include "replicator/engine/epoch_out.h"

enum { PAGES = 300, ROOM = 8 << 20, BUFFER = 64 };

/* ---- a guest with a log, and what its backup has --------------------------------------------- */

struct model {
    struct guest base;
    uint8_t (*memory)[PAGE_BYTES];
    bool log[PAGES], deferred[PAGES];
    uint8_t types[PAGES]; /* 0: ordinary */
    bool dirty_fails, copy_fails, state_fails;
};

static inline void model_info(const struct guest *g UNUSED, struct guest_info *ret)
{
    *ret = (struct guest_info){ .name = "model", .pages = PAGES };
}

static inline int model_records(struct guest *g, struct sink *to, struct err *e)
{
    const uint8_t body[8] = { 1 };

    if (((struct model *)g)->state_fails)
        return err_set(e, EIO, "no state");
    return record_put(to, RECORD_HVM_CONTEXT, body, sizeof(body));
}

static inline int model_run(struct guest *g UNUSED, struct err *e UNUSED)
{
    return 0;
}

static inline int model_dirty(struct guest *g, struct dirty *into, struct err *e)
{
    struct model *m = (struct model *)g;

    for (uint64_t pfn = 0; pfn < PAGES; pfn++) {
        if (m->log[pfn] && !m->dirty_fails)
            dirty_set(into, pfn);
        m->log[pfn] = false; /* a failed read destroys it as well */
    }
    return m->dirty_fails ? err_set(e, EIO, "the log can't be read") : 0;
}

static inline int model_copy(struct guest *g, const uint64_t *pfns, size_t n, uint8_t *const *to,
                             uint8_t *types, struct err *e)
{
    struct model *m = (struct model *)g;

    if (m->copy_fails)
        return err_set(e, EIO, "pages can't be mapped");
    for (size_t i = 0; i < n; i++) {
        types[i] = m->deferred[pfns[i]] ? PAGE_TYPE_DEFERRED : m->types[pfns[i]];
        if (!m->deferred[pfns[i]])
            memcpy(to[i], m->memory[pfns[i]], PAGE_BYTES);
    }
    return 0;
}

static inline enum guest_life model_life(struct guest *g UNUSED)
{
    return GUEST_RUNS;
}

static inline int model_fd(struct guest *g UNUSED)
{
    return -1;
}

static inline void model_end(struct guest *g UNUSED)
{
}

static const struct guest_ops model_ops = {
    "model",    model_info, model_records,        model_run,  model_dirty, model_copy, model_records,
    model_run,  guest_settle_nothing, model_life, model_fd,   model_end,   model_end,
};

struct bench {
    struct rng r;
    struct model guest;
    struct epoch_out out;
    uint8_t (*backup)[PAGE_BYTES], (*staged)[PAGE_BYTES];
    uint8_t *octets;
    struct sink sink;
    size_t taken;        /* octets of the sink that the backup has staged */
    uint32_t batches;
    bool is_in_epoch[PAGES];
    uint64_t epoch;
};

static struct bench *b;
static unsigned encoder_threads;
static uint64_t verify_every;

static inline int set_up(void **state UNUSED)
{
    const struct epoch_out_config config = {
        .buffer_pages = BUFFER,
        .cache_bytes = 128 * (PAGE_BYTES + 64),
        .allowed = { .delta = CODEC_BY_DELTA, .lz4 = true },
        .encoders = encoder_threads,
        .verify_every = verify_every,
    };
    struct err e;

    b = calloc(1, sizeof(*b));
    b->guest.base.ops = &model_ops;
    b->guest.memory = calloc(PAGES, PAGE_BYTES);
    b->backup = calloc(PAGES, PAGE_BYTES);
    b->staged = calloc(PAGES, PAGE_BYTES);
    b->octets = malloc(ROOM);
    rng_seed(&b->r, 5);
    for (uint64_t pfn = 0; pfn < PAGES; pfn++)
        rng_fill(&b->r, b->guest.memory[pfn], PAGE_BYTES);
    return epoch_out_open(&b->out, &b->guest.base, &config, &e);
}

static inline int tear_down(void **state UNUSED)
{
    epoch_out_close(&b->out);
    epoch_out_close(&b->out);
    free(b->guest.memory);
    free(b->backup);
    free(b->staged);
    free(b->octets);
    free(b);
    return 0;
}

static inline void guest_writes(uint64_t pfn)
{
    store_u64(b->guest.memory[pfn] + 8 * rng_below(&b->r, PAGE_BYTES / 8), rng_next(&b->r));
    b->guest.log[pfn] = true;
}

static inline void guest_writes_some(uint64_t n)
{
    while (n-- > 0)
        guest_writes(rng_below(&b->r, PAGES));
}

/* ---- the epoch's way, as the engine goes it -------------------------------------------------- */

static inline void begin(uint32_t flags)
{
    b->sink = (struct sink){ b->octets, ROOM };
    b->taken = 0;
    b->batches = 0;
    memset(b->is_in_epoch, 0, sizeof(b->is_in_epoch));
    memcpy(b->staged, b->backup, PAGES * PAGE_BYTES);
    epoch_out_begin(&b->out, ++b->epoch, flags);
}

static inline void stage_chunk(const struct record *rec)
{
    struct pages_reader chunk;
    struct pages_entry p;
    struct digest digest;
    struct err e;
    int rc;

    digest_begin(&digest);
    assert_int_equal(pages_open(&chunk, rec, PAGES, &e), 0);
    b->batches = chunk.batch > b->batches ? chunk.batch : b->batches;
    while ((rc = pages_next(&chunk, &p, &e)) == 1) {
        if (!p.has_content)
            continue;
        assert_false(p.codec->needs_prior && b->is_in_epoch[p.pfn]); /* as the real stage has it */
        b->is_in_epoch[p.pfn] = true;
        assert_int_equal(p.codec->decode(p.payload, p.bytes, b->staged[p.pfn]), 0);
        digest_add(&digest, b->staged[p.pfn], PAGE_BYTES);
    }
    assert_int_equal(rc, 0);
    assert_true(digest_value(&digest) == chunk.digest); /* every delta met its base */
}

/* Stages every record that came since; fills the last one's EPOCH_END, if there is one. */
static inline void stage(struct epoch_end *ret)
{
    struct view in = { b->octets + b->taken, ROOM - b->sink.left - b->taken };
    struct record rec;
    struct err e;

    while (in.left > 0) {
        assert_int_equal(record_take(&in, SESSION_BODY_MAX, &rec, &e), 1);
        if (rec.type == RECORD_PAGE_DATA_ENCODED)
            stage_chunk(&rec);
        else if (rec.type == RECORD_EPOCH_END)
            assert_int_equal(epoch_end_get(&rec, ret, &e), 0);
    }
    b->taken = ROOM - b->sink.left;
}

/* Drains the buffer as a link would that takes what it gets at once. */
static inline void encode_all(void)
{
    const struct pages_built *built;

    while (!epoch_out_is_drained(&b->out)) {
        while (epoch_out_encode(&b->out))
            ;
        while (!(built = epoch_out_ready(&b->out)))
            sched_yield();
        for (size_t i = 0; i < built->count; i++)
            assert_int_equal(sink_put(&b->sink, built->pieces[i].at, built->pieces[i].left), 0);
        epoch_out_give(&b->out, 0);
    }
    epoch_out_gone(&b->out, 0);
}

/* One pass over the log, wholly copied; drains when the buffer is full, and at the end if told to.
 */
static inline int pass(bool drain)
{
    struct err e;
    int rc;

    if (epoch_out_pass(&b->out, &e) < 0)
        return -1;
    while ((rc = epoch_out_copy(&b->out, &e)) == 1)
        encode_all();
    if (rc == 0 && drain)
        encode_all();
    return rc;
}

static inline void finish(struct epoch_end *ret)
{
    struct err e;

    assert_int_equal(epoch_out_state(&b->out, &e), 0);
    encode_all();
    assert_int_equal(epoch_out_finish(&b->out, &b->sink), 0);
    stage(ret);
}

static inline void acked(void)
{
    epoch_out_acked(&b->out);
    memcpy(b->backup, b->staged, PAGES * PAGE_BYTES);
}

static inline void commit_all(void)
{
    struct epoch_end end;

    begin(b->out.committed == 0 ? EPOCH_SEED : 0);
    assert_int_equal(pass(false), 0);
    finish(&end);
    acked();
}

/* The one promise: a page that differs on the backup is known to differ. */
static inline void nothing_is_forgotten(void)
{
    for (uint64_t pfn = 0; pfn < PAGES; pfn++)
        if (memcmp(b->guest.memory[pfn], b->backup[pfn], PAGE_BYTES) != 0)
            assert_true(b->guest.log[pfn] || dirty_has(&b->out.carry, pfn) ||
                        dirty_has(&b->out.todo, pfn) || dirty_has(&b->out.set, pfn));
}

#endif

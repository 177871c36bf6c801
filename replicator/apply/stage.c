/* stage — see stage.h. What is verified here is exactly what stage_apply() relies on: chunks parse,
 * bases match, pages are populated. The chunks are kept encoded, so a staged epoch is small. */
#include "replicator/apply/stage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/failpoint.h"
#include "checkpoint/pages.h"
#include "compress/codec.h"

#define COMPARE_PAGES    1024u       /* a step: less than a millisecond */
#define STAGE_KEEP_BYTES (8u << 20) /* kept resident between epochs */

static uint8_t *reserve(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        return NULL;
    (void)madvise(at, bytes, MADV_DONTDUMP); /* guest memory stays out of cores */
    return at;
}

int stage_open(struct stage *s, struct replica *r, size_t limit, unsigned decoders, struct err *e)
{
    int rc;

    *s = (struct stage){ .replica = r, .limit = limit };
    if ((rc = dirty_open(&s->seen, r->ops->pages(r), e)) < 0 ||
        (rc = decoders_open(&s->decoders, decoders, e)) < 0) {
        stage_close(s);
        return rc;
    }
    s->records = reserve(limit);
    s->state = reserve(GUEST_STATE_MAX);
    s->room = malloc(PAGES_BODY_MAX);
    if (!s->records || !s->state || !s->room) {
        stage_close(s);
        return err_set(e, ENOMEM, "no room to stage %zu MiB; lower --stage", limit >> 20);
    }
    memset(s->room, 0xff, PAGES_BODY_MAX); /* there for good */
    return 0;
}

void stage_close(struct stage *s)
{
    decoders_close(&s->decoders); /* first: its threads read what is freed here */
    dirty_close(&s->seen);
    pagesums_close(&s->sums);
    if (s->records)
        munmap(s->records, s->limit);
    if (s->state)
        munmap(s->state, GUEST_STATE_MAX);
    free(s->room);
    s->records = s->state = s->room = NULL;
    s->epoch = 0;
}

static void empty(struct stage *s)
{
    while (decoders_oldest(&s->decoders, true))
        decoders_end(&s->decoders);
    s->records_bytes = s->state_bytes = 0;
    s->chunks = s->batches = s->state_records = 0;
    s->pages = 0;
    s->is_sealed = false;
    if (s->has_sums)
        pagesums_clear(&s->sums);
    s->has_sums = false;
}

void stage_begin(struct stage *s, uint64_t epoch, uint32_t flags)
{
    must(s->apply_at == s->apply_bytes); /* the committed epoch is applied before the next comes */
    empty(s);
    dirty_clear(&s->seen);
    digest_begin(&s->digest);
    s->epoch = epoch;
    s->flags = flags;
}

void stage_void(struct stage *s)
{
    empty(s);
    s->epoch = 0;
}

/* ---- verifying ------------------------------------------------------------------------------------- */

/* What the order of pages decides, and the replica's memory of this one. */
static int take_entry(struct stage *s, const struct pages_entry *p, uint8_t **ret_base, struct err *e)
{
    if (p->has_content) {
        *ret_base = s->replica->ops->page(s->replica, p->pfn, e); /* populates: P4 */
        if (!*ret_base)
            return err_wrap(e, "page %#" PRIx64, p->pfn);
        if (p->codec->needs_prior && ((s->flags & EPOCH_SEED) || dirty_has(&s->seen, p->pfn)))
            return err_set(e, EPROTO, "page %#" PRIx64 ": a delta without a committed base", p->pfn);
    }
    dirty_set(&s->seen, p->pfn);
    s->pages++;
    return 0;
}

/* Results of chunks in order, up to the first that is not there yet (`wait`: all of them). A seed's are
 * applied: there is nothing yet that they could spoil. */
static int collect(struct stage *s, bool wait, struct err *e)
{
    struct decoders_chunk *c;

    while ((c = decoders_oldest(&s->decoders, wait)) != NULL) {
        if (c->rc < 0) {
            *e = c->e;
            return c->rc;
        }
        for (size_t i = 0; i < c->n && (s->flags & EPOCH_SEED); i++)
            must(c->entries[i].codec->decode(c->entries[i].payload, c->entries[i].bytes, c->bases[i]) == 0);
        decoders_end(&s->decoders);
    }
    return 0;
}

static int next_chunk(struct stage *s, struct decoders_chunk **ret, struct err *e)
{
    int rc = 0;

    if (!decoders_next(&s->decoders)) {
        (void)decoders_oldest(&s->decoders, true);
        rc = collect(s, false, e);
    }
    *ret = decoders_next(&s->decoders);
    return rc;
}

/* Takes an encoded chunk apart and gives it to the decoders. The record stays where it is until then. */
static int check_chunk(struct stage *s, const struct record *rec, struct decoders_chunk *c, struct err *e)
{
    struct pages_reader chunk;
    struct pages_entry p;
    int rc;

    FAILPOINT(verify);
    rc = pages_open_in(&chunk, rec, s->replica->ops->pages(s->replica), c->room, e);
    c->n = 0;
    while (rc >= 0 && (rc = pages_next(&chunk, &p, e)) == 1) {
        rc = take_entry(s, &p, &c->bases[c->n], e);
        if (rc == 0 && p.has_content)
            c->entries[c->n++] = p;
    }
    if (rc < 0)
        return rc;
    c->digest = chunk.digest;
    c->number = s->chunks++;
    s->batches = chunk.batch > s->batches ? chunk.batch : s->batches;
    decoders_submit(&s->decoders);
    return collect(s, false, e);
}

static void apply_chunk(struct stage *s, const struct record *rec)
{
    struct pages_reader chunk;
    struct pages_entry p;
    struct err e;

    must(pages_open_in(&chunk, rec, s->replica->ops->pages(s->replica), s->room, &e) == 0);
    while (pages_next(&chunk, &p, &e) == 1) {
        uint8_t *page;

        if (!p.has_content)
            continue;
        page = s->replica->ops->page(s->replica, p.pfn, &e);
        must(page != NULL);
        must(p.codec->decode(p.payload, p.bytes, page) == 0);
    }
}

/* PAGE_DATA proves nothing and may have more entries than a chunk: it is read here, in its turn. */
static int check_plain(struct stage *s, const struct record *rec, struct err *e)
{
    struct pages_reader chunk;
    struct pages_entry p;
    uint8_t *base;
    int rc = collect(s, true, e);

    if (rc == 0)
        rc = pages_open(&chunk, rec, s->replica->ops->pages(s->replica), e);
    while (rc >= 0 && (rc = pages_next(&chunk, &p, e)) == 1)
        rc = take_entry(s, &p, &base, e);
    if (rc < 0)
        return rc;
    s->chunks++;
    if (s->flags & EPOCH_SEED)
        apply_chunk(s, rec);
    return 0;
}

/* The record as it came, framing and padding included. */
static struct view whole(const struct record *rec)
{
    return (struct view){ rec->body - RECORD_HEADER_BYTES, record_wire_bytes(rec->bytes) };
}

static int keep(uint8_t *store, size_t *used, size_t limit, struct view record, struct err *e)
{
    if (record.left > limit - *used)
        return err_set(e, ENOSPC, "an epoch of more than %zu octets; raise --stage", limit);
    memcpy(store + *used, record.at, record.left);
    *used += record.left;
    return 0;
}

/* The chunk's octets where they may stay: with the epoch's, or, of a seed, beside what is made of them. */
static int stay(struct stage *s, const struct record *rec, uint8_t *copy, struct record *ret, struct err *e)
{
    struct view record = whole(rec);
    uint8_t *at = s->records + s->records_bytes;
    int rc;

    *ret = *rec;
    if (s->flags & EPOCH_SEED) {
        memcpy(at = copy, record.at, record.left); /* its length was bounded with its body */
    } else {
        rc = keep(s->records, &s->records_bytes, s->limit, record, e);
        if (rc < 0)
            return rc;
    }
    ret->body = at + RECORD_HEADER_BYTES;
    if (s->records_bytes > s->high_water)
        s->high_water = s->records_bytes;
    return 0;
}

static int stage_sums(struct stage *s, const struct record *rec, struct err *e)
{
    int rc = s->sums.sums ? 0 : pagesums_open(&s->sums, s->replica->ops->pages(s->replica), e);

    if (rc < 0)
        return rc;
    s->has_sums = true;
    return pagesums_take(&s->sums, s->epoch, rec, e);
}

static int stage_plain(struct stage *s, const struct record *rec, struct err *e)
{
    struct record there = *rec;
    int rc = check_plain(s, rec, e);

    return rc < 0 || (s->flags & EPOCH_SEED) ? rc : stay(s, rec, NULL, &there, e);
}

static int stage_encoded(struct stage *s, const struct record *rec, struct err *e)
{
    struct decoders_chunk *c;
    struct record there;
    int rc;

    if (rec->bytes > PAGES_BODY_MAX)
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED of %u octets: %u are possible", rec->bytes,
                       PAGES_BODY_MAX);
    if ((rc = next_chunk(s, &c, e)) < 0 || (rc = stay(s, rec, c->copy, &there, e)) < 0)
        return rc;
    return check_chunk(s, &there, c, e);
}

int stage_record(struct stage *s, const struct record *rec, struct err *e)
{
    int rc;

    if (s->epoch == 0)
        return 0;
    if (s->is_sealed)
        return err_set(e, EPROTO, "%s between EPOCH_END and CHECKPOINT", record_name(rec->type));
    if (rec->type == RECORD_PAGE_DATA || rec->type == RECORD_PAGE_DATA_ENCODED) {
        FAILPOINT(recv_page);
        rc = rec->type == RECORD_PAGE_DATA ? stage_plain(s, rec, e) : stage_encoded(s, rec, e);
    } else if (rec->type == RECORD_PAGE_SUMS) {
        rc = stage_sums(s, rec, e);
    } else {
        rc = keep(s->state, &s->state_bytes, GUEST_STATE_MAX, whole(rec), e);
        s->state_records++;
    }
    if (rc < 0)
        return rc == -EILSEQ ? rc : err_wrap(e, "epoch %" PRIu64, s->epoch);
    digest_add(&s->digest, whole(rec).at, whole(rec).left);
    return 0;
}

int stage_seal(struct stage *s, const struct epoch_end *m, struct err *e)
{
    int rc;

    if (s->epoch == 0)
        return 0;
    FAILPOINT(stage_full);
    if ((rc = collect(s, true, e)) < 0)
        return rc == -EILSEQ ? rc : err_wrap(e, "epoch %" PRIu64, s->epoch);
    if (s->is_sealed || m->epoch != s->epoch || m->flags != s->flags)
        return err_set(e, EPROTO, "epoch %" PRIu64 ": ended as %" PRIu64, s->epoch, m->epoch);
    if (m->pages != s->pages || m->chunks != s->chunks || m->state_records != s->state_records)
        return err_set(e, EPROTO,
                       "epoch %" PRIu64 ": %" PRIu64 " pages, %u chunks, %u state records came, "
                       "%" PRIu64 ", %u, %u were sent",
                       s->epoch, s->pages, s->chunks, s->state_records, m->pages, m->chunks,
                       m->state_records);
    if (m->digest != digest_value(&s->digest))
        return err_set(e, EPROTO, "epoch %" PRIu64 ": digest differs from what was sent", s->epoch);
    rc = s->replica->ops->check_state(s->replica, s->state, s->state_bytes, e);
    if (rc < 0)
        return err_wrap(e, "epoch %" PRIu64, s->epoch);
    s->is_sealed = true;
    return 0;
}

/* ---- committing ------------------------------------------------------------------------------------ */

void stage_commit(struct stage *s)
{
    must(s->is_sealed && decoders_are_idle(&s->decoders));
    FAILPOINT(before_commit);
    s->replica->ops->commit_state(s->replica, s->state, s->state_bytes);
    s->apply_at = 0;
    s->apply_bytes = s->records_bytes;
    s->is_comparing = s->has_sums;
    s->has_sums = false;
    s->compare_at = 0;
    s->compared = (struct stage_compared){ .pages = 0 };
    stage_void(s);
}

bool stage_apply(struct stage *s)
{
    struct view in = { s->records + s->apply_at, s->apply_bytes - s->apply_at };
    struct record rec;
    struct err e;

    if (s->apply_at < s->apply_bytes) {
        must(record_take(&in, SESSION_BODY_MAX, &rec, &e) == 1);
        apply_chunk(s, &rec);
        s->apply_at = s->apply_bytes - in.left;
        FAILPOINT(mid_apply);
        return true;
    }
    if (s->apply_bytes > STAGE_KEEP_BYTES)
        (void)madvise(s->records + STAGE_KEEP_BYTES, s->limit - STAGE_KEEP_BYTES, MADV_DONTNEED);
    s->apply_at = s->apply_bytes = 0;
    FAILPOINT(after_apply);
    return false;
}

/* ---- comparing ------------------------------------------------------------------------------------- */

/* A page that the primary has content of was part of some epoch, so it is there. */
static bool is_equal(struct stage *s, uint64_t pfn)
{
    struct err unused;
    const uint8_t *page = s->replica->ops->page(s->replica, pfn, &unused);

    return page && pagesums_of(page) == s->sums.sums[pfn];
}

static void compare_page(struct stage *s, uint64_t pfn)
{
    struct stage_compared *c = &s->compared;

    c->pages++;
    if (is_equal(s, pfn))
        return;
    if (c->differing < STAGE_DIFFERING_MAX)
        c->pfns[c->differing] = pfn;
    c->differing++;
}

int stage_compare(struct stage *s)
{
    if (!s->is_comparing)
        return -ENODATA;
    for (unsigned i = 0; i < COMPARE_PAGES; i++) {
        s->compare_at = pagesums_next(&s->sums, s->compare_at);
        if (s->compare_at == s->sums.pages) {
            s->is_comparing = false;
            pagesums_clear(&s->sums);
            return 0;
        }
        compare_page(s, s->compare_at++);
    }
    return 1;
}

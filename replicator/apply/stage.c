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

int stage_open(struct stage *s, struct replica *r, size_t limit, struct err *e)
{
    int rc;

    *s = (struct stage){ .replica = r, .limit = limit };
    rc = dirty_open(&s->seen, r->ops->pages(r), e);
    if (rc < 0)
        return rc;
    s->records = reserve(limit);
    s->state = reserve(GUEST_STATE_MAX);
    s->scratch = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
    if (!s->records || !s->state || !s->scratch) {
        stage_close(s);
        return err_set(e, ENOMEM, "no room to stage %zu MiB; lower --stage", limit >> 20);
    }
    return 0;
}

void stage_close(struct stage *s)
{
    dirty_close(&s->seen);
    if (s->records)
        munmap(s->records, s->limit);
    if (s->state)
        munmap(s->state, GUEST_STATE_MAX);
    free(s->scratch);
    s->records = s->state = s->scratch = NULL;
    s->epoch = 0;
}

static void empty(struct stage *s)
{
    s->records_bytes = s->state_bytes = 0;
    s->chunks = s->batches = s->state_records = 0;
    s->pages = 0;
    s->is_sealed = false;
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

struct chunk_check {
    struct digest contents;
    bool has_delta;
};

/* Makes the entry's page in the scratch page (or finds it in the payload) and adds it to the digest. */
static int check_content(struct stage *s, const struct pages_entry *p, struct chunk_check *check,
                         struct err *e)
{
    uint8_t *base = s->replica->ops->page(s->replica, p->pfn, e); /* populates: P4 */
    const uint8_t *content = s->scratch;

    if (!base)
        return err_wrap(e, "page %#" PRIx64, p->pfn);
    if (p->codec->needs_prior) {
        if ((s->flags & EPOCH_SEED) || dirty_has(&s->seen, p->pfn))
            return err_set(e, EPROTO, "page %#" PRIx64 ": a delta without a committed base", p->pfn);
        check->has_delta = true;
        memcpy(s->scratch, base, PAGE_BYTES);
    }
    if (p->codec->id == CODEC_RAW)
        content = p->payload;
    else if (p->codec->decode(p->payload, p->bytes, s->scratch) < 0)
        return err_set(e, EPROTO, "page %#" PRIx64 ": %s payload of %zu octets is malformed",
                       p->pfn, p->codec->name, p->bytes);
    digest_add(&check->contents, content, PAGE_BYTES);
    return 0;
}

static int check_chunk(struct stage *s, const struct record *rec, struct err *e)
{
    struct chunk_check check = { .has_delta = false };
    struct pages_reader chunk;
    struct pages_entry p;
    int rc;

    FAILPOINT(verify);
    digest_begin(&check.contents);
    rc = pages_open(&chunk, rec, s->replica->ops->pages(s->replica), e);
    if (rc < 0)
        return rc;
    while ((rc = pages_next(&chunk, &p, e)) == 1) {
        if (p.has_content && (rc = check_content(s, &p, &check, e)) < 0)
            return rc;
        dirty_set(&s->seen, p.pfn);
        s->pages++;
    }
    if (rc < 0)
        return rc;
    if (chunk.has_digest && digest_value(&check.contents) != chunk.digest)
        return err_set(e, check.has_delta ? EILSEQ : EPROTO, "chunk %u: pages differ from what was sent",
                       s->chunks);
    s->batches = chunk.batch > s->batches ? chunk.batch : s->batches;
    s->chunks++;
    return 0;
}

static void apply_chunk(struct stage *s, const struct record *rec)
{
    struct pages_reader chunk;
    struct pages_entry p;
    struct err e;

    must(pages_open(&chunk, rec, s->replica->ops->pages(s->replica), &e) == 0);
    while (pages_next(&chunk, &p, &e) == 1) {
        uint8_t *page;

        if (!p.has_content)
            continue;
        page = s->replica->ops->page(s->replica, p.pfn, &e);
        must(page != NULL);
        must(p.codec->decode(p.payload, p.bytes, page) == 0);
    }
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

static int stage_pages(struct stage *s, const struct record *rec, struct err *e)
{
    int rc;

    FAILPOINT(recv_page);
    rc = check_chunk(s, rec, e);
    if (rc < 0)
        return rc;
    if (s->flags & EPOCH_SEED) {
        apply_chunk(s, rec);
        return 0;
    }
    rc = keep(s->records, &s->records_bytes, s->limit, whole(rec), e);
    if (s->records_bytes > s->high_water)
        s->high_water = s->records_bytes;
    return rc;
}

int stage_record(struct stage *s, const struct record *rec, struct err *e)
{
    int rc;

    if (s->epoch == 0)
        return 0;
    if (s->is_sealed)
        return err_set(e, EPROTO, "%s between EPOCH_END and CHECKPOINT", record_name(rec->type));
    if (rec->type == RECORD_PAGE_DATA || rec->type == RECORD_PAGE_DATA_ENCODED) {
        rc = stage_pages(s, rec, e);
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
    must(s->is_sealed);
    FAILPOINT(before_commit);
    s->replica->ops->commit_state(s->replica, s->state, s->state_bytes);
    s->apply_at = 0;
    s->apply_bytes = s->records_bytes;
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

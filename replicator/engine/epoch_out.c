/* epoch_out — see epoch_out.h. The three bitmaps part the pages of the guest: todo (this pass still
 * has to copy them), set (this epoch has them), carry (a coming epoch must have them). A page leaves
 * one only into another, and leaves `set` only when the backup has acknowledged it. */
#include "replicator/engine/epoch_out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "checkpoint/record.h"

#define PASSES_MAX 5u

/* Half of what a chunk may have: both versions of all its pages, and what is made of them, stay in a
 * second-level cache until they are sent, or applied (5 % of the backup's time); LZ4 over them loses 0.3 %
 * against the longest. At 16 pages, 64 KiB, it loses 3.6 % (docs/PERFORMANCE.md). */
#define CHUNK_PAGES 128u
_Static_assert(CHUNK_PAGES <= PAGES_CHUNK_MAX, "a chunk is within the format's bounds");

static size_t chunk_pages(const struct epoch_out *o)
{
    return o->buffer.capacity < CHUNK_PAGES ? o->buffer.capacity : CHUNK_PAGES;
}

int epoch_out_open(struct epoch_out *o, struct guest *g, const struct epoch_out_config *config,
                   struct err *e)
{
    struct guest_info about;
    int rc;

    *o = (struct epoch_out){ .guest = g, .config = *config };
    g->ops->info(g, &about);
    if ((rc = pagebuf_open(&o->buffer, config->buffer_pages, e)) < 0 ||
        (rc = pagecache_open(&o->cache, config->cache_bytes, e)) < 0 ||
        (rc = dirty_open(&o->carry, about.pages, e)) < 0 ||
        (rc = dirty_open(&o->todo, about.pages, e)) < 0 ||
        (rc = dirty_open(&o->set, about.pages, e)) < 0 ||
        (rc = epoch_sums_open(&o->sums, g, config->verify_every, about.pages, config->buffer_pages, e)) < 0 ||
        (rc = encoders_open(&o->encoders, config->encoders, chunk_pages(o), config->packing, e)) < 0)
        goto undo;
    o->state = malloc(GUEST_STATE_MAX);
    if (!o->state) {
        rc = err_set(e, ENOMEM, "no memory for the state of an epoch");
        goto undo;
    }
    dirty_set_all(&o->carry);
    return 0;
undo:
    epoch_out_close(o);
    return rc;
}

void epoch_out_close(struct epoch_out *o)
{
    encoders_close(&o->encoders); /* first: its threads read what the others own */
    pagebuf_close(&o->buffer);
    pagecache_close(o->cache);
    dirty_close(&o->carry);
    dirty_close(&o->todo);
    dirty_close(&o->set);
    epoch_sums_close(&o->sums);
    free(o->state);
    o->cache = NULL;
    o->state = NULL;
}

void epoch_out_forget(struct epoch_out *o)
{
    dirty_set_all(&o->carry);
    dirty_clear(&o->todo);
    dirty_clear(&o->set);
    pagecache_clear(o->cache);
    o->committed = 0;
}

void epoch_out_resume(struct epoch_out *o, uint64_t committed)
{
    o->committed = committed;
    pagecache_drop_after(o->cache, committed);
}

void epoch_out_begin(struct epoch_out *o, uint64_t epoch, uint32_t flags)
{
    pagebuf_reset(&o->buffer);
    o->epoch = epoch;
    o->flags = flags;
    o->batch = o->chunks = 0;
    o->pages_sent = 0;
    o->passes = 0;
    o->state_bytes = 0;
    epoch_sums_drop(&o->sums);
    digest_begin(&o->digest);
}

void epoch_out_verify(struct epoch_out *o)
{
    (void)epoch_sums_begin(&o->sums, o->epoch, o->flags);
}

int epoch_out_verify_rest(struct epoch_out *o, struct err *e)
{
    return o->sums.is_on ? epoch_sums_read(&o->sums, &o->carry, e) : 0;
}

int epoch_out_sums(struct epoch_out *o, struct sink *out)
{
    const uint8_t *from = out->at;
    int rc;

    must(epoch_out_is_drained(o));
    rc = epoch_sums_put(&o->sums, out);
    digest_add(&o->digest, from, (size_t)(out->at - from));
    return rc;
}

int64_t epoch_out_pass(struct epoch_out *o, struct err *e)
{
    int rc;

    must(pagebuf_waiting(&o->buffer) == 0); /* a page copied twice must not share a chunk */
    dirty_or(&o->todo, &o->carry);
    dirty_clear(&o->carry);
    o->cursor = 0;
    o->passes++;
    FAILPOINT(dirty_read);
    rc = o->guest->ops->dirty(o->guest, &o->todo, e);
    if (rc < 0) {
        dirty_set_all(&o->carry); /* reading destroys the log: what it said is lost */
        return rc;
    }
    return (int64_t)dirty_count(&o->todo);
}

/* Closes the gaps that deferred pages left in entries [from, to) of the buffer. A seed need not say of a
 * page that it does not exist: nothing does on the other side, and a large map has more holes than pages. */
static void drop_deferred(struct epoch_out *o, size_t from, size_t to)
{
    struct pagebuf *b = &o->buffer;
    size_t keep = from;

    for (size_t i = from; i < to; i++) {
        if (b->types[i] == PAGE_TYPE_DEFERRED) {
            dirty_set(&o->carry, b->pfns[i]);
            continue;
        }
        dirty_set(&o->set, b->pfns[i]);
        if (b->types[i] == PAGE_TYPE_XTAB && (o->flags & EPOCH_SEED))
            continue;
        if (keep != i) {
            uint8_t *unused = b->slots[keep];

            b->pfns[keep] = b->pfns[i];
            b->types[keep] = b->types[i];
            b->slots[keep] = b->slots[i];
            b->slots[i] = unused;
        }
        keep++;
    }
    b->filled = keep;
}

int epoch_out_copy(struct epoch_out *o, struct err *e)
{
    struct pagebuf *b = &o->buffer;
    size_t from, n;
    int rc;

    if (b->drained == b->filled) {
        if (encoders_hold_places(&o->encoders))
            return -EBUSY;
        pagebuf_reset(b);
    }
    from = b->filled;
    n = dirty_take(&o->todo, &o->cursor, b->pfns + from, pagebuf_room(b));
    if (n == 0)
        return pagebuf_room(b) == 0 && dirty_next(&o->todo, o->cursor) < o->todo.pages;
    if (from == 0)
        o->batch++;
    FAILPOINT(page_copy);
    rc = o->guest->ops->copy(o->guest, b->pfns + from, n, b->slots + from, b->types + from, e);
    if (rc < 0)
        return rc; /* still in todo: abandon puts them into the carry */
    for (size_t i = from; i < from + n; i++)
        dirty_unset(&o->todo, b->pfns[i]);
    epoch_sums_note(&o->sums, b->pfns + from, b->types + from, b->slots + from, n);
    drop_deferred(o, from, from + n);
    return dirty_next(&o->todo, o->cursor) < o->todo.pages;
}

int epoch_out_state(struct epoch_out *o, struct err *e)
{
    struct sink to = { o->state, GUEST_STATE_MAX };
    int rc;

    FAILPOINT(capture_state);
    rc = o->guest->ops->state(o->guest, &to, e);
    if (rc < 0)
        return rc;
    o->state_bytes = GUEST_STATE_MAX - to.left;
    return 0;
}

bool epoch_out_encode(struct epoch_out *o)
{
    struct pagebuf *b = &o->buffer;
    size_t n = pagebuf_waiting(b) < CHUNK_PAGES ? pagebuf_waiting(b) : CHUNK_PAGES;
    struct pages_rules rules = { o->config.allowed, o->epoch,  o->committed,
                                 o->batch,          !o->config.plain };

    if (n == 0 || !encoders_have_room(&o->encoders))
        return false;
    FAILPOINT(encode);
    encoders_begin(&o->encoders, b->slots + b->drained, b->pfns + b->drained, b->types + b->drained, n,
                   &rules, o->cache, o->config.plain, o->is_link_behind);
    b->drained += n;
    return true;
}

const struct pages_built *epoch_out_ready(const struct epoch_out *o)
{
    return encoders_ready(&o->encoders);
}

void epoch_out_give(struct epoch_out *o, uint64_t until)
{
    const struct pages_built *built = encoders_ready(&o->encoders);

    must(built != NULL);
    for (size_t i = 0; i < built->count; i++)
        digest_add(&o->digest, built->pieces[i].at, built->pieces[i].left);
    pages_tally_add(&o->tally, &built->tally);
    o->chunks++;
    o->pages_sent += built->tally.pages;
    encoders_give(&o->encoders, until);
}

void epoch_out_gone(struct epoch_out *o, uint64_t octets)
{
    encoders_gone(&o->encoders, octets);
}

size_t epoch_out_finish_bytes(const struct epoch_out *o)
{
    return o->state_bytes + record_wire_bytes(40) + record_wire_bytes(0);
}

static uint32_t count_records(const uint8_t *records, size_t bytes)
{
    struct view in = { records, bytes };
    struct record rec;
    struct err e;
    uint32_t n = 0;

    while (record_take(&in, SESSION_BODY_MAX, &rec, &e) == 1)
        n++;
    must(in.left == 0); /* the guest's backend wrote them a moment ago */
    return n;
}

int epoch_out_finish(struct epoch_out *o, struct sink *out)
{
    struct epoch_end m;

    must(epoch_out_is_drained(o));
    if (out->left < epoch_out_finish_bytes(o))
        return -ENOBUFS;
    digest_add(&o->digest, o->state, o->state_bytes);
    m = (struct epoch_end){
        .epoch = o->epoch,
        .pages = o->pages_sent,
        .digest = digest_value(&o->digest),
        .chunks = o->chunks,
        .batches = o->batch,
        .state_records = count_records(o->state, o->state_bytes),
        .flags = o->flags,
    };
    must(sink_put(out, o->state, o->state_bytes) == 0);
    FAILPOINT(send_epoch);
    must(epoch_end_put(out, &m) == 0);
    FAILPOINT(send_commit);
    must(record_put(out, RECORD_CHECKPOINT, NULL, 0) == 0);
    return 0;
}

void epoch_out_abandon(struct epoch_out *o)
{
    dirty_or(&o->carry, &o->set);
    dirty_or(&o->carry, &o->todo);
    dirty_clear(&o->set);
    dirty_clear(&o->todo);
    epoch_sums_drop(&o->sums);
    encoders_abandon(&o->encoders);
    pagebuf_reset(&o->buffer);
    pagecache_drop_after(o->cache, o->committed);
}

void epoch_out_acked(struct epoch_out *o)
{
    o->committed = o->epoch;
    dirty_clear(&o->set);
}

bool epoch_out_is_small(const struct epoch_out *o, uint64_t left)
{
    return o->passes >= PASSES_MAX || left <= o->config.buffer_pages / 4;
}

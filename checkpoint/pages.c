/* pages — see pages.h. The encoder writes straight into the room: payloads start behind the longest
 * index that n pages can have, and move down once the real one is known if they must be one stretch. */
#include "checkpoint/pages_inside.h"

#include <errno.h>
#include <string.h>

#include "base/digest.h"

static void source_check(const uint64_t *pfns, const uint8_t *types, size_t n)
{
    must(n >= 1 && n <= PAGES_CHUNK_MAX);
    for (size_t i = 0; i < n; i++) {
        must(type_is_valid(types[i]));
        must(pfns[i] < GUEST_PAGES_MAX);
        must(i == 0 || pfns[i] > pfns[i - 1]);
    }
}

static size_t count_content(const uint8_t *types, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += type_has_content(types[i]);
    return count;
}

void pages_tally_add(struct pages_tally *to, const struct pages_tally *what)
{
    to->pages += what->pages;
    to->raw_bytes += what->raw_bytes;
    to->wire_bytes += what->wire_bytes;
    for (size_t i = 0; i < CODEC_COUNT; i++)
        to->by_codec[i] += what->by_codec[i];
}

static void plan_begin(struct pages_plan *plan, const uint64_t *pfns, const uint8_t *types, size_t n,
                       const struct pages_rules *rules)
{
    source_check(pfns, types, n);
    must((rules->batch & PAGES_PACKED) == 0);
    plan->n = n;
    plan->allowed = rules->allowed;
    plan->batch = rules->batch;
    memcpy(plan->pfns, pfns, n * sizeof(*pfns));
    memcpy(plan->types, types, n * sizeof(*types));
}

/* True when the page's place in the cache is to be found; others are forgotten there. */
static bool is_cached(const struct pages_plan *plan, size_t i, const struct pages_rules *rules,
                      struct pagecache *cache)
{
    if (!rules->use_cache)
        return false;
    if (plan->types[i] == PAGE_TYPE_NORMAL)
        return true;
    pagecache_drop(cache, plan->pfns[i]);
    return false;
}

/* A base is a version that the backup verifiably holds. */
static bool is_base(const struct pages_rules *rules, uint64_t sent_by)
{
    return rules->committed != 0 && sent_by <= rules->committed;
}

void pages_plan(struct pages_plan *plan, uint8_t **places, const uint64_t *pfns, const uint8_t *types,
                size_t n, const struct pages_rules *rules, struct pagecache *cache)
{
    plan_begin(plan, pfns, types, n, rules);
    for (size_t i = 0; i < n; i++) {
        uint64_t sent_by = 0;

        plan->jobs[i] = (struct codec_job){ .page = places[i] };
        if (is_cached(plan, i, rules, cache) &&
            pagecache_trade(cache, pfns[i], rules->epoch, &places[i], &sent_by) && is_base(rules, sent_by))
            plan->jobs[i].prior = places[i];
    }
}

/* The same for a page that stays the caller's: the cache's place for it is made equal to it as it is
 * encoded. Places of pages that this one displaces were used by then, because that goes in order. */
static void plan_copying(struct pages_plan *plan, size_t i, const struct pages_source *from,
                         const struct pages_rules *rules, struct pagecache *cache)
{
    struct codec_job *job = &plan->jobs[i];
    bool is_held = false;
    uint64_t sent_by = 0;

    *job = (struct codec_job){ .page = from->pages + i * PAGE_BYTES };
    if (!is_cached(plan, i, rules, cache))
        return;
    job->keep = pagecache_renew(cache, plan->pfns[i], rules->epoch, &is_held, &sent_by);
    if (job->keep && is_held && is_base(rules, sent_by))
        job->prior = job->keep;
}

static void index_put(struct sink *index, uint64_t step, uint8_t type, const struct codec_job *job)
{
    bool is_typed = type != PAGE_TYPE_NORMAL;
    uint64_t told = job->codec->id == CODEC_RAW ? 0 : job->bytes;
    int rc = sink_varint(index, step << 1 | is_typed);

    if (rc == 0 && is_typed)
        rc = sink_u8(index, type);
    if (rc == 0)
        rc = sink_varint(index, told << CODEC_BITS | (uint64_t)job->codec->id);
    must(rc == 0);
}

/* The next pages from `first` on, encoded side by side. Pages without content are not encoded. Returns how
 * many pages. */
static size_t encode_some(struct pages_plan *plan, size_t first, struct sink *payloads)
{
    size_t n = plan->n - first < CODEC_BATCH ? plan->n - first : CODEC_BATCH, with_content = 0;
    struct codec_job jobs[CODEC_BATCH];
    uint8_t *at;

    for (size_t i = first; i < first + n; i++) {
        plan->jobs[i].codec = codec_by_id(CODEC_RAW);
        if (type_has_content(plan->types[i]))
            jobs[with_content++] = plan->jobs[i];
    }
    must(sink_room(payloads, codec_encode_batch(plan->allowed, jobs, with_content, payloads->at),
                   &at) == 0);
    with_content = 0;
    for (size_t i = first; i < first + n; i++)
        if (type_has_content(plan->types[i]))
            plan->jobs[i] = jobs[with_content++];
    return n;
}

/* Index and payloads of all pages, payloads at their provisional place; returns the digest. */
static uint64_t encode_all(struct pages_plan *plan, struct sink *index, struct sink *payloads,
                           struct pages_tally *tally)
{
    uint64_t next_pfn = 0;
    struct digest digest;

    digest_begin(&digest);
    for (size_t i = 0, ready = 0; i < plan->n; i++) {
        const struct codec_job *job = &plan->jobs[i];

        if (i == ready)
            ready += encode_some(plan, i, payloads);
        index_put(index, plan->pfns[i] - next_pfn, plan->types[i], job);
        next_pfn = plan->pfns[i] + 1;
        if (!type_has_content(plan->types[i]))
            continue;
        digest_add(&digest, job->page, PAGE_BYTES);
        tally->by_codec[job->codec->id]++;
        tally->raw_bytes += PAGE_BYTES;
    }
    tally->pages += plan->n;
    return digest_value(&digest);
}

static void add_piece(struct pages_built *to, const uint8_t *at, size_t bytes)
{
    struct view *last = to->count > 0 ? &to->pieces[to->count - 1] : NULL;

    to->bytes += bytes;
    if (last && last->at + last->left == at)
        last->left += bytes;
    else if (bytes > 0)
        to->pieces[to->count++] = (struct view){ at, bytes };
}

/* Payloads in the pages' order: stretches of the room, and raw pages where they are. Returns their octets. */
static size_t add_payloads(const struct pages_plan *plan, struct pages_built *to)
{
    size_t before = to->bytes;

    for (size_t i = 0; i < plan->n; i++)
        if (type_has_content(plan->types[i]))
            add_piece(to, plan->jobs[i].payload, plan->jobs[i].bytes);
    return to->bytes - before;
}

void pages_build(struct pages_plan *plan, bool is_whole, uint8_t *room, struct pages_built *ret)
{
    static const uint8_t padding[8];
    uint8_t *body = room + RECORD_HEADER_BYTES, *payload_at;
    size_t index_room = plan->n * ENTRY_INDEX_MAX, index_bytes, payload_bytes, body_bytes;
    struct sink index = { body + PAGES_FIXED_BYTES, index_room }, payloads;
    uint64_t digest;

    payload_at = index.at + index_room;
    payloads = (struct sink){ payload_at, plan->n * PAGE_BYTES };
    ret->count = ret->bytes = 0;
    ret->tally = (struct pages_tally){ 0 };
    plan->allowed.raw_in_place = !is_whole;
    digest = encode_all(plan, &index, &payloads, &ret->tally);
    index_bytes = index_room - index.left;
    add_piece(ret, room, RECORD_HEADER_BYTES + PAGES_FIXED_BYTES + index_bytes);
    if (is_whole) {
        payload_bytes = plan->n * PAGE_BYTES - payloads.left;
        memmove(index.at, payload_at, payload_bytes);
        add_piece(ret, index.at, payload_bytes);
    } else {
        payload_bytes = add_payloads(plan, ret);
    }
    body_bytes = PAGES_FIXED_BYTES + index_bytes + payload_bytes;
    if (is_whole)
        memset(body + body_bytes, 0, record_padded(body_bytes) - body_bytes);
    add_piece(ret, is_whole ? body + body_bytes : padding, record_padded(body_bytes) - body_bytes);
    ret->tally.wire_bytes = ret->bytes;

    store_u32(room, RECORD_PAGE_DATA_ENCODED);
    store_u32(room + 4, (uint32_t)body_bytes);
    store_u32(body, (uint32_t)plan->n);
    store_u32(body + 4, plan->batch);
    store_u64(body + 8, digest);
    store_u32(body + 16, (uint32_t)index_bytes);
    store_u32(body + 20, (uint32_t)payload_bytes);
}

void pages_build_plain(const struct pages_plan *plan, uint8_t *room, struct pages_built *ret)
{
    size_t head = PLAIN_FIXED_BYTES + plan->n * PLAIN_ENTRY_BYTES;
    uint64_t content = count_content(plan->types, plan->n);

    ret->count = ret->bytes = 0;
    add_piece(ret, room, RECORD_HEADER_BYTES + head);
    store_u32(room, RECORD_PAGE_DATA);
    store_u32(room + 4, (uint32_t)(head + content * PAGE_BYTES)); /* a multiple of 8: no padding */
    room += RECORD_HEADER_BYTES;
    store_u32(room, (uint32_t)plan->n);
    store_u32(room + 4, 0);
    for (size_t i = 0; i < plan->n; i++) {
        store_u64(room + PLAIN_FIXED_BYTES + i * PLAIN_ENTRY_BYTES,
                  (uint64_t)plan->types[i] << PLAIN_TYPE_SHIFT | plan->pfns[i]);
        if (type_has_content(plan->types[i]))
            add_piece(ret, plan->jobs[i].page, PAGE_BYTES);
    }
    ret->tally = (struct pages_tally){ plan->n, content * PAGE_BYTES, ret->bytes, { [CODEC_RAW] = content } };
}

int pages_encode(struct sink *out, const struct pages_source *from, const struct pages_rules *rules,
                 struct pagecache *cache, struct pages_tally *tally)
{
    struct pages_plan plan;
    struct pages_built built;
    uint8_t *room;

    if (out->left < record_wire_bytes(PAGES_BODY_MAX))
        return -ENOBUFS;
    plan_begin(&plan, from->pfns, from->types, from->n, rules);
    for (size_t i = 0; i < from->n; i++)
        plan_copying(&plan, i, from, rules, cache);
    pages_build(&plan, true, out->at, &built);
    must(built.count == 1 && sink_room(out, built.bytes, &room) == 0);
    pages_tally_add(tally, &built.tally);
    return 0;
}

int pages_put_plain(struct sink *out, const struct pages_source *from, struct pages_tally *tally)
{
    size_t content = count_content(from->types, from->n);
    size_t body_bytes = PLAIN_FIXED_BYTES + from->n * PLAIN_ENTRY_BYTES + content * PAGE_BYTES;
    uint8_t *at, *page;

    source_check(from->pfns, from->types, from->n);
    if (out->left < record_wire_bytes(PAGES_BODY_MAX))
        return -ENOBUFS;
    must(sink_room(out, record_wire_bytes(body_bytes), &at) == 0); /* a multiple of 8: no padding */
    store_u32(at, RECORD_PAGE_DATA);
    store_u32(at + 4, (uint32_t)body_bytes);
    at += RECORD_HEADER_BYTES;
    store_u32(at, (uint32_t)from->n);
    store_u32(at + 4, 0);
    at += PLAIN_FIXED_BYTES;
    page = at + from->n * PLAIN_ENTRY_BYTES;
    for (size_t i = 0; i < from->n; i++) {
        store_u64(at + i * PLAIN_ENTRY_BYTES,
                  (uint64_t)from->types[i] << PLAIN_TYPE_SHIFT | from->pfns[i]);
        if (!type_has_content(from->types[i]))
            continue;
        memcpy(page, from->pages + i * PAGE_BYTES, PAGE_BYTES);
        page += PAGE_BYTES;
    }
    tally->by_codec[CODEC_RAW] += content;
    tally->pages += from->n;
    tally->raw_bytes += content * PAGE_BYTES;
    tally->wire_bytes += record_wire_bytes(body_bytes);
    return 0;
}

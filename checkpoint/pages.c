/* pages — see pages.h. The encoder writes straight into the sink: payloads start behind the longest
 * index that n pages can have and move down once the real one is known. */
#include "checkpoint/pages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "checkpoint/guest.h"
#include "compress/lz4_block.h"

#define PLAIN_FIXED_BYTES  8u
#define PLAIN_ENTRY_BYTES  8u
#define ENTRY_INDEX_MAX    (VARINT_BYTES_MAX + 1u + 3u)
#define ENTRY_INDEX_LEAST  2u
#define PLAIN_TYPE_SHIFT   60
#define PLAIN_PFN_BITS     52
#define PLAIN_PFN_MASK     ((UINT64_C(1) << PLAIN_PFN_BITS) - 1)
#define CODEC_BITS         3

_Static_assert((uint64_t)CODEC_COUNT <= 1u << CODEC_BITS, "a codec's number fits its bits");
_Static_assert(CODEC_BATCH <= PAGECACHE_WAYS, "the cache's places stay good for a batch");
_Static_assert(PAGES_INDEX_MAX == PAGES_CHUNK_MAX * ENTRY_INDEX_MAX, "the index is entries only");
_Static_assert(GUEST_PAGES_MAX <= PLAIN_PFN_MASK, "every pfn fits a PAGE_DATA entry");
_Static_assert(PLAIN_FIXED_BYTES + PAGES_CHUNK_MAX * (PLAIN_ENTRY_BYTES + PAGE_BYTES) <= PAGES_BODY_MAX,
               "a plain chunk is no longer than an encoded one");

static bool type_is_valid(uint64_t type)
{
    return type <= 0x4 || (type >= 0x9 && type <= 0xf);
}

static bool type_has_content(uint64_t type)
{
    return type < PAGE_TYPE_BROKEN;
}

/* ---- encoding ------------------------------------------------------------------------------------ */

static void source_check(const struct pages_source *from)
{
    must(from->n >= 1 && from->n <= PAGES_CHUNK_MAX);
    for (size_t i = 0; i < from->n; i++) {
        must(type_is_valid(from->types[i]));
        must(from->pfns[i] < GUEST_PAGES_MAX);
        must(i == 0 || from->pfns[i] > from->pfns[i - 1]);
    }
}

static size_t count_content(const struct pages_source *from)
{
    size_t n = 0;

    for (size_t i = 0; i < from->n; i++)
        n += type_has_content(from->types[i]);
    return n;
}

/* What to encode page i from, and where the cache keeps it: a base is a version that the backup
 * verifiably holds. The cache's place is the page's from here on, as sent by this epoch. */
static struct codec_job job_of(const struct pages_source *from, size_t i,
                               const struct pages_rules *rules, struct pagecache *cache)
{
    struct codec_job job = { .page = from->pages + i * PAGE_BYTES };
    bool is_held = false;
    uint64_t sent_by = 0;

    if (!rules->use_cache)
        return job;
    if (from->types[i] != PAGE_TYPE_NORMAL) {
        pagecache_drop(cache, from->pfns[i]);
        return job;
    }
    job.keep = pagecache_renew(cache, from->pfns[i], rules->epoch, &is_held, &sent_by);
    if (job.keep && is_held && rules->committed != 0 && sent_by <= rules->committed)
        job.prior = job.keep;
    return job;
}

static void index_put(struct sink *index, uint64_t step, uint8_t type, size_t bytes,
                      const struct codec *codec)
{
    bool is_typed = type != PAGE_TYPE_NORMAL;
    int rc = sink_varint(index, step << 1 | is_typed);

    if (rc == 0 && is_typed)
        rc = sink_u8(index, type);
    if (rc == 0)
        rc = sink_varint(index, (uint64_t)bytes << CODEC_BITS | (uint64_t)codec->id);
    must(rc == 0);
}

/* The next pages from `first` on, encoded side by side, and what the index needs of each. Pages without
 * content are not encoded. Returns how many pages. */
static size_t encode_some(const struct pages_source *from, size_t first,
                          const struct pages_rules *rules, struct pagecache *cache,
                          struct sink *payloads, struct codec_job *ret)
{
    size_t n = from->n - first < CODEC_BATCH ? from->n - first : CODEC_BATCH, with_content = 0;
    struct codec_job jobs[CODEC_BATCH];
    uint8_t *at;

    for (size_t i = 0; i < n; i++) {
        ret[i] = job_of(from, first + i, rules, cache);
        ret[i].codec = codec_by_id(CODEC_RAW);
        if (type_has_content(from->types[first + i]))
            jobs[with_content++] = ret[i];
    }
    must(sink_room(payloads, codec_encode_batch(rules->allowed, jobs, with_content, payloads->at),
                   &at) == 0);
    with_content = 0;
    for (size_t i = 0; i < n; i++)
        if (type_has_content(from->types[first + i]))
            ret[i] = jobs[with_content++];
    return n;
}

/* Index and payloads of all pages, payloads at their provisional place; returns the digest. */
static uint64_t encode_all(const struct pages_source *from, const struct pages_rules *rules,
                           struct pagecache *cache, struct sink *index, struct sink *payloads,
                           struct pages_tally *tally)
{
    struct codec_job jobs[CODEC_BATCH];
    uint64_t next_pfn = 0;
    struct digest digest;

    digest_begin(&digest);
    for (size_t i = 0, first = 0, n = 0; i < from->n; i++) {
        const struct codec_job *job;

        if (i == first + n) {
            first = i;
            n = encode_some(from, first, rules, cache, payloads, jobs);
        }
        job = &jobs[i - first];
        index_put(index, from->pfns[i] - next_pfn, from->types[i], job->bytes, job->codec);
        next_pfn = from->pfns[i] + 1;
        if (!type_has_content(from->types[i]))
            continue;
        digest_add(&digest, job->page, PAGE_BYTES);
        tally->by_codec[job->codec->id]++;
    }
    return digest_value(&digest);
}

static void tally_record(struct pages_tally *tally, const struct pages_source *from, size_t body_bytes)
{
    tally->pages += from->n;
    tally->raw_bytes += count_content(from) * PAGE_BYTES;
    tally->wire_bytes += record_wire_bytes(body_bytes);
}

int pages_encode(struct sink *out, const struct pages_source *from, const struct pages_rules *rules,
                 struct pagecache *cache, struct pages_tally *tally)
{
    uint8_t *record, *body;
    size_t index_room = from->n * ENTRY_INDEX_MAX, index_bytes, payload_bytes, body_bytes;
    struct sink index, payloads;
    uint64_t digest;

    source_check(from);
    must((rules->batch & PAGES_PACKED) == 0);
    if (out->left < record_wire_bytes(PAGES_BODY_MAX))
        return -ENOBUFS;
    body = out->at + RECORD_HEADER_BYTES;
    index = (struct sink){ body + PAGES_FIXED_BYTES, index_room };
    payloads = (struct sink){ index.at + index_room, from->n * PAGE_BYTES };
    digest = encode_all(from, rules, cache, &index, &payloads, tally);
    index_bytes = index_room - index.left;
    payload_bytes = from->n * PAGE_BYTES - payloads.left;
    memmove(index.at, body + PAGES_FIXED_BYTES + index_room, payload_bytes);
    body_bytes = PAGES_FIXED_BYTES + index_bytes + payload_bytes;

    must(sink_room(out, record_wire_bytes(body_bytes), &record) == 0);
    store_u32(record, RECORD_PAGE_DATA_ENCODED);
    store_u32(record + 4, (uint32_t)body_bytes);
    store_u32(body, (uint32_t)from->n);
    store_u32(body + 4, rules->batch);
    store_u64(body + 8, digest);
    store_u32(body + 16, (uint32_t)index_bytes);
    store_u32(body + 20, (uint32_t)payload_bytes);
    memset(body + body_bytes, 0, record_padded(body_bytes) - body_bytes);
    tally_record(tally, from, body_bytes);
    return 0;
}

int pages_put_plain(struct sink *out, const struct pages_source *from, struct pages_tally *tally)
{
    size_t content = count_content(from);
    size_t body_bytes = PLAIN_FIXED_BYTES + from->n * PLAIN_ENTRY_BYTES + content * PAGE_BYTES;
    uint8_t *at, *page;

    source_check(from);
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
    tally_record(tally, from, body_bytes);
    return 0;
}

/* ---- decoding ------------------------------------------------------------------------------------ */

/* Where packed chunks of this thread are unpacked, from the first one on. A pointer, because a megabyte
 * of thread-local storage would be taken off every thread's stack. */
static _Thread_local uint8_t *unpacked;

/* Replaces the packed index and payloads in *body. The counts are from outside. */
static int unpack(struct view *body, uint32_t index_bytes, uint32_t payload_bytes, struct err *e)
{
    size_t bytes;

    if (index_bytes > PAGES_BODY_MAX || payload_bytes > PAGES_BODY_MAX - index_bytes)
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED: packed from %" PRIu32 " and %" PRIu32 " octets",
                       index_bytes, payload_bytes);
    bytes = (size_t)index_bytes + payload_bytes;
    if (body->left >= bytes)
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED: packed, but no shorter");
    if (!unpacked && !(unpacked = malloc(PAGES_BODY_MAX)))
        return err_set(e, ENOMEM, "no memory to unpack a chunk of pages");
    if (!lz4_block_unpack(body->at, body->left, unpacked, bytes))
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED: %zu octets do not unpack to %zu", body->left, bytes);
    *body = (struct view){ unpacked, bytes };
    return 0;
}

static int open_encoded(struct pages_reader *r, struct view body, struct err *e)
{
    const uint8_t *fixed, *index;
    uint32_t index_bytes, payload_bytes;
    int rc;

    if (view_take(&body, PAGES_FIXED_BYTES, &fixed) < 0)
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED is shorter than its fixed part");
    r->count = load_u32(fixed);
    r->batch = load_u32(fixed + 4) & ~PAGES_PACKED;
    r->is_packed = (load_u32(fixed + 4) & PAGES_PACKED) != 0;
    r->digest = load_u64(fixed + 8);
    r->has_digest = true;
    index_bytes = load_u32(fixed + 16);
    payload_bytes = load_u32(fixed + 20);
    if (r->count == 0 || r->count > PAGES_CHUNK_MAX)
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED of %" PRIu32 " pages", r->count);
    if (r->is_packed && (rc = unpack(&body, index_bytes, payload_bytes, e)) < 0)
        return rc;
    if (index_bytes < r->count * ENTRY_INDEX_LEAST || index_bytes > r->count * ENTRY_INDEX_MAX ||
        view_take(&body, index_bytes, &index) < 0)
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED of %" PRIu32 " pages: index of %" PRIu32 " octets",
                       r->count, index_bytes);
    if (payload_bytes != body.left)
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED: %" PRIu32 " octets of payload said, %zu there",
                       payload_bytes, body.left);
    r->index = (struct view){ index, index_bytes };
    r->payloads = body;
    return 0;
}

/* Entries of PAGE_DATA are all looked at here, because only they say how long the record must be. */
static int open_plain(struct pages_reader *r, struct view body, struct err *e)
{
    const uint8_t *fixed, *entries;
    uint64_t content = 0;

    if (view_take(&body, PLAIN_FIXED_BYTES, &fixed) < 0)
        return err_set(e, EPROTO, "PAGE_DATA is shorter than its fixed part");
    r->count = load_u32(fixed);
    if (load_u32(fixed + 4) != 0)
        return err_set(e, EPROTO, "PAGE_DATA: the reserved field is not zero");
    if (r->count == 0 || r->count > body.left / PLAIN_ENTRY_BYTES ||
        view_take(&body, (size_t)r->count * PLAIN_ENTRY_BYTES, &entries) < 0)
        return err_set(e, EPROTO, "PAGE_DATA of %" PRIu32 " pages in %zu octets", r->count, body.left);
    for (size_t i = 0; i < r->count; i++)
        content += type_has_content(load_u64(entries + i * PLAIN_ENTRY_BYTES) >> PLAIN_TYPE_SHIFT);
    if (content * PAGE_BYTES != body.left)
        return err_set(e, EPROTO, "PAGE_DATA: %" PRIu64 " pages of content said, %zu octets there",
                       content, body.left);
    r->index = (struct view){ entries, (size_t)r->count * PLAIN_ENTRY_BYTES };
    r->payloads = body;
    return 0;
}

int pages_open(struct pages_reader *r, const struct record *from, uint64_t pages_limit, struct err *e)
{
    struct view body = { from->body, from->bytes };
    int rc;

    *r = (struct pages_reader){ .pages_limit = pages_limit };
    if (from->type == RECORD_PAGE_DATA_ENCODED)
        rc = open_encoded(r, body, e);
    else if (from->type == RECORD_PAGE_DATA)
        rc = open_plain(r, body, e);
    else
        rc = err_set(e, EPROTO, "record type 0x%" PRIx32 " carries no pages", from->type);
    if (rc == 0)
        r->left = r->count;
    return rc;
}

static int next_encoded(struct pages_reader *r, struct pages_entry *got, struct err *e)
{
    uint64_t step, coded;
    uint8_t type = PAGE_TYPE_NORMAL;

    if (view_varint(&r->index, &step) < 0)
        return err_set(e, EPROTO, "index: bad pfn step");
    if ((step & 1) && (view_u8(&r->index, &type) < 0 || type == PAGE_TYPE_NORMAL))
        return err_set(e, EPROTO, "index: bad type");
    if (view_varint(&r->index, &coded) < 0)
        return err_set(e, EPROTO, "index: bad length");
    step >>= 1;
    if (r->next_pfn >= r->pages_limit || step >= r->pages_limit - r->next_pfn)
        return err_set(e, EPROTO, "pfn beyond the guest's %" PRIu64 " pages", r->pages_limit);
    got->pfn = r->next_pfn + step;
    got->type = type;
    got->has_content = type_has_content(type);
    got->codec = codec_by_id(coded & ((1u << CODEC_BITS) - 1));
    if (!got->codec)
        return err_set(e, EPROTO, "pfn 0x%" PRIx64 ": unknown codec", got->pfn);
    coded >>= CODEC_BITS;
    if (coded > (got->has_content ? got->codec->bytes_max : 0) ||
        (!got->has_content && got->codec->id != CODEC_RAW))
        return err_set(e, EPROTO, "pfn 0x%" PRIx64 ": %" PRIu64 " octets of %s for type 0x%x", got->pfn,
                       coded, got->codec->name, type);
    got->bytes = (size_t)coded;
    return 0;
}

static int next_plain(struct pages_reader *r, struct pages_entry *got, struct err *e)
{
    uint64_t entry;

    must(view_u64(&r->index, &entry) == 0); /* counted by open_plain */
    got->pfn = entry & PLAIN_PFN_MASK;
    got->type = (uint8_t)(entry >> PLAIN_TYPE_SHIFT);
    got->has_content = type_has_content(got->type);
    got->codec = codec_by_id(CODEC_RAW);
    got->bytes = got->has_content ? PAGE_BYTES : 0;
    if (entry != ((uint64_t)got->type << PLAIN_TYPE_SHIFT | got->pfn))
        return err_set(e, EPROTO, "PAGE_DATA: reserved bits in entry 0x%" PRIx64, entry);
    if (got->pfn >= r->pages_limit)
        return err_set(e, EPROTO, "pfn beyond the guest's %" PRIu64 " pages", r->pages_limit);
    return 0;
}

int pages_next(struct pages_reader *r, struct pages_entry *ret, struct err *e)
{
    struct pages_entry got = { 0 };
    int rc;

    if (r->left == 0) {
        if (r->index.left > 0 || r->payloads.left > 0)
            return err_set(e, EPROTO, "%zu octets of index and %zu of payload left over", r->index.left,
                           r->payloads.left);
        return 0;
    }
    if ((rc = r->has_digest ? next_encoded(r, &got, e) : next_plain(r, &got, e)) < 0)
        return rc;
    if (!type_is_valid(got.type))
        return err_set(e, EPROTO, "pfn 0x%" PRIx64 ": type 0x%x does not exist", got.pfn, got.type);
    if (view_take(&r->payloads, got.bytes, &got.payload) < 0)
        return err_set(e, EPROTO, "pfn 0x%" PRIx64 ": %zu octets of payload, %zu left", got.pfn,
                       got.bytes, r->payloads.left);
    r->next_pfn = got.pfn + 1;
    r->left--;
    *ret = got;
    return 1;
}

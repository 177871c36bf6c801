/* pages_reader — chunks of pages from outside: every count and length is checked before it is used. */
#include "checkpoint/pages_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "compress/lz4_block.h"

/* Where packed chunks of this thread are unpacked, from the first one on. A pointer, because a megabyte
 * of thread-local storage would be taken off every thread's stack. */
static _Thread_local uint8_t *unpacked;

/* Replaces the packed index and payloads in *body. The counts are from outside. */
static int unpack(struct view *body, uint32_t index_bytes, uint32_t payload_bytes, uint8_t *room,
                  struct err *e)
{
    size_t bytes;

    if (index_bytes > PAGES_BODY_MAX || payload_bytes > PAGES_BODY_MAX - index_bytes)
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED: packed from %" PRIu32 " and %" PRIu32 " octets",
                       index_bytes, payload_bytes);
    bytes = (size_t)index_bytes + payload_bytes;
    if (body->left >= bytes)
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED: packed, but no shorter");
    if (!room && !unpacked && !(unpacked = malloc(PAGES_BODY_MAX)))
        return err_set(e, ENOMEM, "no memory to unpack a chunk of pages");
    room = room ? room : unpacked;
    if (!lz4_block_unpack(body->at, body->left, room, bytes))
        return err_set(e, EPROTO, "PAGE_DATA_ENCODED: %zu octets do not unpack to %zu", body->left, bytes);
    *body = (struct view){ room, bytes };
    return 0;
}

static int open_encoded(struct pages_reader *r, struct view body, uint8_t *room, struct err *e)
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
    if (r->is_packed && (rc = unpack(&body, index_bytes, payload_bytes, room, e)) < 0)
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
    return pages_open_in(r, from, pages_limit, NULL, e);
}

int pages_open_in(struct pages_reader *r, const struct record *from, uint64_t pages_limit, uint8_t *room,
                  struct err *e)
{
    struct view body = { from->body, from->bytes };
    int rc;

    *r = (struct pages_reader){ .pages_limit = pages_limit };
    if (from->type == RECORD_PAGE_DATA_ENCODED)
        rc = open_encoded(r, body, room, e);
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
    if (got->has_content && got->codec->id == CODEC_RAW) {
        if (coded != 0)
            return err_set(e, EPROTO, "pfn 0x%" PRIx64 ": a raw page with a length", got->pfn);
        got->bytes = PAGE_BYTES;
        return 0;
    }
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

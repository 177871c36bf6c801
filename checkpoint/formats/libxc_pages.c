/* libxc_pages — PAGE_DATA and our PAGE_DATA_ENCODED, as they come: a record of any length in the memory
 * of its entries. Lengths are compared in 64 bits, and before anything is taken by them. */
#include "checkpoint/formats/libxc_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/guest.h"
#include "checkpoint/pages.h"

#define TYPE_SHIFT    60
#define PFN_MASK      ((UINT64_C(1) << 52) - 1)
#define RESERVED_MASK (UINT64_C(0xff) << 52)
#define SLICE_ENTRIES 4096u

static bool has_content(uint8_t type)
{
    return type < PAGE_TYPE_BROKEN;
}

static int may_carry_pages(struct libxc *l, struct err *e)
{
    if (!l->now.has_static_end && l->r->facts.version >= 3)
        return libxc_refuse(l, e, "memory before STATIC_DATA_END");
    l->now.has_static_end = true; /* version 2 has none: it is here */
    return 0;
}

static int pfn_check(struct libxc *l, uint64_t pfn, uint8_t type, struct err *e)
{
    if (l->r->facts.guest == STREAM_GUEST_PV) {
        if (!l->now.has_p2m || pfn > l->now.end_pfn)
            return libxc_refuse(l, e, "pfn 0x%" PRIx64 " above the largest of X86_PV_P2M_FRAMES", pfn);
    } else if (type == PAGE_TYPE_BROKEN || type == PAGE_TYPE_XTAB) {
        return 0;
    }
    if (!reading_pfn_fits(l->r, pfn))
        return libxc_refuse(l, e, "pfn 0x%" PRIx64 " is beyond the memory of any guest read here", pfn);
    return 0;
}

/* One entry: checked, and told at once when no content follows for it. */
static int entry_take(struct libxc *l, uint64_t entry, uint32_t *contents, struct err *e)
{
    struct stream_page page = { .pfn = entry & PFN_MASK, .type = (uint8_t)(entry >> TYPE_SHIFT),
                                .offset = PAGE_COMPUTED, .is_compared = l->now.is_verify };
    int rc;

    if (page.type >= 0x5 && page.type <= 0x8)
        return libxc_refuse(l, e, "pfn 0x%" PRIx64 " has the reserved type 0x%x", page.pfn, page.type);
    if (l->r->wishes.strict && (entry & RESERVED_MASK))
        return libxc_refuse(l, e, "reserved bits in entry 0x%016" PRIx64, entry);
    if ((rc = pfn_check(l, page.pfn, page.type, e)) < 0)
        return rc;
    if (!has_content(page.type))
        return reading_page(l->r, &page, e);
    if (*contents == l->entries_room)
        return libxc_refuse(l, e, "more pages of content are announced than a record can hold");
    l->entries[(*contents)++] = entry;
    return 0;
}

/* Room for as many entries as contents can follow: the record's length bounds it. */
static int entries_room(struct libxc *l, struct err *e)
{
    size_t room = (size_t)(l->left / (PAGE_BYTES + 8)) + 1;
    uint64_t *grown;

    if (room <= l->entries_room)
        return 0;
    grown = realloc(l->entries, room * sizeof(*grown));
    if (!grown)
        return err_set(e, ENOMEM, "PAGE_DATA: %m");
    l->entries = grown;
    l->entries_room = room;
    return 0;
}

static int entries_take(struct libxc *l, uint32_t count, uint32_t *contents, struct err *e)
{
    while (count > 0) {
        uint32_t n = count < SLICE_ENTRIES ? count : SLICE_ENTRIES;
        const uint8_t *at;
        int rc = libxc_body(l, (size_t)n * 8, &at, e);

        for (uint32_t i = 0; rc == 0 && i < n; i++)
            rc = entry_take(l, load_u64(at + (size_t)i * 8), contents, e);
        if (rc < 0)
            return rc;
        count -= n;
    }
    return 0;
}

static int contents_take(struct libxc *l, uint32_t contents, struct err *e)
{
    static const uint8_t unread[PAGE_BYTES];
    uint64_t offset = reading_offset(l->r), bytes = (uint64_t)contents * PAGE_BYTES;
    bool is_unread = bytes > 0 && reading_pass(l->r, bytes);

    if (is_unread)
        l->left -= bytes;
    for (uint32_t i = 0; i < contents; i++) {
        struct stream_page page = { .pfn = l->entries[i] & PFN_MASK,
                                    .type = (uint8_t)(l->entries[i] >> TYPE_SHIFT),
                                    .content = unread, .offset = offset + (uint64_t)i * PAGE_BYTES,
                                    .is_compared = l->now.is_verify };
        int rc = is_unread ? 0 : libxc_body(l, PAGE_BYTES, &page.content, e);

        if (rc < 0 || (rc = reading_page(l->r, &page, e)) < 0)
            return rc;
    }
    return 0;
}

int libxc_page_data(struct libxc *l, struct err *e)
{
    const uint8_t *fixed;
    uint32_t count, contents = 0;
    int rc = may_carry_pages(l, e);

    if (rc < 0 || (rc = libxc_body(l, 8, &fixed, e)) < 0)
        return rc;
    count = load_u32(fixed);
    if ((rc = libxc_reserved(l, fixed + 4, 4, "PAGE_DATA's reserved field", e)) < 0)
        return rc;
    if (count == 0)
        return libxc_refuse(l, e, "count 0, not 1 or more");
    if ((uint64_t)count * 8 > l->left)
        return libxc_refuse(l, e, "%" PRIu32 " pfns do not fit a body of %" PRIu32 " octets", count,
                            l->length);
    if ((rc = entries_room(l, e)) < 0 || (rc = entries_take(l, count, &contents, e)) < 0)
        return rc;
    if (l->left != (uint64_t)contents * PAGE_BYTES)
        return libxc_refuse(l, e, "%" PRIu32 " pages of content are announced, %" PRIu64
                            " octets of content are there", contents, l->left);
    return contents_take(l, contents, e);
}

/* ---- our own encoding ---------------------------------------------------------------------------- */

/* An entry's content at `to`, or where the record has it. *ret_is_known: deltas had their base. */
static int decode(struct libxc *l, const struct pages_entry *entry, uint8_t *to, const uint8_t **ret,
                  bool *ret_is_known, struct err *e)
{
    int rc;

    *ret = to;
    if (entry->codec->id == CODEC_RAW && entry->bytes == PAGE_BYTES) {
        *ret = entry->payload;
        return 0;
    }
    if (entry->codec->needs_prior && (rc = reading_recall(l->r, entry->pfn, to, e)) < 0) {
        if (rc != -EOPNOTSUPP)
            return rc;
        *ret_is_known = false;
        memset(to, 0, PAGE_BYTES);
    }
    if (entry->codec->decode(entry->payload, entry->bytes, to) < 0)
        return libxc_refuse(l, e, "pfn 0x%" PRIx64 ": %zu octets are no page encoded as %s", entry->pfn,
                            entry->bytes, entry->codec->name);
    return 0;
}

struct decoded {
    uint32_t n;
    struct stream_page pages[PAGES_CHUNK_MAX];
};

/* Nothing of a chunk is told before its digest was right. */
static int chunk_decode(struct libxc *l, struct pages_reader *chunk, const uint8_t *body,
                        uint64_t body_offset, struct decoded *to, struct err *e)
{
    struct pages_entry entry;
    struct digest digest;
    bool is_known = true;
    int rc;

    digest_begin(&digest);
    while ((rc = pages_next(chunk, &entry, e)) > 0) {
        struct stream_page *page = &to->pages[to->n];

        *page = (struct stream_page){ .pfn = entry.pfn, .type = entry.type, .offset = PAGE_COMPUTED,
                                      .is_compared = l->now.is_verify };
        if ((rc = pfn_check(l, entry.pfn, entry.type, e)) < 0)
            return rc;
        if (entry.has_content) {
            rc = decode(l, &entry, l->chunk + (size_t)to->n * PAGE_BYTES, &page->content, &is_known, e);
            if (rc < 0)
                return rc;
            if (page->content == entry.payload && !chunk->is_packed)
                page->offset = body_offset + (uint64_t)(entry.payload - body);
            digest_add(&digest, page->content, PAGE_BYTES);
        }
        to->n++;
    }
    if (rc < 0)
        return libxc_refuse(l, e, "%.150s", e->text);
    if (is_known && !l->r->is_held && digest_value(&digest) != chunk->digest)
        return libxc_refuse(l, e, "the digest of the pages is 0x%016" PRIx64 ", said to be 0x%016" PRIx64,
                            digest_value(&digest), chunk->digest);
    return 0;
}

int libxc_page_data_encoded(struct libxc *l, struct err *e)
{
    struct record record = { .type = l->type, .bytes = l->length };
    uint64_t offset = reading_offset(l->r);
    struct pages_reader chunk;
    struct decoded got = { .n = 0 };
    struct err inner;
    int rc = may_carry_pages(l, e);

    if (rc < 0)
        return rc;
    if (!l->chunk && !(l->chunk = malloc((size_t)PAGES_CHUNK_MAX * PAGE_BYTES)))
        return err_set(e, ENOMEM, "PAGE_DATA_ENCODED: %m");
    if (l->length > PAGES_BODY_MAX)
        return libxc_refuse(l, e, "length %" PRIu32 ", not %u at most", l->length, PAGES_BODY_MAX);
    if ((rc = libxc_body(l, l->length, &record.body, e)) < 0)
        return rc;
    if (pages_open(&chunk, &record, GUEST_PAGES_MAX, &inner) < 0)
        return libxc_refuse(l, e, "%.150s", inner.text);
    if ((rc = chunk_decode(l, &chunk, record.body, offset, &got, e)) < 0)
        return rc;
    for (uint32_t i = 0; rc == 0 && i < got.n; i++)
        rc = reading_page(l->r, &got.pages[i], e);
    return rc;
}

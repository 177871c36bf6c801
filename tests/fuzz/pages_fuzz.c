/* pages_fuzz — any octets as the body of a chunk of pages, and as the pages of one.
 * First octet: bit 0 selects the record type; bit 1 takes the rest as pages to encode, which must
 * come back; the guest's size follows from the other bits. */
#include "checkpoint/pages.h"

#include <string.h>

#include "base/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

#define PAGES_HERE 8u

static uint8_t made[RECORD_HEADER_BYTES + PAGES_BODY_MAX + 8];

/* Reads a chunk to its end and decodes every page into one that holds `prior`. */
static int read_chunk(const struct record *from, uint64_t limit, const uint8_t *prior, uint64_t *ret_digest)
{
    struct pages_reader r;
    struct pages_entry entry;
    struct digest digest;
    struct err e = { 0 };
    uint8_t page[PAGE_BYTES];
    uint32_t seen = 0;
    int rc = pages_open(&r, from, limit, &e);

    digest_begin(&digest);
    while (rc >= 0 && (rc = pages_next(&r, &entry, &e)) == 1) {
        seen++;
        must(entry.pfn < limit && entry.bytes <= entry.codec->bytes_max);
        must(entry.payload >= from->body && entry.bytes <= from->bytes);
        must(entry.payload + entry.bytes <= from->body + from->bytes);
        memcpy(page, prior, PAGE_BYTES);
        if (entry.has_content && entry.codec->decode(entry.payload, entry.bytes, page) == 0)
            digest_add(&digest, page, PAGE_BYTES);
    }
    must(rc == 0 ? seen == r.count : e.code != 0 && e.text[0] != '\0');
    *ret_digest = digest_value(&digest);
    return rc;
}

/* Octets as up to eight pages (the last one short), encoded over a cache that holds the first. */
static void encode_and_read_back(const uint8_t *octets, size_t bytes, uint8_t choice)
{
    static struct pagecache *cache;
    static uint8_t pages[PAGES_HERE * PAGE_BYTES];
    uint64_t pfns[PAGES_HERE], digest;
    uint8_t types[PAGES_HERE] = { 0 };
    struct pages_source from = { pages, pfns, types, 1 + bytes / PAGE_BYTES };
    struct pages_rules rules = { { .delta = (choice & 4) != 0, .lz4 = (choice & 8) != 0 }, 2, 1, 0, true };
    struct pages_tally tally = { 0 };
    struct sink out = { made, sizeof(made) };
    struct view in;
    struct record record;
    struct err e;

    if (from.n > PAGES_HERE)
        return;
    if (!cache)
        must(pagecache_open(&cache, 64 * (PAGE_BYTES + 64), &e) == 0);
    memset(pages, 0, sizeof(pages));
    memcpy(pages, octets, bytes);
    for (size_t i = 0; i < from.n; i++) {
        pfns[i] = i * 3;
        pagecache_put(cache, pfns[i], 1, pages);
    }
    must(pages_encode(&out, &from, &rules, cache, &tally) == 0);
    in = (struct view){ made, sizeof(made) - out.left };
    must(record_take(&in, PAGES_BODY_MAX, &record, &e) == 1 && in.left == 0);
    must(read_chunk(&record, pfns[from.n - 1] + 1, pages, &digest) == 0);
    must(digest == load_u64(record.body + 8));
    must(digest == digest_of(pages, from.n * PAGE_BYTES));
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    static const uint8_t zeros[PAGE_BYTES];
    struct record record;
    uint64_t digest;
    uint8_t choice;

    if (bytes == 0)
        return 0;
    choice = *octets++;
    bytes--;
    if (choice & 2) {
        encode_and_read_back(octets, bytes, choice);
        return 0;
    }
    record = (struct record){ choice & 1 ? RECORD_PAGE_DATA : RECORD_PAGE_DATA_ENCODED,
                              (uint32_t)bytes, octets };
    read_chunk(&record, UINT64_C(1) << (choice >> 2), zeros, &digest);
    return 0;
}

/* legacy_pages — the pages of a legacy stream: batches with their content behind them (format A), or
 * entries here and compressed octets there (format B), put together in the order of the entries.
 * Holds 4 octets an entry that waits, and at most LEGACY_AHEAD_MAX octets that came before theirs. */
#include "checkpoint/formats/legacy_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "checkpoint/guest.h"
#include "compress/codec.h"
#include "compress/xor_rle.h"

#define LEGACY_AHEAD_MAX (16u << 20)
#define SLICE_BYTES      (64u << 10)
#define TYPE_SHIFT       28
#define PFN_MASK         0x0fffffffu
#define NOTHING          0xf0000000u /* XTAB as savers write it: names no page, not even page 0 */

static uint8_t entry_type(uint32_t entry)
{
    return (uint8_t)(entry >> TYPE_SHIFT);
}

static bool has_content(uint32_t entry)
{
    return entry_type(entry) < PAGE_TYPE_BROKEN;
}

/* An entry's word as 32 bits; what does not fit is no entry. */
static int entry_check(struct legacy *l, uint64_t word, uint32_t *ret, struct err *e)
{
    uint8_t type;

    if (word > UINT32_MAX)
        return legacy_refuse(l, e, "entry 0x%" PRIx64 " has more than 32 bits", word);
    *ret = (uint32_t)word;
    type = entry_type(*ret);
    if (word == NOTHING)
        return 0;
    if (type >= 0x5 && type <= 0x8)
        return legacy_refuse(l, e, "pfn 0x%x has the reserved type 0x%x", *ret & PFN_MASK, type);
    if ((*ret & PFN_MASK) >= l->r->facts.pages)
        return legacy_refuse(l, e, "pfn 0x%x, but the guest has 0x%" PRIx64 " pages", *ret & PFN_MASK,
                             l->r->facts.pages);
    return 0;
}

/* An entry without content. A restore allocates memory for BROKEN, too, before it marks it. */
static int entry_tell(struct legacy *l, uint32_t entry, struct err *e)
{
    struct stream_page page = { .pfn = entry & PFN_MASK, .type = entry_type(entry),
                                .offset = PAGE_COMPUTED, .is_compared = l->is_verify };
    int rc = 0;

    if (entry == NOTHING)
        return 0;
    if (page.type == PAGE_TYPE_BROKEN) {
        page.type = PAGE_TYPE_XALLOC;
        rc = reading_page(l->r, &page, e);
        page.type = PAGE_TYPE_BROKEN;
    }
    return rc < 0 ? rc : reading_page(l->r, &page, e);
}

/* ---- format A ------------------------------------------------------------------------------------ */

static int contents_take(struct legacy *l, const uint32_t *entries, uint32_t n, struct err *e)
{
    static const uint8_t unread[PAGE_BYTES];
    uint64_t offset = reading_offset(l->r);
    bool is_unread = n > 0 && reading_pass(l->r, (uint64_t)n * PAGE_BYTES);

    for (uint32_t i = 0; i < n; i++) {
        struct stream_page page = { .pfn = entries[i] & PFN_MASK, .type = entry_type(entries[i]),
                                    .content = unread, .offset = offset + (uint64_t)i * PAGE_BYTES,
                                    .is_compared = l->is_verify };
        int rc = is_unread ? 0 : reading_take(l->r, PAGE_BYTES, &page.content, e);

        if (rc < 0 || (rc = reading_page(l->r, &page, e)) < 0)
            return rc;
    }
    return 0;
}

/* ---- format B ------------------------------------------------------------------------------------ */

void legacy_backlog_free(struct legacy_backlog *b)
{
    free(b->entries);
    free(b->octets);
    *b = (struct legacy_backlog){ 0 };
}

/* Room for n more behind what is kept; what was used is let go of first. */
static int make_room(void **at, size_t *used, size_t *held, size_t *room, size_t n, size_t each,
                     struct err *e)
{
    size_t want;
    void *grown;

    if (*used > 0 && (*used == *held || n > *room - *held)) {
        memmove(*at, (uint8_t *)*at + *used * each, (*held - *used) * each);
        *held -= *used;
        *used = 0;
    }
    if (n <= *room - *held)
        return 0;
    want = *held + n > 2 * *room ? *held + n : 2 * *room;
    grown = realloc(*at, want * each);
    if (!grown)
        return err_set(e, ENOMEM, "legacy reader: %m");
    *at = grown;
    *room = want;
    return 0;
}

static int entries_keep(struct legacy *l, const uint32_t *entries, uint32_t n, struct err *e)
{
    struct legacy_backlog *b = &l->backlog;
    void *at = b->entries;
    int rc;

    if (b->entries_n - b->entry + n > l->r->facts.pages + LEGACY_BATCH_MAX)
        return legacy_refuse(l, e, "more entries wait for their pages than the guest has pages");
    rc = make_room(&at, &b->entry, &b->entries_n, &b->entries_room, n, sizeof(*b->entries), e);
    b->entries = at;
    if (rc < 0)
        return rc;
    if (n > 0)
        memcpy(b->entries + b->entries_n, entries, n * sizeof(*entries));
    b->entries_n += n;
    return 0;
}

static int octets_keep(struct legacy *l, const uint8_t *octets, size_t n, struct err *e)
{
    struct legacy_backlog *b = &l->backlog;
    void *at = b->octets;
    int rc;

    if (b->octets_n - b->octet + n > LEGACY_AHEAD_MAX)
        return legacy_refuse(l, e, "compressed pages run ahead of their entries by more than %u octets",
                             LEGACY_AHEAD_MAX);
    rc = make_room(&at, &b->octet, &b->octets_n, &b->octets_room, n, 1, e);
    b->octets = at;
    if (rc < 0)
        return rc;
    memcpy(b->octets + b->octets_n, octets, n);
    b->octets_n += n;
    return 0;
}

/* The next page of the backlog. 1: told; 0: more octets are needed. */
static int page_make(struct legacy *l, struct view *in, struct err *e)
{
    uint32_t entry = l->backlog.entries[l->backlog.entry];
    uint8_t made[PAGE_BYTES];
    struct stream_page page = { .pfn = entry & PFN_MASK, .type = entry_type(entry), .content = made,
                                .offset = PAGE_COMPUTED, .is_compared = l->is_verify };
    struct view ahead = *in;
    int rc = xor_rle_skip(&ahead);

    if (rc == -EAGAIN)
        return 0;
    if (rc < 0)
        return legacy_refuse(l, e, "the compressed page of pfn 0x%" PRIx64 " has a run of no words or is "
                             "longer than a page", page.pfn);
    if ((rc = reading_recall(l->r, page.pfn, made, e)) < 0) {
        if (rc != -EOPNOTSUPP)
            return rc;
        memset(made, 0, sizeof(made)); /* a consumer that keeps no pages does not look at them */
    }
    must(xor_rle_take(in, made) == 0);
    rc = reading_page(l->r, &page, e);
    return rc < 0 ? rc : 1;
}

/* Makes pages as long as there is an entry and enough octets. */
static int backlog_drain(struct legacy *l, struct err *e)
{
    struct legacy_backlog *b = &l->backlog;
    int rc = 1;

    while (rc > 0 && b->entry < b->entries_n && b->octet < b->octets_n) {
        struct view in = { b->octets + b->octet, b->octets_n - b->octet };

        if ((rc = page_make(l, &in, e)) > 0) {
            b->entry++;
            b->octet = b->octets_n - in.left;
        }
    }
    return rc < 0 ? rc : 0;
}

int legacy_compressed(struct legacy *l, struct err *e)
{
    const uint8_t *at;
    uint64_t left;
    int rc = legacy_ulong(l, &left, e);

    if (rc < 0)
        return rc;
    if (!l->is_compressed)
        return legacy_refuse(l, e, "compressed pages in a body that is not compressed");
    while (left > 0) {
        size_t n = left < SLICE_BYTES ? (size_t)left : SLICE_BYTES;

        if ((rc = reading_take(l->r, n, &at, e)) < 0)
            return rc;
        left -= n;
        if (l->r->is_held)
            continue;
        if ((rc = octets_keep(l, at, n, e)) == 0)
            rc = backlog_drain(l, e);
        if ((rc = legacy_doubt(l, rc)) < 0)
            return rc;
    }
    return 0;
}

/* ---- both ---------------------------------------------------------------------------------------- */

int legacy_batch(struct legacy *l, uint32_t count, struct err *e)
{
    uint32_t contents[LEGACY_BATCH_MAX], n = 0;
    const uint8_t *words;
    int rc;

    if (count > LEGACY_BATCH_MAX)
        return legacy_refuse(l, e, "a batch of %" PRIu32 " pages, %u at most", count, LEGACY_BATCH_MAX);
    if ((rc = reading_take(l->r, (size_t)count * l->width, &words, e)) < 0)
        return rc;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t entry = 0;

        if ((rc = legacy_doubt(l, entry_check(l, legacy_word(l, words, i), &entry, e))) < 0)
            return rc;
        if (has_content(entry))
            contents[n++] = entry;
        else if ((rc = entry_tell(l, entry, e)) < 0)
            return rc;
    }
    if (!l->is_compressed)
        return contents_take(l, contents, n, e);
    if (l->r->is_held)
        return 0;
    if ((rc = entries_keep(l, contents, n, e)) == 0)
        rc = backlog_drain(l, e);
    return legacy_doubt(l, rc);
}

/* Octets that are left over are ignored, as Xen does; entries that are left over are not. */
int legacy_body_end(struct legacy *l, struct err *e)
{
    struct legacy_backlog *b = &l->backlog;
    size_t missing = l->r->is_held ? 0 : b->entries_n - b->entry;
    uint32_t pfn = missing ? b->entries[b->entry] & PFN_MASK : 0;

    b->entry = b->entries_n = b->octet = b->octets_n = 0;
    if (missing == 0)
        return 0;
    return legacy_doubt(l, legacy_refuse(l, e, "%zu pages have no compressed content at the end of the "
                                         "body, the first is pfn 0x%x", missing, pfn));
}

/* writer_pages — the writer's batches: 1024 pages of PAGE_DATA at most, or chunks of PAGE_DATA_ENCODED
 * whose pfns ascend. */
#include "checkpoint/formats/writer_inside.h"

#include <errno.h>
#include <string.h>

#include "checkpoint/guest.h"

#define TYPE_SHIFT 60

static bool has_content(uint8_t type)
{
    return type < PAGE_TYPE_BROKEN;
}

/* Where page i stands in the output, for recall. Entries that only compare change nothing. */
static int remember(struct stream_writer *w, size_t i, uint64_t offset, struct err *e)
{
    struct page_note note;

    if (w->is_compared[i])
        return 0;
    note = pagetable_get(w->facts.table, w->pfns[i]);
    note.place = PAGE_IN_SPOOL;
    note.offset = offset;
    return pagetable_set(w->facts.table, w->pfns[i], note, e);
}

/* The contents of a batch, a run of them that lie side by side at once: it need not be copied again. */
static int contents_put(struct stream_writer *w, struct err *e)
{
    int rc = 0;

    for (size_t i = 0, end; rc == 0 && i < w->n; i = end + 1) {
        for (end = i; rc == 0 && end < w->n && has_content(w->types[end]); end++)
            rc = remember(w, end, w->out->offset + (end - i) * PAGE_BYTES, e);
        if (rc == 0)
            rc = stream_output_put(w->out, w->pages + i * PAGE_BYTES, (end - i) * PAGE_BYTES, e);
    }
    return rc;
}

int writer_recall(struct stream_writer *w, uint64_t pfn, uint8_t *page, struct err *e)
{
    struct page_note note;

    for (size_t i = w->n; i-- > 0;)
        if (w->pfns[i] == pfn && has_content(w->types[i]) && !w->is_compared[i]) {
            memcpy(page, w->pages + i * PAGE_BYTES, PAGE_BYTES);
            return 0;
        }
    note = pagetable_get(w->facts.table, pfn);
    if (note.place == PAGE_IN_SPOOL)
        return stream_output_get(w->out, note.offset, page, PAGE_BYTES, e);
    memset(page, 0, PAGE_BYTES);
    return 0;
}

static int flush_plain(struct stream_writer *w, struct err *e)
{
    size_t contents = 0;
    uint8_t fixed[8];
    int rc;

    for (size_t i = 0; i < w->n; i++)
        contents += has_content(w->types[i]);
    store_u32(fixed, (uint32_t)w->n);
    store_u32(fixed + 4, 0);
    rc = writer_record_open(w, RECORD_PAGE_DATA, 8 + w->n * 8 + contents * PAGE_BYTES, e);
    if (rc == 0)
        rc = stream_output_put(w->out, fixed, sizeof(fixed), e);
    for (size_t i = 0; rc == 0 && i < w->n; i++) {
        uint8_t entry[8];

        store_u64(entry, (uint64_t)w->types[i] << TYPE_SHIFT | w->pfns[i]);
        rc = stream_output_put(w->out, entry, sizeof(entry), e);
    }
    return rc < 0 ? rc : contents_put(w, e);
}

static int flush_encoded(struct stream_writer *w, struct err *e)
{
    struct pages_source from = { .pages = w->pages, .pfns = w->pfns, .types = w->types, .n = w->n };
    struct pages_rules rules = { .allowed = w->wishes.codecs, .epoch = w->checkpoints + 1,
                                 .committed = w->checkpoints, .use_cache = w->wishes.codecs.delta };
    struct sink to = { w->chunk, record_wire_bytes(PAGES_BODY_MAX) };
    struct pages_tally tally = { 0 };

    must(pages_encode(&to, &from, &rules, w->cache, &tally) == 0);
    return stream_output_put(w->out, w->chunk, (size_t)(to.at - w->chunk), e);
}

int writer_pages_flush(struct stream_writer *w, struct err *e)
{
    int rc;

    if (w->n == 0)
        return 0;
    rc = w->wishes.is_packed ? flush_encoded(w, e) : flush_plain(w, e);
    w->n = 0;
    return rc;
}

int writer_page(struct stream_writer *w, const struct stream_page *page, struct err *e)
{
    int rc = writer_headers(w, e);

    if (rc < 0 || (rc = writer_static_end(w, e)) < 0 || (rc = writer_params_flush(w, e)) < 0)
        return rc;
    /* An entry that brings no memory, at a pfn that no chunk can name, says nothing. */
    if (w->wishes.is_packed && page->pfn >= GUEST_PAGES_MAX)
        return 0;
    /* A second entry of a page goes into the next batch: in one, which is the later is open to taste. */
    if ((w->n == w->wishes.pages_at_once || (w->n > 0 && page->pfn == w->pfns[w->n - 1]) ||
         (w->wishes.is_packed && w->n > 0 && page->pfn < w->pfns[w->n - 1])) &&
        (rc = writer_pages_flush(w, e)) < 0)
        return rc;
    w->pfns[w->n] = page->pfn;
    w->types[w->n] = page->type;
    w->is_compared[w->n] = page->is_compared;
    if (page->content)
        memcpy(w->pages + w->n * PAGE_BYTES, page->content, PAGE_BYTES);
    w->n++;
    return 0;
}

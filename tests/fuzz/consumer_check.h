/* consumer_check — a consumer for fuzzers of readers: keeps the pages of a small guest for deltas, and
 * aborts when a reader breaks its side of the contract (reading.h): what it tells, in which order, and
 * that nothing follows a refusal that is held. */
#ifndef REPLICATOR_TESTS_FUZZ_CONSUMER_CHECK_H
#define REPLICATOR_TESTS_FUZZ_CONSUMER_CHECK_H

#include <errno.h>
#include <string.h>

#include "checkpoint/formats/reading.h"
#include "compress/codec.h"

#define CHECK_PAGES 8u /* that are remembered; a reader may name others */

struct check {
    const struct reading *r;
    bool has_begun, has_ended;
    uint64_t items, offset, commits, uncommitted;
    uint64_t state_at, state_total; /* of the blob that is open; total 0: none */
    uint8_t pages[CHECK_PAGES][PAGE_BYTES];
};

static inline int check_begin(void *c, const struct stream_facts *facts, struct err *e)
{
    struct check *k = c;

    (void)e;
    must(!k->has_begun);
    must(facts->guest == STREAM_GUEST_PV || facts->guest == STREAM_GUEST_HVM);
    k->has_begun = true;
    return 0;
}

static inline int check_item(void *c, const struct stream_item *item, struct err *e)
{
    struct check *k = c;

    (void)e;
    must(item->number == ++k->items && item->name && item->offset >= k->offset);
    must(k->state_at == k->state_total);
    k->offset = item->offset;
    return 0;
}

static inline int check_page(void *c, const struct stream_page *page, struct err *e)
{
    struct check *k = c;
    uint8_t sum = 0;

    (void)e;
    must(k->has_begun && !k->r->is_held && k->state_at == k->state_total);
    must(page->type < 16 && (page->type < 5 || page->type > 8));
    must((page->content != NULL) == (page->type < 0xd));
    must(page->type >= 0xd || reading_pfn_fits(k->r, page->pfn));
    k->uncommitted++;
    if (!page->content)
        return 0;
    for (size_t i = 0; i < PAGE_BYTES; i += 64)
        sum ^= page->content[i];
    if (page->pfn < CHECK_PAGES && !page->is_compared)
        memcpy(k->pages[page->pfn], page->content, PAGE_BYTES);
    return sum == 1 && page->offset == 0 ? -EIO : 0; /* content is read; a page is never at offset 0 */
}

static inline int check_state(void *c, const struct stream_state *piece, struct err *e)
{
    struct check *k = c;

    (void)e;
    must(k->has_begun || piece->type == STATE_FOREIGN); /* xl's configuration comes before all */
    must(!k->r->is_held && piece->name);
    must(piece->at == (k->state_at == k->state_total ? 0 : k->state_at));
    must(piece->at == 0 || piece->total == k->state_total);
    must(piece->bytes <= piece->total - piece->at);
    must(piece->bytes > 0 || piece->total == 0);
    k->state_total = piece->total;
    k->state_at = piece->at + piece->bytes;
    k->uncommitted++;
    return 0;
}

static inline int check_param(void *c, uint64_t index, uint64_t value, struct err *e)
{
    (void)index, (void)value, (void)e;
    must(((struct check *)c)->has_begun && !((struct check *)c)->r->is_held);
    ((struct check *)c)->uncommitted++;
    return 0;
}

static inline int check_note(void *c, enum stream_note note, struct err *e)
{
    (void)note, (void)e;
    must(((struct check *)c)->has_begun);
    return 0;
}

static inline int check_recall(void *c, uint64_t pfn, uint8_t *page, struct err *e)
{
    struct check *k = c;

    (void)e;
    must(k->has_begun && !k->r->is_held);
    if (pfn < CHECK_PAGES)
        memcpy(page, k->pages[pfn], PAGE_BYTES);
    else
        memset(page, 0, PAGE_BYTES);
    return 0;
}

static inline int check_commit(void *c, uint64_t n, struct err *e)
{
    struct check *k = c;

    (void)e;
    must(n == ++k->commits && k->state_at == k->state_total && !k->r->is_held);
    k->uncommitted = 0;
    return 0;
}

static inline int check_drop(void *c, struct err *e)
{
    struct check *k = c;

    (void)e;
    k->state_at = k->state_total;
    k->uncommitted = 0;
    return 0;
}

static inline int check_end(void *c, const struct stream_facts *facts, bool is_complete, struct err *e)
{
    struct check *k = c;

    (void)facts, (void)e;
    must(k->has_begun && !k->has_ended && k->state_at == k->state_total);
    must(k->commits == 0 || k->uncommitted == 0);
    must(is_complete || k->commits > 0);
    k->has_ended = true;
    return 0;
}

static const struct consumer_ops check_ops = {
    .begin = check_begin,
    .item = check_item,
    .page = check_page,
    .state = check_state,
    .param = check_param,
    .note = check_note,
    .recall = check_recall,
    .commit = check_commit,
    .drop = check_drop,
    .end = check_end,
};

/* Reads the octets as these wishes say and judges the reader. */
static inline void check_reading(const struct stream_wishes *wishes, const uint8_t *octets, size_t bytes)
{
    static struct check check;
    struct consumer to = { &check_ops, &check };
    struct stream_input *in;
    struct reading r;
    struct err e = { 0 };
    int rc;

    memset(&check, 0, sizeof(check));
    check.r = &r;
    must(stream_input_of(&in, octets, bytes, &e) == 0);
    rc = reading_run(&r, in, wishes, to, &e);
    must(rc == 0 || rc == -EPROTO);
    must(check.has_ended == (rc == 0));
    must(check.commits == r.checkpoints);
    if (rc < 0)
        must(e.code == EPROTO && e.text[0] && r.refusal.rule[0] && r.refusal.offset <= bytes &&
             r.refusal.item.offset <= bytes);
    reading_close(&r);
    stream_input_close(in);
}

#endif

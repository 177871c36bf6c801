/* image_replay — see image_replay.h. The order is that of Xen's own saver, except that a blob's place
 * among its like is its name's. */
#include "checkpoint/formats/image_replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/guest.h"
#include "checkpoint/record.h"
#include "compress/codec.h"

#define SLICE_BYTES 65536u

static int state_replay(struct image *i, const struct image_state *s, struct consumer to, struct err *e)
{
    uint8_t octets[SLICE_BYTES];
    struct stream_state piece = { .name = s->name, .is_indexed = s->is_indexed, .index = s->index,
                                  .emulator = s->emulator, .type = s->type, .total = s->bytes,
                                  .octets = octets };
    int rc;

    do {
        uint64_t left = s->bytes - piece.at;

        piece.bytes = left < sizeof(octets) ? (size_t)left : sizeof(octets);
        if ((rc = image_state_get(i, s, piece.at, octets, piece.bytes, e)) < 0 ||
            (rc = to.ops->state(to.self, &piece, e)) < 0)
            return rc;
        piece.at += piece.bytes;
    } while (piece.at < s->bytes);
    return 0;
}

enum moment { BEFORE_HEADERS, STATIC, FRAMES, AFTER_PAGES };

static enum moment moment_of(const struct image_state *s)
{
    if (strncmp(s->name, "XL_CONFIG", 9) == 0)
        return BEFORE_HEADERS;
    if (strncmp(s->name, "EMULATOR_", 9) == 0)
        return AFTER_PAGES;
    switch (s->type) {
    case RECORD_X86_PV_INFO:
    case RECORD_X86_CPUID_POLICY:
    case RECORD_X86_MSR_POLICY:
        return STATIC;
    case RECORD_X86_PV_P2M_FRAMES:
        return FRAMES;
    default:
        return AFTER_PAGES;
    }
}

static int states_replay(struct image *i, enum moment moment, struct consumer to, struct err *e)
{
    int rc = 0;

    for (size_t k = 0; rc == 0 && k < i->now.states_n; k++)
        if (moment_of(&i->now.states[k]) == moment)
            rc = state_replay(i, &i->now.states[k], to, e);
    return rc;
}

/* A page that was declared without content after it had some is told twice: what stays is the memory
 * of the first entry, and the type of the second. */
static int page_replay(struct image *i, const struct stream_facts *facts, uint64_t pfn, struct consumer to,
                       struct err *e)
{
    struct page_note note = pagetable_get(facts->table, pfn);
    bool is_dataless = note.type >= PAGE_TYPE_BROKEN, has_content = note.place != PAGE_NOWHERE;
    uint8_t octets[PAGE_BYTES];
    struct stream_page page = { .pfn = pfn, .type = is_dataless ? PAGE_TYPE_NORMAL : note.type,
                                .content = octets, .offset = PAGE_COMPUTED };
    int rc = 0;

    if (!is_dataless || has_content) {
        if ((rc = image_page(i, pfn, octets, e)) < 0 || (rc = to.ops->page(to.self, &page, e)) < 0)
            return rc;
    } else if (note.type != PAGE_TYPE_XALLOC) {
        page = (struct stream_page){ .pfn = pfn, .type = PAGE_TYPE_XALLOC, .offset = PAGE_COMPUTED };
        if ((rc = to.ops->page(to.self, &page, e)) < 0)
            return rc;
    }
    if (!is_dataless)
        return 0;
    page = (struct stream_page){ .pfn = pfn, .type = note.type, .offset = PAGE_COMPUTED };
    return to.ops->page(to.self, &page, e);
}

static int params_replay(struct image *i, struct consumer to, struct err *e)
{
    int rc = 0;

    for (size_t k = 0; rc == 0 && k < i->now.params_n; k++)
        rc = to.ops->param(to.self, i->now.params[k].index, i->now.params[k].value, e);
    return rc;
}

static int by_order(const void *a, const void *b)
{
    const struct image_state *one = *(const struct image_state *const *)a;
    const struct image_state *other = *(const struct image_state *const *)b;

    return one->order < other->order ? -1 : one->order > other->order;
}

/* Ranges of the p2m may overlap: where they do, the later one counts, so they go out as they came in. */
static int frames_replay(struct image *i, struct consumer to, struct err *e)
{
    AUTO_FREE const struct image_state **ranges = malloc((i->now.states_n + 1) * sizeof(*ranges));
    size_t n = 0;
    int rc = 0;

    if (!ranges)
        return err_set(e, ENOMEM, "image: %m");
    for (size_t k = 0; k < i->now.states_n; k++)
        if (moment_of(&i->now.states[k]) == FRAMES)
            ranges[n++] = &i->now.states[k];
    qsort(ranges, n, sizeof(*ranges), by_order);
    for (size_t k = 0; rc == 0 && k < n; k++)
        rc = state_replay(i, ranges[k], to, e);
    return rc;
}

int image_replay(struct image *i, const struct stream_facts *facts, struct consumer to, struct err *e)
{
    int rc;

    if ((rc = to.ops->begin(to.self, facts, e)) < 0 ||
        (rc = states_replay(i, BEFORE_HEADERS, to, e)) < 0 || (rc = states_replay(i, STATIC, to, e)) < 0 ||
        (rc = to.ops->note(to.self, NOTE_STATIC_DATA_END, e)) < 0 ||
        (rc = frames_replay(i, to, e)) < 0)
        return rc;
    for (uint64_t pfn = pagetable_next(facts->table, 0); pfn != UINT64_MAX;
         pfn = pagetable_next(facts->table, pfn + 1))
        if ((rc = page_replay(i, facts, pfn, to, e)) < 0)
            return rc;
    if ((rc = params_replay(i, to, e)) < 0 || (rc = states_replay(i, AFTER_PAGES, to, e)) < 0)
        return rc;
    return to.ops->end(to.self, facts, true, e);
}

/* pagetable — see pagetable.h. A folder of leaves, a leaf 512 pages. A page has two values, the committed
 * one and the newest one with the number of the epoch that set it, so that a commit is one increment. */
#include "checkpoint/formats/pagetable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/guest.h"

#define LEAF_PAGES 512u

/* A guest whose pages lie far apart costs more than 20 octets for each; one that only wants to cost
 * (eight octets of input can name a page of a leaf of its own) is refused: */
#define LEAVES_FREE_BYTES  (UINT64_C(256) << 20)
#define LEAVES_EACH_BYTES  64u /* more for every page that was set */

#define VALUE_POPULATED   (UINT64_C(1) << 63)
#define VALUE_TYPE_SHIFT  59
#define VALUE_PLACE_SHIFT 57
#define VALUE_OFFSET_MASK ((UINT64_C(1) << 56) - 1)

struct leaf {
    uint64_t committed[LEAF_PAGES], newest[LEAF_PAGES];
    uint32_t epoch[LEAF_PAGES]; /* that set newest */
};

struct pagetable {
    struct leaf **leaves;
    uint64_t count;         /* of leaves that have a place in the folder */
    uint32_t open;          /* the epoch that is being read; those before are committed */
    bool is_changed;        /* since the last commit */
    uint64_t leaves_made, pages_set;
};

_Static_assert(sizeof(struct leaf) == LEAF_PAGES * 20, "20 octets a page");

static uint64_t pack(struct page_note n)
{
    must(n.type < 16 && n.offset <= VALUE_OFFSET_MASK);
    return (n.is_populated ? VALUE_POPULATED : 0) | (uint64_t)n.type << VALUE_TYPE_SHIFT |
           (uint64_t)n.place << VALUE_PLACE_SHIFT | n.offset;
}

static struct page_note unpack(uint64_t v)
{
    return (struct page_note){ .is_populated = (v & VALUE_POPULATED) != 0,
                               .type = v >> VALUE_TYPE_SHIFT & 0xf,
                               .place = (enum page_place)(v >> VALUE_PLACE_SHIFT & 3),
                               .offset = v & VALUE_OFFSET_MASK };
}

int pagetable_open(struct pagetable **ret, struct err *e)
{
    struct pagetable *t = calloc(1, sizeof(*t));

    if (!t)
        return err_set(e, ENOMEM, "table of pages: %m");
    t->open = 1;
    *ret = t;
    return 0;
}

void pagetable_close(struct pagetable *t)
{
    if (!t)
        return;
    for (uint64_t i = 0; i < t->count; i++)
        free(t->leaves[i]);
    free(t->leaves);
    free(t);
}

struct page_note pagetable_get(const struct pagetable *t, uint64_t pfn)
{
    uint64_t at = pfn / LEAF_PAGES;
    const struct leaf *leaf = at < t->count ? t->leaves[at] : NULL;

    return unpack(leaf ? leaf->newest[pfn % LEAF_PAGES] : 0);
}

static int folder_grow(struct pagetable *t, uint64_t at, struct err *e)
{
    uint64_t count = t->count ? t->count : 64;
    struct leaf **leaves;

    while (count <= at)
        count *= 2;
    leaves = realloc(t->leaves, count * sizeof(*leaves));
    if (!leaves)
        return err_set(e, ENOMEM, "table of pages: %m");
    memset(leaves + t->count, 0, (count - t->count) * sizeof(*leaves));
    t->leaves = leaves;
    t->count = count;
    return 0;
}

static int leaf_make(struct pagetable *t, uint64_t at, struct err *e)
{
    if (t->leaves_made * sizeof(struct leaf) > LEAVES_FREE_BYTES + t->pages_set * LEAVES_EACH_BYTES)
        return err_set(e, EPROTO, "the guest's pages lie too far apart: %llu of them in %llu MiB of table",
                       (unsigned long long)t->pages_set,
                       (unsigned long long)(t->leaves_made * sizeof(struct leaf) >> 20));
    t->leaves[at] = calloc(1, sizeof(struct leaf));
    if (!t->leaves[at])
        return err_set(e, ENOMEM, "table of pages: %m");
    t->leaves_made++;
    return 0;
}

int pagetable_set(struct pagetable *t, uint64_t pfn, struct page_note note, struct err *e)
{
    uint64_t at = pfn / LEAF_PAGES;
    size_t i = pfn % LEAF_PAGES;
    struct leaf *leaf;
    int rc;

    must(pfn < GUEST_PAGES_MAX);
    if (at >= t->count && (rc = folder_grow(t, at, e)) < 0)
        return rc;
    if (!t->leaves[at] && (rc = leaf_make(t, at, e)) < 0)
        return rc;
    leaf = t->leaves[at];
    t->pages_set += leaf->epoch[i] == 0 && leaf->newest[i] == 0;
    if (leaf->epoch[i] != t->open) {
        leaf->committed[i] = leaf->newest[i];
        leaf->epoch[i] = t->open;
    }
    leaf->newest[i] = pack(note);
    t->is_changed = true;
    return 0;
}

void pagetable_commit(struct pagetable *t)
{
    t->open++;
    must(t->open != 0);
    t->is_changed = false;
}

void pagetable_drop(struct pagetable *t)
{
    for (uint64_t at = 0; t->is_changed && at < t->count; at++) {
        struct leaf *leaf = t->leaves[at];

        for (size_t i = 0; leaf && i < LEAF_PAGES; i++)
            if (leaf->epoch[i] == t->open) {
                leaf->newest[i] = leaf->committed[i];
                leaf->epoch[i] = 0;
            }
    }
    t->is_changed = false;
}

uint64_t pagetable_next(const struct pagetable *t, uint64_t from)
{
    for (uint64_t at = from / LEAF_PAGES; at < t->count; at++) {
        const struct leaf *leaf = t->leaves[at];

        for (size_t i = at == from / LEAF_PAGES ? from % LEAF_PAGES : 0; leaf && i < LEAF_PAGES; i++)
            if (leaf->newest[i] & VALUE_POPULATED)
                return at * LEAF_PAGES + i;
    }
    return UINT64_MAX;
}

void pagetable_count(const struct pagetable *t, uint64_t *ret_populated, uint64_t *ret_end)
{
    *ret_populated = 0;
    *ret_end = 0;
    for (uint64_t pfn = pagetable_next(t, 0); pfn != UINT64_MAX; pfn = pagetable_next(t, pfn + 1)) {
        ++*ret_populated;
        *ret_end = pfn + 1;
    }
}

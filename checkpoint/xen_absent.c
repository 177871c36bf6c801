/* xen_absent — see xen_absent.h. */
#include "checkpoint/xen_absent.h"

#define HIGH_START (UINT64_C(1) << 20) /* 4 GiB: libxl puts what does not fit below the devices there */
#define AT_ONCE    1024u

int xen_absent_open(struct xen_absent *a, uint64_t pages, uint64_t memory_pages, struct err *e)
{
    *a = (struct xen_absent){ .high_start = HIGH_START < pages ? HIGH_START : pages };
    a->low_end = memory_pages < a->high_start ? memory_pages : a->high_start;
    return dirty_open(&a->pages, pages, e);
}

void xen_absent_close(struct xen_absent *a)
{
    dirty_close(&a->pages);
    *a = (struct xen_absent){ 0 };
}

static bool is_memory(const struct xen_absent *a, uint64_t pfn)
{
    return pfn < a->low_end || pfn >= a->high_start;
}

void xen_absent_note(struct xen_absent *a, const uint64_t *pfns, const uint8_t *types, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool is_absent = types[i] == PAGE_TYPE_XTAB && is_memory(a, pfns[i]);

        if (is_absent == dirty_has(&a->pages, pfns[i]))
            continue;
        if (is_absent) {
            dirty_set(&a->pages, pfns[i]);
            a->count++;
        } else {
            dirty_unset(&a->pages, pfns[i]);
            a->count--;
        }
    }
}

struct look {
    struct xen_absent *absent;
    xen_types_ask *ask;
    void *context;
    struct dirty *into;
};

static int look_at(const struct look *l, const uint64_t *pfns, size_t n, struct err *e)
{
    uint8_t types[AT_ONCE];
    int rc = n > 0 ? l->ask(l->context, pfns, n, types, e) : 0;

    for (size_t i = 0; rc == 0 && i < n; i++)
        if (types[i] != PAGE_TYPE_XTAB && dirty_has(&l->absent->pages, pfns[i]))
            dirty_set(l->into, pfns[i]);
    if (rc == 0)
        xen_absent_note(l->absent, pfns, types, n);
    return rc;
}

static int look_at_absent(const struct look *l, struct err *e)
{
    uint64_t pfns[AT_ONCE], cursor = 0;
    size_t n;
    int rc = 0;

    while (rc == 0 && (n = dirty_take(&l->absent->pages, &cursor, pfns, AT_ONCE)) > 0)
        rc = look_at(l, pfns, n, e);
    return rc;
}

static int look_at_all(const struct look *l, struct err *e)
{
    const struct xen_absent *a = l->absent;
    uint64_t pfns[AT_ONCE], pfn = 0;
    int rc = 0;

    while (rc == 0 && pfn < a->pages.pages) {
        size_t n = 0;

        for (; n < AT_ONCE && pfn < a->pages.pages; pfn = pfn + 1 == a->low_end ? a->high_start : pfn + 1)
            pfns[n++] = pfn;
        rc = look_at(l, pfns, n, e);
    }
    return rc;
}

int xen_absent_look(struct xen_absent *a, uint64_t count_now, xen_types_ask *ask, void *context,
                    struct dirty *into, struct err *e)
{
    const struct look l = { a, ask, context, into };
    int rc = 0;

    if (count_now != a->count_then)
        rc = look_at_all(&l, e);
    else if (a->count > 0 && a->count <= XEN_ABSENT_LOOK_MAX)
        rc = look_at_absent(&l, e);
    if (rc == 0)
        a->count_then = count_now;
    return rc;
}

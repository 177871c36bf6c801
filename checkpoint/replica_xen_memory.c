/* replica_xen_memory — see replica_xen_memory.h. */
#include "checkpoint/replica_xen_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>

#include "base/bytes.h"
#include "checkpoint/pages.h"

#define STRETCH_ORDER 9u
#define HOLE_PFN      UINT64_C(0xc0000)  /* 3 GiB: devices may begin there, at the earliest by custom */
#define HIGH_PFN      UINT64_C(0x100000) /* 4 GiB */

/* Guests with less than the hole's beginning have all of it below; what others have above it starts at
 * 4 GiB. Wrong guesses cost memory until the trim, not more. */
bool replica_xen_memory_is_whole(uint64_t pfn, uint64_t ram_pages)
{
    uint64_t end = pfn + REPLICA_XEN_STRETCH;

    if (pfn >= HIGH_PFN)
        return ram_pages > HOLE_PFN && end - HIGH_PFN <= ram_pages - HOLE_PFN;
    return end <= HOLE_PFN && end <= ram_pages;
}

static uint8_t *place(const struct replica_xen_memory *m, uint64_t pfn)
{
    return m->base + pfn * PAGE_BYTES;
}

static void *reserve(void *at, size_t bytes, int flags)
{
    return mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

int replica_xen_memory_open(struct replica_xen_memory *m, const struct xen_host *h,
                            const struct xen_domain *d, uint64_t pages, uint64_t ram_pages, struct err *e)
{
    int rc;

    *m = (struct replica_xen_memory){ .host = h, .domain = *d, .pages = pages, .ram_pages = ram_pages };
    rc = dirty_open(&m->populated, pages, e);
    if (rc == 0)
        rc = dirty_open(&m->used, pages, e);
    if (rc == 0) {
        m->base = reserve(NULL, pages * PAGE_BYTES, 0);
        if (m->base == MAP_FAILED) {
            m->base = NULL;
            rc = err_set(e, ENOMEM, "no addresses for a domain of %" PRIu64 " pages", pages);
        }
    }
    if (rc < 0)
        replica_xen_memory_close(m);
    return rc;
}

void replica_xen_memory_close(struct replica_xen_memory *m)
{
    if (m->base)
        munmap(m->base, m->pages * PAGE_BYTES);
    m->base = NULL;
    dirty_close(&m->populated);
    dirty_close(&m->used);
}

/* ---- populating ---------------------------------------------------------------------------------- */

/* Maps n pages from pfn on, which the domain has. A failure leaves the addresses reserved. */
static int map(struct replica_xen_memory *m, uint64_t pfn, size_t n, struct err *e)
{
    xen_pfn_t frames[REPLICA_XEN_STRETCH] = { 0 };
    void *at;

    must(n > 0 && n <= REPLICA_XEN_STRETCH);
    for (size_t i = 0; i < n; i++)
        frames[i] = pfn + i;
    at = xenforeignmemory_map2(m->host->memory, m->domain.domid, place(m, pfn), PROT_READ | PROT_WRITE,
                               MAP_FIXED, n, frames, NULL);
    if (at == place(m, pfn)) {
        for (size_t i = 0; i < n; i++)
            dirty_set(&m->populated, pfn + i);
        return 0;
    }
    xen_host_failed(m->host, e, "%zu pages from pfn %#" PRIx64 " on can't be mapped", n, pfn);
    must(reserve(place(m, pfn), n * PAGE_BYTES, MAP_FIXED) != MAP_FAILED);
    return -e->code;
}

/* How many of n single pages from pfn on the domain now has. */
static size_t populate_singly(struct replica_xen_memory *m, uint64_t pfn, size_t n)
{
    xen_pfn_t frames[REPLICA_XEN_STRETCH];
    int done;

    must(n > 0 && n <= REPLICA_XEN_STRETCH);
    for (size_t i = 0; i < n; i++)
        frames[i] = pfn + i;
    done = xc_domain_populate_physmap(m->host->xc, m->domain.domid, n, 0, 0, frames);
    return done > 0 ? (size_t)done : 0;
}

static bool is_untouched(const struct replica_xen_memory *m, uint64_t first)
{
    return dirty_next(&m->populated, first) >= first + REPLICA_XEN_STRETCH;
}

/* A whole stretch, in one piece or in pages; how many pages from its beginning are there. */
static size_t populate_stretch(struct replica_xen_memory *m, uint64_t first)
{
    xen_pfn_t frame = first;

    if (xc_domain_populate_physmap(m->host->xc, m->domain.domid, 1, STRETCH_ORDER, 0, &frame) == 1)
        return REPLICA_XEN_STRETCH;
    return populate_singly(m, first, REPLICA_XEN_STRETCH);
}

static int populate_page(struct replica_xen_memory *m, uint64_t pfn, struct err *e)
{
    if (populate_singly(m, pfn, 1) == 1)
        return map(m, pfn, 1, e);
    errno = ENOMEM;
    return xen_host_failed(m->host, e, "the hypervisor has no memory for pfn %#" PRIx64 " of the replica", pfn);
}

static int populate(struct replica_xen_memory *m, uint64_t pfn, struct err *e)
{
    uint64_t first = pfn - pfn % REPLICA_XEN_STRETCH;

    if (replica_xen_memory_is_whole(first, m->ram_pages) && is_untouched(m, first)) {
        size_t n = populate_stretch(m, first);
        int rc = n > 0 ? map(m, first, n, e) : 0;

        if (rc < 0 || pfn < first + n)
            return rc;
    }
    return populate_page(m, pfn, e);
}

uint8_t *replica_xen_memory_page(struct replica_xen_memory *m, uint64_t pfn, struct err *e)
{
    if (pfn >= m->pages) {
        err_set(e, EINVAL, "pfn %#" PRIx64 " is not the replica's", pfn);
        return NULL;
    }
    if (!dirty_has(&m->used, pfn)) {
        if (!dirty_has(&m->populated, pfn) && populate(m, pfn, e) < 0)
            return NULL;
        memset(place(m, pfn), 0, PAGE_BYTES);
        dirty_set(&m->used, pfn);
    }
    return place(m, pfn);
}

/* ---- giving back --------------------------------------------------------------------------------- */

/* Unmapped first: the hypervisor frees nothing that is mapped. As a whole, because the kernel does not
 * divide such mappings. */
static int trim_stretch(struct replica_xen_memory *m, uint64_t first, struct err *e)
{
    uint64_t left = m->pages - first;
    size_t stretch = left < REPLICA_XEN_STRETCH ? (size_t)left : REPLICA_XEN_STRETCH, n = 0;
    xen_pfn_t frames[REPLICA_XEN_STRETCH];

    for (uint64_t pfn = first; pfn < first + stretch; pfn++)
        if (dirty_has(&m->populated, pfn) && !dirty_has(&m->used, pfn))
            frames[n++] = pfn;
    if (n == 0)
        return 0;
    if (reserve(place(m, first), stretch * PAGE_BYTES, MAP_FIXED) == MAP_FAILED)
        return err_set(e, errno, "unused pages of the replica can't be unmapped: %m");
    if (xc_domain_decrease_reservation_exact(m->host->xc, m->domain.domid, n, 0, frames) < 0)
        return xen_host_failed(m->host, e, "%zu unused pages of the replica can't be given back", n);
    return 0;
}

int replica_xen_memory_trim(struct replica_xen_memory *m, struct err *e)
{
    int rc = 0;

    for (uint64_t pfn = 0; rc == 0 && (pfn = dirty_next(&m->populated, pfn)) < m->pages;
         pfn += REPLICA_XEN_STRETCH) {
        pfn -= pfn % REPLICA_XEN_STRETCH;
        rc = trim_stretch(m, pfn, e);
    }
    return rc;
}

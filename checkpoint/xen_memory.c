/* xen_memory — see xen_memory.h. */
#include "checkpoint/xen_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>

#include "base/clock.h"
#include "checkpoint/pagecopy.h"
#include "compress/codec.h"

/* Exported by libxenctrl for its sister libraries; the installed header leaves it out. At most
 * XEN_TYPES_AT_ONCE frames, replaced by their types. */
int xc_get_pfn_type_batch(xc_interface *xch, uint32_t domid, unsigned int count, xen_pfn_t *frames);

_Static_assert(sizeof(xen_pfn_t) == sizeof(uint64_t), "frames are passed as they are");

int xen_memory_open(struct xen_memory *m, const struct xen_host *h, const struct xen_domain *d,
                    uint64_t memory_pages, struct err *e)
{
    *m = (struct xen_memory){ .host = h, .domain = *d, .memory_end = memory_pages };
    m->spans = calloc(XEN_TYPES_AT_ONCE, sizeof(*m->spans));
    m->frames = calloc(XEN_COPY_PAGES_MAX, sizeof(*m->frames));
    m->errors = calloc(XEN_COPY_PAGES_MAX, sizeof(*m->errors));
    m->places = calloc(XEN_COPY_PAGES_MAX, sizeof(*m->places));
    if (m->spans && m->frames && m->errors && m->places)
        return 0;
    xen_memory_close(m);
    return err_set(e, ENOMEM, "no memory to copy pages of domain %" PRIu32, d->domid);
}

void xen_memory_close(struct xen_memory *m)
{
    xen_memory_settle(m);
    free(m->spans);
    free(m->frames);
    free(m->errors);
    free(m->places);
    *m = (struct xen_memory){ 0 };
}

void xen_memory_settle(struct xen_memory *m)
{
    for (size_t i = 0; i < m->kept_count; i++)
        (void)xenforeignmemory_unmap(m->host->memory, m->kept[i].at, m->kept[i].pages);
    m->kept_count = 0;
}

/* What bits 28–31 of the hypervisor's answer say; pinned tables and the like are plain pages to a guest
 * whose physical map is the hypervisor's. */
static uint8_t type_of(uint64_t answer)
{
    uint64_t type = answer >> XEN_DOMCTL_PFINFO_LTAB_SHIFT & 0xf;

    return type >= PAGE_TYPE_BROKEN ? (uint8_t)type : PAGE_TYPE_NORMAL;
}

size_t xen_memory_span(uint64_t memory_end, const uint64_t *pfns, size_t n)
{
    bool is_block = n >= XEN_BLOCK_PAGES && pfns[0] % XEN_BLOCK_PAGES == 0 && pfns[0] >= memory_end &&
                    pfns[0] < XEN_DEVICES_START &&
                    pfns[XEN_BLOCK_PAGES - 1] == pfns[0] + XEN_BLOCK_PAGES - 1;

    return is_block ? XEN_BLOCK_PAGES : 1;
}

/* Asks for the first `n` of m->frames, which become answers. */
static int ask_types(struct xen_memory *m, size_t n, struct err *e)
{
    return xc_get_pfn_type_batch(m->host->xc, m->domain.domid, (unsigned)n, m->frames) < 0
               ? xen_host_failed(m->host, e, "types of pages of domain %" PRIu32 " can't be had",
                                 m->domain.domid)
               : 0;
}

/* Every one of at most XEN_TYPES_AT_ONCE pages. */
static int types_of_each(struct xen_memory *m, const uint64_t *pfns, size_t n, uint8_t *ret, struct err *e)
{
    int rc;

    memcpy(m->frames, pfns, n * sizeof(*pfns));
    rc = ask_types(m, n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        ret[i] = type_of(m->frames[i]);
    return rc;
}

/* One question a span; a span whose first page is there says so by PAGE_TYPE_DEFERRED in all of them. */
static int types_of_spans(struct xen_memory *m, size_t count, uint8_t *ret, struct err *e)
{
    int rc = ask_types(m, count, e);

    for (size_t k = 0, at = 0; rc == 0 && k < count; at += m->spans[k++]) {
        uint8_t type = type_of(m->frames[k]);

        memset(ret + at, m->spans[k] > 1 && type != PAGE_TYPE_XTAB ? PAGE_TYPE_DEFERRED : type, m->spans[k]);
    }
    return rc;
}

/* Blocks of which more is to be asked. */
static int types_of_rest(struct xen_memory *m, const uint64_t *pfns, size_t n, uint8_t *ret, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++)
        if (ret[i] == PAGE_TYPE_DEFERRED)
            rc = types_of_each(m, pfns + i, XEN_BLOCK_PAGES, ret + i, e);
    return rc;
}

int xen_memory_types(struct xen_memory *m, const uint64_t *pfns, size_t n, uint8_t *ret, struct err *e)
{
    for (size_t done = 0; done < n;) {
        size_t count = 0, from = done;
        int rc;

        for (; done < n && count < XEN_TYPES_AT_ONCE; done += m->spans[count++]) {
            m->frames[count] = pfns[done];
            m->spans[count] = (uint8_t)xen_memory_span(m->memory_end, pfns + done, n - done);
        }
        if ((rc = types_of_spans(m, count, ret + from, e)) < 0 ||
            (rc = types_of_rest(m, pfns + from, done - from, ret + from, e)) < 0)
            return rc;
    }
    return 0;
}

size_t xen_memory_sort(uint8_t *types, size_t n, const int *errors, uint64_t *ret_frames, uint8_t **places)
{
    size_t mapped = 0, there = 0;

    for (size_t i = 0; i < n; i++) {
        if (types[i] != PAGE_TYPE_NORMAL)
            continue;
        if (errors[mapped] == 0) {
            ret_frames[there] = mapped;
            places[there++] = places[mapped];
        } else {
            types[i] = PAGE_TYPE_DEFERRED;
        }
        mapped++;
    }
    return there;
}

/* Types come first although a page that can't be mapped would tell by that: frames of the hypervisor's own
 * (shared information, tables of grants) can be mapped as well, and only their type says whose they are. */
static int copy_batch(struct xen_memory *m, const uint64_t *pfns, size_t n, uint8_t *const *to,
                      uint8_t *types, bool keep, struct err *e)
{
    uint64_t began_ns = clock_now_ns();
    size_t mapped = 0;
    void *at;
    int rc = xen_memory_types(m, pfns, n, types, e);

    m->types_ns += clock_now_ns() - began_ns;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (types[i] == PAGE_TYPE_NORMAL) {
            m->frames[mapped] = pfns[i];
            m->places[mapped++] = to[i];
        }
    if (mapped == 0)
        return 0;
    began_ns = clock_now_ns();
    at = xenforeignmemory_map(m->host->memory, m->domain.domid, PROT_READ, mapped, m->frames, m->errors);
    m->map_ns += clock_now_ns() - began_ns;
    if (!at)
        return xen_host_failed(m->host, e, "%zu pages of domain %" PRIu32 " can't be mapped", mapped,
                               m->domain.domid);
    pagecopy(m->places, at, m->frames, xen_memory_sort(types, n, m->errors, m->frames, m->places));
    if (keep && m->kept_count < XEN_MAPPINGS_MAX)
        m->kept[m->kept_count++] = (struct xen_mapping){ at, mapped };
    else
        (void)xenforeignmemory_unmap(m->host->memory, at, mapped);
    return 0;
}

int xen_memory_copy(struct xen_memory *m, const uint64_t *pfns, size_t n, uint8_t *const *to,
                    uint8_t *types, bool keep, struct err *e)
{
    for (size_t done = 0, now; done < n; done += now) {
        int rc;

        now = n - done < XEN_COPY_PAGES_MAX ? n - done : XEN_COPY_PAGES_MAX;
        rc = copy_batch(m, pfns + done, now, to + done, types + done, keep, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* xen_grants — see xen_grants.h. */
#include "checkpoint/xen_grants.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xen/grant_table.h>

#include "base/bytes.h"
#include "compress/codec.h"

#define ENTRY_BYTES 8u /* u16 flags, u16 domain, u32 frame */
_Static_assert(sizeof(grant_entry_v1_t) == ENTRY_BYTES, "an entry of a table of version 1");
_Static_assert(XEN_GRANTS_A_FRAME * ENTRY_BYTES == PAGE_BYTES, "a frame of the table is full of them");

void xen_grants_pick(const uint8_t *frame, struct dirty *into)
{
    for (size_t i = 0; i < XEN_GRANTS_A_FRAME; i++) {
        uint16_t flags = load_u16(frame + i * ENTRY_BYTES);
        uint32_t pfn = load_u32(frame + i * ENTRY_BYTES + 4);

        if ((flags & GTF_type_mask) == GTF_permit_access && (flags & GTF_writing) && pfn < into->pages)
            dirty_set(into, pfn);
    }
}

static int failed(const struct xen_host *h, const struct xen_domain *d, struct err *e)
{
    return xen_host_failed(h, e, "the grants of domain %" PRIu32 " can't be looked at", d->domid);
}

/* Which pfns the table's frames are; how many of them, 0: it has none to look at. */
static int find_frames(const struct xen_host *h, const struct xen_domain *d, xen_pfn_t *ret, struct err *e)
{
    struct gnttab_query_size size = { .dom = (domid_t)d->domid };
    struct gnttab_setup_table table = { .dom = (domid_t)d->domid };
    DECLARE_HYPERCALL_BUFFER(xen_pfn_t, frames);
    int rc = 0;

    if (xc_gnttab_get_version(h->xc, d->domid) != 1)
        return 0;
    if (xc_gnttab_query_size(h->xc, &size) < 0 || size.status != GNTST_okay)
        return failed(h, d, e);
    table.nr_frames = size.nr_frames < XEN_GRANT_FRAMES_MAX ? size.nr_frames : XEN_GRANT_FRAMES_MAX;
    frames = xc_hypercall_buffer_alloc(h->xc, frames, XEN_GRANT_FRAMES_MAX * sizeof(*frames));
    if (!frames)
        return failed(h, d, e);
    set_xen_guest_handle(table.frame_list, frames);
    if (xc_gnttab_op(h->xc, GNTTABOP_setup_table, &table, sizeof(table), 1) < 0 || table.status != GNTST_okay)
        rc = failed(h, d, e);
    else
        memcpy(ret, frames, table.nr_frames * sizeof(*frames));
    xc_hypercall_buffer_free(h->xc, frames);
    return rc < 0 ? rc : (int)table.nr_frames;
}

int xen_grants_look(const struct xen_host *h, const struct xen_domain *d, struct dirty *into, struct err *e)
{
    xen_pfn_t frames[XEN_GRANT_FRAMES_MAX];
    int errors[XEN_GRANT_FRAMES_MAX], n = find_frames(h, d, frames, e);
    const uint8_t *at;

    if (n <= 0)
        return n;
    at = xenforeignmemory_map(h->memory, d->domid, PROT_READ, (size_t)n, frames, errors);
    if (!at)
        return failed(h, d, e);
    for (int i = 0; i < n; i++)
        if (errors[i] == 0)
            xen_grants_pick(at + (size_t)i * PAGE_BYTES, into);
    (void)xenforeignmemory_unmap(h->memory, (void *)(uintptr_t)at, (size_t)n);
    return 0;
}

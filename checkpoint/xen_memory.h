/* xen_memory — copies of a domain's pages: their types asked and the pages mapped in large batches.
 * Mappings never outlive a change of the physical map: they are undone at once while the guest runs,
 * and by xen_memory_settle() after the resume when it lies still, because unmapping takes as long as
 * the copy and the guest need not wait for it. */
#ifndef REPLICATOR_CHECKPOINT_XEN_MEMORY_H
#define REPLICATOR_CHECKPOINT_XEN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/xen_domain.h"
#include "checkpoint/xen_host.h"

#define XEN_TYPES_AT_ONCE    1024u /* the hypervisor's own limit */
#define XEN_COPY_PAGES_MAX   4096u /* one mapping */
#define XEN_DEVICES_START    UINT64_C(0xf0000) /* 256 MiB below 4 GiB: devices, firmware, special pages */
#define XEN_BLOCK_PAGES      16u
#define XEN_MAPPINGS_MAX     64u   /* kept at most until the resume */

struct xen_mapping {
    void *at;
    size_t pages;
};

struct xen_memory {
    const struct xen_host *host;
    struct xen_domain domain;
    uint64_t memory_end;    /* from here to XEN_DEVICES_START is nothing but what a device asked for */
    uint64_t *frames;       /* XEN_COPY_PAGES_MAX each, reserved at open */
    uint8_t *spans;
    int *errors;
    uint8_t **places;
    struct xen_mapping kept[XEN_MAPPINGS_MAX];
    size_t kept_count;
    uint64_t types_ns, map_ns; /* of copies so far: asking for types, mapping; the user clears them */
};

/* memory_pages: the most the domain may have. */
MUST_CHECK int xen_memory_open(struct xen_memory *m, const struct xen_host *h, const struct xen_domain *d,
                               uint64_t memory_pages, struct err *e);
void xen_memory_close(struct xen_memory *m); /* any state, twice */

/* How many pages from pfns[0] on, of n, one question is enough for: XEN_BLOCK_PAGES where a whole block
 * of them lies in the hole between memory and devices, because what is mapped there is mapped in blocks
 * (a device's memory is aligned to its size); else 1. Pure. */
size_t xen_memory_span(uint64_t memory_end, const uint64_t *pfns, size_t n);

/* Types of n pages, ascending, as the stream has them (PAGE_TYPE_…): page tables of PV don't occur. */
MUST_CHECK int xen_memory_types(struct xen_memory *m, const uint64_t *pfns, size_t n, uint8_t *ret,
                                struct err *e);

/* Copies page pfns[i] to to[i] and says its type, for all i < n. A page that is there and can't be
 * mapped just now is PAGE_TYPE_DEFERRED. keep: until xen_memory_settle(). */
MUST_CHECK int xen_memory_copy(struct xen_memory *m, const uint64_t *pfns, size_t n, uint8_t *const *to,
                               uint8_t *types, bool keep, struct err *e);

void xen_memory_settle(struct xen_memory *m);

/* Of n pages the ordinary ones were mapped one behind the other, errors[k] says how that went for the k-th
 * of them, and places[k] is where it goes to. Leaves in ret_frames (places in the mapping) and places those
 * that can be copied, and says how many; of the others, types become PAGE_TYPE_DEFERRED. Pure. */
size_t xen_memory_sort(uint8_t *types, size_t n, const int *errors, uint64_t *ret_frames, uint8_t **places);

#endif

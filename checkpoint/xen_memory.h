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
#define XEN_MAPPINGS_MAX     64u   /* kept at most until the resume */

struct xen_mapping {
    void *at;
    size_t pages;
};

struct xen_memory {
    const struct xen_host *host;
    struct xen_domain domain;
    uint64_t *frames;       /* XEN_COPY_PAGES_MAX each, reserved at open */
    int *errors;
    uint8_t **places;
    struct xen_mapping kept[XEN_MAPPINGS_MAX];
    size_t kept_count;
};

MUST_CHECK int xen_memory_open(struct xen_memory *m, const struct xen_host *h, const struct xen_domain *d,
                               struct err *e);
void xen_memory_close(struct xen_memory *m); /* any state, twice */

/* Types of n pages as the stream has them (PAGE_TYPE_…): page tables of PV don't occur. */
MUST_CHECK int xen_memory_types(struct xen_memory *m, const uint64_t *pfns, size_t n, uint8_t *ret,
                                struct err *e);

/* Copies page pfns[i] to to[i] and says its type, for all i < n. A page that is there and can't be
 * mapped just now is PAGE_TYPE_DEFERRED. keep: until xen_memory_settle(). */
MUST_CHECK int xen_memory_copy(struct xen_memory *m, const uint64_t *pfns, size_t n, uint8_t *const *to,
                               uint8_t *types, bool keep, struct err *e);

void xen_memory_settle(struct xen_memory *m);

#endif

/* xen_host — this host's hypervisor and its store, as one set of handles. Every call into Xen's
 * libraries is in checkpoint/xen_*.c, guest_xen*.c and replica_xen*.c.
 * A host without Xen, or a caller without the right, gets one line that says which it is. */
#ifndef REPLICATOR_CHECKPOINT_XEN_HOST_H
#define REPLICATOR_CHECKPOINT_XEN_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define XEN_VERSION_LEAST_MAJOR 4u
#define XEN_VERSION_LEAST_MINOR 17u /* libxenctrl's domctl interface is the hypervisor's own */

struct xc_interface_core;
struct xenforeignmemory_handle;
struct xs_handle;
struct xen_words;

struct xen_host {
    struct xc_interface_core *xc;
    struct xenforeignmemory_handle *memory;
    struct xs_handle *store;
    struct xen_words *words; /* what the libraries said last; they print nothing themselves */
    uint32_t major, minor;   /* of the hypervisor */
};

/* -ENODEV: no Xen, or this is not its control domain; -EACCES: not root; -ENOTSUP: another version. */
MUST_CHECK int xen_host_open(struct xen_host *ret, struct err *e);
void xen_host_close(struct xen_host *h); /* any state, twice */

/* err_set with errno's text and, where there is one, what the library said of it. */
int xen_host_failed(const struct xen_host *h, struct err *e, const char *format, ...) PRINTF_LIKE(3, 4);

/* Text at a path of the store, to be freed; NULL: there is none (or the store can't be read). */
char *xen_store_read(const struct xen_host *h, const char *path);
MUST_CHECK int xen_store_write(const struct xen_host *h, const char *path, const char *text, struct err *e);
void xen_store_remove(const struct xen_host *h, const char *path);

#endif

/* xen_config — what a host must have for a domain to run on it, read from libxl's JSON configuration:
 * its interfaces, its disks, its memory. Pure; the text may be a peer's. */
#ifndef REPLICATOR_CHECKPOINT_XEN_CONFIG_H
#define REPLICATOR_CHECKPOINT_XEN_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "checkpoint/guest.h"

#define XEN_VIFS_MAX       32u
#define XEN_DISKS_MAX      64u
#define XEN_BRIDGE_MAX     15u  /* an interface's name */
#define XEN_PATH_MAX       255u
#define XEN_ADDRESSES_MAX  255u

struct xen_vif {
    uint8_t mac[6];
    char bridge[XEN_BRIDGE_MAX + 1];       /* "": it is not put on a bridge */
    char addresses[XEN_ADDRESSES_MAX + 1]; /* as configured, separated by blanks; may be "" */
};

struct xen_disk {
    char vdev[16];
    char path[XEN_PATH_MAX + 1]; /* of this host */
};

struct xen_config {
    uint64_t memory_kb; /* of the guest, its video memory and its page tables */
    uint64_t ram_kb;    /* the guest's alone */
    unsigned vif_count, disk_count;
    struct xen_vif vifs[XEN_VIFS_MAX];
    struct xen_disk disks[XEN_DISKS_MAX]; /* those that this host itself must have */
};

/* -EPROTO naming the key that is missing, too long or out of its range. */
MUST_CHECK int xen_config_read(const char *json, struct xen_config *ret, struct err *e);

/* The same configuration for a domain of another name, in `to` (room octets, NUL included), without the
 * number that the domain had. -EPROTO, -E2BIG. */
MUST_CHECK int xen_config_rename(const char *json, const char *name, char *to, size_t room,
                                 struct err *e);

#endif

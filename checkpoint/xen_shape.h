/* xen_shape — what a backup must know of a Xen domain before its memory comes, as a guest's spec text:
 * "xen:" and one JSON object. Encode and decode are twins; the text is printable ASCII, so that HELLO
 * carries it. The configuration is libxl's own (domain_config as `xl list -l` shows it), unchanged:
 * the backup's toolstack builds the shell from it. Pure. */
#ifndef REPLICATOR_CHECKPOINT_XEN_SHAPE_H
#define REPLICATOR_CHECKPOINT_XEN_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "checkpoint/guest.h"

#define XEN_SHAPE_PREFIX "xen:"
#define XEN_VCPUS_MAX    4096u

/* X(name, whether QEMU emulates devices for it: then states carry the emulator's) */
#define XEN_TYPES(X) \
    X(pvh, false)    \
    X(hvm, true)

enum xen_type {
#define X(name, has_emulator) XEN_##name,
    XEN_TYPES(X)
#undef X
        XEN_TYPE_COUNT
};

struct xen_shape {
    char name[GUEST_NAME_MAX + 1]; /* as xl knows it */
    uint8_t uuid[16];
    enum xen_type type;
    uint64_t pages;                /* of the physical map: every pfn is below it */
    uint64_t max_memkb;            /* the most the hypervisor lets it have */
    uint64_t tot_pages;            /* that it had when protection began */
    uint32_t vcpus;
    uint32_t xen_major, xen_minor; /* of the primary's hypervisor */
    char config[GUEST_SPEC_MAX + 1]; /* JSON text, one line, of libxl's domain configuration */
};

const char *xen_type_name(enum xen_type type);
bool xen_type_has_emulator(enum xen_type type);

/* -E2BIG when the text would be longer than GUEST_SPEC_MAX; -EINVAL when config is no JSON object. */
MUST_CHECK int xen_shape_format(const struct xen_shape *shape, char to[GUEST_SPEC_MAX + 1],
                                struct err *e);

/* -EPROTO naming the field that is missing or out of its range: the text may be a peer's. */
MUST_CHECK int xen_shape_parse(const char *text, struct xen_shape *ret, struct err *e);

/* "0a1b2c3d-…", 36 characters and a NUL; parse takes upper case too. -EINVAL: not of this form. */
#define XEN_UUID_TEXT 37u
void xen_uuid_format(const uint8_t uuid[16], char to[XEN_UUID_TEXT]);
MUST_CHECK int xen_uuid_parse(const char *text, uint8_t ret[16]);

#endif

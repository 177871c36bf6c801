/* xen_xl — the toolstack's command, run as a child: what it prints, and whether it was content. */
#ifndef REPLICATOR_CHECKPOINT_XEN_XL_H
#define REPLICATOR_CHECKPOINT_XEN_XL_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define XEN_XL_OUTPUT_MAX (256u << 10)

/* Where xl is; NULL: nowhere that is usual. */
const char *xen_xl_path(void);

/* Runs xl with arguments (a NULL at the end, arguments[0] is its name) until it ends, at most
 * timeout_ns; its stdout into *ret (to be freed; ret may be NULL: not wanted), its stderr is ours.
 * -ENOENT: there is no xl; -ETIMEDOUT: it was ended; -EIO: it failed. */
MUST_CHECK int xen_xl_run(const char *const arguments[], uint64_t timeout_ns, char **ret, struct err *e);

/* The configuration of a domain as libxl's JSON object on one line, into `to`. -E2BIG when it is
 * longer than `most` octets. */
MUST_CHECK int xen_xl_config(uint32_t domid, char *to, size_t most, struct err *e);

/* Refuses a configuration with devices that are passed through: nobody can read their state.
 * -EOPNOTSUPP naming the kind. Pure. */
MUST_CHECK int xen_xl_check_devices(const char *config, struct err *e);

/* The object `config` of what `xl list -l` printed. Pure; as above. */
MUST_CHECK int xen_xl_config_of(const char *listing, char *to, size_t most, struct err *e);

#endif

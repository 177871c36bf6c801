/* xen_emulator — QEMU as the emulator of an HVM domain's devices: stopped while the domain lies still,
 * its devices' state kept with the epoch, its writes to the domain's memory logged. For a domain
 * without one all of it is nothing, and succeeds. The conversation lasts from the request to suspend to
 * the resume, because the emulator talks to one toolstack at a time. */
#ifndef REPLICATOR_CHECKPOINT_XEN_EMULATOR_H
#define REPLICATOR_CHECKPOINT_XEN_EMULATOR_H

#include <stdbool.h>

#include "base/bytes.h"
#include "checkpoint/xen_domain.h"
#include "checkpoint/xen_host.h"
#include "checkpoint/xen_qmp.h"

#define XEN_EMULATOR_STATE_MAX (2u << 20)

struct xen_emulator {
    const struct xen_host *host;
    struct xen_domain domain;
    bool is_there;
    bool is_stopped; /* by us */
    bool is_logging;
    struct xen_qmp qmp;
};

void xen_emulator_init(struct xen_emulator *m, const struct xen_host *h, const struct xen_domain *d,
                       bool is_there);

/* Lets it go on, ends the log. Any state, twice. */
void xen_emulator_close(struct xen_emulator *m);

/* Logs what it writes, along with the hypervisor's log of what the domain writes. */
MUST_CHECK int xen_emulator_log(struct xen_emulator *m, bool on, struct err *e);

/* Begins the conversation, while the domain still runs. */
MUST_CHECK int xen_emulator_meet(struct xen_emulator *m, struct err *e);

/* Stops it: nothing of it writes to the domain's memory or sends a frame. */
MUST_CHECK int xen_emulator_stop(struct xen_emulator *m, struct err *e);

/* Appends its state as FOREIGN_STATE records. While stopped. */
MUST_CHECK int xen_emulator_put(struct xen_emulator *m, struct sink *to, struct err *e);

/* Lets it go on, before the domain does; ends the conversation. */
MUST_CHECK int xen_emulator_go_on(struct xen_emulator *m, struct err *e);

#endif

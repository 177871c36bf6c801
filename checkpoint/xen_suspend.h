/* xen_suspend — stops a domain by its own consent and lets it go on, as often as wanted. Asked for by
 * the event channel that the guest offers, else by control/shutdown in the store; a guest without
 * drivers for Xen is stopped by the hypervisor. There is a deadline; a request that is not met is taken
 * back, and a guest that follows a request taken back too late is let go on by xen_suspend_events(). */
#ifndef REPLICATOR_CHECKPOINT_XEN_SUSPEND_H
#define REPLICATOR_CHECKPOINT_XEN_SUSPEND_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/xen_domain.h"
#include "checkpoint/xen_host.h"

#define XEN_SUSPEND_GRACE_NS (UINT64_C(2) * 1000000000) /* for a guest that has begun to suspend */

struct xenevtchn_handle;

struct xen_suspend {
    const struct xen_host *host;
    struct xen_domain domain;
    struct xenevtchn_handle *channels; /* NULL: the guest offers no event channel */
    int port, lock_fd;
    bool is_watching;
    bool is_asked;    /* to suspend, until xen_suspend_poll() says how it ended */
    bool is_due;      /* but not told yet: somebody else's request (xl shutdown) is not read yet */
    bool is_answered; /* too late to take the request back */
    bool is_unwanted; /* given up all the same: it may still suspend */
    bool is_untold;   /* the store doesn't know yet that it was resumed */
    uint64_t until_ns;
};

/* Begins to watch the domain's life. */
MUST_CHECK int xen_suspend_open(struct xen_suspend *s, const struct xen_host *h, const struct xen_domain *d,
                                struct err *e);
void xen_suspend_close(struct xen_suspend *s); /* any state, twice; the domain stays as it is */

/* Asks the domain to suspend, which takes it a while. */
MUST_CHECK int xen_suspend_ask(struct xen_suspend *s, uint64_t timeout_ns, struct err *e);

/* What has become of it, without waiting: 1 it lies still; 0 not yet (look again when the descriptor is
 * readable, and now and then). -ECANCELED: it has ended (it lies still too); -ETIMEDOUT: it runs on, and
 * the request is taken back. */
MUST_CHECK int xen_suspend_poll(struct xen_suspend *s, struct err *e);

/* Lets a suspended domain go on in its own environment: for the guest the suspend was cancelled. Takes
 * back a request that has not been met. 0 also when it was not suspended. */
MUST_CHECK int xen_suspend_resume(struct xen_suspend *s, struct err *e);

/* After it: tells the store, which would otherwise not say when the domain stops again. The guest need
 * not wait for that. Asking tells it too, where this has failed. */
MUST_CHECK int xen_suspend_tell(struct xen_suspend *s, struct err *e);

/* Readable when any domain of the host may have ended or suspended. */
int xen_suspend_fd(const struct xen_suspend *s);

/* Takes what has come without waiting: true when something did, so that the domain wants a look. */
bool xen_suspend_events(struct xen_suspend *s);

#endif

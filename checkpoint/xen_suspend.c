/* xen_suspend — see xen_suspend.h. The store tells by @releaseDomain that some domain changed; what
 * became of ours is asked of the hypervisor, never taken from the store. */
#include "checkpoint/xen_suspend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenguest.h>
#include <xenstore.h>
#include <xen/hvm/params.h>

#include "base/clock.h"
#include "base/failpoint.h"

#define WATCH_PATH  "@releaseDomain"
#define WATCH_TOKEN "replicator"
#define REQUEST     "suspend"

static void control_path(const struct xen_suspend *s, char to[64])
{
    snprintf(to, 64, "/local/domain/%" PRIu32 "/control/shutdown", s->domain.domid);
}

/* ---- watching ---------------------------------------------------------------------------------- */

int xen_suspend_fd(const struct xen_suspend *s)
{
    return s->is_watching ? xs_fileno(s->host->store) : -1;
}

static bool drain(struct xen_suspend *s)
{
    bool came = false;

    for (char **event; (event = xs_check_watch(s->host->store)); free(event))
        came = true;
    return came;
}

static bool is_suspended(const struct xen_suspend *s)
{
    struct xen_look look;
    struct err unused;

    return xen_domain_look(s->host, &s->domain, &look, &unused) == 0 && look.is_suspended;
}

bool xen_suspend_events(struct xen_suspend *s)
{
    struct err unused;

    if (!drain(s))
        return false;
    if (s->is_unwanted && is_suspended(s) && xen_suspend_resume(s, &unused) == 0) {
        s->is_unwanted = false; /* also when somebody else has let it go on meanwhile */
        (void)!xen_suspend_tell(s, &unused);
    }
    return true;
}

/* ---- the event channel, where the guest offers one ----------------------------------------------- */

static void close_channel(struct xen_suspend *s)
{
    if (!s->channels)
        return;
    xc_suspend_evtchn_release(s->host->xc, s->channels, s->domain.domid, s->port, &s->lock_fd);
    xenevtchn_close(s->channels);
    s->channels = NULL;
}

/* None is no failure: the store does. */
static void open_channel(struct xen_suspend *s)
{
    int offered = xs_suspend_evtchn_port((int)s->domain.domid);

    if (offered < 0)
        return;
    s->channels = xenevtchn_open(NULL, 0);
    if (!s->channels)
        return;
    s->port = xc_suspend_evtchn_init_exclusive(s->host->xc, s->channels, s->domain.domid, offered,
                                               &s->lock_fd);
    if (s->port < 0) { /* it has released what it had */
        xenevtchn_close(s->channels);
        s->channels = NULL;
    }
}

int xen_suspend_open(struct xen_suspend *s, const struct xen_host *h, const struct xen_domain *d,
                     struct err *e)
{
    *s = (struct xen_suspend){ .host = h, .domain = *d, .port = -1, .lock_fd = -1 };
    if (!xs_watch(h->store, WATCH_PATH, WATCH_TOKEN))
        return xen_host_failed(h, e, "the end of domains can't be watched");
    s->is_watching = true;
    open_channel(s);
    return 0;
}

void xen_suspend_close(struct xen_suspend *s)
{
    struct err unused;

    if (!s->host)
        return;
    (void)!xen_suspend_tell(s, &unused);
    close_channel(s);
    if (s->is_watching)
        (void)xs_unwatch(s->host->store, WATCH_PATH, WATCH_TOKEN);
    *s = (struct xen_suspend){ 0 };
}

/* ---- asking ------------------------------------------------------------------------------------ */

/* Writes `to` where `from` stands (both "" or REQUEST), in a transaction, because the guest answers at the
 * same place and an operator may ask for something else there, which must not be lost. 1: done; 0: something
 * else stands there; -1: the store failed, and errno. */
static int replace_request(const struct xen_suspend *s, const char *from, const char *to)
{
    struct xs_handle *store = s->host->store;
    char path[64];

    control_path(s, path);
    for (;;) {
        xs_transaction_t t = xs_transaction_start(store);
        unsigned length;
        AUTO_FREE char *text = t != XBT_NULL ? xs_read(store, t, path, &length) : NULL;
        bool is_there = t != XBT_NULL && strcmp(text ? text : "", from) == 0;
        bool is_written = is_there && xs_write(store, t, path, to, (unsigned)strlen(to));

        if (t == XBT_NULL)
            return -1;
        if (!is_written) {
            (void)xs_transaction_end(store, t, true);
            return is_there ? -1 : 0;
        }
        if (xs_transaction_end(store, t, false))
            return 1;
        if (errno != EAGAIN)
            return -1;
    }
}

/* A request of ours that nobody has read is as good as a new one. */
static int ask_by_store(struct xen_suspend *s, struct err *e)
{
    int rc = replace_request(s, "", REQUEST);

    if (rc == 0)
        rc = replace_request(s, REQUEST, REQUEST);
    s->is_due = rc == 0;
    return rc < 0 ? xen_host_failed(s->host, e, "the domain can't be asked to suspend") : 0;
}

static int ask(struct xen_suspend *s, struct err *e)
{
    const struct xen_host *h = s->host;
    uint64_t callback = 0, acpi_sleep = 0;

    (void)xc_hvm_param_get(h->xc, s->domain.domid, HVM_PARAM_CALLBACK_IRQ, &callback);
    (void)xc_hvm_param_get(h->xc, s->domain.domid, HVM_PARAM_ACPI_S_STATE, &acpi_sleep);
    if (acpi_sleep == 0 && s->channels)
        return xenevtchn_notify(s->channels, (evtchn_port_t)s->port) < 0
                   ? xen_host_failed(h, e, "the guest's event channel can't be notified")
                   : 0;
    if (callback == 0 || acpi_sleep != 0) /* no drivers that would listen, or asleep */
        return xc_domain_shutdown(h->xc, s->domain.domid, SHUTDOWN_suspend) < 0
                   ? xen_host_failed(h, e, "the domain can't be suspended")
                   : 0;
    return ask_by_store(s, e);
}

/* Takes the request back where the guest has not seen it yet: true. */
static bool take_back(struct xen_suspend *s)
{
    bool was_due = s->is_due;

    s->is_due = false;
    return was_due || replace_request(s, REQUEST, "") > 0;
}

/* The first deadline is the guest's to answer, the second its to be done when it has. */
static int timed_out(struct xen_suspend *s, const struct xen_look *look, struct err *e)
{
    if (s->is_answered) {
        s->is_asked = false;
        s->is_unwanted = true;
        return err_set(e, ETIMEDOUT, "the guest has begun to suspend and does not end it");
    }
    if (s->channels || !take_back(s)) {
        s->is_answered = true;
        s->until_ns = clock_now_ns() + XEN_SUSPEND_GRACE_NS;
        return 0;
    }
    s->is_asked = false;
    return look->is_paused ? err_set(e, ETIMEDOUT, "the guest is paused: xl unpause lets it go on")
                           : err_set(e, ETIMEDOUT, "the guest does not suspend: is it shutting down? are its Xen "
                                            "drivers loaded?");
}

int xen_suspend_ask(struct xen_suspend *s, uint64_t timeout_ns, struct err *e)
{
    int rc = xen_suspend_tell(s, e);

    if (rc == 0 && !s->is_unwanted && !is_suspended(s)) /* a dead process, or an unwanted request, may have done it */
        rc = ask(s, e);
    if (rc < 0)
        return rc;
    FAILPOINT(suspend_asked);
    s->is_asked = true;
    s->is_answered = false;
    s->is_unwanted = false;
    s->until_ns = clock_now_ns() + timeout_ns;
    return 0;
}

int xen_suspend_poll(struct xen_suspend *s, struct err *e)
{
    struct xen_look look;
    int rc;

    must(s->is_asked);
    /* First what the store said, of whichever domain: told of another one's pause, who waits for the
     * descriptor would not wait any more. What comes after the look says so anew. */
    (void)drain(s);
    rc = xen_domain_look(s->host, &s->domain, &look, e);
    if (rc == 0 && look.life != GUEST_RUNS)
        rc = err_set(e, ECANCELED, "domain %" PRIu32 " has ended", s->domain.domid);
    else if (rc == 0 && look.is_suspended)
        rc = 1;
    else if (rc == 0 && s->is_due)
        rc = ask_by_store(s, e);
    if (rc != 0) {
        s->is_asked = s->is_due = false;
        return rc;
    }
    return clock_now_ns() < s->until_ns ? 0 : timed_out(s, &look, e);
}

/* ---- going on ---------------------------------------------------------------------------------- */

static void cancel(struct xen_suspend *s)
{
    if (!s->is_asked)
        return;
    s->is_asked = false;
    s->is_unwanted = s->channels || !take_back(s);
}

int xen_suspend_resume(struct xen_suspend *s, struct err *e)
{
    const struct xen_host *h = s->host;

    cancel(s);
    if (!is_suspended(s))
        return 0;
    s->is_unwanted = false;
    if (xc_domain_resume(h->xc, s->domain.domid, 1) < 0)
        return xen_host_failed(h, e, "domain %" PRIu32 " can't be resumed", s->domain.domid);
    s->is_untold = true;
    FAILPOINT(half_resumed);
    return 0;
}

/* What happened to the domain in between is found by the next look. */
int xen_suspend_tell(struct xen_suspend *s, struct err *e)
{
    if (!s->is_untold)
        return 0;
    if (!xs_resume_domain(s->host->store, s->domain.domid))
        return xen_host_failed(s->host, e, "the xenstore daemon does not take the resume");
    s->is_untold = false;
    return 0;
}

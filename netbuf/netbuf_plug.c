/* netbuf_plug — see netbuf_plug.h. Which order a plug is given decides plug_state; here they are
 * gathered into one send, and what an answer means is carried back. */
#include "netbuf/netbuf_plug_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

_Static_assert(VIF_RECORD_VIFS_MAX <= NETLINK_BATCH_MAX, "all interfaces fit one send");
_Static_assert(VIF_RECORD_VIFS_MAX <= NETBUF_PORTS_MAX, "all interfaces fit a status");

/* ---- one send for all ------------------------------------------------------------------------------- */

struct batch {
    unsigned count;
    struct nl_msg *messages[NETLINK_BATCH_MAX];
    unsigned vifs[NETLINK_BATCH_MAX]; /* whose */
    int results[NETLINK_BATCH_MAX];
};

static void batch_add(struct batch *b, unsigned vif, struct nl_msg *message)
{
    b->messages[b->count] = message;
    b->vifs[b->count++] = vif;
}

static int batch_send(struct plug *p, struct batch *b, struct err *e)
{
    return b->count ? netlink_exchange(&p->netlink, b->messages, b->count, b->results, e) : 0;
}

/* Names the interface that a failed batch failed for. */
static int batch_failed(const struct plug *p, const struct batch *b, const char *what, struct err *e)
{
    for (unsigned i = 0; i < b->count; i++)
        if (b->results[i] < 0)
            return err_wrap(e, "%s %s", what, p->vifs[b->vifs[i]].name);
    return err_wrap(e, "%s", what);
}

static int remember(struct plug *p, enum plug_mode mode, struct err *e)
{
    struct vif_record r = p->record;
    int rc;

    if (r.mode == mode)
        return 0;
    r.mode = mode;
    rc = vif_record_store(p->folder, &r, e);
    if (rc == 0)
        p->record = r;
    return rc;
}

/* ---- mark and release ------------------------------------------------------------------------------- */

/* After an answer that was lost: is the plug itself still there? */
static void look_again(struct plug *p, unsigned i)
{
    struct plug_qdisc found;
    struct err ignored;

    if (vif_query(&p->vifs[i], &p->netlink, &found, &ignored) < 0)
        p->troubles[i] = UNPLUGGED;
}

/* A plug that refused is replaced by a fresh one that holds: then the mark is done all the same. */
static int mark_anew(struct plug *p, unsigned i, uint64_t epoch, struct err *e)
{
    p->troubles[i] = UNPLUGGED;
    p->vifs[i].state.mode = PLUG_HOLDING;
    (void)plug_state_marked(&p->vifs[i].state, epoch, PLUG_ORDER_NONE, true);
    return netbuf_plug_mend(p, i, e);
}

/* One send. *ret_again: some answers were lost of plugs that must not stay in doubt. */
static int mark_once(struct plug *p, uint64_t epoch, bool *ret_again, struct err *e)
{
    struct batch b = { .count = 0 };
    struct err why;
    int rc = 0;

    *ret_again = false;
    for (unsigned i = 0; i < p->count; i++) {
        struct vif *v = &p->vifs[i];

        if (plug_state_at_mark(&v->state) == PLUG_ORDER_BUFFER)
            batch_add(&b, i, v->buffer);
        else
            (void)plug_state_marked(&v->state, epoch, PLUG_ORDER_NONE, true);
    }
    (void)batch_send(p, &b, &why);
    for (unsigned k = 0; k < b.count; k++) {
        unsigned i = b.vifs[k];

        if (b.results[k] < 0 && mark_anew(p, i, epoch, &why) < 0) {
            *e = why;
            rc = err_wrap(e, "hold the output of %s", p->vifs[i].name);
        } else if (b.results[k] >= 0 &&
                   plug_state_marked(&p->vifs[i].state, epoch, PLUG_ORDER_BUFFER, b.results[k] == 0)) {
            *ret_again = true;
        }
        if (b.results[k] == NETLINK_UNCLEAR)
            look_again(p, i);
    }
    return rc;
}

/* The kernel counts no frames while they pass. One that is still in the queue when holding begins would
 * be one too few in every count after it, and the last frame of each epoch would wait for the next. */
static int empty_all(struct plug *p, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < p->count; i++)
        if (!vif_drain(&p->vifs[i], &p->netlink))
            rc = netbuf_plug_renew(p, &p->vifs[i], e);
    return rc;
}

static int plug_mark(struct netbuf *n, uint64_t epoch, struct err *e)
{
    struct plug *p = netbuf_plug_of(n);
    bool again = false;
    int rc = n->ops->watch(n, e);

    if (rc == 0 && p->record.mode == PLUG_PASSING && (rc = empty_all(p, e)) == 0)
        rc = remember(p, PLUG_HOLDING, e);
    if (rc < 0)
        return rc;
    rc = mark_once(p, epoch, &again, e);
    if (rc == 0 && again)
        rc = mark_once(p, epoch, &again, e);
    if (rc == 0 && again)
        rc = err_set(e, EAGAIN, "the kernel does not say whether output is held");
    return rc;
}

/* The frames of one send leave together, so one look at the clock right before it is enough. */
static int release_once(struct plug *p, uint64_t epoch, uint64_t not_after_ns, bool *ret_again,
                        struct err *e)
{
    struct batch b = { .count = 0 };
    int rc;

    *ret_again = false;
    for (unsigned i = 0; i < p->count; i++)
        if (plug_state_at_release(&p->vifs[i].state, epoch) == PLUG_ORDER_RELEASE_ONE)
            batch_add(&b, i, p->vifs[i].release_one);
    if (b.count == 0)
        return 0;
    if (clock_now_ns() > not_after_ns)
        return err_set(e, ETIME, "the lease ran out before the output of epoch %" PRIu64 " left", epoch);
    rc = batch_send(p, &b, e);
    for (unsigned k = 0; k < b.count; k++)
        if (b.results[k] < 0)
            p->troubles[b.vifs[k]] = UNPLUGGED;
        else
            *ret_again |= plug_state_released(&p->vifs[b.vifs[k]].state, PLUG_ORDER_RELEASE_ONE,
                                              b.results[k] == 0);
    if (rc < 0 && rc != -EAGAIN)
        return batch_failed(p, &b, "release the output of", e);
    if (clock_now_ns() > not_after_ns)
        return err_set(e, ETIME, "the kernel was busy: the output of epoch %" PRIu64 " may have left "
                       "after the lease", epoch);
    return 0;
}

/* What could not be mended is the next mark's failure: frames that are sound need not wait for it. */
static int plug_release(struct netbuf *n, uint64_t epoch, uint64_t not_after_ns, struct err *e)
{
    struct plug *p = netbuf_plug_of(n);
    struct err ignored;
    bool again = false;
    int rc;

    (void)!n->ops->watch(n, &ignored);
    rc = release_once(p, epoch, not_after_ns, &again, e);
    if (rc == 0 && again)
        rc = release_once(p, epoch, not_after_ns, &again, e);
    if (rc == 0 && again)
        rc = err_set(e, EAGAIN, "the kernel does not say whether output left");
    return rc;
}

/* ---- the ends --------------------------------------------------------------------------------------- */

static int plug_open(struct netbuf *n, struct err *e)
{
    struct plug *p = netbuf_plug_of(n);
    int rc = 0;

    if (p->record.mode == PLUG_DROPPING)
        return err_set(e, EPERM, "the output was dropped for good");
    for (unsigned i = 0; i < p->count; i++) {
        struct vif *v = &p->vifs[i];

        if (p->troubles[i] == NEW)
            continue; /* nothing of it is held */
        rc = netlink_do(&p->netlink, plug_message_plug_change(v->ifb_index, v->handle,
                                                              PLUG_RELEASE_INDEFINITE, 0), e);
        if (rc == -EAGAIN) /* once more does no harm */
            rc = netlink_do(&p->netlink, plug_message_plug_change(v->ifb_index, v->handle,
                                                                  PLUG_RELEASE_INDEFINITE, 0), e);
        if (rc < 0)
            return err_wrap(e, "let the output of %s pass", v->name);
        v->state.mode = PLUG_PASSING;
        v->state.is_finished = false;
    }
    return remember(p, PLUG_PASSING, e);
}

static int plug_drop(struct netbuf *n, struct err *e)
{
    struct plug *p = netbuf_plug_of(n);
    struct err one;
    int rc = remember(p, PLUG_DROPPING, e);

    p->record.mode = PLUG_DROPPING; /* even when it could not be written: never open again */
    for (unsigned i = 0; i < p->count; i++) {
        if (p->vifs[i].state.mode == PLUG_DROPPING || p->troubles[i] == NEW)
            continue;
        p->vifs[i].state.mode = PLUG_DROPPING;
        if (netbuf_plug_renew(p, &p->vifs[i], &one) < 0 && rc == 0) {
            p->troubles[i] = UNPLUGGED;
            *e = one;
            rc = -one.code;
        }
    }
    return rc;
}

static void plug_stats(struct netbuf *n, struct netbuf_stats *ret)
{
    struct plug *p = netbuf_plug_of(n);
    struct err ignored;

    *ret = p->before;
    ret->limit_bytes = p->limit_bytes;
    for (unsigned i = 0; i < p->count; i++) {
        struct plug_qdisc one;

        if (vif_query(&p->vifs[i], &p->netlink, &one, &ignored) < 0)
            continue;
        ret->held_frames += one.held_frames;
        ret->held_bytes += one.held_bytes;
        ret->released_frames += one.passed_frames;
        ret->dropped_frames += one.dropped_frames;
    }
}

static void plug_close(struct netbuf *n)
{
    struct plug *p = netbuf_plug_of(n);
    struct err ignored;

    /* What could not be given back is still in the record. */
    if (p->record.mode == PLUG_PASSING)
        (void)netbuf_plug_give_back(p, p->record.count, &ignored);
    netbuf_plug_free(p);
}

static int plug_fd(const struct netbuf *n)
{
    return ((const struct plug *)(const void *)n)->watch.fd;
}

static const struct netbuf_ops plug_ops = {
    .kind = "plug",
    .holds = true,
    .mark = plug_mark,
    .release = plug_release,
    .open = plug_open,
    .drop = plug_drop,
    .stats = plug_stats,
    .ports = netbuf_plug_ports,
    .fd = plug_fd,
    .watch = netbuf_plug_watch,
    .health = netbuf_plug_health,
    .close = plug_close,
};

struct plug *netbuf_plug_of(struct netbuf *n)
{
    must(n->ops == &plug_ops);
    return (struct plug *)(void *)n;
}

int netbuf_plug_new(struct plug **ret, struct err *e)
{
    struct plug *p = calloc(1, sizeof(*p));

    if (!p)
        return err_set(e, ENOMEM, "no memory for a network buffer");
    p->base.ops = &plug_ops;
    p->netlink.fd = p->watch.fd = -1;
    *ret = p;
    return 0;
}

void netbuf_plug_free(struct plug *p)
{
    for (unsigned i = 0; i < VIF_RECORD_VIFS_MAX; i++)
        vif_close(&p->vifs[i]);
    link_watch_close(&p->watch);
    netlink_close(&p->netlink);
    free(p);
}

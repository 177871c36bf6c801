/* netbuf_plug_watch — the half of netbuf_plug that hears what happens to its interfaces and mends it. */
#include "netbuf/netbuf_plug_inside.h"

#include <errno.h>
#include <string.h>

/* ---- what the kernel tells -------------------------------------------------------------------------- */

static void hear_link(struct plug *p, const struct plug_link *link)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct vif *v = &p->vifs[i];

        if (link->ifindex == v->ifb_index && (link->is_gone || !link->is_up))
            p->troubles[i] = UNPLUGGED; /* a reset keeps counters that are no longer true */
        if (link->ifindex == v->ifindex && link->is_gone && p->troubles[i] != UNPLUGGED)
            p->troubles[i] = GONE;
        if (link->ifindex != v->ifindex && !link->is_gone && strcmp(link->name, v->name) == 0 &&
            p->troubles[i] != UNPLUGGED)
            p->troubles[i] = UNHELD;
    }
}

static void hear(const struct link_event *event, void *context)
{
    struct plug *p = context;

    for (unsigned i = 0; i < p->count; i++) {
        const struct vif *v = &p->vifs[i];

        if (event->type == LINK_EVENT_LOST ||
            (event->type == LINK_EVENT_QDISC && event->qdisc.ifindex == v->ifb_index &&
             event->qdisc.handle == v->handle))
            p->troubles[i] = UNPLUGGED;
        else if (p->troubles[i] == SOUND &&
                 ((event->type == LINK_EVENT_FILTER && event->filter.ifindex == v->ifindex) ||
                  (event->type == LINK_EVENT_QDISC && event->qdisc.ifindex == v->ifindex)))
            p->troubles[i] = UNHELD;
    }
    if (event->type == LINK_EVENT_LINK)
        hear_link(p, &event->link);
}

int netbuf_plug_renew(struct plug *p, struct vif *v, struct err *e)
{
    struct plug_qdisc old = { 0 };
    struct err ignored;
    int rc;

    if (vif_query(v, &p->netlink, &old, &ignored) == 0)
        p->lost_frames += old.held_frames;
    rc = vif_renew(v, &p->netlink, v->state.mode == PLUG_DROPPING ? 0 : v->limit_bytes, e);
    if (rc == 0 && v->state.mode == PLUG_PASSING)
        rc = netlink_do(&p->netlink, plug_message_plug_change(v->ifb_index, v->handle,
                                                              PLUG_RELEASE_INDEFINITE, 0), e);
    return rc;
}

/* Holds again what an interface sends that came back or lost its redirect. The record knows a new
 * interface before anything is changed on it. */
static int reattach(struct plug *p, unsigned i, struct err *e)
{
    struct vif *v = &p->vifs[i];
    struct vif_record_row *row = &p->record.vifs[i];
    int rc = vif_relocate(v, &p->netlink, e);

    if (rc < 0)
        return rc;
    if (row->ifindex != v->ifindex) {
        row->ifindex = v->ifindex;
        row->had_ingress = v->had_ingress;
        if ((rc = vif_record_store(p->folder, &p->record, e)) < 0)
            return rc;
    }
    return vif_redirect(v, &p->netlink, e);
}

/* An interface that is not there sends nothing: no failure, and heard of when it comes back. */
int netbuf_plug_mend(struct plug *p, unsigned i, struct err *e)
{
    struct vif *v = &p->vifs[i];
    struct err ignored;
    int rc;

    if (p->troubles[i] == UNPLUGGED) {
        if ((v->state.mode != PLUG_PASSING || vif_check(v, &p->netlink, &ignored) < 0) &&
            (rc = netbuf_plug_renew(p, v, e)) < 0)
            return rc;
        p->troubles[i] = UNHELD;
    }
    if (p->troubles[i] == UNHELD) {
        rc = reattach(p, i, e);
        if (rc < 0 && rc != -ENODEV)
            return rc;
        p->troubles[i] = rc == 0 ? SOUND : GONE;
    }
    return 0;
}

int netbuf_plug_watch(struct netbuf *n, struct err *e)
{
    struct plug *p = netbuf_plug_of(n);
    struct err one;
    int rc = 0;

    link_watch_read(&p->watch, hear, p);
    for (unsigned i = 0; i < p->count; i++)
        if (p->troubles[i] != SOUND && netbuf_plug_mend(p, i, &one) < 0 && rc == 0) {
            *e = one;
            rc = -one.code;
        }
    return rc;
}

int netbuf_plug_fd(const struct netbuf *n)
{
    return ((const struct plug *)(const void *)n)->watch.fd;
}

/* netbuf_plug_watch — the part of netbuf_plug that hears what happens to its interfaces, mends it, and
 * says what is amiss. */
#include "netbuf/netbuf_plug_inside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What can happen to an interface from outside: what it makes of it, and words after its name. */
struct happening {
    enum trouble makes;
    const char *words;
};

static const struct happening went = { GONE, "was unplugged" };
static const struct happening came_back = { UNHELD, "was plugged in again" };
static const struct happening redirect_gone = { UNHELD, "lost its redirect: somebody removed it" };
static const struct happening hook_gone = { UNHELD, "lost its ingress hook: somebody removed it" };
static const struct happening plug_gone = { UNPLUGGED, "lost its plug: somebody replaced it" };
static const struct happening ifb_down = { UNPLUGGED, "lost what it held: somebody set its ifb down" };
static const struct happening unheard = { UNPLUGGED, "may have changed: messages of the kernel were lost" };
static const struct happening ifb_gone = { UNMADE, "lost what it held: somebody removed its ifb" };

/* ---- what the kernel tells -------------------------------------------------------------------------- */

static void note(struct plug *p, const char *name, const char *words)
{
    p->heard++;
    (void)snprintf(p->newest, sizeof(p->newest), "%s %s", name, words);
}

/* The worst that happened since it was last mended counts. */
static void happen(struct plug *p, unsigned i, const struct happening *h)
{
    if (p->troubles[i] >= h->makes)
        return;
    p->troubles[i] = h->makes;
    note(p, p->vifs[i].name, h->words);
}

static void hear_own_link(struct plug *p, unsigned i, const struct plug_link *link)
{
    if (link->is_gone) {
        happen(p, i, &went);
        p->is_down[i] = false;
    } else if (link->is_up == p->is_down[i]) {
        p->is_down[i] = !link->is_up;
        if (p->is_down[i])
            note(p, p->vifs[i].name, "was set down");
    }
}

static void hear_link(struct plug *p, const struct plug_link *link)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct vif *v = &p->vifs[i];

        if (link->ifindex == v->ifb_index && (link->is_gone || !link->is_up))
            happen(p, i, link->is_gone ? &ifb_gone : &ifb_down);
        if (link->ifindex == v->ifindex) {
            hear_own_link(p, i, link);
        } else if (!link->is_gone && strcmp(link->name, v->name) == 0) {
            p->is_down[i] = !link->is_up;
            happen(p, i, &came_back);
        }
    }
    if (!link->is_gone && netbuf_plug_add(p, link->name))
        note(p, link->name, "was plugged in");
}

static void hear(const struct link_event *event, void *context)
{
    struct plug *p = context;

    for (unsigned i = 0; i < p->count; i++) {
        const struct vif *v = &p->vifs[i];

        if (event->type == LINK_EVENT_LOST)
            happen(p, i, &unheard);
        else if (event->type == LINK_EVENT_QDISC && event->qdisc.ifindex == v->ifb_index &&
                 event->qdisc.handle == v->handle)
            happen(p, i, &plug_gone);
        else if (event->type == LINK_EVENT_QDISC && event->qdisc.ifindex == v->ifindex)
            happen(p, i, &hook_gone);
        else if (event->type == LINK_EVENT_FILTER && event->filter.ifindex == v->ifindex)
            happen(p, i, &redirect_gone);
    }
    if (event->type == LINK_EVENT_LINK)
        hear_link(p, &event->link);
}

/* ---- mending ---------------------------------------------------------------------------------------- */

int netbuf_plug_renew(struct plug *p, struct vif *v, struct err *e)
{
    struct plug_qdisc old = { 0 };
    struct err ignored;
    int rc;

    if (vif_query(v, &p->netlink, &old, &ignored) == 0) {
        p->before.lost_frames += old.held_frames;
        p->before.released_frames += old.passed_frames;
        p->before.dropped_frames += old.dropped_frames;
    }
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

/* Rows of the record are in the order of interfaces: a new one waits for those before it. */
static int set_up_new(struct plug *p, unsigned i, struct err *e)
{
    char name[IFNAMSIZ];
    int rc;

    memcpy(name, p->vifs[i].name, sizeof(name));
    if (i > p->record.count)
        return err_set(e, EAGAIN, "%s is not held yet", name);
    if (i < p->record.count) /* what an earlier try made is in the way */
        rc = vif_tear_down(&p->vifs[i], &p->netlink, false, e);
    else
        rc = netbuf_plug_take_row(p, i, name, e);
    if (rc < 0) {
        memcpy(p->vifs[i].name, name, sizeof(name)); /* tried again by it */
        return rc;
    }
    if ((rc = vif_record_store(p->folder, &p->record, e)) < 0)
        return rc;
    return vif_set_up(&p->vifs[i], &p->netlink, p->limit_bytes, p->record.mode, e);
}

/* It went before anything was made: as if it had never been there. */
static void forget(struct plug *p, unsigned i)
{
    p->count--;
    for (; i < p->count; i++) {
        p->vifs[i] = p->vifs[i + 1];
        p->troubles[i] = p->troubles[i + 1];
        p->is_down[i] = p->is_down[i + 1];
    }
    p->vifs[p->count] = (struct vif){ .ifindex = 0 };
    p->troubles[p->count] = SOUND;
}

static int mend_new(struct plug *p, unsigned i, struct err *e)
{
    bool has_row = i < p->record.count;
    int rc = set_up_new(p, i, e);

    if (rc == 0)
        p->troubles[i] = SOUND;
    else if (rc == -ENODEV && !has_row && p->record.count == i) {
        forget(p, i);
        return 0;
    }
    return rc;
}

static int mend_plug(struct plug *p, unsigned i, struct err *e)
{
    struct vif *v = &p->vifs[i];
    struct err ignored;
    int rc = 0;

    if (p->troubles[i] == UNPLUGGED &&
        (v->state.mode != PLUG_PASSING || vif_check(v, &p->netlink, &ignored) < 0)) {
        rc = netbuf_plug_renew(p, v, e);
        if (rc == -ENODEV)
            p->troubles[i] = UNMADE;
    }
    if (p->troubles[i] == UNMADE)
        rc = vif_remake(v, &p->netlink, e);
    if (rc == 0)
        p->troubles[i] = UNHELD;
    return rc;
}

/* An interface that is not there sends nothing: no failure, and heard of when it comes back. */
int netbuf_plug_mend(struct plug *p, unsigned i, struct err *e)
{
    int rc = 0;

    if (p->troubles[i] == NEW)
        return mend_new(p, i, e);
    if (p->troubles[i] == UNPLUGGED || p->troubles[i] == UNMADE)
        rc = mend_plug(p, i, e);
    if (rc == 0 && p->troubles[i] == UNHELD) {
        rc = reattach(p, i, e);
        if (rc == 0)
            p->troubles[i] = SOUND;
        else if (rc == -ENODEV)
            p->troubles[i] = GONE;
    }
    return rc == -ENODEV && p->troubles[i] == GONE ? 0 : rc;
}

int netbuf_plug_watch(struct netbuf *n, struct err *e)
{
    struct plug *p = netbuf_plug_of(n);
    struct err one;

    link_watch_read(&p->watch, hear, p);
    p->unmended.code = 0;
    for (unsigned i = 0; i < p->count; i++)
        if (p->troubles[i] > GONE && netbuf_plug_mend(p, i, &one) < 0 && p->unmended.code == 0)
            p->unmended = one;
    if (p->unmended.code == 0)
        return 0;
    *e = p->unmended;
    return -e->code;
}

/* ---- what is amiss ---------------------------------------------------------------------------------- */

/* An interface that came by a pattern may go for good; one that was named is missed. */
static void say_missing(const struct plug *p, struct netbuf_health *ret)
{
    for (unsigned i = 0; i < p->count && !ret->degraded[0]; i++) {
        const char *name = p->vifs[i].name;

        if (p->troubles[i] == GONE && !netbuf_plug_has_pattern(p, name))
            (void)snprintf(ret->degraded, sizeof(ret->degraded), "interface %s is unplugged", name);
        else if (p->troubles[i] == SOUND && p->is_down[i])
            (void)snprintf(ret->degraded, sizeof(ret->degraded), "interface %s is down", name);
    }
}

void netbuf_plug_health(const struct netbuf *n, struct netbuf_health *ret)
{
    const struct plug *p = (const struct plug *)(const void *)n;

    *ret = (struct netbuf_health){ .is_whole = p->unmended.code == 0, .troubles = p->heard };
    memcpy(ret->newest, p->newest, sizeof(p->newest));
    if (!ret->is_whole)
        (void)snprintf(ret->degraded, sizeof(ret->degraded), "%s", p->unmended.text);
    else
        say_missing(p, ret);
}

static const char *word_of(const struct plug *p, unsigned i)
{
    static const char *const words[] = { [SOUND] = "down", [GONE] = "gone", [UNHELD] = "unheld",
                                         [UNPLUGGED] = "unplugged", [UNMADE] = "unplugged",
                                         [NEW] = "unheld" };

    return p->troubles[i] == SOUND && !p->is_down[i] ? vif_record_mode_name(p->vifs[i].state.mode)
                                                     : words[p->troubles[i]];
}

unsigned netbuf_plug_ports(struct netbuf *n, struct netbuf_port *ret)
{
    struct plug *p = netbuf_plug_of(n);

    for (unsigned i = 0; i < p->count; i++) {
        struct plug_qdisc plug = { 0 };
        struct err ignored;

        if (p->troubles[i] < UNPLUGGED)
            (void)!vif_query(&p->vifs[i], &p->netlink, &plug, &ignored);
        ret[i] = (struct netbuf_port){ .state = word_of(p, i), .held_frames = plug.held_frames,
                                       .held_bytes = plug.held_bytes,
                                       .released_frames = plug.passed_frames,
                                       .dropped_frames = plug.dropped_frames };
        memcpy(ret[i].name, p->vifs[i].name, sizeof(p->vifs[i].name));
    }
    return p->count;
}

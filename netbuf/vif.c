/* vif — see vif.h. */
#include "netbuf/vif.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"

#define HANDLE_FIRST   UINT32_C(0x52500000)
#define HANDLE_STEP    UINT32_C(0x00010000)
#define HANDLE_COUNT   16u
#define IFB_QUEUE      4096u /* frames between plug and re-injection before the plug has to wait */
#define DRAIN_TURN_MS  1
#define DRAIN_TURNS    1000u
#define DRAIN_TURNS_PAUSED 20u /* while a guest waits */

void vif_ifb_name(const char *name, char ret[IFNAMSIZ])
{
    size_t room = IFNAMSIZ - sizeof(VIF_IFB_PREFIX);
    uint32_t mix = UINT32_C(2166136261);

    if (strlen(name) <= room) {
        (void)snprintf(ret, IFNAMSIZ, VIF_IFB_PREFIX "%s", name);
        return;
    }
    for (const char *c = name; *c; c++) /* FNV-1a: only to tell long names apart */
        mix = (mix ^ (uint8_t)*c) * UINT32_C(16777619);
    (void)snprintf(ret, IFNAMSIZ, VIF_IFB_PREFIX "%.6s-%05x", name, mix & 0xfffff);
}

/* ---- questions -------------------------------------------------------------------------------------- */

static int take_link(struct nlmsghdr *h, void *to)
{
    return plug_message_link_parse(h, to);
}

static int take_qdisc(struct nlmsghdr *h, void *to)
{
    return plug_message_qdisc_parse(h, to);
}

/* 0 and ret->ifindex 0 when there is no such link. */
static int find_link(struct netlink *n, const char *name, struct plug_link *ret, struct err *e)
{
    struct plug_link found = { 0 };
    int rc = netlink_ask(n, plug_message_link_get(name), take_link, &found, e);

    if (rc == -ENODEV)
        rc = 0;
    if (rc == 0)
        *ret = found;
    return rc < 0 ? err_wrap(e, "look for interface %s", name) : 0;
}

struct filters {
    unsigned ours, others;
    int to;
};

/* The kernel lists a classifier itself (no options, no target) besides its filters: counted only
 * when no filter of ours has that place. */
static int take_filter(struct nlmsghdr *h, void *context)
{
    struct filters *f = context;
    struct plug_filter one;

    if (plug_message_filter_parse(h, &one) < 0)
        return -EPROTO;
    if (one.priority == PLUG_FILTER_PRIORITY && one.is_redirect) {
        f->ours++;
        f->to = one.to;
    } else if (one.priority != PLUG_FILTER_PRIORITY) {
        f->others++;
    }
    return 0;
}

static int list_filters(struct netlink *n, int ifindex, struct filters *ret, struct err *e)
{
    *ret = (struct filters){ 0 };
    return netlink_ask(n, plug_message_filter_dump(ifindex), take_filter, ret, e);
}

static int has_ingress(struct netlink *n, int ifindex, bool *ret, struct err *e)
{
    struct plug_qdisc found = { 0 };
    struct err ignored;
    int rc = netlink_ask(n, plug_message_ingress_get(ifindex), take_qdisc, &found, &ignored);

    *ret = rc == 0 && found.kind[0] != '\0';
    if (rc == -ENOENT || rc == -EINVAL || rc == 0)
        return 0; /* none, or one that was deleted, or the answer */
    *e = ignored;
    return rc;
}

int vif_look(struct vif *v, struct netlink *n, const char *name, struct err *e)
{
    struct vif found = { .ifindex = 0 };
    struct plug_link link;
    struct filters filters;
    int rc;

    if (strlen(name) >= IFNAMSIZ || name[0] == '\0')
        return err_set(e, EINVAL, "\"%.40s\" is no name of an interface", name);
    strcpy(found.name, name);
    vif_ifb_name(name, found.ifb);
    if ((rc = find_link(n, name, &link, e)) < 0)
        return rc;
    if (link.ifindex == 0)
        return err_set(e, ENODEV, "there is no interface %s", name);
    found.ifindex = link.ifindex;
    if ((rc = find_link(n, found.ifb, &link, e)) < 0)
        return rc;
    if (link.ifindex != 0)
        return err_set(e, EBUSY, "%s is there already: %s is held by another process, or is a leftover; "
                       "look with replicator netbuf list", found.ifb, name);
    if ((rc = has_ingress(n, found.ifindex, &found.had_ingress, e)) < 0)
        return err_wrap(e, "look at %s", name);
    if (found.had_ingress) {
        if ((rc = list_filters(n, found.ifindex, &filters, e)) < 0)
            return err_wrap(e, "look at filters of %s", name);
        if (filters.ours + filters.others > 0)
            return err_set(e, EBUSY, "%s has filters at ingress already: they could let frames by", name);
    }
    *v = found;
    return 0;
}

/* ---- set-up ----------------------------------------------------------------------------------------- */

/* Says what to do about the two failures that a person can mend. */
static int explain(int rc, const char *part, const char *module, const char *option, struct err *e)
{
    if (rc == -EPERM)
        return err_set(e, EPERM, "%s: not permitted: CAP_NET_ADMIN is missing", part);
    if (rc == -ENOENT || rc == -EOPNOTSUPP || rc == -EAFNOSUPPORT)
        return err_set(e, ENOPROTOOPT, "%s: this kernel has no module %s (%s)", part, module, option);
    return err_wrap(e, "%s", part);
}

static int make_ifb(struct vif *v, struct netlink *n, struct err *e)
{
    struct plug_link link;
    int rc = netlink_do(n, plug_message_ifb_new(v->ifb, IFB_QUEUE), e);

    if (rc < 0)
        return explain(rc, v->ifb, "ifb", "CONFIG_IFB", e);
    if ((rc = find_link(n, v->ifb, &link, e)) < 0)
        return rc;
    v->ifb_index = link.ifindex;
    return link.ifindex ? 0 : err_set(e, ENODEV, "%s vanished as soon as it was made", v->ifb);
}

/* A plug holds from its first moment; one that drops has no room. */
static int make_plug(struct vif *v, struct netlink *n, struct err *e)
{
    uint32_t limit = v->state.mode == PLUG_DROPPING ? 0 : v->limit_bytes;
    int rc;

    v->handle = HANDLE_FIRST;
    rc = netlink_do(n, plug_message_plug_new(v->ifb_index, v->handle, limit, false), e);
    if (rc < 0)
        return explain(rc, "plug", "sch_plug", "CONFIG_NET_SCH_PLUG", e);
    if (v->state.mode != PLUG_PASSING)
        return 0;
    return netlink_do(n, plug_message_plug_change(v->ifb_index, v->handle, PLUG_RELEASE_INDEFINITE, 0), e);
}

/* A kernel without matchall has u32 perhaps; one without mirred fails both ways. */
int vif_redirect(struct vif *v, struct netlink *n, struct err *e)
{
    struct filters filters = { 0 };
    struct err why;
    bool hook;
    int rc = has_ingress(n, v->ifindex, &hook, e);

    if (rc == 0 && hook)
        rc = list_filters(n, v->ifindex, &filters, e);
    if (rc < 0)
        return err_wrap(e, "look at %s", v->name);
    if (filters.ours > 0 && filters.to == v->ifb_index)
        return 0;
    if (!hook) {
        rc = netlink_do(n, plug_message_ingress_new(v->ifindex), e);
        if (rc < 0)
            return explain(rc, "ingress hook", "sch_ingress", "CONFIG_NET_SCH_INGRESS", e);
    }
    v->classifier = PLUG_MATCHALL;
    rc = netlink_do(n, plug_message_redirect_new(v->ifindex, v->ifb_index, v->classifier), &why);
    if (rc == 0)
        return 0;
    v->classifier = PLUG_U32;
    if (netlink_do(n, plug_message_redirect_new(v->ifindex, v->ifb_index, v->classifier), &why) == 0)
        return 0;
    *e = why;
    return explain(rc, "redirect", "act_mirred, or cls_matchall and cls_u32",
                   "CONFIG_NET_ACT_MIRRED, CONFIG_NET_CLS_MATCHALL, CONFIG_NET_CLS_U32", e);
}

static int make_orders(struct vif *v, struct err *e)
{
    nlmsg_free(v->buffer);
    nlmsg_free(v->release_one);
    v->buffer = plug_message_plug_change(v->ifb_index, v->handle, PLUG_BUFFER, 0);
    v->release_one = plug_message_plug_change(v->ifb_index, v->handle, PLUG_RELEASE_ONE, 0);
    return v->buffer && v->release_one ? 0 : err_set(e, ENOMEM, "no memory for a netlink message");
}

int vif_set_up(struct vif *v, struct netlink *n, uint32_t limit_bytes, enum plug_mode mode, struct err *e)
{
    int rc;

    must(limit_bytes > 0);
    v->limit_bytes = limit_bytes;
    v->state = (struct plug_state){ .mode = mode };
    if ((rc = make_ifb(v, n, e)) == 0 && (rc = make_plug(v, n, e)) == 0 &&
        (rc = make_orders(v, e)) == 0)
        rc = vif_redirect(v, n, e);
    return rc < 0 ? err_wrap(e, "hold the output of %s", v->name) : 0;
}

int vif_take_over(struct vif *v, struct netlink *n, uint32_t limit_bytes, enum plug_mode mode, struct err *e)
{
    struct plug_qdisc plug = { 0 };
    struct plug_link link;
    int rc = find_link(n, v->ifb, &link, e);

    v->limit_bytes = limit_bytes;
    v->handle = HANDLE_FIRST;
    v->state = (struct plug_state){ .mode = mode };
    if (rc < 0)
        return rc;
    if (link.ifindex == 0)
        return err_set(e, ENODEV, "%s is gone", v->ifb);
    v->ifb_index = link.ifindex;
    rc = netlink_ask(n, plug_message_plug_get(v->ifb_index), take_qdisc, &plug, e);
    if (rc < 0)
        return err_wrap(e, "ask for the plug of %s", v->name);
    if (strcmp(plug.kind, "plug") != 0 || !link.is_up) /* one that was reset has counters of before */
        return err_set(e, ESTALE, "%s has no plug, or is down", v->ifb);
    v->handle = plug.handle;
    if ((rc = make_orders(v, e)) < 0)
        return rc;
    rc = netlink_do(n, plug_message_plug_change(v->ifb_index, v->handle, PLUG_BUFFER, 0), e);
    v->state.is_finished = true;
    if (rc == 0)
        rc = netlink_do(n, plug_message_plug_change(v->ifb_index, v->handle, PLUG_LIMIT, limit_bytes), e);
    return rc < 0 ? err_wrap(e, "hold the output of %s", v->name) : 0;
}

int vif_remake(struct vif *v, struct netlink *n, struct err *e)
{
    struct err ignored;
    int rc;

    plug_state_renewed(&v->state);
    if ((rc = make_ifb(v, n, e)) < 0 || (rc = make_plug(v, n, e)) < 0 || (rc = make_orders(v, e)) < 0)
        return rc;
    /* There need be none: the interface may be gone as well. */
    (void)!netlink_do(n, plug_message_redirect_delete(v->ifindex), &ignored);
    return 0;
}

int vif_relocate(struct vif *v, struct netlink *n, struct err *e)
{
    struct plug_link link;
    int rc = find_link(n, v->name, &link, e);

    if (rc < 0)
        return rc;
    if (link.ifindex == 0)
        return err_set(e, ENODEV, "%s is gone", v->name);
    if (link.ifindex == v->ifindex)
        return 0;
    if ((rc = has_ingress(n, link.ifindex, &v->had_ingress, e)) < 0)
        return err_wrap(e, "look at %s", v->name);
    v->ifindex = link.ifindex;
    return 0;
}

int vif_renew(struct vif *v, struct netlink *n, uint32_t limit_bytes, struct err *e)
{
    uint32_t next = HANDLE_FIRST + (v->handle - HANDLE_FIRST + HANDLE_STEP) % (HANDLE_STEP * HANDLE_COUNT);
    int rc = netlink_do(n, plug_message_plug_new(v->ifb_index, next, limit_bytes, true), e);

    if (rc == -EAGAIN) /* the same again is a change that changes nothing */
        rc = netlink_do(n, plug_message_plug_new(v->ifb_index, next, limit_bytes, true), e);
    if (rc < 0)
        return err_wrap(e, "renew the plug of %s", v->name);
    v->handle = next;
    plug_state_renewed(&v->state);
    if ((rc = make_orders(v, e)) < 0)
        return rc;
    rc = netlink_do(n, plug_message_link_up(v->ifb_index), e);
    return rc < 0 ? err_wrap(e, "set %s up", v->ifb) : 0;
}

/* ---- afterwards ------------------------------------------------------------------------------------- */

int vif_query(const struct vif *v, struct netlink *n, struct plug_qdisc *ret, struct err *e)
{
    struct plug_qdisc found = { 0 };
    int rc = netlink_ask(n, plug_message_plug_get(v->ifb_index), take_qdisc, &found, e);

    if (rc < 0)
        return err_wrap(e, "ask for the plug of %s", v->name);
    if (found.handle != v->handle || strcmp(found.kind, "plug") != 0)
        return err_set(e, ESTALE, "the plug of %s was replaced by somebody else's %s", v->name,
                       found.kind[0] ? found.kind : "default");
    *ret = found;
    return 0;
}

int vif_check(const struct vif *v, struct netlink *n, struct err *e)
{
    struct plug_qdisc plug;
    struct plug_link link;
    struct filters filters;
    int rc;

    if ((rc = find_link(n, v->ifb, &link, e)) < 0 || (rc = vif_query(v, n, &plug, e)) < 0)
        return rc;
    if (link.ifindex != v->ifb_index || !link.is_up)
        return err_set(e, EAGAIN, "%s, which holds the output of %s, went down", v->ifb, v->name);
    if ((rc = list_filters(n, v->ifindex, &filters, e)) < 0 && rc != -EINVAL && rc != -ENODEV)
        return err_wrap(e, "look at filters of %s", v->name);
    if (rc < 0 || filters.ours == 0 || filters.to != v->ifb_index)
        return err_set(e, EAGAIN, "the redirect of %s is gone: its output is not held", v->name);
    return 0;
}

/* Waits for frames that are let out to have left, within a bound. */
static bool drain(int ifb_index, struct netlink *n, unsigned turns)
{
    struct plug_qdisc plug = { .held_frames = 1 };
    struct err ignored;

    for (unsigned i = 0; i < turns; i++) {
        if (netlink_ask(n, plug_message_plug_get(ifb_index), take_qdisc, &plug, &ignored) < 0 ||
            plug.held_frames == 0)
            break;
        (void)poll(NULL, 0, DRAIN_TURN_MS);
    }
    return plug.held_frames == 0;
}

bool vif_drain(const struct vif *v, struct netlink *n)
{
    return drain(v->ifb_index, n, DRAIN_TURNS_PAUSED);
}

/* Lets all out. A qdisc that is none of ours holds nothing of ours. */
static int let_out(int ifb_index, struct netlink *n, struct err *e)
{
    struct plug_qdisc plug = { 0 };
    int rc = netlink_ask(n, plug_message_plug_get(ifb_index), take_qdisc, &plug, e);

    if (rc < 0)
        return rc;
    if (strcmp(plug.kind, "plug") != 0)
        return 0;
    rc = netlink_do(n, plug_message_plug_change(ifb_index, plug.handle, PLUG_RELEASE_INDEFINITE, 0), e);
    if (rc == 0)
        (void)drain(ifb_index, n, DRAIN_TURNS);
    return rc;
}

static int remove_redirect(const struct vif *v, struct netlink *n, int ifb_index, struct err *e)
{
    struct filters filters;
    struct err ignored;
    bool hook;
    int rc = has_ingress(n, v->ifindex, &hook, e);

    if (rc == -ENODEV || (rc == 0 && !hook))
        return 0; /* the interface is gone, or was not redirected yet */
    if (rc < 0 || (rc = list_filters(n, v->ifindex, &filters, e)) < 0)
        return rc;
    /* A deleted ifb leaves a redirect to nowhere behind: still ours. */
    if (filters.ours > 0 || ifb_index == 0) {
        rc = netlink_do(n, plug_message_redirect_delete(v->ifindex), filters.ours ? e : &ignored);
        if (rc < 0 && filters.ours)
            return rc;
    }
    if (v->had_ingress || filters.others > 0)
        return 0;
    return netlink_do(n, plug_message_ingress_delete(v->ifindex), e);
}

static int remove_ifb(struct netlink *n, int ifb_index, struct err *e)
{
    int rc = ifb_index ? netlink_do(n, plug_message_link_delete(ifb_index), e) : 0;

    return rc == -ENODEV ? 0 : rc;
}

/* Frames that are to leave do so while the redirect still keeps later ones behind them; frames that
 * are to go die with the ifb, while the redirect still keeps later ones from the wire. */
int vif_tear_down(const struct vif *v, struct netlink *n, bool lets_out, struct err *e)
{
    struct plug_link link;
    int rc = find_link(n, v->ifb, &link, e);

    if (rc == 0 && lets_out && link.ifindex)
        rc = let_out(link.ifindex, n, e);
    if (rc == 0 && !lets_out)
        rc = remove_ifb(n, link.ifindex, e);
    if (rc == 0 && v->ifindex)
        rc = remove_redirect(v, n, lets_out ? link.ifindex : 0, e);
    if (rc == 0 && lets_out)
        rc = remove_ifb(n, link.ifindex, e);
    return rc < 0 ? err_wrap(e, "give %s back", v->name) : 0;
}

void vif_close(struct vif *v)
{
    nlmsg_free(v->buffer);
    nlmsg_free(v->release_one);
    v->buffer = v->release_one = NULL;
}

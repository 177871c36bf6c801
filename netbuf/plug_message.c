/* plug_message — see plug_message.h. Each builder is one message; what a message means to the kernel
 * stands in net/sched/{sch_api,sch_plug,cls_matchall,cls_u32,act_mirred}.c there. */
#include "netbuf/plug_message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <linux/veth.h>
#include <string.h>

_Static_assert((int)PLUG_BUFFER == TCQ_PLUG_BUFFER && (int)PLUG_RELEASE_ONE == TCQ_PLUG_RELEASE_ONE &&
                   (int)PLUG_RELEASE_INDEFINITE == TCQ_PLUG_RELEASE_INDEFINITE &&
                   (int)PLUG_LIMIT == TCQ_PLUG_LIMIT,
               "the kernel's numbers");

#define INGRESS_HANDLE TC_H_MAKE(TC_H_CLSACT, 0)
/* Names the receiving side both of clsact and of the older ingress qdisc. */
#define INGRESS_HOOK   TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define ACTION_FIRST   1 /* actions of a filter are numbered from here */

static const char *const classifiers[] = { [PLUG_MATCHALL] = "matchall", [PLUG_U32] = "u32" };

/* Ends a message: m, or NULL (and m freed) when a part of it did not fit. */
static struct nl_msg *whole(struct nl_msg *m, int rc)
{
    if (rc >= 0)
        return m;
    nlmsg_free(m);
    return NULL;
}

/* ---- links ------------------------------------------------------------------------------------------ */

static struct nl_msg *link_message(int type, int flags, const struct ifinfomsg *head)
{
    struct nl_msg *m = nlmsg_alloc_simple(type, flags);
    struct ifinfomsg copy = *head;

    return m ? whole(m, nlmsg_append(m, &copy, sizeof(copy), NLMSG_ALIGNTO)) : NULL;
}

struct nl_msg *plug_message_ifb_new(const char *name, uint32_t queue_frames)
{
    const struct ifinfomsg head = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
    struct nl_msg *m = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head);
    struct nlattr *about;
    int rc;

    if (!m)
        return NULL;
    rc = nla_put_string(m, IFLA_IFNAME, name);
    rc |= nla_put_u32(m, IFLA_TXQLEN, queue_frames);
    about = nla_nest_start(m, IFLA_LINKINFO);
    if (rc < 0 || !about)
        return whole(m, -1);
    rc = nla_put_string(m, IFLA_INFO_KIND, "ifb");
    nla_nest_end(m, about);
    return whole(m, rc);
}

struct nl_msg *plug_message_veth_new(const char *name, const char *peer)
{
    const struct ifinfomsg head = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
    struct ifinfomsg other = { 0 };
    struct nl_msg *m = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head);
    struct nlattr *about, *options, *second;
    int rc;

    if (!m)
        return NULL;
    rc = nla_put_string(m, IFLA_IFNAME, name);
    about = nla_nest_start(m, IFLA_LINKINFO);
    rc |= nla_put_string(m, IFLA_INFO_KIND, "veth");
    options = nla_nest_start(m, IFLA_INFO_DATA);
    second = options ? nla_nest_start(m, VETH_INFO_PEER) : NULL;
    if (rc < 0 || !about || !second || nlmsg_append(m, &other, sizeof(other), NLMSG_ALIGNTO) < 0)
        return whole(m, -1);
    rc = nla_put_string(m, IFLA_IFNAME, peer);
    nla_nest_end(m, second);
    nla_nest_end(m, options);
    nla_nest_end(m, about);
    return whole(m, rc);
}

struct nl_msg *plug_message_link_up(int ifindex)
{
    const struct ifinfomsg head = { .ifi_index = ifindex, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

    return link_message(RTM_NEWLINK, 0, &head);
}

struct nl_msg *plug_message_link_delete(int ifindex)
{
    const struct ifinfomsg head = { .ifi_index = ifindex };

    return link_message(RTM_DELLINK, 0, &head);
}

struct nl_msg *plug_message_link_get(const char *name)
{
    const struct ifinfomsg head = { 0 };
    struct nl_msg *m = link_message(RTM_GETLINK, 0, &head);

    return m ? whole(m, nla_put_string(m, IFLA_IFNAME, name)) : NULL;
}

struct nl_msg *plug_message_link_dump(void)
{
    const struct ifinfomsg head = { 0 };

    return link_message(RTM_GETLINK, NLM_F_DUMP, &head);
}

/* ---- qdiscs and filters ----------------------------------------------------------------------------- */

static struct nl_msg *tc_message(int type, int flags, const struct tcmsg *head, const char *kind)
{
    struct nl_msg *m = nlmsg_alloc_simple(type, flags);
    struct tcmsg copy = *head;
    int rc;

    if (!m)
        return NULL;
    rc = nlmsg_append(m, &copy, sizeof(copy), NLMSG_ALIGNTO);
    if (rc >= 0 && kind)
        rc = nla_put_string(m, TCA_KIND, kind);
    return whole(m, rc);
}

static struct nl_msg *plug_message(int flags, int ifindex, uint32_t handle, enum plug_action action,
                                   uint32_t limit)
{
    const struct tcmsg head = { .tcm_ifindex = ifindex, .tcm_handle = handle, .tcm_parent = TC_H_ROOT };
    const struct tc_plug_qopt options = { .action = (int)action, .limit = limit };
    struct nl_msg *m = tc_message(RTM_NEWQDISC, flags, &head, "plug");

    return m ? whole(m, nla_put(m, TCA_OPTIONS, sizeof(options), &options)) : NULL;
}

/* The action is not looked at when a qdisc is made; should it exist by an answer that was lost, the
 * same message is a change, and then it must do no more than set the same limit again. */
struct nl_msg *plug_message_plug_new(int ifindex, uint32_t handle, uint32_t limit, bool replace)
{
    return plug_message(NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL), ifindex, handle,
                        PLUG_LIMIT, limit);
}

struct nl_msg *plug_message_plug_change(int ifindex, uint32_t handle, enum plug_action action,
                                        uint32_t limit)
{
    return plug_message(0, ifindex, handle, action, limit);
}

/* Without ECHO the kernel answers to the multicast group only. */
struct nl_msg *plug_message_plug_get(int ifindex)
{
    const struct tcmsg head = { .tcm_ifindex = ifindex, .tcm_parent = TC_H_ROOT };

    return tc_message(RTM_GETQDISC, NLM_F_ECHO, &head, NULL);
}

static struct nl_msg *ingress_message(int type, int flags, int ifindex)
{
    const struct tcmsg head = { .tcm_ifindex = ifindex,
                                .tcm_handle = INGRESS_HANDLE,
                                .tcm_parent = TC_H_CLSACT };

    return tc_message(type, flags, &head, "clsact");
}

struct nl_msg *plug_message_ingress_new(int ifindex)
{
    return ingress_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex);
}

struct nl_msg *plug_message_ingress_delete(int ifindex)
{
    return ingress_message(RTM_DELQDISC, 0, ifindex);
}

struct nl_msg *plug_message_ingress_get(int ifindex)
{
    const struct tcmsg head = { .tcm_ifindex = ifindex, .tcm_parent = TC_H_CLSACT };

    return tc_message(RTM_GETQDISC, NLM_F_ECHO, &head, NULL);
}

static int put_mirred(struct nl_msg *m, int actions_type, int to)
{
    const struct tc_mirred redirect = { .action = TC_ACT_STOLEN,
                                        .eaction = TCA_EGRESS_REDIR,
                                        .ifindex = (uint32_t)to };
    struct nlattr *actions = nla_nest_start(m, actions_type), *one, *options;
    int rc;

    one = actions ? nla_nest_start(m, ACTION_FIRST) : NULL;
    if (!one || nla_put_string(m, TCA_ACT_KIND, "mirred") < 0)
        return -1;
    options = nla_nest_start(m, TCA_ACT_OPTIONS);
    if (!options)
        return -1;
    rc = nla_put(m, TCA_MIRRED_PARMS, sizeof(redirect), &redirect);
    nla_nest_end(m, options);
    nla_nest_end(m, one);
    nla_nest_end(m, actions);
    return rc;
}

/* No key at all matches every frame; a key with an empty mask would not match a frame too short to
 * have the place it looks at. */
static int put_u32_selector(struct nl_msg *m)
{
    const struct tc_u32_sel every = { .flags = TC_U32_TERMINAL };

    return nla_put(m, TCA_U32_SEL, sizeof(every), &every);
}

static struct tcmsg filter_head(int ifindex)
{
    return (struct tcmsg){ .tcm_ifindex = ifindex,
                           .tcm_parent = INGRESS_HOOK,
                           .tcm_info = TC_H_MAKE(PLUG_FILTER_PRIORITY << 16, htons(ETH_P_ALL)) };
}

struct nl_msg *plug_message_redirect_new(int ifindex, int to, enum plug_classifier by)
{
    const struct tcmsg head = filter_head(ifindex);
    struct nl_msg *m = tc_message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &head, classifiers[by]);
    struct nlattr *options = m ? nla_nest_start(m, TCA_OPTIONS) : NULL;
    int rc;

    if (!options)
        return m ? whole(m, -1) : NULL;
    if (by == PLUG_U32)
        rc = put_u32_selector(m) < 0 ? -1 : put_mirred(m, TCA_U32_ACT, to);
    else
        rc = put_mirred(m, TCA_MATCHALL_ACT, to);
    if (rc >= 0)
        nla_nest_end(m, options);
    return whole(m, rc);
}

struct nl_msg *plug_message_redirect_delete(int ifindex)
{
    const struct tcmsg head = filter_head(ifindex);

    return tc_message(RTM_DELTFILTER, 0, &head, NULL);
}

struct nl_msg *plug_message_filter_dump(int ifindex)
{
    const struct tcmsg head = { .tcm_ifindex = ifindex, .tcm_parent = INGRESS_HOOK };

    return tc_message(RTM_GETTFILTER, NLM_F_DUMP, &head, NULL);
}

/* ---- parsers ---------------------------------------------------------------------------------------- */

/* libnl's parsers take tables of pointers that they write as one more than the highest type. */
static int parse(struct nlmsghdr *h, size_t head, struct nlattr **table, int most)
{
    memset(table, 0, ((size_t)most + 1) * sizeof(*table));
    if (nlmsg_datalen(h) < (int)head || nlmsg_parse(h, (int)head, table, most, NULL) < 0)
        return -EPROTO;
    return 0;
}

static void copy_text(char *to, size_t size, const struct nlattr *from)
{
    to[0] = '\0';
    if (from)
        (void)nla_strlcpy(to, from, size);
}

int plug_message_link_parse(struct nlmsghdr *h, struct plug_link *ret)
{
    struct nlattr *a[IFLA_MAX + 1], *about[IFLA_INFO_MAX + 1] = { NULL };
    struct ifinfomsg head;

    if ((h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) ||
        parse(h, sizeof(head), a, IFLA_MAX) < 0 || !a[IFLA_IFNAME])
        return -EPROTO;
    if (a[IFLA_LINKINFO] && nla_parse_nested(about, IFLA_INFO_MAX, a[IFLA_LINKINFO], NULL) < 0)
        return -EPROTO;
    memcpy(&head, nlmsg_data(h), sizeof(head));
    ret->ifindex = head.ifi_index;
    ret->is_up = (head.ifi_flags & IFF_UP) != 0;
    ret->is_gone = h->nlmsg_type == RTM_DELLINK;
    copy_text(ret->name, sizeof(ret->name), a[IFLA_IFNAME]);
    copy_text(ret->kind, sizeof(ret->kind), about[IFLA_INFO_KIND]);
    copy_text(ret->port_kind, sizeof(ret->port_kind), about[IFLA_INFO_SLAVE_KIND]);
    ret->master = a[IFLA_MASTER] ? (int)nla_get_u32(a[IFLA_MASTER]) : 0;
    return 0;
}

static int parse_statistics(struct nlattr *from, struct plug_qdisc *ret)
{
    struct nlattr *a[TCA_STATS_MAX + 1] = { NULL };
    struct gnet_stats_queue queue = { 0 };
    struct gnet_stats_basic basic = { 0 };

    if (!from)
        return 0;
    if (nla_parse_nested(a, TCA_STATS_MAX, from, NULL) < 0)
        return -EPROTO;
    if (a[TCA_STATS_QUEUE])
        (void)nla_memcpy(&queue, a[TCA_STATS_QUEUE], sizeof(queue));
    if (a[TCA_STATS_BASIC])
        (void)nla_memcpy(&basic, a[TCA_STATS_BASIC], sizeof(basic));
    ret->held_frames = queue.qlen;
    ret->held_bytes = queue.backlog;
    ret->dropped_frames = queue.drops;
    ret->passed_frames = basic.packets;
    if (a[TCA_STATS_PKT64] && nla_len(a[TCA_STATS_PKT64]) >= (int)sizeof(uint64_t))
        ret->passed_frames = nla_get_u64(a[TCA_STATS_PKT64]);
    return 0;
}

int plug_message_qdisc_parse(struct nlmsghdr *h, struct plug_qdisc *ret)
{
    struct nlattr *a[TCA_MAX + 1];
    struct plug_qdisc found = { 0 };
    struct tcmsg head;

    if ((h->nlmsg_type != RTM_NEWQDISC && h->nlmsg_type != RTM_DELQDISC) ||
        parse(h, sizeof(head), a, TCA_MAX) < 0 || !a[TCA_KIND] ||
        parse_statistics(a[TCA_STATS2], &found) < 0)
        return -EPROTO;
    memcpy(&head, nlmsg_data(h), sizeof(head));
    found.ifindex = head.tcm_ifindex;
    found.handle = head.tcm_handle;
    found.parent = head.tcm_parent;
    found.is_gone = h->nlmsg_type == RTM_DELQDISC;
    copy_text(found.kind, sizeof(found.kind), a[TCA_KIND]);
    *ret = found;
    return 0;
}

/* Where the first action of a list redirects to; 0: nowhere. */
static int mirred_target(struct nlattr *actions)
{
    struct nlattr *list[ACTION_FIRST + 1] = { NULL }, *a[TCA_ACT_MAX + 1] = { NULL };
    struct nlattr *options[TCA_MIRRED_MAX + 1] = { NULL };
    struct tc_mirred redirect;

    if (!actions || nla_parse_nested(list, ACTION_FIRST, actions, NULL) < 0 || !list[ACTION_FIRST] ||
        nla_parse_nested(a, TCA_ACT_MAX, list[ACTION_FIRST], NULL) < 0 || !a[TCA_ACT_KIND] ||
        nla_strcmp(a[TCA_ACT_KIND], "mirred") != 0 || !a[TCA_ACT_OPTIONS] ||
        nla_parse_nested(options, TCA_MIRRED_MAX, a[TCA_ACT_OPTIONS], NULL) < 0 ||
        !options[TCA_MIRRED_PARMS] || nla_len(options[TCA_MIRRED_PARMS]) < (int)sizeof(redirect))
        return 0;
    (void)nla_memcpy(&redirect, options[TCA_MIRRED_PARMS], sizeof(redirect));
    return redirect.eaction == TCA_EGRESS_REDIR ? (int)redirect.ifindex : 0;
}

static bool matches_every_frame(const struct nlattr *selector)
{
    struct tc_u32_sel head = { 0 };

    if (!selector || nla_len(selector) < (int)sizeof(head))
        return false;
    memcpy(&head, nla_data(selector), sizeof(head));
    return head.nkeys == 0 && (head.flags & TC_U32_TERMINAL) != 0;
}

static int redirect_of(const char *kind, struct nlattr *options)
{
    struct nlattr *matchall[TCA_MATCHALL_MAX + 1] = { NULL }, *u32[TCA_U32_MAX + 1] = { NULL };

    if (!options)
        return 0;
    if (strcmp(kind, classifiers[PLUG_MATCHALL]) == 0 &&
        nla_parse_nested(matchall, TCA_MATCHALL_MAX, options, NULL) >= 0)
        return mirred_target(matchall[TCA_MATCHALL_ACT]);
    if (strcmp(kind, classifiers[PLUG_U32]) == 0 &&
        nla_parse_nested(u32, TCA_U32_MAX, options, NULL) >= 0 && matches_every_frame(u32[TCA_U32_SEL]))
        return mirred_target(u32[TCA_U32_ACT]);
    return 0;
}

int plug_message_filter_parse(struct nlmsghdr *h, struct plug_filter *ret)
{
    struct nlattr *a[TCA_MAX + 1];
    struct tcmsg head;

    if ((h->nlmsg_type != RTM_NEWTFILTER && h->nlmsg_type != RTM_DELTFILTER) ||
        parse(h, sizeof(head), a, TCA_MAX) < 0 || !a[TCA_KIND])
        return -EPROTO;
    memcpy(&head, nlmsg_data(h), sizeof(head));
    *ret = (struct plug_filter){ .ifindex = head.tcm_ifindex,
                                 .parent = head.tcm_parent,
                                 .priority = (uint16_t)(head.tcm_info >> 16),
                                 .is_gone = h->nlmsg_type == RTM_DELTFILTER };
    copy_text(ret->kind, sizeof(ret->kind), a[TCA_KIND]);
    if ((head.tcm_info & 0xffff) == htons(ETH_P_ALL))
        ret->to = redirect_of(ret->kind, a[TCA_OPTIONS]);
    ret->is_redirect = ret->to > 0;
    return 0;
}

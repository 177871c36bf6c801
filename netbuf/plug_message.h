/* plug_message — the rtnetlink messages of the network buffer, encoded and decoded; no I/O.
 * A builder returns NULL only for want of memory; nlmsg_free() is the caller's. Parsers refuse what
 * is too short or of another type with -EPROTO and write nothing. */
#ifndef REPLICATOR_NETBUF_PLUG_MESSAGE_H
#define REPLICATOR_NETBUF_PLUG_MESSAGE_H

#include <net/if.h>
#include <netlink/msg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

#define TC_KIND_MAX 16u /* with the final zero, as in the kernel */

enum plug_action { /* the kernel's TCQ_PLUG_* */
    PLUG_BUFFER,
    PLUG_RELEASE_ONE,
    PLUG_RELEASE_INDEFINITE,
    PLUG_LIMIT,
};

enum plug_classifier { PLUG_MATCHALL, PLUG_U32 };

/* The one filter that is ours: first of all, for every protocol. */
#define PLUG_FILTER_PRIORITY 1u

/* ---- links */
struct nl_msg *plug_message_ifb_new(const char *name, uint32_t queue_frames); /* up at once */
/* Two connected interfaces, to try things on; the first is up, the peer can't be yet. */
struct nl_msg *plug_message_veth_new(const char *name, const char *peer);
struct nl_msg *plug_message_link_up(int ifindex);
struct nl_msg *plug_message_link_delete(int ifindex);
struct nl_msg *plug_message_link_get(const char *name);
struct nl_msg *plug_message_link_dump(void);

/* ---- qdiscs. `handle` is whole (0x52500000), and a change of another one's qdisc fails. */
/* The root becomes a plug that holds everything and is at most `limit` octets long (0: drops all). */
struct nl_msg *plug_message_plug_new(int ifindex, uint32_t handle, uint32_t limit, bool replace);
struct nl_msg *plug_message_plug_change(int ifindex, uint32_t handle, enum plug_action action,
                                        uint32_t limit);
struct nl_msg *plug_message_plug_get(int ifindex);
/* Where filters on what an interface receives live; creation fails if there is one already. */
struct nl_msg *plug_message_ingress_new(int ifindex);
struct nl_msg *plug_message_ingress_delete(int ifindex);
struct nl_msg *plug_message_ingress_get(int ifindex);

/* ---- filters: all frames that `ifindex` receives go to `to` instead. */
struct nl_msg *plug_message_redirect_new(int ifindex, int to, enum plug_classifier by);
struct nl_msg *plug_message_redirect_delete(int ifindex);
struct nl_msg *plug_message_filter_dump(int ifindex);

struct plug_link {
    int ifindex;
    bool is_up;
    bool is_gone; /* the message says that it was deleted */
    char name[IFNAMSIZ];
    char kind[TC_KIND_MAX]; /* "ifb", "veth" … or "" */
    int master;                  /* whose port it is; 0: nobody's */
    char port_kind[TC_KIND_MAX]; /* "bridge", "openvswitch" … or "" */
};

struct plug_qdisc {
    int ifindex;
    uint32_t handle, parent;
    char kind[TC_KIND_MAX];
    bool is_gone;
    uint32_t held_frames, held_bytes, dropped_frames;
    uint64_t passed_frames; /* ever */
};

struct plug_filter {
    int ifindex;
    uint32_t parent;
    uint16_t priority;
    bool is_gone;
    bool is_redirect;       /* of every frame, by one of our two classifiers, to `to` */
    int to;
    char kind[TC_KIND_MAX];
};

MUST_CHECK int plug_message_link_parse(struct nlmsghdr *h, struct plug_link *ret);
MUST_CHECK int plug_message_qdisc_parse(struct nlmsghdr *h, struct plug_qdisc *ret);
MUST_CHECK int plug_message_filter_parse(struct nlmsghdr *h, struct plug_filter *ret);

#endif

/* link_watch — see link_watch.h. */
#include "netbuf/link_watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <sys/socket.h>

#define EVENT_BYTES_MAX 32768u
#define EVENTS_MAX      4096u /* datagrams of one call: then others get their turn */
#define RECEIVE_BYTES   (1u << 20)

/* BPF compares as the network orders octets, netlink is in the machine's order. */
#define TYPE_AT       offsetof(struct nlmsghdr, nlmsg_type)
#define IS_TYPE(type) (uint32_t)((type) >> 8 | ((type) & 0xff) << 8)
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "IS_TYPE swaps");

static struct sock_filter keep_only[] = {
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, TYPE_AT),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IS_TYPE(RTM_NEWLINK), 4, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IS_TYPE(RTM_DELLINK), 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IS_TYPE(RTM_DELQDISC), 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IS_TYPE(RTM_DELTFILTER), 1, 0),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
};

int link_watch_open(struct link_watch *w, struct err *e)
{
    const struct sock_fprog program = { ARRAY_LEN(keep_only), keep_only };
    const struct sockaddr_nl groups = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_TC };
    const int bytes = RECEIVE_BYTES;

    w->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (w->fd < 0 ||
        setsockopt(w->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ||
        setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0 ||
        bind(w->fd, (const struct sockaddr *)&groups, sizeof(groups)) < 0) {
        int code = errno;

        link_watch_close(w);
        return err_set(e, code, "watch network interfaces: %m");
    }
    return 0;
}

void link_watch_close(struct link_watch *w)
{
    auto_close(&w->fd);
}

static bool parse(struct nlmsghdr *h, struct link_event *ret)
{
    switch (h->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        ret->type = LINK_EVENT_LINK;
        return plug_message_link_parse(h, &ret->link) == 0;
    case RTM_DELQDISC:
        ret->type = LINK_EVENT_QDISC;
        return plug_message_qdisc_parse(h, &ret->qdisc) == 0;
    case RTM_DELTFILTER:
        ret->type = LINK_EVENT_FILTER;
        return plug_message_filter_parse(h, &ret->filter) == 0;
    default: /* the second half of "old one out, new one in" */
        return false;
    }
}

void link_watch_read(struct link_watch *w, void (*take)(const struct link_event *event, void *context),
                     void *context)
{
    const struct link_event lost = { .type = LINK_EVENT_LOST };
    union {
        struct nlmsghdr header;
        char bytes[EVENT_BYTES_MAX];
    } buffer;

    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        ssize_t got = recv(w->fd, buffer.bytes, sizeof(buffer), MSG_DONTWAIT);
        struct link_event event;
        int left = (int)got;

        if (got < 0 && errno == ENOBUFS)
            take(&lost, context);
        else if (got <= 0 && errno != EINTR)
            return;
        if (got > 0)
            for (struct nlmsghdr *h = &buffer.header; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
                if (parse(h, &event))
                    take(&event, context);
    }
}

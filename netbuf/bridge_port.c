/* bridge_port — see bridge_port.h. The entry is one that ages like any that was heard (dynamic), in
 * whatever VLANs the port has; the kernel's side is net/bridge/br_fdb.c. */
#include "netbuf/bridge_port.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netbuf/plug_message.h"

#define PORT_STATE      "/sys/class/net/%s/brport/state"
#define PORT_LEARNING   '2' /* BR_STATE_LEARNING */
#define PORT_FORWARDING '3'

static int take_link(struct nlmsghdr *h, void *to)
{
    return plug_message_link_parse(h, to);
}

int bridge_port_find(struct bridge_port *ret, struct netlink *n, const char *name, struct err *e)
{
    struct bridge_port found = { .ifindex = 0 };
    struct plug_link link = { .ifindex = 0 };
    int rc = netlink_ask(n, plug_message_link_get(name), take_link, &link, e);

    if (rc == -ENODEV || (rc == 0 && link.ifindex == 0))
        return err_set(e, ENODEV, "there is no interface %s", name);
    if (rc < 0)
        return err_wrap(e, "look for interface %s", name);
    found.ifindex = link.ifindex;
    if (strcmp(link.port_kind, "bridge") == 0 && !if_indextoname((unsigned)link.master, found.bridge))
        return err_set(e, errno, "the bridge of %s: %m", name);
    *ret = found;
    return 0;
}

struct nl_msg *bridge_port_learn_message(int ifindex, const uint8_t mac[6])
{
    struct ndmsg head = { .ndm_family = PF_BRIDGE,
                          .ndm_ifindex = ifindex,
                          .ndm_state = NUD_REACHABLE,
                          .ndm_flags = NTF_MASTER };
    struct nl_msg *m = nlmsg_alloc_simple(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);

    if (m && (nlmsg_append(m, &head, sizeof(head), NLMSG_ALIGNTO) < 0 ||
              nla_put(m, NDA_LLADDR, ETH_ALEN, mac) < 0)) {
        nlmsg_free(m);
        return NULL;
    }
    return m;
}

/* A port whose other end is not connected yet is disabled, and learns nothing; the kernel says the same
 * then as to somebody without the capability. */
static bool forwards(int ifindex)
{
    char name[IFNAMSIZ], path[sizeof(PORT_STATE) + IFNAMSIZ], state = '0';
    AUTO_CLOSE int fd = -1;

    if (!if_indextoname((unsigned)ifindex, name))
        return false;
    snprintf(path, sizeof(path), PORT_STATE, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 || read(fd, &state, 1) != 1 || state == PORT_LEARNING || state == PORT_FORWARDING;
}

int bridge_port_learn(const struct bridge_port *p, struct netlink *n, const uint8_t mac[6],
                      struct err *e)
{
    int rc = netlink_do(n, bridge_port_learn_message(p->ifindex, mac), e);

    if (rc == -EPERM && !forwards(p->ifindex))
        return err_set(e, EAGAIN, "the bridge does not forward on this port yet");
    if (rc == -EPERM)
        return err_set(e, EPERM, "not permitted: CAP_NET_ADMIN is missing");
    return rc;
}

/* bridge_port — the guest's interface as a port of a bridge of this host: which bridge that is, and
 * telling the bridge that a guest now sits behind the port. A bridge that still believes the guest to be
 * behind its uplink would send frames for it back where they came from. */
#ifndef REPLICATOR_NETBUF_BRIDGE_PORT_H
#define REPLICATOR_NETBUF_BRIDGE_PORT_H

#include <net/if.h>
#include <stdint.h>

#include "netbuf/netlink.h"

struct bridge_port {
    int ifindex;
    char bridge[IFNAMSIZ]; /* "": the interface is no port of a bridge */
};

/* -ENODEV: there is no such interface. */
MUST_CHECK int bridge_port_find(struct bridge_port *ret, struct netlink *n, const char *name,
                                struct err *e);

/* The bridge sends frames for the address to this port from now on, as if it had heard it there.
 * -EPERM: CAP_NET_ADMIN is missing. -EAGAIN: the port does not forward yet, and can't learn. */
MUST_CHECK int bridge_port_learn(const struct bridge_port *p, struct netlink *n, const uint8_t mac[6],
                                 struct err *e);

/* Its message, encoded; NULL only for want of memory. */
struct nl_msg *bridge_port_learn_message(int ifindex, const uint8_t mac[6]);

#endif

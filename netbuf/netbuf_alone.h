/* netbuf_alone — the slots of backends that no interface of the kernel is under: nothing happens to them
 * from outside. */
#ifndef REPLICATOR_NETBUF_NETBUF_ALONE_H
#define REPLICATOR_NETBUF_NETBUF_ALONE_H

#include "netbuf/netbuf.h"

unsigned netbuf_alone_ports(struct netbuf *n, struct netbuf_port *ret);
int netbuf_alone_fd(const struct netbuf *n);
int netbuf_alone_watch(struct netbuf *n, struct err *e);
void netbuf_alone_health(const struct netbuf *n, struct netbuf_health *ret);

#endif

/* netbuf_none — output is not held at all: named unsafe, chosen by name only. Every operation
 * succeeds, frames leave as they come; after drop none does. */
#ifndef REPLICATOR_NETBUF_NETBUF_NONE_H
#define REPLICATOR_NETBUF_NETBUF_NONE_H

#include "netbuf/netbuf.h"
#include "netbuf/netbuf_sink.h"

MUST_CHECK int netbuf_none_open(struct netbuf **ret, struct netbuf_sink to, struct err *e);

/* Wired like the queue's: one frame from the guest. */
void netbuf_none_push(void *netbuf, const uint8_t *frame, size_t bytes);

#endif

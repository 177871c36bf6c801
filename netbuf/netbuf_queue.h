/* netbuf_queue — holds the frames of a user-space NIC in one ring of fixed size (struct netbuf's
 * promises, for the simulated guest). Frames leave in the order they were pushed, held or not; a
 * frame that finds no room is dropped and counted. Ops come from one thread, pushes from any. */
#ifndef REPLICATOR_NETBUF_NETBUF_QUEUE_H
#define REPLICATOR_NETBUF_NETBUF_QUEUE_H

#include "base/histogram.h"
#include "netbuf/netbuf.h"
#include "netbuf/netbuf_sink.h"

#define NETBUF_QUEUE_FRAME_MAX   65536u                 /* octets of one frame */
#define NETBUF_QUEUE_LIMIT_LEAST (2u * (NETBUF_QUEUE_FRAME_MAX + 24u))
#define NETBUF_QUEUE_LIMIT_MOST  (UINT64_C(1) << 32)

/* limit_bytes bounds the ring, 24 octets of bookkeeping a frame included. -EINVAL, -ENOMEM. */
MUST_CHECK int netbuf_queue_open(struct netbuf **ret, size_t limit_bytes, struct netbuf_sink to,
                                 struct err *e);

/* One frame from the guest (netbuf: what open returned). Never blocks for longer than the sink. */
void netbuf_queue_push(void *netbuf, const uint8_t *frame, size_t bytes);

/* How long frames that were held and then let out had been held, in ns. */
void netbuf_queue_holds(struct netbuf *n, struct histogram *ret);
uint64_t netbuf_queue_hold_quantile(struct netbuf *n, double q);

#endif

/* greeting — the first octets of a connection that nobody knows yet: stream headers and HELLO, read
 * exactly to their end, within a deadline and 8 KiB, and judged before anything is done for it. */
#ifndef REPLICATOR_GREETING_H
#define REPLICATOR_GREETING_H

#include "checkpoint/record.h"
#include "replicator/daemon/handover.h"

#define GREETING_NS_MAX (5 * NS_PER_S)

/* Reads from h->receive_fd into h's octets, which must be empty, until `until_ns`. -EPROTO with the
 * rule that was broken, -ETIMEDOUT, -EPIPE when the peer went away first. */
MUST_CHECK int greeting_read(struct handover *h, uint64_t until_ns, struct hello *ret, struct err *e);

/* The same octets again: 1 whole and right, 0 more are needed (*ret_need: how many in all), -EPROTO. */
MUST_CHECK int greeting_parse(const uint8_t *octets, size_t bytes, struct hello *ret, size_t *ret_need,
                              struct err *e);

#endif

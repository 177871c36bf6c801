/* netlink — one request socket to the kernel's rtnetlink: several messages in one send, an answer for each.
 * The kernel works a send off before the call returns and goes on after a message that failed, so
 * what must not happen unless something else did belongs into a send of its own. A message whose
 * answer was lost is NETLINK_UNCLEAR: it may or may not have been carried out, and the caller asks. */
#ifndef REPLICATOR_NETBUF_NETLINK_H
#define REPLICATOR_NETBUF_NETLINK_H

#include <linux/netlink.h>
#include <netlink/msg.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define NETLINK_BATCH_MAX 64u /* messages of one send */
#define NETLINK_UNCLEAR   1   /* a result that is neither 0 nor -errno */

struct netlink {
    int fd;
    uint32_t seq; /* of the newest message sent */
};

MUST_CHECK int netlink_open(struct netlink *n, struct err *e);
void netlink_close(struct netlink *n); /* any state, twice */

/* Sends `count` messages at once and fills in ret_results: 0, -errno or NETLINK_UNCLEAR each. The messages
 * stay the caller's; their sequence number and NLM_F_ACK are set here. 0: all were carried out;
 * -errno: of the first that failed (its text in e); -EAGAIN: none failed, some are unclear. When
 * nothing could be sent, all results are that errno. */
MUST_CHECK int netlink_exchange(struct netlink *n, struct nl_msg *const *messages, unsigned count,
                           int *ret_results, struct err *e);

/* One message, which is freed. NULL is -ENOMEM, so that a builder's answer can be handed on. */
MUST_CHECK int netlink_do(struct netlink *n, struct nl_msg *message, struct err *e);

/* One question, which is freed: `take` sees each answer; a value below 0 ends it and is returned.
 * For dumps (NLM_F_DUMP) and for single objects. */
MUST_CHECK int netlink_ask(struct netlink *n, struct nl_msg *message,
                      int (*take)(struct nlmsghdr *answer, void *context), void *context,
                      struct err *e);

#endif

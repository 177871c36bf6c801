/* link_faulty — wraps any link and misbehaves by a plan: cut, short, stall, flip, drop.
 * For tests of whatever speaks over links; the plan may be changed while the link lives. */
#ifndef REPLICATOR_LINK_LINK_FAULTY_H
#define REPLICATOR_LINK_LINK_FAULTY_H

#include <stdbool.h>

#include "replicator/link/link.h"

/* All zero: a link without fault. */
struct link_faults {
    uint64_t cut_at_sent;     /* after so many octets (1 or more) the link breaks for both sides: */
    uint64_t cut_at_received; /* -ECONNRESET here, the wrapped link is closed                     */
    size_t send_most, receive_most;       /* octets a call, at most                               */
    uint64_t flip_sent, flip_received;    /* the lowest bit of every n-th octet                   */
    bool is_send_stalled, is_receive_stalled; /* nothing goes, nothing is lost: "would block"     */
    bool drops_sent, drops_received;          /* octets vanish though the call says they went     */
};

/* Takes `inner` over, also when it fails. */
MUST_CHECK int link_faulty_open(struct link **ret, struct link *inner, const struct link_faults *plan,
                                struct err *e);

/* The plan in force, to be changed in place. */
struct link_faults *link_faulty_plan(struct link *faulty);

#endif

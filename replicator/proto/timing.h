/* timing — the times both sides of a session agree on, and the arithmetic of the lease.
 * All of them nanoseconds; the primary proposes them in HELLO, the backup takes them. */
#ifndef REPLICATOR_PROTO_TIMING_H
#define REPLICATOR_PROTO_TIMING_H

#include <stdint.h>

#include "base/clock.h"

#define INTERVAL_NS_DEFAULT  (25 * NS_PER_MS)
#define INTERVAL_NS_MAX      (60 * NS_PER_S)
#define HEARTBEAT_NS_DEFAULT (100 * NS_PER_MS)
#define HEARTBEAT_NS_MIN     (1 * NS_PER_MS)
#define TIMEOUT_NS_DEFAULT   (1 * NS_PER_S)
#define TIMEOUT_NS_MIN       (20 * NS_PER_MS)
#define TIMEOUT_NS_MAX       (3600 * NS_PER_S)

struct timing {
    uint64_t interval_ns;  /* pause to pause; 0: as fast as acknowledgements come */
    uint64_t heartbeat_ns; /* between two heartbeats, each way; at most a quarter of the timeout */
    uint64_t timeout_ns;   /* silence after which the peer counts as lost */
};

/* The backup promises not to ask for the token before timeout_ns after it received anything from the
 * primary. It echoes the primary's send times, so the primary knows an instant, by its own clock, up
 * to which that promise holds; a quarter is kept back for clocks that drift apart. */
static inline uint64_t timing_lease_ns(const struct timing *t)
{
    return t->timeout_ns - t->timeout_ns / 4;
}

/* How long a primary under an arbiter tries to reach the backup again before it asks. */
static inline uint64_t timing_grace_ns(const struct timing *t)
{
    return t->timeout_ns / 4;
}

/* How long a session may go on in which nothing that the primary says is answered: its octets come in,
 * or the backup would hang up, but nothing is made of them (a length spoilt on the way, say). Long
 * enough for a heartbeat to get through a full out buffer and a slow link. */
static inline uint64_t timing_stall_ns(const struct timing *t)
{
    return 8 * t->timeout_ns + 10 * NS_PER_S;
}

/* How long either side waits before it repeats an unanswered question. */
static inline uint64_t timing_ask_again_ns(const struct timing *t)
{
    return t->timeout_ns;
}

#endif

/* round — one failover from start to end: fresh processes on real sockets, the primary killed at a
 * random instant, the backup's guest judged. Everything it made is gone when it is closed. */
#ifndef REPLICATOR_DEMO_ROUND_H
#define REPLICATOR_DEMO_ROUND_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>

#include "base/rng.h"
#include "checkpoint/guest.h"
#include "replicator/demo/actor.h"
#include "replicator/demo/table.h"
#include "replicator/demo/witness.h"

struct demo_options {
    const char *workload, *transport; /* tcp or unix */
    const char *unsafe;               /* handed to protect; NULL: nothing */
    uint64_t kills, mib, dirty, vcpus, seed, interval_ns, timeout_ns;
    uint64_t seconds;                 /* protected before the kill: up to so many, 0: by kills */
    bool json;
};

/* All times in ns after the kill. */
struct round_times {
    uint64_t protected_for; /* before it */
    uint64_t lost;          /* the backup asks the arbiter: the silence was long enough */
    uint64_t token;         /* it got the guest */
    uint64_t active;        /* the guest runs there */
    uint64_t outside;       /* its first frame is seen outside */
    uint64_t well;          /* it has said 200 new things and nothing is missing */
};

struct round {
    /* set by round_open */
    const struct demo_options *options;
    uint64_t seed;
    /* shared: what came out */
    struct round_times times;
    json_t *status;        /* the primary's last words before the kill */
    json_t *judgement;     /* the observer's */
    char check[ERR_TEXT_MAX]; /* "": the activated guest's memory is whole */
    bool was_protected;
    /* private */
    struct table *table;
    struct rng rng;
    char folder[64], arbiter[96], address[128], spec[GUEST_SPEC_MAX + 1];
    struct witness witness;
    struct actor backup, primary;
    uint64_t killed_at_ns;
    int replica_fd;        /* pidfd of the replica's process, -1 */
    struct lines to_primary, to_backup, backup_events;
};

/* A round that has not begun; big: not for the stack. */
void round_open(struct round *r, const struct demo_options *o, uint64_t seed, struct table *t);

/* Plays it. 0: it came to its end, which round_is_good judges; else what went wrong, who said what. */
MUST_CHECK int round_play(struct round *r, struct err *e);
bool round_is_good(const struct round *r);

/* What the daemons said, to stderr. */
void round_show_logs(const struct round *r);

void round_close(struct round *r); /* any state, twice */

#endif

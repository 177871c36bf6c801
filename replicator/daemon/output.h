/* output — watches what holds the guest's output: what happens to its interfaces, frames that found no room,
 * how much room there must be. Everything that is amiss has words, for the log, events and status. */
#ifndef REPLICATOR_OUTPUT_H
#define REPLICATOR_OUTPUT_H

#include "replicator/control/told.h"
#include "replicator/daemon/loop.h"
#include "replicator/domain/domain.h"
#include "replicator/engine/primary_engine.h"

#define OUTPUT_LOOK_NS         UINT64_C(500000000) /* between looks at counters: lost frames show in a second */
#define OUTPUT_CALM_NS         UINT64_C(5000000000) /* without lost frames: then an overflow is over */
#define OUTPUT_RATE_BYTES      UINT64_C(1250000000) /* a second; 10 Gbit/s, as fast as most virtual links get */
#define OUTPUT_LIMIT_LEAST     (UINT64_C(16) << 20)
#define OUTPUT_LIMIT_MOST      (UINT64_C(512) << 20)
#define OUTPUT_LIMIT_QUEUE     OUTPUT_LIMIT_LEAST   /* of frames held in this process */

struct output {
    struct netbuf *netbuf;
    /* private */
    bool is_sized;             /* the limit follows how long output is held */
    bool says_overflow;        /* the newest words said were of frames that found no room */
    uint64_t interval_ns, look_at_ns, troubles, dropped;
    uint64_t lost_frames, lost_at_ns; /* of the overflow under way */
    char overflow[NETBUF_WORDS_MAX], degraded[NETBUF_WORDS_MAX]; /* "": nothing is amiss */
};

/* The limit of --netbuf-limit auto: what the rate makes of an interval and of the time from pause to
 * release (not known yet: another interval), twice; not below or above the two limits. */
uint64_t output_limit(uint64_t interval_ns, uint64_t commit_ns);

void output_open(struct output *o, const struct domain *d, bool is_auto, uint64_t interval_ns, uint64_t now_ns);

/* In the daemon's loop: the slot to hand to turn; until when to wait at most; what to do afterwards. */
unsigned output_watch(const struct output *o, struct loop *loop);
uint64_t output_deadline(const struct output *o);
void output_turn(struct output *o, bool is_ready, const struct primary_engine *engine, struct told *told,
                 const char *name, uint64_t now_ns);

/* What frames that were dropped since the last look make of it; pure. True: an overflow began or ended. */
bool output_count(struct output *o, const struct netbuf_stats *s, uint64_t now_ns);

#endif

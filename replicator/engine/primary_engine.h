/* primary_engine — carries out what proto/primary decides, by the ops tables: guest, netbuf, link,
 * fence. One bounded unit of work a step (an action, a chunk, a send, a receive), so that heartbeats
 * are never late and the simulator can kill between any two. The daemon's loop and the simulator
 * drive the same object. */
#ifndef REPLICATOR_ENGINE_PRIMARY_ENGINE_H
#define REPLICATOR_ENGINE_PRIMARY_ENGINE_H

#include "base/err.h"
#include "base/histogram.h"
#include "checkpoint/guest.h"
#include "netbuf/netbuf.h"
#include "replicator/engine/epoch_out.h"
#include "replicator/engine/pause_parts.h"
#include "replicator/fence/fence.h"
#include "replicator/link/link.h"
#include "replicator/proto/primary.h"

/* What the engine needs of the world; every slot filled. */
struct primary_world {
    void *context;
    uint64_t (*now)(void *context); /* ns, monotonic */
    int (*connect)(void *context, struct link **ret, struct err *e);
    /* Before output of a lineage's term may depend on its token, and before the guest is given away:
     * kept across a crash. `armed` of it counts as true. */
    int (*remember)(void *context, const struct primary_past *past, struct err *e);
    /* A move between states, or something an operator should read. level: base/log.h. */
    void (*say)(void *context, int level, const char *text);
    /* After the ack of an epoch was handled (for tables, events); may do nothing. */
    void (*epoch_done)(void *context);
};

struct primary_parts {
    struct guest *guest;     /* none of them owned */
    struct netbuf *netbuf;
    struct fence *fence;
    const struct primary_world *world;
    struct timing timing;
    struct epoch_out_config epoch;
    uint64_t lineage;        /* fresh random, not 0 */
    const struct primary_past *past; /* or NULL */
    size_t wire_bytes;       /* of the out buffer; at least a chunk and its reserve */
};

/* What the backup found when it compared (epoch_out_config.verify_every). */
struct primary_verified {
    uint64_t every, epochs; /* 0: never; how many were found equal */
    uint64_t epoch;         /* newest that was compared */
    uint64_t pages, differing, first_pfn; /* of it */
};

struct primary_status {
    enum primary_state state;
    bool is_protected, is_held, is_armed;
    bool is_switching, is_given; /* a switchover is under way; the backup may run the guest by it */
    uint32_t refused;            /* hello verdict, 0: none */
    uint64_t lineage, session, epoch, acked;
    uint32_t term;
    uint64_t epochs_acked;       /* ever */
    uint64_t dirty_last;         /* pages of the newest captured epoch */
    uint64_t todo_pages, guest_pages, copied_pages; /* progress of the live copy */
    struct pages_tally tally;
    struct pagecache_stats cache;
    struct netbuf_stats netbuf;
    struct netbuf_health output;
    uint64_t sent_bytes;
    uint64_t since_ack_ns;       /* age of the newest ack */
    const struct histogram *pause_ns, *commit_ns, *gap_ns; /* pause; pause→release; ack→ack */
    const struct pause_parts *pause_parts;
    struct primary_verified verified;
    uint32_t end_reason;         /* detach reason when state is ENDED */
};

struct primary_engine;

MUST_CHECK int primary_engine_open(struct primary_engine **ret, const struct primary_parts *parts,
                                   struct err *e);
/* Ends this process's part: never opens the plug, never tells the backup anything. */
void primary_engine_close(struct primary_engine *p);

/* One unit of work; true when there was some (call again), false when it is time to wait. */
bool primary_engine_step(struct primary_engine *p);
/* Until when to wait, and on what: descriptors to poll, -1 for none. */
uint64_t primary_engine_deadline(const struct primary_engine *p);
struct engine_fds {
    int receive, send; /* send: poll for writing only when wants_send */
    bool wants_send;
    int fence, guest;
    int encoders;
};
void primary_engine_fds(const struct primary_engine *p, struct engine_fds *ret);

/* Protection shall end (reason: enum detach_reason). */
void primary_engine_stop(struct primary_engine *p, uint32_t reason);

/* The backup shall go on as the guest, here it ends: status tells how far that is. -EAGAIN with words
 * while protection does not stand, so that nothing was begun. */
MUST_CHECK int primary_engine_switchover(struct primary_engine *p, struct err *e);
/* Somebody says that the backup does not run the guest that was given to it: it goes on here. */
void primary_engine_take_back(struct primary_engine *p);

bool primary_engine_is_over(const struct primary_engine *p); /* FENCED or ENDED, nothing left to do */
void primary_engine_status(const struct primary_engine *p, struct primary_status *ret);

#endif

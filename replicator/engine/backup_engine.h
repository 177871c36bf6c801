/* backup_engine — carries out what proto/backup decides: link, stage, replica, fence. One bounded
 * unit of work a step. One engine holds one domain's replica; connections are given to it whole,
 * with the octets up to and including HELLO already read. */
#ifndef REPLICATOR_ENGINE_BACKUP_ENGINE_H
#define REPLICATOR_ENGINE_BACKUP_ENGINE_H

#include "base/err.h"
#include "checkpoint/guest.h"
#include "checkpoint/replica.h"
#include "replicator/engine/primary_engine.h"
#include "replicator/fence/fence.h"
#include "replicator/link/link.h"
#include "replicator/proto/backup.h"

struct backup_world {
    void *context;
    uint64_t (*now)(void *context);
    /* Makes the replica for a guest of this shape; -errno with words refuses the session. */
    int (*make_replica)(void *context, const struct hello *h, struct replica **ret, struct err *e);
    /* The guest is the replica's, paused: connect its network and let it run. */
    int (*run_guest)(void *context, struct guest *g, struct err *e);
    void (*say)(void *context, int level, const char *text);
    void (*committed)(void *context, uint64_t epoch); /* after the ack was queued; may do nothing */
};

struct backup_parts {
    struct fence *fence; /* not owned */
    const struct backup_world *world;
    size_t stage_bytes;  /* limit of one epoch's chunks; 0: the guest's memory and an eighth */
    unsigned decoders;   /* threads; 0: the caller's own */
};

/* What came of comparing the replica with what the primary said of its pages. */
struct backup_verified {
    uint64_t epochs;   /* found equal */
    uint64_t epoch;    /* newest that was compared, 0: none */
    uint64_t pages, differing, first_pfn; /* of it */
};

struct backup_status {
    enum backup_state state;
    bool is_ready;              /* holds a commit that may yet be activated in this term */
    char name[GUEST_NAME_MAX + 1];
    uint64_t lineage, session, committed;
    uint32_t term;
    struct timing timing;       /* of the session; of the last one when there is none */
    uint64_t guest_pages, epochs_committed;
    struct backup_verified verified;
    uint64_t received_bytes;
    uint64_t stage_high_water;  /* octets */
    uint64_t since_heard_ns;
    uint32_t end_reason;        /* enum backup_end when ENDED */
    int refusal;                /* answer to the last activation request: enum activate_refusal,
                                   0 none or granted */
};

struct backup_engine;

MUST_CHECK int backup_engine_open(struct backup_engine **ret, const struct backup_parts *parts,
                                  struct err *e);
void backup_engine_close(struct backup_engine *b);

/* A connection whose first octets (headers and HELLO) are already read: takes the link over.
 * The answer goes out on it; a refused one is closed after that. */
void backup_engine_adopt(struct backup_engine *b, struct link *link, const struct hello *h);

bool backup_engine_step(struct backup_engine *b);
uint64_t backup_engine_deadline(const struct backup_engine *b);
void backup_engine_fds(const struct backup_engine *b, struct engine_fds *ret);

/* The guest that runs here is the caller's from now on; the engine can only be closed then. */
struct guest *backup_engine_let_go(struct backup_engine *b);

/* fenced: somebody says that the primary is. The outcome is in status (state or refusal). */
void backup_engine_activate(struct backup_engine *b, bool fenced);
void backup_engine_stop(struct backup_engine *b);

bool backup_engine_is_over(const struct backup_engine *b); /* ENDED and everything is sent */
void backup_engine_status(const struct backup_engine *b, struct backup_status *ret);

#endif

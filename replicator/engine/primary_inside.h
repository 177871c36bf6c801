/* primary_inside — what the three files of the primary engine share: its struct and how it tells,
 * feeds and raises. Nobody else includes this.
 *   primary_engine.c  the step that chooses what to do next, what comes in, the outside
 *   primary_acts.c    carrying out what the protocol said
 *   primary_work.c    moving the open epoch on */
#ifndef REPLICATOR_ENGINE_PRIMARY_INSIDE_H
#define REPLICATOR_ENGINE_PRIMARY_INSIDE_H

#include "base/log.h"
#include "replicator/engine/pause_parts.h"
#include "replicator/engine/primary_engine.h"
#include "replicator/engine/wire.h"

enum activity { ACTIVITY_NONE, ACTIVITY_PRECOPY, ACTIVITY_CAPTURE, ACTIVITY_VERIFY, ACTIVITY_FLUSH };

struct primary_engine {
    struct primary_parts parts;
    struct primary proto;
    struct wire wire;
    struct epoch_out out;
    struct guest_info about;

    struct primary_actions todo;   /* being carried out, from `next` on */
    unsigned next;
    struct primary_event raised;   /* by an action, fed when the list is done or dropped */
    bool has_raised;
    struct primary_event wanted;   /* asked for from outside while the guest was being paused */
    bool has_wanted;

    enum activity activity;
    bool is_pass_open;             /* of the activity: the log was read, pages are being copied */
    uint64_t pass_pages;
    uint64_t catch_up_ns;          /* send time that the backup must echo before the pause; 0: none */

    unsigned input_turns;          /* records and receives taken since the last tick */
    bool asked;                    /* a question is at the arbiter */
    uint32_t asked_term;
    bool told_end;                 /* the guest's end was fed to the protocol */
    uint64_t remembered_lineage;
    uint32_t remembered_term;
    const char *phase;             /* last one said */
    struct err why;                /* of the last loss or fault, for the next line said */
    struct err refusal;            /* the backup's words, said once as long as they are the same */

    uint64_t paused_at_ns, acked_at_ns, epochs_acked, dirty_last;
    bool is_paused;
    bool is_pausing;               /* the guest was asked to stop and runs on for now */
    uint64_t pause_beat_ns;        /* when the next sign of life is due meanwhile */
    uint32_t end_reason;
    struct primary_verified verified;
    struct histogram pause_ns, commit_ns, gap_ns;
    struct pause_parts pause_parts;
};

static inline uint64_t now_of(const struct primary_engine *p)
{
    return p->parts.world->now(p->parts.world->context);
}

/* While the guest lies still what was done since then counts as a part of its pause. */
static inline void primary_count_part(struct primary_engine *p, enum pause_part part, uint64_t since_ns)
{
    if (p->is_paused)
        pause_parts_add(&p->pause_parts, part, now_of(p) - since_ns);
}

/* One line to whoever listens. */
void primary_say(struct primary_engine *p, int level, const char *format, ...) PRINTF_LIKE(3, 4);

/* Gives an event to the protocol; what it says is carried out by the steps that follow. Only while
 * nothing is left to carry out. */
void primary_feed(struct primary_engine *p, struct primary_event *ev);
void primary_feed_plain(struct primary_engine *p, enum primary_event_type type);

/* Keeps an event until the present list of actions is done; the first one wins. */
void primary_raise(struct primary_engine *p, struct primary_event ev);

/* Queues a heartbeat if there is room for it. */
void primary_send_heartbeat(struct primary_engine *p);

/* Carries out the next action of the list; false when it can't go on now (the guest is being paused). */
bool primary_act_next(struct primary_engine *p);

/* Moves the open epoch on by one pass, copy or chunk; false when it can't go on now. */
bool primary_work(struct primary_engine *p);
/* Chunks that are on their way are copied, so that nothing refers to the epoch's pages any more. */
void primary_own_chunks(struct primary_engine *p);
void primary_set_activity(struct primary_engine *p, enum activity activity);

#endif

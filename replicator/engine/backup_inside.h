/* backup_inside — what the files of the backup engine share. Nobody else includes this.
 *   backup_engine.c  the step, what comes in, the outside
 *   backup_acts.c    carrying out what the protocol said
 *   backup_replica.c the replica's life */
#ifndef REPLICATOR_ENGINE_BACKUP_INSIDE_H
#define REPLICATOR_ENGINE_BACKUP_INSIDE_H

#include "base/log.h"
#include "replicator/apply/stage.h"
#include "replicator/engine/backup_engine.h"
#include "replicator/engine/wire.h"

#define PREAMBLE_MAX (64u << 10)

struct backup_engine {
    struct backup_parts parts;
    struct backup proto;
    struct wire wire;             /* of the session */
    struct replica *replica;      /* NULL until the first accepted HELLO, and after discard */
    struct guest *guest;          /* once activated */
    struct stage stage;
    bool has_stage;

    struct link *candidate;       /* a connection whose HELLO is not answered yet */
    struct hello candidate_hello;
    struct hello shape;           /* the HELLO that the replica was made for */
    char refusal_text[HELLO_TEXT_MAX + 1];

    struct backup_actions todo;
    unsigned next;
    struct backup_event raised;
    bool has_raised;
    bool is_applying;
    uint64_t activate_at_ns;      /* tried again then; 0: not wanted */

    uint8_t preamble[PREAMBLE_MAX];
    size_t preamble_bytes;
    bool is_static_done;
    bool is_building;             /* the replica is; nothing is read until it has memory */
    bool is_lost;                 /* it can't be activated any more */

    bool asked;
    uint32_t asked_term;
    enum backup_state said_state;
    struct err why;
    uint64_t epochs_committed;
    struct backup_verified verified;
    uint32_t end_reason;
    uint64_t linger_until_ns;     /* after the end: until the peer has read our last words */
    int refusal;
};

static inline uint64_t backup_now(const struct backup_engine *b)
{
    return b->parts.world->now(b->parts.world->context);
}

void backup_say(struct backup_engine *b, int level, const char *format, ...) PRINTF_LIKE(3, 4);
void backup_feed(struct backup_engine *b, struct backup_event *ev);
void backup_raise(struct backup_engine *b, struct backup_event ev);
void backup_act_next(struct backup_engine *b);
void backup_link_down(struct backup_engine *b, const struct err *e);

MUST_CHECK int backup_make_replica(struct backup_engine *b, const struct hello *h, struct err *e);
/* Gives it the preamble, or goes on with that: is_building while it is not done. */
MUST_CHECK int backup_begin_replica(struct backup_engine *b, struct err *e);
/* Whether there was something to do for it. */
bool backup_look_at_replica(struct backup_engine *b);
/* Compares some of it with what the primary said of the guest's pages, once the epoch is applied: true
 * while there is more. Tells the primary, and whoever listens, what came of it. */
bool backup_compare(struct backup_engine *b, bool *ret_differs);
/* What it holds must never be activated: the replica is given up, and the primary hears of it. */
void backup_give_up(struct backup_engine *b, const struct err *e);
void backup_drop_replica(struct backup_engine *b);

#endif

/* primary_parts — what the three files of the primary's protocol share. Nobody else includes this.
 *   primary.c          states, the end that somebody wants, time, the one entry
 *   primary_session.c  a session: HELLO, epochs, acks, DETACH
 *   primary_loss.c     losing the backup: output, token, term
 * Each adds its actions to `out` in the order in which they must happen. */
#ifndef REPLICATOR_PROTO_PRIMARY_PARTS_H
#define REPLICATOR_PROTO_PRIMARY_PARTS_H

#include "base/attr.h"
#include "replicator/proto/primary.h"

#define BACKOFF_NS_MIN (50 * NS_PER_MS)
#define BACKOFF_NS_MAX (1 * NS_PER_S)

static inline bool primary_has_session(const struct primary *p)
{
    return p->state >= P_READY && p->state <= P_AWAIT;
}

static inline bool primary_has_open_epoch(const struct primary *p)
{
    return p->state >= P_PRECOPY && p->state <= P_AWAIT;
}

/* Moves to a state; a move that is not in the table is a fault in us. */
void primary_go(struct primary *p, enum primary_state next);

/* Appends an action. */
struct primary_action *primary_act(struct primary_actions *out, enum primary_action_type type);

/* ---- primary_loss.c ---- */

/* Output leaves from now on: by right, or because nobody else can own the guest. */
void primary_open_output(struct primary *p, struct primary_actions *out);

/* The backup's copy is of no use: a new lineage begins. */
void primary_reseed(struct primary *p, struct primary_actions *out);
void primary_end(struct primary *p, uint32_t reason, struct primary_actions *out);
void primary_ask(struct primary *p, uint64_t now_ns, struct primary_actions *out);
bool primary_is_in_grace(const struct primary *p);
void primary_abandon(struct primary *p, struct primary_actions *out);

/* The guest goes on, unless it runs already or is given away. */
void primary_let_run(struct primary *p, struct primary_actions *out);
void primary_taken_back(struct primary *p, const struct primary_event *ev,
                        struct primary_actions *out);
void primary_reconnect_later(struct primary *p, uint64_t now_ns);
void primary_lost(struct primary *p, uint64_t now_ns, struct primary_actions *out);
void primary_fenced(struct primary *p, struct primary_actions *out);
void primary_token_answered(struct primary *p, const struct primary_event *ev,
                            struct primary_actions *out);

/* ---- primary_session.c ---- */

void primary_greet(struct primary *p, const struct primary_event *ev, struct primary_actions *out);
void primary_hello_answered(struct primary *p, const struct primary_event *ev,
                            struct primary_actions *out);
void primary_acked(struct primary *p, const struct primary_event *ev, struct primary_actions *out);
void primary_released(struct primary *p, const struct primary_event *ev,
                      struct primary_actions *out);
void primary_heartbeat_came(struct primary *p, const struct primary_event *ev,
                            struct primary_actions *out);
void primary_pages_needed(struct primary *p, const struct primary_event *ev,
                          struct primary_actions *out);
void primary_detach_came(struct primary *p, const struct primary_event *ev,
                         struct primary_actions *out);
void primary_precopied(struct primary *p, const struct primary_event *ev,
                       struct primary_actions *out);
void primary_captured(struct primary *p, struct primary_actions *out);
void primary_begin_capture(struct primary *p, uint64_t now_ns, struct primary_actions *out);

/* READY, and everything acknowledged has left: the next epoch, or the end. */
void primary_next_epoch(struct primary *p, uint64_t now_ns, struct primary_actions *out);

#endif

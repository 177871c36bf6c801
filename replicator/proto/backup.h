/* backup — what the backup side decides: events in, actions out, nothing else. Pure, like primary.h.
 *
 * The rules it keeps:
 *   - ack(e) only after e is complete and verified, and applicable with nothing more needed;
 *   - the token is asked for only after timeout_ns of silence, never while the session lives: the
 *     primary's lease rests on that promise. The one exception is the primary's own word that its
 *     guest lies still (DETACH(SWITCHOVER) after an epoch of that kind);
 *   - only the newest commit of the current term may be activated without a person's word;
 *   - a replica that was compared with the guest's memory and differs is never activated;
 *   - DETACH and a final epoch are clean ends: nothing is activated after them. */
#ifndef REPLICATOR_PROTO_BACKUP_H
#define REPLICATOR_PROTO_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/record.h"
#include "replicator/fence/fence.h"
#include "replicator/proto/timing.h"

#define BACKUP_STATES(X)                                                                            \
    /* name, words, may go to */                                                                    \
    X(EMPTY, "empty", TO(LINKED) | TO(ENDED))                                                       \
    X(LINKED, "linked", TO(STAGING) | TO(ALONE) | TO(LEAVING) | TO(ASKING) | TO(ACTIVATING) |       \
                        TO(ENDED))                                                                  \
    X(STAGING, "staging", TO(LINKED) | TO(APPLYING) | TO(ALONE) | TO(LEAVING) | TO(ENDED))          \
    X(APPLYING, "applying", TO(LINKED) | TO(ALONE))                                                 \
    X(ALONE, "alone", TO(LINKED) | TO(ASKING) | TO(ACTIVATING) | TO(ENDED))                         \
    X(ASKING, "asking", TO(ACTIVATING) | TO(STALE) | TO(ALONE) | TO(ENDED))                         \
    X(STALE, "stale", TO(LINKED) | TO(ACTIVATING) | TO(ENDED))                                      \
    X(ACTIVATING, "activating", TO(ACTIVE) | TO(ENDED))                                             \
    X(ACTIVE, "active", TO(ENDED))                                                                  \
    X(LEAVING, "leaving", TO(ENDED))                                                                \
    X(ENDED, "ended", 0)

enum backup_state {
#define X(name, words, next) B_##name,
    BACKUP_STATES(X)
#undef X
        B_STATES
};

const char *backup_state_name(enum backup_state s);

enum backup_event_type {
    BE_TICK,
    BE_HELLO,        /* .hello with .precheck: HELLO_OK, or what the engine found wrong with it   */
    BE_LINK_DOWN,    /* the session's connection broke or carried something that breaks a rule    */
    BE_EPOCH_BEGIN,  /* .epoch_begin                                                              */
    BE_COMPLETE,     /* .epoch, .flags: every record is staged and verified, CHECKPOINT came      */
    BE_MISMATCH,     /* a delta did not meet its base: this epoch can't be had as sent            */
    BE_APPLIED,      /* the replica's memory equals the committed epoch; .differs: it was compared
                        with what the primary said of the guest's pages, and does not             */
    BE_HEARTBEAT,    /* .heartbeat                                                                */
    BE_DETACH,       /* .detach                                                                   */
    BE_TOKEN,        /* .answer, to the question of term .term                                    */
    BE_ACTIVATE,     /* somebody asks for activation; .fenced: says the primary is fenced         */
    BE_ACTIVATED,    /* the guest runs here                                                       */
    BE_STOP,         /* somebody wants the replica to end                                         */
};

enum backup_action_type {
    BA_HELLO_ACK,    /* send HELLO_ACK(.verdict) on the connection the HELLO came by; a verdict
                        other than OK closes that connection afterwards                           */
    BA_TAKE_LINK,    /* that connection is now the session's (an older one is closed)             */
    BA_RESET,        /* forget the replica: a new lineage begins                                  */
    BA_CLOSE_LINK,   /* close the session's connection                                            */
    BA_STAGE,        /* open the stage for .epoch (.flags): what was in it is void                */
    BA_UNSTAGE,      /* what is staged is void                                                    */
    BA_COMMIT,       /* the staged epoch is now the committed one                                 */
    BA_ACK,          /* send ACK(.epoch)                                                          */
    BA_APPLY,        /* copy the committed epoch into the replica, then BE_APPLIED                */
    BA_NEED_PAGES,   /* send NEED_PAGES(.epoch); ignore the rest of that epoch                    */
    BA_HEARTBEAT,    /* send one                                                                  */
    BA_ASK,          /* ask the arbiter for the token of .term                                    */
    BA_ACTIVATE,     /* run the guest here, then BE_ACTIVATED                                     */
    BA_DISCARD,      /* the replica is gone                                                       */
    BA_DETACH,       /* send DETACH(.reason, .is_answer)                                          */
    BA_REFUSE,       /* tell who asked for activation: .refusal                                   */
    BA_END,          /* all done: .reason                                                         */
};

/* Why an activation was refused; the numbers are exit codes (docs/FAILOVER.md). */
enum activate_refusal { REFUSED_NOTHING = 0, REFUSED_FENCING = 10, REFUSED_NO_CHECKPOINT = 11 };

/* Why a replica ended. */
#define BACKUP_ENDS(X)                                                             \
    X(DETACHED, "protection was ended by the primary; nothing to fail over to")    \
    X(GUEST_OVER, "the guest had ended by itself; its last commit stays asleep")   \
    X(NOTHING_HELD, "the primary was lost before the first commit")                \
    X(STOPPED, "the replica was stopped")                                          \
    X(LOST, "the replica was lost with what held it, and can't be activated")      \
    X(DIFFERS, "the replica differed from the guest and was given up")

enum backup_end {
#define X(name, words) BACKUP_END_##name,
    BACKUP_ENDS(X)
#undef X
};
const char *backup_end_words(uint32_t end);

struct backup_action {
    enum backup_action_type type;
    uint64_t epoch;
    uint32_t flags, term, reason, verdict, refusal;
    bool is_answer;
};

#define BACKUP_ACTIONS_MAX 8u
struct backup_actions {
    unsigned n;
    struct backup_action list[BACKUP_ACTIONS_MAX];
};

struct backup_event {
    enum backup_event_type type;
    uint64_t now_ns;
    union {
        struct {
            const struct hello *hello;
            enum hello_verdict precheck;
        };
        const struct epoch_begin *epoch_begin;
        const struct heartbeat *heartbeat;
        const struct detach *detach;
        struct {
            uint64_t epoch;
            uint32_t flags;
        };
        struct {
            enum fence_answer answer;
            uint32_t term;
        };
        bool fenced;
        bool differs;
    };
};

struct backup {
    /* set by backup_init */
    bool primary_owns;       /* manual arbiter: activation only on somebody's word */
    /* shared */
    enum backup_state state;
    struct timing timing;    /* from HELLO */
    uint64_t lineage, session;
    uint32_t term;
    uint64_t committed;      /* newest committed epoch, 0: none */
    uint32_t committed_term;
    bool is_final;           /* the committed epoch is the guest's last */
    bool is_switchover;      /* its guest has lain still since: the primary may give it to us */
    uint64_t staging;        /* epoch being staged, 0: none */
    uint64_t peer_sent_ns;   /* newest send time of the primary, echoed */
    uint64_t last_rx_ns;
    /* private */
    uint64_t newest_begun, heartbeat_at_ns, ask_at_ns, leave_at_ns;
    uint32_t staging_flags;
    bool link_lost;          /* while applying: go alone afterwards */
    bool asked, wanted, stop_wanted;
    bool is_wrong;           /* the replica is not what the guest was: it ends, and never runs */
};

void backup_init(struct backup *b, bool primary_owns);
void backup_step(struct backup *b, const struct backup_event *ev, struct backup_actions *out);
uint64_t backup_deadline(const struct backup *b);

/* Octets came in the session, of whatever record: the primary lives. Epochs that take longer than
 * the timeout to arrive must not look like silence. */
void backup_heard(struct backup *b, uint64_t now_ns);

/* True while a commit of the current term is held that this side may yet activate. */
bool backup_is_ready(const struct backup *b);

#endif

/* primary — what the primary side of a session decides: events in, actions out, nothing else.
 * Pure: no clock, socket, allocation, log or global. The engine feeds it what happened and carries
 * out what it says, in the order it says it; when an action fails the engine drops the rest of that
 * list and reports EV_FAULT. The simulator drives the same object through its failovers.
 *
 * The rules it keeps (docs/ARCHITECTURE.md):
 *   - epoch e's output is released only after ack(e), and only while the lease or the token is ours;
 *   - at most one epoch is unacknowledged; an abandoned one goes back into the carry;
 *   - a guest given away (switchover: paused, committed, released, then DETACH) neither runs nor
 *     speaks here again before the token or a person gives it back;
 *   - output is opened (unprotected) only when no commit of this term can exist, or by right: the
 *     token of the term was granted, belongs to us (manual), or the backup has let go (DETACH). */
#ifndef REPLICATOR_PROTO_PRIMARY_H
#define REPLICATOR_PROTO_PRIMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/record.h"
#include "replicator/fence/fence.h"
#include "replicator/proto/timing.h"

#define PRIMARY_STATES(X)                                                                           \
    /* name, words, may go to */                                                                    \
    X(OFF, "off", TO(CONNECTING) | TO(ASKING) | TO(FENCED) | TO(ENDED))                             \
    X(CONNECTING, "connecting", TO(OFF) | TO(GREETING) | TO(ASKING) | TO(ENDED))                    \
    X(GREETING, "greeting", TO(OFF) | TO(READY) | TO(ASKING) | TO(FENCED) | TO(ENDED))              \
    X(READY, "ready", TO(OFF) | TO(PRECOPY) | TO(CAPTURE) | TO(DETACHING) | TO(ENDED))              \
    X(PRECOPY, "precopy", TO(OFF) | TO(READY) | TO(CAPTURE) | TO(ENDED))                            \
    X(CAPTURE, "capture", TO(OFF) | TO(READY) | TO(FLUSH))                                          \
    X(FLUSH, "flush", TO(OFF) | TO(READY) | TO(AWAIT))                                              \
    X(AWAIT, "await", TO(OFF) | TO(READY))                                                          \
    X(ASKING, "asking", TO(OFF) | TO(FENCED) | TO(ENDED))                                           \
    X(DETACHING, "detaching", TO(OFF) | TO(ASKING) | TO(ENDED))                                     \
    X(FENCED, "fenced", 0)                                                                          \
    X(ENDED, "ended", 0)

enum primary_state {
#define X(name, words, next) P_##name,
    PRIMARY_STATES(X)
#undef X
        P_STATES
};

const char *primary_state_name(enum primary_state s);

enum primary_event_type {
    PE_TICK,          /* time has passed                                                          */
    PE_LINK_UP,       /* the connection asked for stands                                          */
    PE_LINK_DOWN,     /* it broke, could not be made, or carried something that breaks a rule     */
    PE_HELLO_ACK,     /* .hello_ack                                                               */
    PE_ACK,           /* .ack                                                                     */
    PE_HEARTBEAT,     /* .heartbeat                                                               */
    PE_NEED_PAGES,    /* .need_pages                                                              */
    PE_DETACH,        /* .detach                                                                  */
    PE_PRECOPIED,     /* the live copy is as good as it gets                                      */
    PE_CAPTURED,      /* everything of the epoch is copied or out; the guest may run              */
    PE_SENT,          /* the epoch with its end is handed to the link                             */
    PE_RELEASED,      /* the frames of the acknowledged epoch have left                           */
    PE_RELEASE_LATE,  /* the lease ran out before the last of them; the rest is still held        */
    PE_FAULT,         /* .fault: an action failed, the guest runs if it can                       */
    PE_TOKEN,         /* .answer, to the question of term .term                                   */
    PE_GUEST_ENDED,   /* .reason: the guest shut down, rebooted or crashed                        */
    PE_STOP,          /* .reason: somebody wants protection to end                                */
    PE_SWITCHOVER,    /* somebody wants the backup to go on as the guest; only while protected    */
    PE_TAKE_BACK,     /* somebody says that the backup, to whom it was given, does not run it     */
};

/* Everything the primary can be told to do. */
enum primary_action_type {
    PA_CONNECT,       /* start connecting                                                         */
    PA_CLOSE_LINK,    /* close the connection, forget what was not sent                           */
    PA_HELLO,         /* send headers and HELLO                                                   */
    PA_SESSION_UP,    /* .epoch: the backup holds exactly this epoch (0: nothing)                 */
    PA_BEGIN,         /* send EPOCH_BEGIN(.epoch, .flags) and start collecting                    */
    PA_PRECOPY,       /* copy live until little is left, then PE_PRECOPIED                        */
    PA_PAUSE,         /* stop the guest                                                           */
    PA_MARK,          /* netbuf.mark(.epoch): all output so far belongs to it                     */
    PA_CAPTURE,       /* dirty log, pages, state, then PE_CAPTURED                                */
    PA_RESUME,        /* let the guest run                                                        */
    PA_FLUSH,         /* encode and send the rest, then the end and PE_SENT                       */
    PA_ABANDON,       /* everything of the open epoch goes back into the carry                    */
    PA_ACKED,         /* .epoch is safe: its pages need not be sent again                         */
    PA_RELEASE,       /* netbuf.release(.epoch) until .not_after_ns, then PE_RELEASED or _LATE    */
    PA_OPEN,          /* netbuf.open: unprotected, by right                                       */
    PA_DROP,          /* netbuf.drop: fenced                                                      */
    PA_DESTROY,       /* end the guest: the other side owns it                                    */
    PA_ASK,           /* ask the arbiter for the token of .term                                   */
    PA_HEARTBEAT,     /* send one                                                                 */
    PA_DETACH,        /* send DETACH(.reason, .is_answer)                                         */
    PA_RESEED,        /* .lineage replaces the old one: every page is dirty, every base unknown   */
    PA_REMEMBER,      /* across a crash: that the guest is given away (.is_given), or is not      */
    PA_END,           /* all done: .reason                                                        */
};

struct primary_action {
    enum primary_action_type type;
    uint64_t epoch;        /* or the lineage of PA_RESEED */
    uint64_t not_after_ns;
    uint32_t flags, term, reason;
    bool is_answer, is_given;
};

#define PRIMARY_ACTIONS_MAX 8u
struct primary_actions {
    unsigned n;
    struct primary_action list[PRIMARY_ACTIONS_MAX];
};

struct primary_event {
    enum primary_event_type type;
    uint64_t now_ns;
    union {
        const struct hello_ack *hello_ack;
        const struct ack *ack;
        const struct heartbeat *heartbeat;
        const struct need_pages *need_pages;
        const struct detach *detach;
        enum primary_action_type fault;
        uint32_t reason;
        struct {
            enum fence_answer answer;
            uint32_t term;
        };
    };
};

/* What a process that went before left behind (guest alive, output held, dirty log lost). */
struct primary_past {
    uint64_t lineage; /* 0: there was none */
    uint32_t term;
    bool armed;
    bool given;       /* to the backup, by a switchover: the guest must not run here */
};

struct primary {
    /* set by primary_init */
    struct timing timing;
    bool owns;              /* manual arbiter: the token is ours without asking */
    /* shared: read by the engine and by status */
    enum primary_state state;
    uint64_t lineage, replaces, session;
    uint32_t term;
    uint64_t epoch;         /* newest begun; numbers only grow */
    uint64_t acked;         /* newest acknowledged in this lineage, 0: none */
    uint64_t lease_until_ns;
    bool armed;             /* a commit of this term may exist on the backup */
    bool covered;           /* an epoch of this term was acknowledged and the session stands */
    bool held;              /* output is being held */
    bool switching;         /* a switchover is wanted and not given up */
    bool given;             /* the backup may run the guest by our word: here it lies still, and
                               nothing leaves, until the token or a person gives it back */
    uint32_t refused;       /* verdict of the last HELLO that was refused, 0: none */
    /* private */
    uint64_t last_rx_ns, heartbeat_at_ns, paused_at_ns, reconnect_at_ns, grace_until_ns, ask_at_ns;
    uint64_t backoff_ns;
    uint64_t peer_sent_ns;  /* newest heartbeat.sent_ns of the backup, echoed */
    uint64_t echo_ns;       /* newest own send time that came back */
    uint64_t release_due;   /* acknowledged epoch whose frames are not all out, 0: none */
    uint32_t ending;        /* detach reason once the end is wanted, 0: go on */
    bool guest_ended, is_final_epoch, is_switch_epoch, precopy_due, paused, open_due, asked;
};

/* A primary that starts at now_ns with no session. lineage must not be 0. */
void primary_init(struct primary *p, const struct timing *timing, bool owns, uint64_t lineage,
                  const struct primary_past *past, uint64_t now_ns);

/* The one entry: what follows from an event. `out` is overwritten. */
void primary_step(struct primary *p, const struct primary_event *ev, struct primary_actions *out);

/* When the next PE_TICK is due (TIME_NEVER: nothing to wait for). */
uint64_t primary_deadline(const struct primary *p);

/* True exactly while P1–P4 hold for the guest: covered, the backup heard within the timeout, and the
 * lease good (octets that lay in a socket while we stood still are no sign of life). */
bool primary_is_protected(const struct primary *p, uint64_t now_ns);

#endif

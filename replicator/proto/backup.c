/* backup — see backup.h. One function an event. */
#include "replicator/proto/backup.h"

#include "base/attr.h"

#define TO(state) (1u << B_##state)
static const struct {
    const char *name;
    unsigned next;
} backup_states[B_STATES] = {
#define X(name, words, next) [B_##name] = { words, next },
    BACKUP_STATES(X)
#undef X
};
#undef TO

const char *backup_state_name(enum backup_state s)
{
    return backup_states[s].name;
}

const char *backup_end_words(uint32_t end)
{
    static const char *const words[] = {
#define X(name, text) [BACKUP_END_##name] = text,
        BACKUP_ENDS(X)
#undef X
    };

    return end < ARRAY_LEN(words) ? words[end] : "unknown";
}

static void go(struct backup *b, enum backup_state next)
{
    must(backup_states[b->state].next & (1u << next));
    b->state = next;
}

static struct backup_action *act(struct backup_actions *out, enum backup_action_type type)
{
    struct backup_action *a;

    must(out->n < BACKUP_ACTIONS_MAX);
    a = &out->list[out->n++];
    *a = (struct backup_action){ .type = type };
    return a;
}

void backup_init(struct backup *b, bool primary_owns)
{
    *b = (struct backup){
        .primary_owns = primary_owns,
        .state = B_EMPTY,
        .timing = { INTERVAL_NS_DEFAULT, HEARTBEAT_NS_DEFAULT, TIMEOUT_NS_DEFAULT },
    };
}

static bool has_session(const struct backup *b)
{
    return b->state == B_LINKED || b->state == B_STAGING || b->state == B_APPLYING;
}

bool backup_is_ready(const struct backup *b)
{
    return b->committed > 0 && b->committed_term == b->term && !b->is_final &&
           b->state != B_STALE && b->state != B_ENDED && b->state != B_LEAVING;
}

static void end(struct backup *b, enum backup_end reason, struct backup_actions *out)
{
    go(b, B_ENDED);
    act(out, BA_END)->reason = reason;
}

/* Somebody wanted it, or what is held is of no use. */
static void end_stopped(struct backup *b, struct backup_actions *out)
{
    end(b, b->is_wrong ? BACKUP_END_DIFFERS : BACKUP_END_STOPPED, out);
}

static void unstage(struct backup *b, struct backup_actions *out)
{
    if (b->staging == 0)
        return;
    b->staging = 0;
    act(out, BA_UNSTAGE);
}

/* ---- the primary is lost ---------------------------------------------------------------------------- */

static void alone(struct backup *b, struct backup_actions *out)
{
    unstage(b, out);
    go(b, B_ALONE);
    b->ask_at_ns = b->last_rx_ns + b->timing.timeout_ns; /* the promise the lease rests on */
    if (b->committed == 0)
        end(b, BACKUP_END_NOTHING_HELD, out);
    else if (b->stop_wanted)
        end_stopped(b, out);
}

static void lost(struct backup *b, struct backup_actions *out)
{
    act(out, BA_CLOSE_LINK);
    if (b->state == B_APPLYING)
        b->link_lost = true; /* first make the replica whole */
    else if (b->state == B_LEAVING)
        end_stopped(b, out);
    else
        alone(b, out);
}

static void ask(struct backup *b, uint64_t now_ns, struct backup_actions *out)
{
    if (b->state != B_ASKING)
        go(b, B_ASKING);
    b->asked = true;
    b->ask_at_ns = now_ns + timing_ask_again_ns(&b->timing);
    act(out, BA_ASK)->term = b->term;
}

static void activate(struct backup *b, struct backup_actions *out)
{
    go(b, B_ACTIVATING);
    act(out, BA_ACTIVATE)->epoch = b->committed;
}

static void token_answered(struct backup *b, const struct backup_event *ev,
                           struct backup_actions *out)
{
    if (b->state != B_ASKING || ev->term != b->term)
        return;
    if (ev->answer == FENCE_GRANTED) {
        activate(b, out);
    } else if (ev->answer == FENCE_DENIED) {
        go(b, B_STALE); /* the primary owns the guest and has gone on without us */
        act(out, BA_CLOSE_LINK); /* there may be one yet, after a switchover */
        if (b->wanted)
            act(out, BA_REFUSE)->refusal = REFUSED_FENCING;
        b->wanted = false;
    } else {
        b->ask_at_ns = ev->now_ns + timing_ask_again_ns(&b->timing);
    }
}

static void activation_wanted(struct backup *b, const struct backup_event *ev,
                              struct backup_actions *out)
{
    bool is_quiet = (b->state == B_ALONE && ev->now_ns >= b->ask_at_ns) || b->state == B_STALE;

    if (b->state == B_ACTIVE || b->state == B_ACTIVATING || b->state == B_ASKING)
        return; /* already so, or on the way: asked twice is asked once */
    if (b->committed == 0 || b->is_final)
        act(out, BA_REFUSE)->refusal = REFUSED_NO_CHECKPOINT;
    else if (b->primary_owns && ev->fenced && is_quiet)
        activate(b, out);
    else if (!b->primary_owns && b->state == B_ALONE && b->committed_term == b->term) {
        b->wanted = true; /* the tick asks as soon as the promise allows it */
    } else
        act(out, BA_REFUSE)->refusal = REFUSED_FENCING;
}

/* ---- a session ---------------------------------------------------------------------------------------- */

static void heard(struct backup *b, uint64_t now_ns, uint64_t peer_sent_ns)
{
    b->last_rx_ns = now_ns;
    if (peer_sent_ns > b->peer_sent_ns)
        b->peer_sent_ns = peer_sent_ns;
}

void backup_heard(struct backup *b, uint64_t now_ns)
{
    if (has_session(b))
        heard(b, now_ns, 0);
}

static enum hello_verdict judge(const struct backup *b, const struct hello *h,
                                enum hello_verdict precheck)
{
    if (precheck != HELLO_OK)
        return precheck;
    if (b->state == B_ACTIVATING && b->is_switchover)
        return HELLO_DECIDING; /* its own guest must not go before ours runs */
    if (b->state == B_ACTIVATING || b->state == B_ACTIVE)
        return HELLO_ACTIVE;
    if (b->state == B_ASKING || b->state == B_LEAVING || b->state == B_ENDED)
        return HELLO_DECIDING;
    if (h->lineage != b->lineage)
        return b->committed > 0 && h->replaces != b->lineage ? HELLO_BUSY : HELLO_OK;
    if (h->session <= b->session)
        return HELLO_OLD_SESSION;
    return h->term < b->term ? HELLO_OLD_TERM : HELLO_OK;
}

static void hello_came(struct backup *b, const struct backup_event *ev, struct backup_actions *out)
{
    const struct hello *h = ev->hello;
    enum hello_verdict verdict = judge(b, h, ev->precheck);

    must(b->state != B_APPLYING); /* the engine ends the apply before it reads on */
    if (verdict != HELLO_OK) {
        act(out, BA_HELLO_ACK)->verdict = (uint32_t)verdict;
        return;
    }
    unstage(b, out);
    act(out, BA_TAKE_LINK);
    if (h->lineage != b->lineage) {
        act(out, BA_RESET);
        b->lineage = h->lineage;
        b->committed = b->newest_begun = 0;
        b->is_final = b->is_switchover = false;
    }
    if (b->state != B_LINKED) {
        if (b->state == B_STAGING || b->state == B_EMPTY || b->state == B_ALONE ||
            b->state == B_STALE)
            go(b, B_LINKED);
    }
    b->session = h->session;
    b->term = h->term;
    b->timing = (struct timing){ h->interval_ns, h->heartbeat_ns, h->timeout_ns };
    b->peer_sent_ns = 0; /* another clock, perhaps */
    heard(b, ev->now_ns, h->sent_ns);
    b->heartbeat_at_ns = ev->now_ns + b->timing.heartbeat_ns;
    b->asked = b->wanted = false;
    act(out, BA_HELLO_ACK)->verdict = HELLO_OK;
}

static void epoch_began(struct backup *b, const struct backup_event *ev, struct backup_actions *out)
{
    const struct epoch_begin *m = ev->epoch_begin;
    bool is_seed = m->flags & EPOCH_SEED;
    struct backup_action *a;

    if (b->state != B_LINKED && b->state != B_STAGING)
        return;
    if (m->session != b->session || m->term != b->term || m->epoch <= b->newest_begun ||
        is_seed != (b->committed == 0)) {
        lost(b, out);
        return;
    }
    heard(b, ev->now_ns, 0);
    if (b->state == B_LINKED)
        go(b, B_STAGING);
    b->staging = b->newest_begun = m->epoch;
    b->staging_flags = m->flags;
    a = act(out, BA_STAGE);
    a->epoch = m->epoch;
    a->flags = m->flags;
}

static void epoch_complete(struct backup *b, const struct backup_event *ev,
                           struct backup_actions *out)
{
    if (b->state != B_STAGING || ev->epoch != b->staging || ev->flags != b->staging_flags) {
        if (has_session(b))
            lost(b, out);
        return;
    }
    heard(b, ev->now_ns, 0);
    go(b, B_APPLYING);
    b->committed = ev->epoch;
    b->committed_term = b->term;
    b->is_final = ev->flags & EPOCH_FINAL;
    b->is_switchover = ev->flags & EPOCH_SWITCHOVER;
    b->staging = 0;
    act(out, BA_COMMIT)->epoch = ev->epoch;
    act(out, BA_ACK)->epoch = ev->epoch;
    act(out, BA_APPLY)->epoch = ev->epoch;
}

static void mismatch(struct backup *b, struct backup_actions *out)
{
    uint64_t epoch = b->staging;

    if (b->state != B_STAGING)
        return;
    if (b->staging_flags & EPOCH_SEED) {
        lost(b, out); /* nothing in a seed has a base: the octets themselves are wrong */
        return;
    }
    unstage(b, out);
    go(b, B_LINKED);
    act(out, BA_NEED_PAGES)->epoch = epoch;
}

static void leave(struct backup *b, uint64_t now_ns, struct backup_actions *out)
{
    struct backup_action *a;

    unstage(b, out);
    act(out, BA_DISCARD); /* first let go, then say so */
    b->committed = 0;
    a = act(out, BA_DETACH);
    a->reason = b->is_wrong ? DETACH_DIFFERS : DETACH_RECEIVER_STOPPED;
    go(b, B_LEAVING);
    b->leave_at_ns = now_ns + b->timing.timeout_ns;
}

static void applied(struct backup *b, const struct backup_event *ev, struct backup_actions *out)
{
    if (b->state != B_APPLYING)
        return;
    if (ev->differs)
        b->is_wrong = b->stop_wanted = true;
    if (b->link_lost) {
        b->link_lost = false;
        alone(b, out);
        return;
    }
    go(b, B_LINKED);
    heard(b, ev->now_ns, 0); /* nothing was read meanwhile: that was our silence, not the primary's */
    if (b->stop_wanted)
        leave(b, ev->now_ns, out);
}

/* The primary's guest lies still, all that it said has left, and it is ours from now on. The answer
 * goes out when it runs. */
static void take_over(struct backup *b, uint64_t now_ns, struct backup_actions *out)
{
    if (b->state != B_LINKED || !b->is_switchover || b->is_final || b->committed_term != b->term)
        lost(b, out);
    else if (b->primary_owns)
        activate(b, out);
    else
        ask(b, now_ns, out);
}

static void activated(struct backup *b, struct backup_actions *out)
{
    struct backup_action *a;

    if (b->state != B_ACTIVATING)
        return;
    go(b, B_ACTIVE);
    if (!b->is_switchover)
        return;
    a = act(out, BA_DETACH);
    a->reason = DETACH_SWITCHOVER;
    a->is_answer = true;
    act(out, BA_CLOSE_LINK);
}

static void detach_came(struct backup *b, const struct backup_event *ev, struct backup_actions *out)
{
    const struct detach *d = ev->detach;
    struct backup_action *a;

    if (d->session != b->session)
        return;
    if (b->state == B_LEAVING && d->is_answer) {
        act(out, BA_CLOSE_LINK);
        end_stopped(b, out);
        return;
    }
    if (d->is_answer || !(has_session(b) || b->state == B_LEAVING))
        return;
    must(b->state != B_APPLYING);
    if (d->reason == DETACH_SWITCHOVER && has_session(b)) {
        take_over(b, ev->now_ns, out);
        return;
    }
    unstage(b, out);
    act(out, BA_DISCARD);
    b->committed = 0;
    a = act(out, BA_DETACH);
    a->reason = d->reason;
    a->is_answer = true;
    end(b, BACKUP_END_DETACHED, out);
}

static void stop_asked(struct backup *b, uint64_t now_ns, struct backup_actions *out)
{
    b->stop_wanted = true;
    switch (b->state) {
    case B_LINKED:
    case B_STAGING:
        leave(b, now_ns, out);
        break;
    case B_APPLYING: /* applied() goes on from there */
    case B_LEAVING:
    case B_ENDED:
        break;
    default:
        end(b, BACKUP_END_STOPPED, out);
        break;
    }
}

/* ---- time ----------------------------------------------------------------------------------------------- */

static bool would_ask(const struct backup *b)
{
    return b->state == B_ALONE && !b->primary_owns && backup_is_ready(b);
}

static void tick(struct backup *b, uint64_t now_ns, struct backup_actions *out)
{
    if (has_session(b) && !b->link_lost) {
        if (b->state != B_APPLYING && now_ns >= b->last_rx_ns + b->timing.timeout_ns) {
            lost(b, out);
        } else if (now_ns >= b->heartbeat_at_ns) {
            b->heartbeat_at_ns = now_ns + b->timing.heartbeat_ns;
            act(out, BA_HEARTBEAT);
        }
    } else if (b->state == B_ALONE && b->is_final && now_ns >= b->ask_at_ns) {
        end(b, BACKUP_END_GUEST_OVER, out);
    } else if ((would_ask(b) || b->state == B_ASKING) && now_ns >= b->ask_at_ns) {
        ask(b, now_ns, out);
    } else if (b->state == B_LEAVING && now_ns >= b->leave_at_ns) {
        act(out, BA_CLOSE_LINK);
        end_stopped(b, out);
    }
}

void backup_step(struct backup *b, const struct backup_event *ev, struct backup_actions *out)
{
    out->n = 0;
    switch (ev->type) {
    case BE_TICK:
        tick(b, ev->now_ns, out);
        break;
    case BE_HELLO:
        hello_came(b, ev, out);
        break;
    case BE_LINK_DOWN:
        if (has_session(b) || b->state == B_LEAVING)
            lost(b, out);
        else if (b->is_switchover) /* nobody to answer; what was given is ours all the same */
            act(out, BA_CLOSE_LINK);
        break;
    case BE_EPOCH_BEGIN:
        epoch_began(b, ev, out);
        break;
    case BE_COMPLETE:
        epoch_complete(b, ev, out);
        break;
    case BE_MISMATCH:
        mismatch(b, out);
        break;
    case BE_APPLIED:
        applied(b, ev, out);
        break;
    case BE_HEARTBEAT:
        if (has_session(b) && ev->heartbeat->session == b->session)
            heard(b, ev->now_ns, ev->heartbeat->sent_ns);
        break;
    case BE_DETACH:
        detach_came(b, ev, out);
        break;
    case BE_TOKEN:
        token_answered(b, ev, out);
        break;
    case BE_ACTIVATE:
        activation_wanted(b, ev, out);
        break;
    case BE_ACTIVATED:
        activated(b, out);
        break;
    case BE_STOP:
        stop_asked(b, ev->now_ns, out);
        break;
    }
}

uint64_t backup_deadline(const struct backup *b)
{
    uint64_t silence = b->last_rx_ns + b->timing.timeout_ns;

    switch (b->state) {
    case B_APPLYING:
        return b->link_lost ? TIME_NEVER : b->heartbeat_at_ns;
    case B_LINKED:
    case B_STAGING:
        return b->heartbeat_at_ns < silence ? b->heartbeat_at_ns : silence;
    case B_ALONE:
        return would_ask(b) || b->is_final ? b->ask_at_ns : TIME_NEVER;
    case B_ASKING:
        return b->ask_at_ns;
    case B_LEAVING:
        return b->leave_at_ns;
    default:
        return TIME_NEVER;
    }
}

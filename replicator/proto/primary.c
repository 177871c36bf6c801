/* primary — see primary.h. Read it with DESIGN's epoch diagram beside: one function an event. */
#include "replicator/proto/primary.h"

#include <string.h>

#include "base/attr.h"
#include "base/rng.h"

#define BACKOFF_NS_MIN (50 * NS_PER_MS)
#define BACKOFF_NS_MAX (1 * NS_PER_S)

#define TO(state) (1u << P_##state)
static const struct {
    const char *name;
    unsigned next;
} primary_states[P_STATES] = {
#define X(name, words, next) [P_##name] = { words, next },
    PRIMARY_STATES(X)
#undef X
};
#undef TO

const char *primary_state_name(enum primary_state s)
{
    return primary_states[s].name;
}

static void go(struct primary *p, enum primary_state next)
{
    must(primary_states[p->state].next & (1u << next));
    p->state = next;
}

static struct primary_action *act(struct primary_actions *out, enum primary_action_type type)
{
    struct primary_action *a;

    must(out->n < PRIMARY_ACTIONS_MAX);
    a = &out->list[out->n++];
    *a = (struct primary_action){ .type = type };
    return a;
}

void primary_init(struct primary *p, const struct timing *timing, bool owns, uint64_t lineage,
                  const struct primary_past *past, uint64_t now_ns)
{
    *p = (struct primary){
        .timing = *timing,
        .owns = owns,
        .state = P_OFF,
        .lineage = lineage,
        .term = 1,
        .backoff_ns = BACKOFF_NS_MIN,
        .reconnect_at_ns = now_ns,
    };
    must(lineage != 0);
    if (past && past->lineage != 0) {
        /* The dirty log of that lineage is lost with the process: its token decides about the output
         * that is still held, then a new lineage begins. */
        p->lineage = past->lineage;
        p->term = past->term;
        p->armed = p->held = past->armed && !owns;
        p->open_due = !p->armed;
        p->grace_until_ns = now_ns;
        p->acked = 1; /* anything but 0: what comes next is a reseed */
    }
}

static bool has_session(const struct primary *p)
{
    return p->state >= P_READY && p->state <= P_AWAIT;
}

static bool has_open_epoch(const struct primary *p)
{
    return p->state >= P_PRECOPY && p->state <= P_AWAIT;
}

static bool may_release(const struct primary *p, uint64_t now_ns)
{
    return p->owns || now_ns < p->lease_until_ns;
}

/* ---- output -------------------------------------------------------------------------------------- */

static void open_output(struct primary *p, struct primary_actions *out)
{
    if (!p->held && !p->open_due)
        return;
    p->held = p->open_due = false;
    p->release_due = 0;
    act(out, PA_OPEN);
}

/* Nobody else can activate in this term any more: what follows belongs to the next one. */
static void close_term(struct primary *p)
{
    p->term++;
    p->armed = p->covered = p->asked = false;
}

/* The backup's copy is of no use (gone, or the process that knew it is): start from nothing. */
static void reseed(struct primary *p, struct primary_actions *out)
{
    p->replaces = p->lineage;
    p->lineage = rng_mix(p->lineage) | 1; /* never 0 */
    p->term = 1;
    p->session = 0;
    p->acked = p->release_due = 0;
    p->armed = p->covered = p->asked = false;
    act(out, PA_RESEED)->epoch = p->lineage;
}

static void end(struct primary *p, uint32_t reason, struct primary_actions *out)
{
    go(p, P_ENDED);
    act(out, PA_END)->reason = reason;
}

/* ---- losing the backup ---------------------------------------------------------------------------- */

static void ask(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    if (p->state != P_ASKING)
        go(p, P_ASKING);
    p->asked = true;
    p->ask_at_ns = now_ns + timing_ask_again_ns(&p->timing);
    act(out, PA_ASK)->term = p->term;
}

/* Output is held that the token of the term decides about, and no session stands. */
static bool is_in_grace(const struct primary *p)
{
    return p->armed && p->held && !p->owns && p->state <= P_GREETING;
}

/* Leaves the open epoch, with the guest running and its pages in the carry. */
static void abandon(struct primary *p, struct primary_actions *out)
{
    if (!has_open_epoch(p))
        return;
    act(out, PA_ABANDON)->epoch = p->epoch;
    if (p->paused) {
        p->paused = false;
        act(out, PA_RESUME);
    }
}

static void reconnect_later(struct primary *p, uint64_t now_ns)
{
    p->reconnect_at_ns = now_ns + p->backoff_ns;
    p->backoff_ns = p->backoff_ns * 2 > BACKOFF_NS_MAX ? BACKOFF_NS_MAX : p->backoff_ns * 2;
}

static void lost(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    bool had_session = has_session(p) || p->state == P_DETACHING;
    bool was_covered = p->covered;

    abandon(p, out);
    act(out, PA_CLOSE_LINK);
    go(p, P_OFF);
    p->covered = false;
    reconnect_later(p, now_ns);
    if (!p->armed) {
        open_output(p, out); /* no commit of this term can exist over there */
    } else if (p->owns) {
        open_output(p, out);
        close_term(p);
    } else if (had_session) {
        if (was_covered || p->grace_until_ns == 0) /* one grace an acknowledgement, not one a try */
            p->grace_until_ns = now_ns + timing_grace_ns(&p->timing);
        p->reconnect_at_ns = now_ns;
    }
    if (p->ending && !p->held)
        end(p, p->ending, out);
}

static void fenced(struct primary *p, struct primary_actions *out)
{
    act(out, PA_CLOSE_LINK);
    go(p, P_FENCED);
    act(out, PA_DROP);
    act(out, PA_DESTROY);
}

static void token_answered(struct primary *p, const struct primary_event *ev,
                           struct primary_actions *out)
{
    if (p->state != P_ASKING || ev->term != p->term)
        return;
    if (ev->answer == FENCE_DENIED) {
        fenced(p, out);
    } else if (ev->answer == FENCE_GRANTED) {
        go(p, P_OFF);
        open_output(p, out);
        close_term(p);
        reconnect_later(p, ev->now_ns);
        if (p->ending)
            end(p, p->ending, out);
    } else {
        p->ask_at_ns = ev->now_ns + timing_ask_again_ns(&p->timing);
    }
}

/* ---- a session ------------------------------------------------------------------------------------ */

static void greet(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    if (p->state != P_CONNECTING)
        return;
    go(p, P_GREETING);
    p->session++;
    p->last_rx_ns = ev->now_ns;
    act(out, PA_HELLO);
}

/* Everything that comes from the backup within a session passes here first. */
static void heard(struct primary *p, uint64_t now_ns, uint64_t peer_sent_ns, uint64_t echo_ns)
{
    p->last_rx_ns = now_ns;
    if (peer_sent_ns > p->peer_sent_ns)
        p->peer_sent_ns = peer_sent_ns;
    if (echo_ns > p->echo_ns && echo_ns <= now_ns) {
        p->echo_ns = echo_ns;
        p->lease_until_ns = echo_ns + timing_lease_ns(&p->timing);
    }
}

static void release(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    struct primary_action *a;

    if (p->release_due == 0 || !may_release(p, now_ns))
        return;
    a = act(out, PA_RELEASE);
    a->epoch = p->release_due;
    a->not_after_ns = p->owns ? TIME_NEVER : p->lease_until_ns;
}

static void begin_detach(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    go(p, P_DETACHING);
    p->last_rx_ns = now_ns;
    act(out, PA_DETACH)->reason = p->ending;
}

static void begin_capture(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    go(p, P_CAPTURE);
    p->paused = true;
    p->paused_at_ns = now_ns;
    act(out, PA_PAUSE);
    p->held = true;
    p->open_due = false; /* what could not be opened is now this epoch's */
    act(out, PA_MARK)->epoch = p->epoch;
    act(out, PA_CAPTURE);
}

static void begin_epoch(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    struct primary_action *a = act(out, PA_BEGIN);

    a->epoch = ++p->epoch;
    a->flags = (p->acked == 0 ? EPOCH_SEED : 0u) | (p->guest_ended ? EPOCH_FINAL : 0u);
    p->is_final_epoch = p->guest_ended;
    if (p->precopy_due && !p->guest_ended) {
        go(p, P_PRECOPY);
        act(out, PA_PRECOPY);
    } else {
        begin_capture(p, now_ns, out);
    }
}

/* READY: the session stands, nothing is open, everything acknowledged has left. */
static void next_epoch(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    if (p->ending && (!p->guest_ended || p->is_final_epoch || !p->armed))
        begin_detach(p, now_ns, out);
    else if (p->guest_ended || p->precopy_due || now_ns >= p->paused_at_ns + p->timing.interval_ns)
        begin_epoch(p, now_ns, out);
}

static void session_up(struct primary *p, const struct hello_ack *h, uint64_t now_ns,
                       struct primary_actions *out)
{
    go(p, P_READY);
    p->refused = 0;
    p->backoff_ns = BACKOFF_NS_MIN;
    p->precopy_due = true;
    p->heartbeat_at_ns = now_ns;
    p->is_final_epoch = false;
    if (h->committed == 0) { /* it can't activate anything before the seed's commit */
        p->armed = false;
        open_output(p, out);
    }
    act(out, PA_SESSION_UP)->epoch = h->committed;
    if (h->committed > p->acked) { /* committed, but its ack was lost with the old link */
        p->acked = h->committed;
        if (p->held)
            p->release_due = p->acked;
    }
    if (p->release_due != 0)
        release(p, now_ns, out);
    else
        next_epoch(p, now_ns, out);
}

static void hello_refused(struct primary *p, uint32_t verdict, uint64_t now_ns,
                          struct primary_actions *out)
{
    p->refused = verdict;
    if (verdict == HELLO_ACTIVE && p->owns) {
        fenced(p, out); /* somebody gave his word that this side is dead, and it is believed there */
    } else if (verdict == HELLO_ACTIVE) {
        act(out, PA_CLOSE_LINK);
        ask(p, now_ns, out);
    } else {
        p->backoff_ns = BACKOFF_NS_MAX;
        lost(p, now_ns, out);
    }
}

static void hello_answered(struct primary *p, const struct primary_event *ev,
                           struct primary_actions *out)
{
    const struct hello_ack *h = ev->hello_ack;

    if (p->state != P_GREETING || h->session != p->session || h->lineage != p->lineage)
        return;
    if (h->verdict != HELLO_OK) {
        hello_refused(p, h->verdict, ev->now_ns, out);
        return;
    }
    heard(p, ev->now_ns, 0, h->echo_ns);
    if (h->committed > p->epoch || (h->committed > 0 && h->committed < p->acked)) {
        p->backoff_ns = BACKOFF_NS_MAX;
        lost(p, ev->now_ns, out); /* a commit that cannot be: nothing it says is to be built on */
        return;
    }
    if (h->committed == 0 && is_in_grace(p)) {
        /* It no longer holds what it may have committed: that process is gone and the replica with
         * it. It may have activated it before that, and then the token says so. */
        act(out, PA_CLOSE_LINK);
        ask(p, ev->now_ns, out);
        return;
    }
    if (h->committed < p->acked) { /* what it lacks it can't activate: the output is ours */
        act(out, PA_CLOSE_LINK);
        go(p, P_OFF);
        p->reconnect_at_ns = ev->now_ns;
        open_output(p, out);
        reseed(p, out);
        return;
    }
    session_up(p, h, ev->now_ns, out);
}

static bool is_ours(const struct primary *p, uint64_t session)
{
    return has_session(p) && session == p->session;
}

static void acked(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    const struct ack *a = ev->ack;

    if (!is_ours(p, a->session))
        return;
    if (a->epoch > p->epoch || (a->epoch > p->acked && p->state != P_AWAIT)) {
        lost(p, ev->now_ns, out); /* acknowledges what was never sent whole */
        return;
    }
    heard(p, ev->now_ns, 0, a->echo_ns);
    if (a->epoch == p->epoch && a->epoch > p->acked) {
        p->acked = p->release_due = a->epoch;
        p->covered = true;
        p->precopy_due = false;
        act(out, PA_ACKED)->epoch = a->epoch;
    }
    release(p, ev->now_ns, out);
}

static void released(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    p->release_due = 0;
    if (p->state == P_AWAIT && p->acked == p->epoch)
        go(p, P_READY);
    if (p->state == P_READY)
        next_epoch(p, ev->now_ns, out);
}

static void heartbeat_came(struct primary *p, const struct primary_event *ev,
                           struct primary_actions *out)
{
    if (!is_ours(p, ev->heartbeat->session))
        return;
    heard(p, ev->now_ns, ev->heartbeat->sent_ns, ev->heartbeat->echo_ns);
    release(p, ev->now_ns, out);
}

static void pages_needed(struct primary *p, const struct primary_event *ev,
                         struct primary_actions *out)
{
    if (!is_ours(p, ev->need_pages->session) || ev->need_pages->epoch != p->epoch ||
        p->epoch == p->acked || !has_open_epoch(p))
        return;
    p->last_rx_ns = ev->now_ns;
    abandon(p, out);
    go(p, P_READY);
    p->precopy_due = true;
}

static void detach_came(struct primary *p, const struct primary_event *ev,
                        struct primary_actions *out)
{
    const struct detach *d = ev->detach;

    if (d->session != p->session || !(has_session(p) || p->state == P_DETACHING))
        return;
    if (p->state == P_DETACHING && d->is_answer) {
        open_output(p, out); /* the backup has let go */
        end(p, p->ending, out);
        return;
    }
    if (d->is_answer)
        return;
    abandon(p, out);
    act(out, PA_DETACH)->is_answer = true;
    out->list[out->n - 1].reason = d->reason;
    if (p->state == P_DETACHING) /* both ended it at once: its answer to ours will not come */
        open_output(p, out);
    else
        go(p, P_OFF);
    p->armed = p->covered = false;
    p->backoff_ns = BACKOFF_NS_MAX;
    reconnect_later(p, ev->now_ns);
    open_output(p, out);
    if (p->ending)
        end(p, p->ending, out);
    else
        reseed(p, out);
}

/* ---- the epoch's own events ------------------------------------------------------------------------ */

static void precopied(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    if (p->state == P_PRECOPY)
        begin_capture(p, ev->now_ns, out);
}

static void captured(struct primary *p, struct primary_actions *out)
{
    if (p->state != P_CAPTURE)
        return;
    go(p, P_FLUSH);
    p->paused = false;
    if (!p->armed)
        p->grace_until_ns = 0;
    p->armed = true; /* from here on this epoch's end may reach the backup */
    act(out, PA_RESUME);
    act(out, PA_FLUSH);
}

static void fault(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    switch (ev->fault) {
    case PA_OPEN:
        p->open_due = true;
        return;
    case PA_RELEASE:
        return; /* still due: tried again with the next sign of life */
    case PA_RESUME:
    case PA_DROP:
    case PA_DESTROY:
        return; /* nothing weaker to fall back to; the engine reports it */
    default:
        break;
    }
    if (has_session(p) || p->state == P_CONNECTING || p->state == P_GREETING ||
        p->state == P_DETACHING)
        lost(p, ev->now_ns, out);
}

static void wants_end(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    if (p->state == P_FENCED || p->state == P_ENDED)
        return;
    if (!p->ending)
        p->ending = ev->reason;
    p->guest_ended = p->guest_ended || ev->type == PE_GUEST_ENDED;
    switch (p->state) {
    case P_READY:
        if (p->release_due == 0)
            next_epoch(p, ev->now_ns, out);
        break;
    case P_CAPTURE: /* of a guest that had ended by then: only a final epoch may hold that */
    case P_PRECOPY:
        if (p->state == P_PRECOPY ? !p->armed || p->guest_ended
                                  : p->guest_ended && !p->is_final_epoch) {
            abandon(p, out);
            go(p, P_READY);
            next_epoch(p, ev->now_ns, out);
        }
        break;
    case P_OFF:
    case P_CONNECTING:
    case P_GREETING:
        if (p->armed && p->held) {
            p->grace_until_ns = ev->now_ns; /* no session to wait for: the token decides */
        } else {
            act(out, PA_CLOSE_LINK);
            open_output(p, out);
            end(p, p->ending, out);
        }
        break;
    default:
        break; /* the open epoch, the question or the detach under way comes first */
    }
}

/* ---- time ------------------------------------------------------------------------------------------ */

static void tick_without_session(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    if (p->open_due)
        open_output(p, out);
    if (is_in_grace(p) && now_ns >= p->grace_until_ns) {
        act(out, PA_CLOSE_LINK);
        ask(p, now_ns, out);
    } else if (p->state == P_OFF && p->lineage != 0 && p->acked != 0 && p->session == 0) {
        reseed(p, out); /* a predecessor's lineage: its dirty log is lost */
    } else if (p->state == P_OFF && now_ns >= p->reconnect_at_ns) {
        go(p, P_CONNECTING);
        p->last_rx_ns = now_ns;
        act(out, PA_CONNECT);
    } else if (p->state != P_OFF && now_ns >= p->last_rx_ns + p->timing.timeout_ns) {
        lost(p, now_ns, out);
    }
}

static void tick_in_session(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    if (now_ns >= p->last_rx_ns + p->timing.timeout_ns ||
        now_ns >= p->echo_ns + timing_stall_ns(&p->timing)) {
        lost(p, now_ns, out);
        return;
    }
    if (now_ns >= p->heartbeat_at_ns) {
        p->heartbeat_at_ns = now_ns + p->timing.heartbeat_ns;
        act(out, PA_HEARTBEAT);
    }
    if (p->open_due)
        open_output(p, out);
    if (p->state == P_READY && p->release_due == 0)
        next_epoch(p, now_ns, out);
}

static void tick(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    switch (p->state) {
    case P_OFF:
    case P_CONNECTING:
    case P_GREETING:
        tick_without_session(p, ev->now_ns, out);
        break;
    case P_ASKING:
        if (ev->now_ns >= p->ask_at_ns)
            ask(p, ev->now_ns, out);
        break;
    case P_DETACHING:
        if (ev->now_ns >= p->last_rx_ns + p->timing.timeout_ns)
            lost(p, ev->now_ns, out);
        break;
    case P_FENCED:
    case P_ENDED:
    case P_STATES:
        break;
    default:
        tick_in_session(p, ev->now_ns, out);
        break;
    }
}

void primary_step(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    out->n = 0;
    switch (ev->type) {
    case PE_TICK:
        tick(p, ev, out);
        break;
    case PE_LINK_UP:
        greet(p, ev, out);
        break;
    case PE_LINK_DOWN:
        if (has_session(p) || p->state == P_CONNECTING || p->state == P_GREETING ||
            p->state == P_DETACHING)
            lost(p, ev->now_ns, out);
        break;
    case PE_HELLO_ACK:
        hello_answered(p, ev, out);
        break;
    case PE_ACK:
        acked(p, ev, out);
        break;
    case PE_HEARTBEAT:
        heartbeat_came(p, ev, out);
        break;
    case PE_NEED_PAGES:
        pages_needed(p, ev, out);
        break;
    case PE_DETACH:
        detach_came(p, ev, out);
        break;
    case PE_PRECOPIED:
        precopied(p, ev, out);
        break;
    case PE_CAPTURED:
        captured(p, out);
        break;
    case PE_SENT:
        if (p->state == P_FLUSH)
            go(p, P_AWAIT);
        break;
    case PE_RELEASED:
        released(p, ev, out);
        break;
    case PE_RELEASE_LATE:
        break; /* still due; a newer echo or the token decides */
    case PE_FAULT:
        fault(p, ev, out);
        break;
    case PE_TOKEN:
        token_answered(p, ev, out);
        break;
    case PE_GUEST_ENDED:
    case PE_STOP:
        wants_end(p, ev, out);
        break;
    }
}

uint64_t primary_deadline(const struct primary *p)
{
    uint64_t silence = p->last_rx_ns + p->timing.timeout_ns;
    uint64_t next;

    switch (p->state) {
    case P_OFF:
        return is_in_grace(p) && p->grace_until_ns < p->reconnect_at_ns ? p->grace_until_ns
                                                                        : p->reconnect_at_ns;
    case P_CONNECTING:
    case P_GREETING:
        return is_in_grace(p) && p->grace_until_ns < silence ? p->grace_until_ns : silence;
    case P_ASKING:
        return p->ask_at_ns;
    case P_DETACHING:
        return silence;
    case P_FENCED:
    case P_ENDED:
    case P_STATES:
        return TIME_NEVER;
    default:
        break;
    }
    next = p->heartbeat_at_ns < silence ? p->heartbeat_at_ns : silence;
    if (p->state == P_READY && p->release_due == 0 &&
        p->paused_at_ns + p->timing.interval_ns < next)
        next = p->paused_at_ns + p->timing.interval_ns;
    return next;
}

bool primary_is_protected(const struct primary *p, uint64_t now_ns)
{
    return p->covered && has_session(p) && now_ns < p->last_rx_ns + p->timing.timeout_ns;
}

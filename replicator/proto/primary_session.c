/* primary_session — a session with the backup: HELLO, epochs, acks, DETACH. One function an event;
 * read it with the epoch's diagram in docs/ARCHITECTURE.md beside. */
#include "replicator/proto/primary_parts.h"

void primary_greet(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    if (p->state != P_CONNECTING)
        return;
    primary_go(p, P_GREETING);
    p->session++;
    p->last_rx_ns = ev->now_ns;
    primary_act(out, PA_HELLO);
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

static bool may_release(const struct primary *p, uint64_t now_ns)
{
    return p->owns || now_ns < p->lease_until_ns;
}

static void release(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    struct primary_action *a;

    if (p->release_due == 0 || !may_release(p, now_ns))
        return;
    a = primary_act(out, PA_RELEASE);
    a->epoch = p->release_due;
    a->not_after_ns = p->owns ? TIME_NEVER : p->lease_until_ns;
}

static void begin_detach(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    primary_let_run(p, out); /* of a switchover that is not wanted any more */
    primary_go(p, P_DETACHING);
    p->last_rx_ns = now_ns;
    primary_act(out, PA_DETACH)->reason = p->ending;
}

/* The backup holds all that the guest ever did, and everything it said has left. */
static void give_away(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    primary_go(p, P_DETACHING);
    p->last_rx_ns = now_ns;
    p->given = true;
    primary_act(out, PA_REMEMBER)->is_given = true; /* before anybody can take it */
    primary_act(out, PA_DETACH)->reason = DETACH_SWITCHOVER;
}

void primary_begin_capture(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    primary_go(p, P_CAPTURE);
    p->paused = true;
    p->paused_at_ns = now_ns;
    primary_act(out, PA_PAUSE);
    p->held = true;
    p->open_due = false; /* what could not be opened is now this epoch's */
    primary_act(out, PA_MARK)->epoch = p->epoch;
    primary_act(out, PA_CAPTURE);
}

static void begin_epoch(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    struct primary_action *a = primary_act(out, PA_BEGIN);

    a->epoch = ++p->epoch;
    a->flags = (p->acked == 0 ? EPOCH_SEED : 0u) | (p->guest_ended ? EPOCH_FINAL : 0u);
    p->is_final_epoch = p->guest_ended;
    p->is_switch_epoch = p->switching && !p->guest_ended && !p->precopy_due;
    if (p->is_switch_epoch)
        a->flags |= EPOCH_SWITCHOVER;
    if (p->precopy_due && !p->guest_ended) {
        primary_go(p, P_PRECOPY);
        primary_act(out, PA_PRECOPY);
    } else {
        primary_begin_capture(p, now_ns, out);
    }
}

/* READY: the session stands, nothing is open, everything acknowledged has left. */
void primary_next_epoch(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    if (p->ending && (!p->guest_ended || p->is_final_epoch || !p->armed))
        begin_detach(p, now_ns, out);
    else if (p->given || (p->is_switch_epoch && p->paused))
        give_away(p, now_ns, out);
    else if (p->guest_ended || p->switching || p->precopy_due || now_ns >= p->paused_at_ns + p->timing.interval_ns)
        begin_epoch(p, now_ns, out);
}

static void session_up(struct primary *p, const struct hello_ack *h, uint64_t now_ns,
                       struct primary_actions *out)
{
    primary_go(p, P_READY);
    p->refused = 0;
    p->backoff_ns = BACKOFF_NS_MIN;
    p->precopy_due = true;
    p->heartbeat_at_ns = now_ns;
    p->is_final_epoch = false;
    if (h->committed == 0) { /* it can't activate anything before the seed's commit */
        p->armed = false;
        primary_open_output(p, out);
    }
    primary_act(out, PA_SESSION_UP)->epoch = h->committed;
    if (h->committed > p->acked) { /* committed, but its ack was lost with the old link */
        p->acked = h->committed;
        if (p->held)
            p->release_due = p->acked;
    }
    if (p->release_due != 0)
        release(p, now_ns, out);
    else
        primary_next_epoch(p, now_ns, out);
}

static void hello_refused(struct primary *p, uint32_t verdict, uint64_t now_ns,
                          struct primary_actions *out)
{
    p->refused = verdict;
    if (verdict == HELLO_ACTIVE && p->owns) {
        primary_fenced(p, out); /* somebody gave his word that we are dead */
    } else if (verdict == HELLO_ACTIVE) {
        primary_act(out, PA_CLOSE_LINK);
        primary_ask(p, now_ns, out);
    } else {
        p->backoff_ns = BACKOFF_NS_MAX;
        primary_lost(p, now_ns, out);
    }
}

void primary_hello_answered(struct primary *p, const struct primary_event *ev,
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
    if (p->given && h->committed != p->acked) {
        /* Whether it ran the guest meanwhile it can't tell: only the token, or a person, can. */
        p->backoff_ns = BACKOFF_NS_MAX;
        primary_lost(p, ev->now_ns, out);
        return;
    }
    if (h->committed > p->epoch || (h->committed > 0 && h->committed < p->acked)) {
        p->backoff_ns = BACKOFF_NS_MAX;
        primary_lost(p, ev->now_ns, out); /* a commit that cannot be */
        return;
    }
    if (h->committed == 0 && primary_is_in_grace(p)) {
        /* It no longer holds what it may have committed: that process is gone and the replica with
         * it. It may have activated it before that, and then the token says so. */
        primary_act(out, PA_CLOSE_LINK);
        primary_ask(p, ev->now_ns, out);
        return;
    }
    if (h->committed < p->acked) { /* what it lacks it can't activate: the output is ours */
        primary_act(out, PA_CLOSE_LINK);
        primary_go(p, P_OFF);
        p->reconnect_at_ns = ev->now_ns;
        primary_open_output(p, out);
        primary_reseed(p, out);
        return;
    }
    session_up(p, h, ev->now_ns, out);
}

static bool is_ours(const struct primary *p, uint64_t session)
{
    return primary_has_session(p) && session == p->session;
}

void primary_acked(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    const struct ack *a = ev->ack;

    if (!is_ours(p, a->session))
        return;
    if (a->epoch > p->epoch || (a->epoch > p->acked && p->state != P_AWAIT)) {
        primary_lost(p, ev->now_ns, out); /* acknowledges what was never sent whole */
        return;
    }
    heard(p, ev->now_ns, 0, a->echo_ns);
    if (a->epoch == p->epoch && a->epoch > p->acked) {
        p->acked = p->release_due = a->epoch;
        p->covered = true;
        p->precopy_due = false;
        primary_act(out, PA_ACKED)->epoch = a->epoch;
    }
    release(p, ev->now_ns, out);
}

void primary_released(struct primary *p, const struct primary_event *ev,
                      struct primary_actions *out)
{
    p->release_due = 0;
    if (p->state == P_AWAIT && p->acked == p->epoch)
        primary_go(p, P_READY);
    if (p->state == P_READY)
        primary_next_epoch(p, ev->now_ns, out);
}

void primary_heartbeat_came(struct primary *p, const struct primary_event *ev,
                            struct primary_actions *out)
{
    if (!is_ours(p, ev->heartbeat->session))
        return;
    heard(p, ev->now_ns, ev->heartbeat->sent_ns, ev->heartbeat->echo_ns);
    release(p, ev->now_ns, out);
}

void primary_pages_needed(struct primary *p, const struct primary_event *ev,
                          struct primary_actions *out)
{
    if (!is_ours(p, ev->need_pages->session) || ev->need_pages->epoch != p->epoch ||
        p->epoch == p->acked || !primary_has_open_epoch(p))
        return;
    p->last_rx_ns = ev->now_ns;
    primary_abandon(p, out);
    primary_go(p, P_READY);
    p->precopy_due = true;
}

void primary_detach_came(struct primary *p, const struct primary_event *ev,
                         struct primary_actions *out)
{
    const struct detach *d = ev->detach;
    bool was_given;

    if (d->session != p->session || !(primary_has_session(p) || p->state == P_DETACHING))
        return;
    if (p->state == P_DETACHING && p->given && d->is_answer) {
        primary_fenced(p, out); /* it runs there */
        return;
    }
    if (p->state == P_DETACHING && d->is_answer) {
        primary_open_output(p, out); /* the backup has let go */
        primary_end(p, p->ending, out);
        return;
    }
    if (d->is_answer)
        return;
    was_given = p->given;
    p->given = p->switching = false; /* it let go of its copy before it could take ours */
    if (was_given)
        primary_act(out, PA_REMEMBER)->is_given = false;
    primary_abandon(p, out);
    primary_act(out, PA_DETACH)->is_answer = true;
    out->list[out->n - 1].reason = d->reason;
    if (p->state == P_DETACHING && !was_given) /* both ended it at once: its answer to ours will not come */
        primary_open_output(p, out);
    else
        primary_go(p, P_OFF);
    p->armed = p->covered = false;
    p->backoff_ns = BACKOFF_NS_MAX;
    primary_reconnect_later(p, ev->now_ns);
    primary_open_output(p, out);
    if (p->ending)
        primary_end(p, p->ending, out);
    else
        primary_reseed(p, out);
}

void primary_precopied(struct primary *p, const struct primary_event *ev,
                       struct primary_actions *out)
{
    if (p->state == P_PRECOPY)
        primary_begin_capture(p, ev->now_ns, out);
}

void primary_captured(struct primary *p, struct primary_actions *out)
{
    if (p->state != P_CAPTURE)
        return;
    primary_go(p, P_FLUSH);
    if (!p->armed)
        p->grace_until_ns = 0;
    p->armed = true; /* from here on this epoch's end may reach the backup */
    if (!p->is_switch_epoch)
        primary_let_run(p, out);
    primary_act(out, PA_FLUSH);
}

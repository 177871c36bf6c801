/* primary — see primary.h. The states, the end that somebody wants, time, and the one entry. */
#include "replicator/proto/primary_parts.h"

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

void primary_go(struct primary *p, enum primary_state next)
{
    must(primary_states[p->state].next & (1u << next));
    p->state = next;
}

struct primary_action *primary_act(struct primary_actions *out, enum primary_action_type type)
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
        p->given = past->given;
        if (p->given) {
            p->armed = p->held = true;
            p->open_due = false;
        }
        p->paused = p->armed; /* if it was left so: it runs, and writes, when the token says whose it is */
    }
}

/* A guest that is gone by the time of its last epoch (destroyed, say) can't be captured any more. The
 * backup has to let go of it all the same, and only its answer opens the output. */
static bool is_beyond_capture(const struct primary *p, enum primary_action_type failed)
{
    return p->state == P_CAPTURE && p->is_final_epoch &&
           (failed == PA_PAUSE || failed == PA_MARK || failed == PA_CAPTURE);
}

static void fault(struct primary *p, const struct primary_event *ev, struct primary_actions *out)
{
    if (is_beyond_capture(p, ev->fault)) {
        primary_abandon(p, out);
        primary_go(p, P_READY);
        primary_next_epoch(p, ev->now_ns, out);
        return;
    }
    switch (ev->fault) {
    case PA_OPEN:
        p->open_due = true;
        return;
    case PA_RELEASE:
        return; /* still due: tried again with the next sign of life */
    case PA_REMEMBER:
        if (!p->given)
            return; /* a gift taken back: it runs here all the same */
        p->given = false; /* and DETACH was not sent */
        break;
    case PA_RESUME:
    case PA_DROP:
    case PA_DESTROY:
        return; /* nothing weaker to fall back to; the engine reports it */
    default:
        break;
    }
    if (primary_has_session(p) || p->state == P_CONNECTING || p->state == P_GREETING ||
        p->state == P_DETACHING)
        primary_lost(p, ev->now_ns, out);
}

static void wants_end(struct primary *p, const struct primary_event *ev,
                      struct primary_actions *out)
{
    if (p->state == P_FENCED || p->state == P_ENDED)
        return;
    if (p->given && p->owns) { /* nobody to ask */
        primary_act(out, PA_CLOSE_LINK);
        primary_end(p, ev->reason, out); /* still given: who comes next has to know */
        return;
    }
    if (!p->ending)
        p->ending = ev->reason;
    p->switching = false;
    p->guest_ended = p->guest_ended || ev->type == PE_GUEST_ENDED;
    switch (p->state) {
    case P_READY:
        if (p->release_due == 0)
            primary_next_epoch(p, ev->now_ns, out);
        break;
    case P_CAPTURE: /* of a guest that had ended by then: only a final epoch may hold that */
    case P_PRECOPY:
        if (p->state == P_PRECOPY ? !p->armed || p->guest_ended
                                  : p->guest_ended && !p->is_final_epoch) {
            primary_abandon(p, out);
            primary_go(p, P_READY);
            primary_next_epoch(p, ev->now_ns, out);
        }
        break;
    case P_OFF:
    case P_CONNECTING:
    case P_GREETING:
        if (p->armed && p->held) {
            p->grace_until_ns = ev->now_ns; /* no session to wait for: the token decides */
        } else {
            primary_act(out, PA_CLOSE_LINK);
            primary_open_output(p, out);
            primary_end(p, p->ending, out);
        }
        break;
    default:
        break; /* the open epoch, the question or the detach under way comes first */
    }
}

static void wants_switchover(struct primary *p, const struct primary_event *ev,
                             struct primary_actions *out)
{
    if (p->ending || p->given || !primary_is_protected(p, ev->now_ns))
        return;
    p->switching = true;
    if (p->state == P_READY && p->release_due == 0)
        primary_next_epoch(p, ev->now_ns, out);
}

/* ---- time ---------------------------------------------------------------------------------------- */

static void tick_without_session(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    if (p->open_due)
        primary_open_output(p, out);
    if (primary_is_in_grace(p) && now_ns >= p->grace_until_ns) {
        primary_act(out, PA_CLOSE_LINK);
        primary_ask(p, now_ns, out);
    } else if (p->state == P_OFF && p->acked != 0 && p->session == 0 && !p->given) {
        primary_reseed(p, out); /* a predecessor's lineage: its dirty log is lost */
    } else if (p->state == P_OFF && now_ns >= p->reconnect_at_ns) {
        primary_go(p, P_CONNECTING);
        p->last_rx_ns = now_ns;
        primary_act(out, PA_CONNECT);
    } else if (p->state != P_OFF && now_ns >= p->last_rx_ns + p->timing.timeout_ns) {
        primary_lost(p, now_ns, out);
    }
}

static void tick_in_session(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    if (now_ns >= p->last_rx_ns + p->timing.timeout_ns ||
        now_ns >= p->echo_ns + timing_stall_ns(&p->timing)) {
        primary_lost(p, now_ns, out);
        return;
    }
    if (now_ns >= p->heartbeat_at_ns) {
        p->heartbeat_at_ns = now_ns + p->timing.heartbeat_ns;
        primary_act(out, PA_HEARTBEAT);
    }
    if (p->open_due)
        primary_open_output(p, out);
    if (p->state == P_READY && p->release_due == 0)
        primary_next_epoch(p, now_ns, out);
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
            primary_ask(p, ev->now_ns, out);
        break;
    case P_DETACHING:
        if (ev->now_ns >= p->last_rx_ns + p->timing.timeout_ns)
            primary_lost(p, ev->now_ns, out);
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
        primary_greet(p, ev, out);
        break;
    case PE_LINK_DOWN:
        if (primary_has_session(p) || p->state == P_CONNECTING || p->state == P_GREETING ||
            p->state == P_DETACHING)
            primary_lost(p, ev->now_ns, out);
        break;
    case PE_HELLO_ACK:
        primary_hello_answered(p, ev, out);
        break;
    case PE_ACK:
        primary_acked(p, ev, out);
        break;
    case PE_HEARTBEAT:
        primary_heartbeat_came(p, ev, out);
        break;
    case PE_NEED_PAGES:
        primary_pages_needed(p, ev, out);
        break;
    case PE_DETACH:
        primary_detach_came(p, ev, out);
        break;
    case PE_PRECOPIED:
        primary_precopied(p, ev, out);
        break;
    case PE_CAPTURED:
        primary_captured(p, out);
        break;
    case PE_SENT:
        if (p->state == P_FLUSH)
            primary_go(p, P_AWAIT);
        break;
    case PE_RELEASED:
        primary_released(p, ev, out);
        break;
    case PE_RELEASE_LATE:
        break; /* still due; a newer echo or the token decides */
    case PE_FAULT:
        fault(p, ev, out);
        break;
    case PE_TOKEN:
        primary_token_answered(p, ev, out);
        break;
    case PE_GUEST_ENDED:
    case PE_STOP:
        wants_end(p, ev, out);
        break;
    case PE_SWITCHOVER:
        wants_switchover(p, ev, out);
        break;
    case PE_TAKE_BACK:
        primary_taken_back(p, ev, out);
        break;
    }
}

uint64_t primary_deadline(const struct primary *p)
{
    uint64_t silence = p->last_rx_ns + p->timing.timeout_ns;
    uint64_t next;

    switch (p->state) {
    case P_OFF:
        return primary_is_in_grace(p) && p->grace_until_ns < p->reconnect_at_ns ? p->grace_until_ns
                                                                        : p->reconnect_at_ns;
    case P_CONNECTING:
    case P_GREETING:
        return primary_is_in_grace(p) && p->grace_until_ns < silence ? p->grace_until_ns : silence;
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
    return p->covered && primary_has_session(p) && now_ns < p->last_rx_ns + p->timing.timeout_ns &&
           (p->owns || now_ns < p->lease_until_ns);
}

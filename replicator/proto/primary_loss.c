/* primary_loss — losing the backup: what happens to output, token and term. Output is opened only
 * when no commit of the term can exist, or by right (see primary.h). */
#include "replicator/proto/primary_parts.h"

#include "base/rng.h"

void primary_open_output(struct primary *p, struct primary_actions *out)
{
    if (!p->held && !p->open_due)
        return;
    p->held = p->open_due = false;
    p->release_due = 0;
    primary_act(out, PA_OPEN);
}

/* Nobody else can activate in this term any more: what follows belongs to the next one. */
static void close_term(struct primary *p)
{
    p->term++;
    p->armed = p->covered = p->asked = false;
}

/* The backup's copy is of no use (gone, or the process that knew it is): start from nothing. */
void primary_reseed(struct primary *p, struct primary_actions *out)
{
    p->replaces = p->lineage;
    p->lineage = rng_mix(p->lineage) | 1; /* never 0 */
    p->term = 1;
    p->session = 0;
    p->acked = p->release_due = 0;
    p->armed = p->covered = p->asked = false;
    primary_act(out, PA_RESEED)->epoch = p->lineage;
}

void primary_end(struct primary *p, uint32_t reason, struct primary_actions *out)
{
    primary_go(p, P_ENDED);
    primary_act(out, PA_END)->reason = reason;
}

void primary_ask(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    if (p->state != P_ASKING)
        primary_go(p, P_ASKING);
    p->asked = true;
    p->ask_at_ns = now_ns + timing_ask_again_ns(&p->timing);
    primary_act(out, PA_ASK)->term = p->term;
}

/* Output is held that the token of the term decides about, and no session stands. */
bool primary_is_in_grace(const struct primary *p)
{
    return p->armed && p->held && !p->owns && p->state <= P_GREETING;
}

void primary_let_run(struct primary *p, struct primary_actions *out)
{
    if (!p->paused || p->given)
        return;
    p->paused = p->is_switch_epoch = false;
    primary_act(out, PA_RESUME);
}

/* Leaves the open epoch, with the guest running and its pages in the carry. */
void primary_abandon(struct primary *p, struct primary_actions *out)
{
    if (primary_has_open_epoch(p))
        primary_act(out, PA_ABANDON)->epoch = p->epoch;
    primary_let_run(p, out);
}

/* The guest is ours again: by the token, or a person's word. */
static void take_back(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    bool was_given = p->given;

    if (p->state != P_OFF)
        primary_go(p, P_OFF);
    p->given = p->switching = false;
    if (was_given)
        primary_act(out, PA_REMEMBER)->is_given = false; /* first: who comes after us must not stop it again */
    primary_let_run(p, out);
    primary_open_output(p, out);
    close_term(p);
    primary_reconnect_later(p, now_ns);
}

void primary_taken_back(struct primary *p, const struct primary_event *ev,
                        struct primary_actions *out)
{
    if (!p->given || !p->owns || (p->state != P_OFF && p->state != P_CONNECTING &&
                                  p->state != P_GREETING))
        return;
    primary_act(out, PA_CLOSE_LINK);
    take_back(p, ev->now_ns, out);
}

void primary_reconnect_later(struct primary *p, uint64_t now_ns)
{
    p->reconnect_at_ns = now_ns + p->backoff_ns;
    p->backoff_ns = p->backoff_ns * 2 > BACKOFF_NS_MAX ? BACKOFF_NS_MAX : p->backoff_ns * 2;
}

void primary_lost(struct primary *p, uint64_t now_ns, struct primary_actions *out)
{
    bool had_session = primary_has_session(p) || p->state == P_DETACHING;
    bool was_covered = p->covered;

    primary_abandon(p, out);
    primary_act(out, PA_CLOSE_LINK);
    primary_go(p, P_OFF);
    p->covered = p->switching = false;
    primary_reconnect_later(p, now_ns);
    if (!p->armed) {
        primary_open_output(p, out); /* no commit of this term can exist over there */
    } else if (p->owns && p->given) {
        p->reconnect_at_ns = now_ns + p->backoff_ns; /* it says whether it took the guest */
    } else if (p->owns) {
        primary_open_output(p, out);
        close_term(p);
    } else if (had_session) {
        if (was_covered || p->grace_until_ns == 0) /* one grace an acknowledgement, not one a try */
            p->grace_until_ns = now_ns + timing_grace_ns(&p->timing);
        p->reconnect_at_ns = now_ns;
    }
    if (p->ending && !p->held)
        primary_end(p, p->ending, out);
}

void primary_fenced(struct primary *p, struct primary_actions *out)
{
    primary_act(out, PA_CLOSE_LINK);
    primary_go(p, p->given ? P_ENDED : P_FENCED);
    primary_act(out, PA_DROP);
    primary_act(out, PA_DESTROY);
    if (p->given)
        primary_act(out, PA_END)->reason = DETACH_SWITCHOVER;
}

void primary_token_answered(struct primary *p, const struct primary_event *ev,
                            struct primary_actions *out)
{
    if (p->state != P_ASKING || ev->term != p->term)
        return;
    if (ev->answer == FENCE_DENIED) {
        primary_fenced(p, out);
    } else if (ev->answer == FENCE_GRANTED) {
        take_back(p, ev->now_ns, out);
        if (p->ending)
            primary_end(p, p->ending, out);
    } else {
        p->ask_at_ns = ev->now_ns + timing_ask_again_ns(&p->timing);
    }
}

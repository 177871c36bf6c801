/* primary_engine — see primary_engine.h. Telling, what comes in, the step, the outside. */
#include "replicator/engine/primary_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/record.h"

#define WIRE_IN_BYTES   (64u << 10)
#define INPUT_TURNS_MAX 64u /* what lies in the socket is heard before its sender counts as silent */

/* ---- opening and closing ----------------------------------------------------------------------------- */

int primary_engine_open(struct primary_engine **ret, const struct primary_parts *parts, struct err *e)
{
    struct primary_engine *p = calloc(1, sizeof(*p));
    int rc;

    if (!p)
        return err_set(e, ENOMEM, "no memory for an engine");
    p->parts = *parts;
    p->verified.every = parts->epoch.verify_every;
    parts->guest->ops->info(parts->guest, &p->about);
    must(parts->wire_bytes >= record_wire_bytes(PAGES_BODY_MAX) + WIRE_RESERVE);
    if ((rc = wire_open(&p->wire, parts->wire_bytes, WIRE_IN_BYTES, e)) < 0 ||
        (rc = epoch_out_open(&p->out, parts->guest, &parts->epoch, e)) < 0) {
        primary_engine_close(p);
        return rc;
    }
    primary_init(&p->proto, &parts->timing, parts->fence->ops->primary_owns, parts->lineage,
                 parts->past, now_of(p));
    p->acked_at_ns = now_of(p);
    p->phase = "starting";
    *ret = p;
    return 0;
}

void primary_engine_close(struct primary_engine *p)
{
    if (!p)
        return;
    wire_close(&p->wire);
    epoch_out_close(&p->out);
    free(p);
}

/* ---- telling ------------------------------------------------------------------------------------------ */

static const char *phase_of(const struct primary *p)
{
    switch (p->state) {
    case P_OFF:
    case P_CONNECTING:
    case P_GREETING:
        return p->armed && p->held ? "held" : "unprotected";
    case P_ASKING:
    case P_DETACHING:
    case P_FENCED:
    case P_ENDED:
    case P_STATES:
        return primary_state_name(p->state);
    default:
        return p->covered ? "protected" : "synchronizing";
    }
}

void primary_say(struct primary_engine *p, int level, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    p->parts.world->say(p->parts.world->context, level, text);
}

static void say_phase(struct primary_engine *p)
{
    const char *phase = phase_of(&p->proto);
    bool is_loss = strcmp(p->phase, "protected") == 0;

    if (strcmp(phase, p->phase) == 0)
        return;
    primary_say(p, is_loss ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE,
        "event=state domain=%s role=primary from=%s to=%s epoch=%" PRIu64 " term=%u reason=\"%s\"",
        p->about.name, p->phase, phase, p->proto.acked, p->proto.term,
        p->why.code ? p->why.text : "");
    p->phase = phase;
    p->why.code = 0;
}

void primary_feed(struct primary_engine *p, struct primary_event *ev)
{
    must(p->next == p->todo.n);
    ev->now_ns = now_of(p);
    p->next = 0;
    primary_step(&p->proto, ev, &p->todo);
    say_phase(p);
}

void primary_feed_plain(struct primary_engine *p, enum primary_event_type type)
{
    struct primary_event ev = { .type = type };

    primary_feed(p, &ev);
}

void primary_raise(struct primary_engine *p, struct primary_event ev)
{
    if (p->has_raised)
        return;
    p->raised = ev;
    p->has_raised = true;
}

static void link_down(struct primary_engine *p, const struct err *e)
{
    p->why = *e;
    primary_feed_plain(p, PE_LINK_DOWN);
}

/* ---- what comes in -------------------------------------------------------------------------------------------- */

/* Of what the backup compared: it gives the replica up by itself where pages differ. */
static int take_verified(struct primary_engine *p, const struct record *rec, struct err *e)
{
    struct verified m;
    int rc = verified_get(rec, &m, e);

    if (rc < 0 || m.session != p->proto.session)
        return rc;
    p->verified.epochs += m.differing == 0;
    p->verified.epoch = m.epoch;
    p->verified.pages = m.pages;
    p->verified.differing = m.differing;
    p->verified.first_pfn = m.first_pfn;
    if (m.differing == 0)
        primary_say(p, LOG_LEVEL_INFO, "event=verified domain=%s role=primary epoch=%" PRIu64 " pages=%" PRIu64,
                    p->about.name, m.epoch, m.pages);
    else
        primary_say(p, LOG_LEVEL_ERR, "event=differs domain=%s role=primary epoch=%" PRIu64 " reason=\"%" PRIu64
                    " of %" PRIu64 " pages of the replica differ from the guest's, from pfn %#" PRIx64 " on\"",
                    p->about.name, m.epoch, m.differing, m.pages, m.first_pfn);
    return 0;
}

/* It is asked again every second, and refuses as often: that is news once. */
static void take_verdict(struct primary_engine *p, const struct hello_ack *h)
{
    struct err before = p->refusal;

    p->refusal = (struct err){ 0 };
    if (h->verdict == HELLO_OK)
        return;
    err_set(&p->refusal, ECONNREFUSED, "the backup refused: %s%s%s", hello_verdict_words(h->verdict),
            h->text[0] ? ": " : "", h->text);
    p->why = p->refusal;
    if (strcmp(before.text, p->refusal.text) != 0)
        primary_say(p, LOG_LEVEL_WARNING, "event=refused domain=%s role=primary session=%" PRIu64 " reason=\"%s\"",
                    p->about.name, p->proto.session, p->refusal.text);
}

static int take_record(struct primary_engine *p, const struct record *rec, struct err *e)
{
    union {
        struct hello_ack hello_ack;
        struct ack ack;
        struct heartbeat heartbeat;
        struct need_pages need_pages;
        struct detach detach;
    } m;
    struct primary_event ev = { .type = PE_TICK };
    int rc;

    switch (rec->type) {
    case (uint32_t)RECORD_HELLO_ACK:
        rc = hello_ack_get(rec, &m.hello_ack, e);
        ev.type = PE_HELLO_ACK;
        ev.hello_ack = &m.hello_ack;
        if (rc == 0)
            take_verdict(p, &m.hello_ack);
        break;
    case (uint32_t)RECORD_ACK:
        rc = ack_get(rec, &m.ack, e);
        ev.type = PE_ACK;
        ev.ack = &m.ack;
        break;
    case (uint32_t)RECORD_HEARTBEAT:
        rc = heartbeat_get(rec, &m.heartbeat, e);
        ev.type = PE_HEARTBEAT;
        ev.heartbeat = &m.heartbeat;
        break;
    case (uint32_t)RECORD_NEED_PAGES:
        rc = need_pages_get(rec, &m.need_pages, e);
        ev.type = PE_NEED_PAGES;
        ev.need_pages = &m.need_pages;
        break;
    case (uint32_t)RECORD_VERIFIED:
        return take_verified(p, rec, e);
    case (uint32_t)RECORD_DETACH:
        rc = detach_get(rec, &m.detach, e);
        ev.type = PE_DETACH;
        ev.detach = &m.detach;
        break;
    default:
        return rec->type & RECORD_OPTIONAL
                   ? 0
                   : err_set(e, EPROTO, "a backup does not send records of type %#x", rec->type);
    }
    if (rc < 0)
        return rc;
    primary_feed(p, &ev);
    return 0;
}

static bool listens(const struct primary_engine *p)
{
    return p->wire.link && p->proto.state >= P_GREETING && p->proto.state <= P_DETACHING &&
           p->proto.state != P_ASKING;
}

static bool take_input(struct primary_engine *p)
{
    struct err e = { 0 };
    struct record rec;
    int rc = wire_next(&p->wire, &rec, &e);

    if (rc == 0)
        rc = wire_fill(&p->wire, &e);
    else if (rc == 1)
        rc = take_record(p, &rec, &e) < 0 ? -EPROTO : 1;
    if (rc < 0)
        link_down(p, &e);
    return rc != 0;
}

/* ---- the step ---------------------------------------------------------------------------------------------------- */

static bool look_at_connection(struct primary_engine *p)
{
    struct err e = { 0 };
    int rc;

    if (p->proto.state != P_CONNECTING || !p->wire.link)
        return false;
    rc = p->wire.link->ops->connected(p->wire.link, &e);
    if (rc < 0)
        link_down(p, &e);
    else if (rc > 0)
        primary_feed_plain(p, PE_LINK_UP);
    return rc != 0;
}

static bool look_at_arbiter(struct primary_engine *p)
{
    struct primary_event ev = { .type = PE_TOKEN };
    struct err e = { 0 };

    if (!p->asked)
        return false;
    ev.answer = p->parts.fence->ops->answer(p->parts.fence, &e);
    if (ev.answer == FENCE_PENDING)
        return false;
    if (ev.answer == FENCE_NO_ANSWER)
        primary_say(p, LOG_LEVEL_WARNING, "event=token domain=%s role=primary answer=none reason=\"%s\"",
            p->about.name, e.code ? e.text : "the arbiter did not answer");
    p->asked = false;
    ev.term = p->asked_term;
    primary_feed(p, &ev);
    return true;
}

static bool look_at_guest(struct primary_engine *p)
{
    static const uint32_t reasons[] = {
        [GUEST_SHUT_DOWN] = DETACH_SHUT_DOWN,
        [GUEST_REBOOTED] = DETACH_REBOOTED,
        [GUEST_CRASHED] = DETACH_CRASHED,
    };
    enum guest_life life;
    struct primary_event ev = { .type = PE_GUEST_ENDED };

    if (p->told_end || primary_engine_is_over(p))
        return false;
    life = p->parts.guest->ops->life(p->parts.guest);
    if (life == GUEST_RUNS)
        return false;
    p->told_end = true;
    ev.reason = reasons[life];
    err_set(&p->why, 0, "%s", detach_reason_words(ev.reason));
    primary_feed(p, &ev);
    return true;
}

static bool send_some(struct primary_engine *p)
{
    struct err e = { 0 };
    int rc;

    if (!listens(p))
        return false;
    rc = wire_flush(&p->wire, &e);
    if (rc < 0)
        link_down(p, &e);
    return rc != 0;
}

bool primary_engine_step(struct primary_engine *p)
{
    if (p->next < p->todo.n)
        return primary_act_next(p);
    workers_calm(p->out.encoders.workers); /* what is done is seen below, what is not will say so */
    if (p->has_raised) {
        struct primary_event ev = p->raised;

        p->has_raised = false;
        primary_feed(p, &ev);
        return true;
    }
    if (p->has_wanted) {
        struct primary_event ev = p->wanted;

        p->has_wanted = false;
        primary_feed(p, &ev);
        return true;
    }
    if (p->input_turns < INPUT_TURNS_MAX && listens(p) && take_input(p)) {
        p->input_turns++;
        return true;
    }
    p->input_turns = 0;
    if (now_of(p) >= primary_deadline(&p->proto)) {
        primary_feed_plain(p, PE_TICK);
        return true;
    }
    if (look_at_arbiter(p) || look_at_connection(p))
        return true;
    if (look_at_guest(p))
        return true;
    /* While the guest is paused nothing is sent unless the bound demands it. */
    if (p->activity == ACTIVITY_CAPTURE && primary_work(p))
        return true;
    if (send_some(p))
        return true;
    return p->activity != ACTIVITY_CAPTURE && primary_work(p);
}

/* ---- the outside --------------------------------------------------------------------------------------------------- */

uint64_t primary_engine_deadline(const struct primary_engine *p)
{
    return p->is_pausing ? p->pause_beat_ns : primary_deadline(&p->proto);
}

void primary_engine_fds(const struct primary_engine *p, struct engine_fds *ret)
{
    *ret = (struct engine_fds){ .receive = -1, .send = -1, .fence = -1 };
    ret->encoders = workers_fd(p->out.encoders.workers);
    /* While the guest is being paused what comes in has to wait. */
    if (!p->is_pausing && p->wire.link && (listens(p) || p->proto.state == P_CONNECTING))
        p->wire.link->ops->fds(p->wire.link, &ret->receive, &ret->send);
    ret->wants_send = !p->is_pausing && (p->proto.state == P_CONNECTING || wire_waiting(&p->wire) > 0);
    if (p->asked)
        ret->fence = p->parts.fence->ops->fd(p->parts.fence);
    ret->guest = p->told_end ? -1 : p->parts.guest->ops->event_fd(p->parts.guest);
}

/* What somebody asks for falls between two events, not between an event and what follows from it. A guest
 * that takes its time to suspend is in the middle of that, and nobody waits here: it is done as soon as the
 * list goes on. The end is wanted more than a switchover. */
static void feed_from_outside(struct primary_engine *p, struct primary_event ev)
{
    while (!p->is_pausing && (p->next < p->todo.n || p->has_raised || p->has_wanted))
        (void)primary_engine_step(p);
    if (!p->is_pausing) {
        primary_feed(p, &ev);
    } else if (!p->has_wanted || ev.type == PE_STOP) {
        p->wanted = ev;
        p->has_wanted = true;
    }
}

void primary_engine_stop(struct primary_engine *p, uint32_t reason)
{
    feed_from_outside(p, (struct primary_event){ .type = PE_STOP, .reason = reason });
}

int primary_engine_switchover(struct primary_engine *p, struct err *e)
{
    feed_from_outside(p, (struct primary_event){ .type = PE_SWITCHOVER });
    return p->proto.switching || p->proto.given || p->has_wanted
               ? 0
               : err_set(e, EAGAIN, "%s is not protected now: look with replicator status %s, then try again",
                         p->about.name, p->about.name);
}

void primary_engine_take_back(struct primary_engine *p)
{
    feed_from_outside(p, (struct primary_event){ .type = PE_TAKE_BACK });
}

bool primary_engine_is_over(const struct primary_engine *p)
{
    return (p->proto.state == P_FENCED || p->proto.state == P_ENDED) && p->next == p->todo.n &&
           !p->has_raised && !p->has_wanted;
}

void primary_engine_status(const struct primary_engine *p, struct primary_status *ret)
{
    uint64_t now_ns = now_of(p);

    *ret = (struct primary_status){
        .state = p->proto.state,
        .is_protected = p->parts.netbuf->ops->holds && primary_is_protected(&p->proto, now_ns),
        .is_held = p->proto.held,
        .is_armed = p->proto.armed,
        .is_switching = p->proto.switching || (p->has_wanted && p->wanted.type == PE_SWITCHOVER),
        .is_given = p->proto.given,
        .refused = p->proto.refused,
        .lineage = p->proto.lineage,
        .session = p->proto.session,
        .epoch = p->proto.epoch,
        .acked = p->proto.acked,
        .term = p->proto.term,
        .epochs_acked = p->epochs_acked,
        .dirty_last = p->dirty_last,
        .todo_pages = p->is_pass_open ? dirty_count(&p->out.todo) : 0,
        .guest_pages = p->about.pages,
        .copied_pages = p->out.tally.pages,
        .tally = p->out.tally,
        .sent_bytes = p->wire.sent_bytes,
        .since_ack_ns = now_ns - p->acked_at_ns,
        .pause_ns = &p->pause_ns,
        .commit_ns = &p->commit_ns,
        .gap_ns = &p->gap_ns,
        .pause_parts = &p->pause_parts,
        .verified = p->verified,
        .end_reason = p->end_reason,
    };
    p->parts.netbuf->ops->health(p->parts.netbuf, &ret->output);
    ret->is_protected = ret->is_protected && ret->output.is_whole;
    pagecache_stats(p->out.cache, &ret->cache);
    p->parts.netbuf->ops->stats(p->parts.netbuf, &ret->netbuf);
}

/* backup_engine — see backup_engine.h. Telling, what comes in, the step, the outside. */
#include "replicator/engine/backup_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "compress/codec.h"

#define WIRE_OUT_BYTES (64u << 10)

int backup_engine_open(struct backup_engine **ret, const struct backup_parts *parts, struct err *e)
{
    struct backup_engine *b = calloc(1, sizeof(*b));
    int rc;

    if (!b)
        return err_set(e, ENOMEM, "no memory for an engine");
    b->parts = *parts;
    rc = wire_open(&b->wire, WIRE_OUT_BYTES, SESSION_RECORD_MAX, e);
    if (rc < 0) {
        backup_engine_close(b);
        return rc;
    }
    backup_init(&b->proto, parts->fence->ops->primary_owns);
    *ret = b;
    return 0;
}

void backup_engine_close(struct backup_engine *b)
{
    if (!b)
        return;
    wire_close(&b->wire);
    if (b->candidate)
        b->candidate->ops->close(b->candidate);
    backup_drop_replica(b);
    if (b->guest)
        b->guest->ops->close(b->guest);
    free(b);
}

/* ---- telling ------------------------------------------------------------------------------------------ */

void backup_say(struct backup_engine *b, int level, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    b->parts.world->say(b->parts.world->context, level, text);
}

/* Linked, staging and applying are one to those who read the log. */
static enum backup_state phase(enum backup_state s)
{
    return s == B_STAGING || s == B_APPLYING ? B_LINKED : s;
}

static void say_state(struct backup_engine *b)
{
    enum backup_state to = phase(b->proto.state);

    if (to == b->said_state)
        return;
    backup_say(b, to == B_ALONE || to == B_ASKING ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE,
               "event=state domain=%s role=backup from=%s to=%s epoch=%" PRIu64 " term=%u reason=\"%s\"",
               b->shape.name, backup_state_name(b->said_state), backup_state_name(to),
               b->proto.committed, b->proto.term, b->why.text);
    b->said_state = to;
    b->why = (struct err){ 0 };
}

void backup_feed(struct backup_engine *b, struct backup_event *ev)
{
    must(b->next == b->todo.n);
    ev->now_ns = backup_now(b);
    b->next = 0;
    backup_step(&b->proto, ev, &b->todo);
    say_state(b);
}

void backup_raise(struct backup_engine *b, struct backup_event ev)
{
    if (b->has_raised)
        return;
    b->raised = ev;
    b->has_raised = true;
}

/* ---- connections ----------------------------------------------------------------------------------------- */

void backup_engine_adopt(struct backup_engine *b, struct link *link, const struct hello *h)
{
    FAILPOINT(accept);
    if (b->candidate)
        b->candidate->ops->close(b->candidate);
    b->candidate = link;
    b->candidate_hello = *h;
}

static bool is_sane(const struct hello *h)
{
    return h->timeout_ns >= TIMEOUT_NS_MIN && h->timeout_ns <= TIMEOUT_NS_MAX &&
           h->heartbeat_ns >= HEARTBEAT_NS_MIN && h->heartbeat_ns <= h->timeout_ns / 4 && h->interval_ns <= INTERVAL_NS_MAX;
}

/* What is wrong with a HELLO apart from lineage, session and term, which the protocol judges. */
static enum hello_verdict precheck(struct backup_engine *b, const struct hello *h)
{
    struct err e = { 0 };

    b->refusal_text[0] = '\0';
    if (h->version != PROTOCOL_VERSION)
        return HELLO_VERSION;
    if (b->shape.name[0] && (strcmp(h->name, b->shape.name) != 0 ||
                             memcmp(h->uuid, b->shape.uuid, sizeof(h->uuid)) != 0))
        return HELLO_DOMAIN;
    if (!is_sane(h)) {
        snprintf(b->refusal_text, sizeof(b->refusal_text), "times out of bounds");
        return HELLO_SHAPE;
    }
    if (b->replica && (h->pages != b->shape.pages || strcmp(h->spec, b->shape.spec) != 0))
        return HELLO_SHAPE;
    if (!b->replica && b->proto.state == B_EMPTY && backup_make_replica(b, h, &e) < 0) {
        snprintf(b->refusal_text, sizeof(b->refusal_text), "%.*s", (int)HELLO_TEXT_MAX, e.text);
        return HELLO_RESOURCES;
    }
    return HELLO_OK;
}

static bool look_at_candidate(struct backup_engine *b)
{
    struct backup_event ev = { .type = BE_HELLO };

    if (!b->candidate || b->is_applying)
        return false;
    ev.hello = &b->candidate_hello;
    ev.precheck = precheck(b, &b->candidate_hello);
    backup_feed(b, &ev);
    return true;
}

/* ---- records -------------------------------------------------------------------------------------------------- */

static int take_preamble(struct backup_engine *b, const struct record *rec, struct err *e)
{
    size_t bytes = record_wire_bytes(rec->bytes);

    if (rec->type == RECORD_STATIC_DATA_END) {
        b->is_static_done = true;
        return backup_begin_replica(b, e);
    }
    if (bytes > sizeof(b->preamble) - b->preamble_bytes)
        return err_set(e, EPROTO, "more than %u octets of records before memory", PREAMBLE_MAX);
    memcpy(b->preamble + b->preamble_bytes, rec->body - RECORD_HEADER_BYTES, bytes);
    b->preamble_bytes += bytes;
    return 0;
}

/* What the stage said of a record: a delta without its base is asked for as whole pages. */
static int after_staging(struct backup_engine *b, int rc, const struct err *e)
{
    struct backup_event ev = { .type = BE_MISMATCH };

    if (rc != -EILSEQ)
        return rc;
    backup_say(b, LOG_LEVEL_WARNING, "event=mismatch domain=%s role=backup epoch=%" PRIu64
               " reason=\"%s\"", b->shape.name, b->proto.staging, e->text);
    backup_feed(b, &ev);
    return 0;
}

static int take_checkpoint(struct backup_engine *b, struct err *e)
{
    struct backup_event ev = { .type = BE_COMPLETE };

    if (b->stage.epoch == 0)
        return 0; /* of an epoch that is void */
    if (!b->stage.is_sealed)
        return err_set(e, EPROTO, "CHECKPOINT before EPOCH_END of epoch %" PRIu64, b->stage.epoch);
    ev.epoch = b->stage.epoch;
    ev.flags = b->stage.flags;
    backup_feed(b, &ev);
    return 0;
}

static int take_libxc(struct backup_engine *b, const struct record *rec, struct err *e)
{
    switch (rec->type) {
    case RECORD_CHECKPOINT:
        return take_checkpoint(b, e);
    case RECORD_END:
    case RECORD_VERIFY: /* of libxc: the pages themselves once more; a session has PAGE_SUMS */
    case RECORD_CHECKPOINT_DIRTY_PFN_LIST:
        return err_set(e, EPROTO, "%s has no place in a session", record_name(rec->type));
    default:
        break;
    }
    if (!b->is_static_done)
        return rec->type == RECORD_PAGE_DATA
                   ? err_set(e, EPROTO, "PAGE_DATA before STATIC_DATA_END")
                   : take_preamble(b, rec, e);
    if (rec->type == RECORD_STATIC_DATA_END)
        return err_set(e, EPROTO, "a second STATIC_DATA_END");
    return after_staging(b, stage_record(&b->stage, rec, e), e);
}

static int take_message(struct backup_engine *b, const struct record *rec, struct err *e)
{
    union {
        struct epoch_begin begin;
        struct epoch_end end;
        struct heartbeat heartbeat;
        struct detach detach;
    } m;
    struct backup_event ev = { .type = BE_TICK };
    int rc;

    switch (rec->type) {
    case (uint32_t)RECORD_EPOCH_BEGIN:
        rc = epoch_begin_get(rec, &m.begin, e);
        ev.type = BE_EPOCH_BEGIN;
        ev.epoch_begin = &m.begin;
        if (rc == 0 && !b->is_static_done)
            rc = err_set(e, EPROTO, "EPOCH_BEGIN before STATIC_DATA_END");
        break;
    case (uint32_t)RECORD_EPOCH_END:
        rc = epoch_end_get(rec, &m.end, e);
        return rc < 0 ? rc : after_staging(b, stage_seal(&b->stage, &m.end, e), e);
    case (uint32_t)RECORD_PAGE_DATA_ENCODED:
    case (uint32_t)RECORD_PAGE_SUMS:
    case (uint32_t)RECORD_FOREIGN_STATE: /* of the guest's emulator */
        return after_staging(b, stage_record(&b->stage, rec, e), e);
    case (uint32_t)RECORD_HEARTBEAT:
        rc = heartbeat_get(rec, &m.heartbeat, e);
        ev.type = BE_HEARTBEAT;
        ev.heartbeat = &m.heartbeat;
        break;
    case (uint32_t)RECORD_DETACH:
        rc = detach_get(rec, &m.detach, e);
        ev.type = BE_DETACH;
        ev.detach = &m.detach;
        break;
    default:
        return rec->type & RECORD_OPTIONAL
                   ? 0
                   : err_set(e, EPROTO, "a primary does not send records of type %#x", rec->type);
    }
    if (rc == 0)
        backup_feed(b, &ev);
    return rc;
}

void backup_link_down(struct backup_engine *b, const struct err *e)
{
    struct backup_event ev = { .type = BE_LINK_DOWN };

    b->why = *e;
    backup_feed(b, &ev);
}

static bool is_listening(const struct backup_engine *b)
{
    enum backup_state s = b->proto.state;

    return b->wire.link && !b->is_applying && !b->is_building && (s == B_LINKED || s == B_STAGING || s == B_LEAVING);
}

static bool take_input(struct backup_engine *b)
{
    struct err e = { 0 };
    struct record rec;
    int rc;

    if (!is_listening(b))
        return false;
    rc = wire_next(&b->wire, &rec, &e);
    if (rc == 0) {
        rc = wire_fill(&b->wire, &e);
        if (rc == 1)
            backup_heard(&b->proto, backup_now(b));
    } else if (rc == 1 && b->proto.state == B_LEAVING && rec.type != (uint32_t)RECORD_DETACH) {
        return true; /* the replica is gone already: only the farewell counts */
    } else if (rc == 1) {
        rc = rec.type < 0x52500000u ? take_libxc(b, &rec, &e) : take_message(b, &rec, &e);
        rc = rc < 0 ? err_wrap(&e, "record %" PRIu64 " of the session", b->wire.record_number - 1) : 1;
    }
    if (rc < 0)
        backup_link_down(b, &e);
    return rc != 0;
}

/* ---- the step ------------------------------------------------------------------------------------------------------ */

static bool apply_some(struct backup_engine *b)
{
    struct backup_event ev = { .type = BE_APPLIED };

    if (!b->is_applying)
        return false;
    if (stage_apply(&b->stage))
        return true;
    if (backup_compare(b, &ev.differs))
        return true;
    b->is_applying = false;
    backup_feed(b, &ev);
    return true;
}

static bool look_at_arbiter(struct backup_engine *b)
{
    struct backup_event ev = { .type = BE_TOKEN };
    struct err e = { 0 };

    if (!b->asked)
        return false;
    ev.answer = b->parts.fence->ops->answer(b->parts.fence, &e);
    if (ev.answer == FENCE_PENDING)
        return false;
    if (ev.answer == FENCE_NO_ANSWER)
        backup_say(b, LOG_LEVEL_WARNING, "event=token domain=%s role=backup answer=none reason=\"%s\"",
                   b->shape.name, e.code ? e.text : "the arbiter did not answer");
    b->asked = false;
    ev.term = b->asked_term;
    backup_feed(b, &ev);
    return true;
}

static bool send_some(struct backup_engine *b)
{
    struct err e = { 0 };
    int rc;

    if (!b->wire.link)
        return false;
    rc = wire_flush(&b->wire, &e);
    if (rc < 0 && b->proto.state == B_ENDED)
        wire_detach(&b->wire);
    else if (rc < 0)
        backup_link_down(b, &e);
    return rc != 0;
}

/* Closing with octets unread resets the connection, and a reset can overtake the last words: what
 * still comes is read away until the peer closes, or for one timeout. */
static bool linger(struct backup_engine *b)
{
    struct err e;
    int rc;

    if (b->proto.state != B_ENDED || !b->wire.link)
        return false;
    rc = backup_now(b) < b->linger_until_ns ? wire_fill(&b->wire, &e) : -ETIME;
    b->wire.in_from = b->wire.in_to = 0;
    if (rc < 0)
        wire_detach(&b->wire);
    return rc != 0;
}

static bool try_activation_again(struct backup_engine *b)
{
    if (b->activate_at_ns == 0 || backup_now(b) < b->activate_at_ns)
        return false;
    b->todo = (struct backup_actions){ .n = 1, .list = { { .type = BA_ACTIVATE } } };
    b->next = 0;
    return true;
}

/* A process that was starved for longer than the timeout finds the primary's octets in the socket:
 * the silence was its own. A broken link is left to the next receive. */
static void listen_before_deadline(struct backup_engine *b)
{
    struct err e;

    if (is_listening(b) && wire_fill(&b->wire, &e) == 1)
        backup_heard(&b->proto, backup_now(b));
}

bool backup_engine_step(struct backup_engine *b)
{
    if (b->next < b->todo.n) {
        backup_act_next(b);
        return true;
    }
    if (b->has_raised) {
        struct backup_event ev = b->raised;

        b->has_raised = false;
        backup_feed(b, &ev);
        return true;
    }
    if (b->is_building) /* nothing is read meanwhile: that is our silence, not the primary's */
        backup_heard(&b->proto, backup_now(b));
    if (backup_now(b) >= backup_deadline(&b->proto)) {
        struct backup_event ev = { .type = BE_TICK };

        listen_before_deadline(b);
        FAILPOINT(timeout);
        backup_feed(b, &ev);
        return true;
    }
    /* An ack doesn't wait for the apply, nor a heartbeat for the end of a flood of pages. */
    return send_some(b) || apply_some(b) || backup_look_at_replica(b) || try_activation_again(b) ||
           look_at_arbiter(b) || look_at_candidate(b) || take_input(b) || linger(b);
}

/* ---- the outside ---------------------------------------------------------------------------------------------------- */

uint64_t backup_engine_deadline(const struct backup_engine *b)
{
    uint64_t next = backup_deadline(&b->proto);

    if (b->proto.state == B_ENDED && b->wire.link)
        return b->linger_until_ns;
    return b->activate_at_ns != 0 && b->activate_at_ns < next ? b->activate_at_ns : next;
}

void backup_engine_fds(const struct backup_engine *b, struct engine_fds *ret)
{
    *ret = (struct engine_fds){ .receive = -1, .send = -1, .fence = -1, .guest = -1, .encoders = -1 };
    if (b->wire.link)
        b->wire.link->ops->fds(b->wire.link, &ret->receive, &ret->send);
    if (!is_listening(b) && b->proto.state != B_ENDED)
        ret->receive = -1;
    ret->wants_send = b->wire.link && wire_waiting(&b->wire) > 0;
    if (b->asked)
        ret->fence = b->parts.fence->ops->fd(b->parts.fence);
    if (b->guest)
        ret->guest = b->guest->ops->event_fd(b->guest);
    else if (b->replica)
        ret->guest = b->replica->ops->event_fd(b->replica);
}

static void settle(struct backup_engine *b)
{
    while (b->next < b->todo.n || b->has_raised)
        (void)backup_engine_step(b);
}

void backup_engine_activate(struct backup_engine *b, bool fenced)
{
    struct backup_event ev = { .type = BE_ACTIVATE, .fenced = fenced };

    settle(b);
    b->refusal = REFUSED_NOTHING;
    backup_feed(b, &ev);
}

struct guest *backup_engine_let_go(struct backup_engine *b)
{
    struct guest *g = b->guest;

    must(g && b->proto.state == B_ACTIVE);
    b->guest = NULL;
    return g;
}

void backup_engine_stop(struct backup_engine *b)
{
    struct backup_event ev = { .type = BE_STOP };

    settle(b);
    backup_feed(b, &ev);
}

bool backup_engine_is_over(const struct backup_engine *b)
{
    return b->proto.state == B_ENDED && b->next == b->todo.n && !b->has_raised && !b->wire.link;
}

void backup_engine_status(const struct backup_engine *b, struct backup_status *ret)
{
    *ret = (struct backup_status){
        .state = b->proto.state,
        .is_ready = backup_is_ready(&b->proto),
        .lineage = b->proto.lineage,
        .session = b->proto.session,
        .committed = b->proto.committed,
        .term = b->proto.term,
        .timing = b->proto.timing,
        .guest_pages = b->shape.pages,
        .epochs_committed = b->epochs_committed,
        .verified = b->verified,
        .received_bytes = b->wire.received_bytes,
        .stage_high_water = b->stage.high_water,
        .since_heard_ns = backup_now(b) - b->proto.last_rx_ns,
        .end_reason = b->end_reason,
        .refusal = b->refusal,
    };
    memcpy(ret->name, b->shape.name, sizeof(ret->name));
}

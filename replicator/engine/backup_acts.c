/* backup_acts — carrying out what the protocol said, one action a call. */
#include "replicator/engine/backup_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"

#define ACTIVATE_AGAIN_NS NS_PER_S
#define REFUSAL_BYTES_MAX (RECORD_HEADER_BYTES + 56u + HELLO_TEXT_MAX + 8u)

static struct hello_ack answer(const struct backup_engine *b, const struct hello *h, uint32_t verdict)
{
    struct hello_ack m = {
        .session = h->session,
        .lineage = h->lineage,
        .committed = verdict == HELLO_OK ? b->proto.committed : 0,
        .stage_bytes = b->has_stage ? b->stage.limit : 0,
        .echo_ns = h->sent_ns,
        .verdict = verdict,
        .term = b->proto.term,
    };

    memcpy(m.text, b->refusal_text, sizeof(m.text));
    for (char *at = m.text; *at; at++)
        if (*at < ' ' || *at > '~') /* what the wire does not carry must not cost the answer */
            *at = '?';
    return m;
}

/* The connection is not the session's and will not be: one try to say why, then it is closed. */
static int refuse(struct backup_engine *b, uint32_t verdict)
{
    struct hello_ack m = answer(b, &b->candidate_hello, verdict);
    uint8_t octets[REFUSAL_BYTES_MAX];
    struct sink out = { octets, sizeof(octets) };
    struct err e;

    backup_say(b, LOG_LEVEL_WARNING, "event=refused domain=%s role=backup session=%" PRIu64
               " reason=\"%s%s%s\"", b->candidate_hello.name, b->candidate_hello.session,
               hello_verdict_words(verdict), m.text[0] ? ": " : "", m.text);
    if (hello_ack_put(&out, &m) == 0)
        (void)!b->candidate->ops->send(b->candidate, octets, sizeof(octets) - out.left, &e);
    b->candidate->ops->close(b->candidate);
    b->candidate = NULL;
    return 0;
}

static int send_small(struct backup_engine *b, const struct sink *advanced, bool fits, struct err *e)
{
    if (!fits)
        return err_set(e, ENOBUFS, "the primary does not read what is sent to it");
    wire_put(&b->wire, advanced);
    return wire_flush(&b->wire, e) < 0 ? -e->code : 0;
}

static int send_hello_ack(struct backup_engine *b, uint32_t verdict, struct err *e)
{
    struct hello_ack m;
    struct sink out;

    if (verdict != HELLO_OK)
        return refuse(b, verdict);
    m = answer(b, &b->candidate_hello, verdict);
    out = wire_sink(&b->wire);
    return send_small(b, &out, hello_ack_put(&out, &m) == 0, e);
}

static int send_ack(struct backup_engine *b, uint64_t epoch, struct err *e)
{
    struct ack m = { b->proto.session, epoch, b->proto.peer_sent_ns };
    struct sink out = wire_sink(&b->wire);
    bool fits;
    int rc;

    FAILPOINT(before_ack);
    fits = ack_put(&out, &m) == 0;
    rc = send_small(b, &out, fits, e);
    FAILPOINT(after_ack);
    b->epochs_committed++;
    b->parts.world->committed(b->parts.world->context, epoch);
    return rc;
}

static int send_heartbeat(struct backup_engine *b, struct err *e)
{
    struct heartbeat m = { b->proto.session, backup_now(b), b->proto.peer_sent_ns };
    struct sink out = wire_sink(&b->wire);

    return send_small(b, &out, heartbeat_put(&out, &m) == 0, e);
}

static int send_need_pages(struct backup_engine *b, uint64_t epoch, struct err *e)
{
    struct need_pages m = { b->proto.session, epoch };
    struct sink out = wire_sink(&b->wire);

    return send_small(b, &out, need_pages_put(&out, &m) == 0, e);
}

static int send_detach(struct backup_engine *b, const struct backup_action *a, struct err *e)
{
    struct detach m = { b->proto.session, a->reason, a->is_answer };
    struct sink out = wire_sink(&b->wire);

    return send_small(b, &out, detach_put(&out, &m) == 0, e);
}

static void take_link(struct backup_engine *b)
{
    wire_attach(&b->wire, b->candidate);
    b->candidate = NULL;
    b->preamble_bytes = 0;
    b->is_static_done = false;
}

static int ask_arbiter(struct backup_engine *b, uint32_t term, struct err *e)
{
    struct fence_question q = { .lineage = b->proto.lineage, .term = term, .side = FENCE_BACKUP };
    int rc;

    if (b->asked)
        return 0; /* an arbiter may be slower than our timeout: asking anew would never hear it */
    FAILPOINT(backup_ask_token);
    memcpy(q.domain, b->shape.name, sizeof(q.domain));
    rc = b->parts.fence->ops->ask(b->parts.fence, &q, e);
    b->asked = rc == 0;
    b->asked_term = term;
    return rc;
}

/* The token is ours: there is no way back, so a failure is tried again, not given up. */
static int activate(struct backup_engine *b, struct err *e)
{
    int rc;

    FAILPOINT(before_activate);
    b->activate_at_ns = backup_now(b) + ACTIVATE_AGAIN_NS;
    if (!b->guest) {
        rc = b->replica->ops->activate(b->replica, &b->guest, e);
        if (rc == -ENOTRECOVERABLE)
            backup_give_up(b, e);
        if (rc == -ENOTRECOVERABLE || rc == -EAGAIN)
            return 0;
        if (rc < 0)
            return rc;
    }
    rc = b->parts.world->run_guest(b->parts.world->context, b->guest, e);
    if (rc < 0)
        return rc;
    FAILPOINT(after_activate);
    b->activate_at_ns = 0;
    backup_drop_replica(b);
    backup_raise(b, (struct backup_event){ .type = BE_ACTIVATED });
    return 0;
}

static int carry_out(struct backup_engine *b, const struct backup_action *a, struct err *e)
{
    switch (a->type) {
    case BA_HELLO_ACK:
        return send_hello_ack(b, a->verdict, e);
    case BA_TAKE_LINK:
        take_link(b);
        return 0;
    case BA_RESET:
        if (b->has_stage)
            stage_void(&b->stage);
        return 0;
    case BA_CLOSE_LINK:
        wire_detach(&b->wire);
        return 0;
    case BA_STAGE:
        stage_begin(&b->stage, a->epoch, a->flags);
        return 0;
    case BA_UNSTAGE:
        stage_void(&b->stage);
        return 0;
    case BA_COMMIT:
        stage_commit(&b->stage);
        return 0;
    case BA_ACK:
        return send_ack(b, a->epoch, e);
    case BA_APPLY:
        b->is_applying = true;
        return 0;
    case BA_NEED_PAGES:
        return send_need_pages(b, a->epoch, e);
    case BA_HEARTBEAT:
        return send_heartbeat(b, e);
    case BA_ASK:
        return ask_arbiter(b, a->term, e);
    case BA_ACTIVATE:
        return activate(b, e);
    case BA_DISCARD:
        backup_drop_replica(b);
        return 0;
    case BA_DETACH:
        return send_detach(b, a, e);
    case BA_REFUSE:
        b->refusal = (int)a->refusal;
        return 0;
    case BA_END:
        b->end_reason = b->is_lost ? BACKUP_END_LOST : a->reason;
        b->linger_until_ns = backup_now(b) + b->proto.timing.timeout_ns;
        return 0;
    }
    return 0;
}

void backup_act_next(struct backup_engine *b)
{
    const struct backup_action a = b->todo.list[b->next++];
    struct err e = { 0 };

    if (carry_out(b, &a, &e) == 0)
        return;
    b->why = e;
    backup_say(b, LOG_LEVEL_WARNING, "event=fault domain=%s role=backup reason=\"%s\"", b->shape.name,
               e.text);
    /* Sending failed: the link is down, but a commit is still to be applied. */
    if (a.type != BA_ACTIVATE && a.type != BA_ASK)
        backup_raise(b, (struct backup_event){ .type = BE_LINK_DOWN });
}

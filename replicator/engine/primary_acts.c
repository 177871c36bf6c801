/* primary_acts — carrying out what the protocol said, one action a call. */
#include "replicator/engine/primary_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/failpoint.h"
#include "checkpoint/stream.h"

static int send_hello(struct primary_engine *p, struct err *e)
{
    struct stream_headers headers = { STREAM_VERSION, STREAM_GUEST_HVM, 4, 17 };
    struct hello h = {
        .version = PROTOCOL_VERSION,
        .term = p->proto.term,
        .lineage = p->proto.lineage,
        .replaces = p->proto.replaces,
        .session = p->proto.session,
        .acked = p->proto.acked,
        .pages = p->about.pages,
        .interval_ns = p->parts.timing.interval_ns,
        .heartbeat_ns = p->parts.timing.heartbeat_ns,
        .timeout_ns = p->parts.timing.timeout_ns,
        .sent_ns = now_of(p),
    };
    struct sink out = wire_sink(&p->wire);

    memcpy(h.uuid, p->about.uuid, sizeof(h.uuid));
    memcpy(h.name, p->about.name, sizeof(h.name));
    memcpy(h.spec, p->about.spec, sizeof(h.spec));
    if (stream_headers_put(&out, &headers) < 0 || hello_put(&out, &h) < 0)
        return err_set(e, EINVAL, "domain %s can't be announced", p->about.name);
    wire_put(&p->wire, &out);
    return 0;
}

/* What comes before memory in every libxc stream. */
static int send_preamble(struct primary_engine *p, struct err *e)
{
    struct sink out = wire_sink(&p->wire);
    int rc = p->parts.guest->ops->preamble(p->parts.guest, &out, e);

    if (rc < 0)
        return rc;
    if (record_put(&out, RECORD_STATIC_DATA_END, NULL, 0) < 0)
        return err_set(e, ENOBUFS, "no room for the preamble");
    wire_put(&p->wire, &out);
    return 0;
}

static int remember(struct primary_engine *p, bool is_given, struct err *e)
{
    const struct primary_world *world = p->parts.world;
    struct primary_past past = { .lineage = p->proto.lineage, .term = p->proto.term, .armed = true,
                                 .given = is_given };
    int rc;

    rc = world->remember(world->context, &past, e);
    if (rc == 0) {
        p->remembered_lineage = past.lineage;
        p->remembered_term = past.term;
    }
    return rc;
}

static int send_begin(struct primary_engine *p, const struct primary_action *a, struct err *e)
{
    struct epoch_begin m = { p->proto.session, a->epoch, p->proto.term, a->flags };
    struct sink out;
    int rc;

    if (p->remembered_lineage != p->proto.lineage || p->remembered_term != p->proto.term) {
        rc = remember(p, false, e);
        if (rc < 0)
            return rc;
    }
    if (!wire_has_room(&p->wire, 64))
        return err_set(e, ENOBUFS, "no room to begin epoch %" PRIu64, a->epoch);
    out = wire_sink(&p->wire);
    must(epoch_begin_put(&out, &m) == 0);
    wire_put(&p->wire, &out);
    epoch_out_begin(&p->out, a->epoch, a->flags);
    return 0;
}

void primary_send_heartbeat(struct primary_engine *p)
{
    struct heartbeat m = { p->proto.session, now_of(p), p->proto.peer_sent_ns };
    struct sink out = wire_sink(&p->wire);

    if (heartbeat_put(&out, &m) == 0) /* no room: octets are on their way, which also says "alive" */
        wire_put(&p->wire, &out);
}

static int send_detach(struct primary_engine *p, const struct primary_action *a, struct err *e)
{
    struct detach m = { p->proto.session, a->reason, a->is_answer };
    struct sink out = wire_sink(&p->wire);

    FAILPOINT(send_detach);
    if (detach_put(&out, &m) < 0)
        return err_set(e, ENOBUFS, "no room to say that protection ends");
    wire_put(&p->wire, &out);
    return wire_flush(&p->wire, e) < 0 ? -e->code : 0;
}

static int pause_guest(struct primary_engine *p, struct err *e)
{
    int rc;

    if (!p->is_pausing) {
        FAILPOINT(pause);
        p->paused_at_ns = now_of(p);
        p->is_paused = true;
        p->pause_beat_ns = p->paused_at_ns;
    }
    rc = p->parts.guest->ops->pause(p->parts.guest, e);
    p->is_pausing = rc == -EAGAIN;
    if (rc == 0)
        primary_count_part(p, PAUSE_SUSPEND, p->paused_at_ns);
    if (rc == -ECANCELED && !p->proto.guest_ended)
        p->next = p->todo.n; /* it ended just now: the step finds out, and this epoch must not stand */
    return rc == -ECANCELED ? 0 : rc; /* it lies still all the same */
}

static int mark_output(struct primary_engine *p, uint64_t epoch, struct err *e)
{
    uint64_t began_ns = now_of(p);
    int rc;

    FAILPOINT(plug_mark);
    rc = p->parts.netbuf->ops->mark(p->parts.netbuf, epoch, e);
    primary_count_part(p, PAUSE_MARK, began_ns);
    return rc;
}

static int resume_guest(struct primary_engine *p, struct err *e)
{
    struct guest *g = p->parts.guest;
    uint64_t began_ns = now_of(p);
    bool is_alive;
    int rc = 0;

    FAILPOINT(resume);
    is_alive = g->ops->life(g) == GUEST_RUNS;
    if (is_alive)
        rc = g->ops->resume(g, e);
    primary_count_part(p, PAUSE_RESUME, began_ns);
    if (p->is_paused) {
        histogram_add(&p->pause_ns, now_of(p) - p->paused_at_ns);
        pause_parts_end(&p->pause_parts);
    }
    p->is_paused = false;
    if (is_alive && rc == 0)
        g->ops->settle(g);
    return rc;
}

static int release(struct primary_engine *p, const struct primary_action *a, struct err *e)
{
    struct netbuf *n = p->parts.netbuf;
    int rc;

    FAILPOINT(lease_check);
    rc = n->ops->release(n, a->epoch, a->not_after_ns, e);
    FAILPOINT(after_release);
    if (rc == -ETIME) {
        primary_raise(p, (struct primary_event){ .type = PE_RELEASE_LATE });
        return 0;
    }
    if (rc < 0)
        return rc;
    histogram_add(&p->commit_ns, now_of(p) - p->paused_at_ns);
    primary_raise(p, (struct primary_event){ .type = PE_RELEASED });
    p->parts.world->epoch_done(p->parts.world->context);
    return 0;
}

static void count_ack(struct primary_engine *p)
{
    uint64_t now_ns = now_of(p);

    FAILPOINT(recv_ack);
    epoch_out_acked(&p->out);
    if (p->epochs_acked++ > 0)
        histogram_add(&p->gap_ns, now_ns - p->acked_at_ns);
    p->acked_at_ns = now_ns;
}

static int ask_arbiter(struct primary_engine *p, const struct primary_action *a, struct err *e)
{
    struct fence_question q = { .lineage = p->proto.lineage, .term = a->term, .side = FENCE_PRIMARY };
    int rc;

    if (p->asked)
        return 0; /* an arbiter may be slower than our timeout: asking anew would never hear it */
    FAILPOINT(primary_ask_token);
    memcpy(q.domain, p->about.name, sizeof(q.domain));
    rc = p->parts.fence->ops->ask(p->parts.fence, &q, e);
    p->asked = rc == 0;
    p->asked_term = a->term;
    return rc;
}

static int connect_peer(struct primary_engine *p, struct err *e)
{
    struct link *link = NULL;
    int rc = p->parts.world->connect(p->parts.world->context, &link, e);

    if (rc == 0)
        wire_attach(&p->wire, link);
    return rc;
}

static int carry_out(struct primary_engine *p, const struct primary_action *a, struct err *e)
{
    struct netbuf *n = p->parts.netbuf;

    switch (a->type) {
    case PA_CONNECT:
        return connect_peer(p, e);
    case PA_CLOSE_LINK:
        wire_detach(&p->wire);
        return 0;
    case PA_HELLO:
        return send_hello(p, e);
    case PA_SESSION_UP:
        epoch_out_resume(&p->out, a->epoch);
        return send_preamble(p, e);
    case PA_BEGIN:
        return send_begin(p, a, e);
    case PA_PRECOPY:
        primary_set_activity(p, ACTIVITY_PRECOPY);
        return 0;
    case PA_PAUSE:
        return pause_guest(p, e);
    case PA_MARK:
        return mark_output(p, a->epoch, e);
    case PA_CAPTURE:
        primary_set_activity(p, ACTIVITY_CAPTURE);
        return 0;
    case PA_RESUME:
        return resume_guest(p, e);
    case PA_FLUSH:
        primary_set_activity(p, ACTIVITY_FLUSH);
        return 0;
    case PA_ABANDON:
        primary_set_activity(p, ACTIVITY_NONE);
        primary_own_chunks(p); /* records that began must end, or the peer reads nonsense */
        epoch_out_abandon(&p->out);
        return 0;
    case PA_ACKED:
        count_ack(p);
        return 0;
    case PA_RELEASE:
        return release(p, a, e);
    case PA_OPEN:
        FAILPOINT(go_unprotected);
        return n->ops->open(n, e);
    case PA_DROP:
        return n->ops->drop(n, e);
    case PA_DESTROY:
        p->parts.guest->ops->destroy(p->parts.guest);
        return 0;
    case PA_ASK:
        return ask_arbiter(p, a, e);
    case PA_HEARTBEAT:
        primary_send_heartbeat(p);
        return 0;
    case PA_DETACH:
        return send_detach(p, a, e);
    case PA_RESEED:
        epoch_out_forget(&p->out);
        return 0;
    case PA_REMEMBER:
        return remember(p, a->is_given, e);
    case PA_END:
        p->end_reason = a->reason;
        return 0;
    }
    return 0;
}

/* After these the rest of the list still holds; after any other failure it does not. */
static bool is_survivable(const struct primary_action *a)
{
    return a->type == PA_OPEN || a->type == PA_RESUME || a->type == PA_DROP || a->type == PA_DETACH ||
           (a->type == PA_REMEMBER && !a->is_given);
}

/* The protocol is in the middle of a list and hears nothing: the peer must not take that for a death. */
static void keep_in_touch(struct primary_engine *p)
{
    struct err unused;

    if (now_of(p) < p->pause_beat_ns)
        return;
    p->pause_beat_ns = now_of(p) + p->parts.timing.heartbeat_ns;
    primary_send_heartbeat(p);
    (void)!wire_flush(&p->wire, &unused); /* a broken link is found by who reads from it */
}

bool primary_act_next(struct primary_engine *p)
{
    const struct primary_action a = p->todo.list[p->next++];
    struct err e = { 0 };
    int rc = carry_out(p, &a, &e);

    if (rc == 0)
        return true;
    if (p->is_pausing) {
        p->next--;
        keep_in_touch(p);
        return false;
    }
    primary_say(p, LOG_LEVEL_WARNING, "event=fault domain=%s role=primary reason=\"%s\"", p->about.name, e.text);
    p->why = e;
    if (!is_survivable(&a))
        p->next = p->todo.n;
    if (!p->has_raised)
        primary_raise(p, (struct primary_event){ .type = PE_FAULT, .fault = a.type });
    return true;
}

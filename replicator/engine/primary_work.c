/* primary_work — the open epoch, moved on by one bounded unit a call: a pass over the log, a copy, a
 * chunk. While the guest is paused pages are only copied, and encoded only when the buffer is full. */
#include "replicator/engine/primary_inside.h"

#include <errno.h>
#include <inttypes.h>

void primary_own_chunks(struct primary_engine *p)
{
    wire_own(&p->wire);
    epoch_out_gone(&p->out, UINT64_MAX);
}

void primary_set_activity(struct primary_engine *p, enum activity activity)
{
    p->activity = activity;
    p->is_pass_open = false;
    p->catch_up_ns = 0;
}

static void epoch_fault(struct primary_engine *p, enum primary_action_type during, const struct err *e)
{
    struct primary_event ev = { .type = PE_FAULT, .fault = during };

    primary_say(p, LOG_LEVEL_WARNING, "event=fault domain=%s role=primary epoch=%" PRIu64 " reason=\"%s\"",
        p->about.name, p->proto.epoch, e->text);
    p->why = *e;
    primary_set_activity(p, ACTIVITY_NONE);
    primary_feed(p, &ev);
}

/* The next chunk on its way, or begun: 1 done, 0 all is on its way, -EAGAIN a thread or the wire is waited
 * for. */
static int encode_chunk(struct primary_engine *p)
{
    const struct pages_built *built = epoch_out_ready(&p->out);

    epoch_out_gone(&p->out, p->wire.gone_bytes);
    if (built && wire_put_pieces(&p->wire, built->pieces, built->count)) {
        epoch_out_give(&p->out, p->wire.put_bytes);
        return 1;
    }
    p->out.is_link_behind = wire_waiting(&p->wire) > 0;
    if (epoch_out_encode(&p->out))
        return 1;
    if (!built && workers_help(p->out.encoders.workers))
        return 1;
    return epoch_out_is_drained(&p->out) ? 0 : -EAGAIN;
}

/* Copies, and drains whenever the buffer is full: 1 progress, 0 the pass is wholly copied. */
static int copy_pass(struct primary_engine *p, bool drain_all, struct err *e)
{
    bool is_copied = p->is_pass_open && dirty_next(&p->out.todo, p->out.cursor) >= p->out.todo.pages;
    uint64_t began_ns;
    int rc;

    if ((drain_all || !is_copied) && !epoch_out_is_drained(&p->out))
        return encode_chunk(p);
    if (is_copied)
        return 0;
    began_ns = now_of(p);
    rc = epoch_out_copy(&p->out, e);
    primary_count_part(p, PAUSE_COPY, began_ns);
    if (rc != -EBUSY)
        return rc < 0 ? rc : 1;
    /* The guest's pause does not wait for the link: what is under way moves out of the buffer's way. */
    if (p->activity == ACTIVITY_CAPTURE)
        primary_own_chunks(p);
    epoch_out_gone(&p->out, p->wire.gone_bytes);
    return encoders_hold_places(&p->out.encoders) ? -EAGAIN : 1;
}

static int open_pass(struct primary_engine *p, struct err *e)
{
    uint64_t began_ns = now_of(p);
    int64_t pages = epoch_out_pass(&p->out, e);

    primary_count_part(p, PAUSE_LOG, began_ns);
    if (pages < 0)
        return (int)pages;
    p->is_pass_open = true;
    p->pass_pages = (uint64_t)pages;
    return 1;
}

/* Little is left to copy. The guest's output will be held from the pause on, so the pause waits until
 * the backup has worked off what is on its way: until it echoes a heartbeat queued behind all of it. */
static int wait_for_backup(struct primary_engine *p)
{
    if (p->catch_up_ns == 0) {
        p->catch_up_ns = now_of(p);
        primary_send_heartbeat(p);
    }
    if (p->proto.echo_ns < p->catch_up_ns)
        return -EAGAIN;
    primary_set_activity(p, ACTIVITY_NONE);
    primary_feed_plain(p, PE_PRECOPIED);
    return 1;
}

static int precopy_on(struct primary_engine *p, struct err *e)
{
    int rc;

    if (p->catch_up_ns != 0)
        return wait_for_backup(p);
    if (!p->is_pass_open) {
        rc = open_pass(p, e);
        if (rc < 0 || !epoch_out_is_small(&p->out, p->pass_pages))
            return rc;
        return wait_for_backup(p);
    }
    rc = copy_pass(p, true, e);
    if (rc == 0)
        p->is_pass_open = false;
    return rc < 0 ? rc : 1;
}

static int capture_on(struct primary_engine *p, struct err *e)
{
    uint64_t began_ns;
    int rc;

    if (!p->is_pass_open) {
        epoch_out_verify(&p->out);
        rc = open_pass(p, e);
        if (rc > 0)
            p->dirty_last = p->pass_pages;
        return rc;
    }
    rc = copy_pass(p, false, e);
    if (rc != 0)
        return rc;
    began_ns = now_of(p);
    rc = epoch_out_state(&p->out, e);
    primary_count_part(p, PAUSE_STATE, began_ns);
    if (rc == 0)
        primary_set_activity(p, ACTIVITY_VERIFY);
    return rc < 0 ? rc : 1;
}

/* The guest lies still for as long as that takes, and signs of life go on. */
static int verify_on(struct primary_engine *p, struct err *e)
{
    int rc = epoch_out_verify_rest(&p->out, e);

    if (rc != 0)
        return rc;
    primary_set_activity(p, ACTIVITY_NONE);
    primary_feed_plain(p, PE_CAPTURED);
    return 1;
}

/* What was noted of every page, on its way: 1 some is, 0 all is, -EAGAIN the wire is waited for. */
static int send_sums(struct primary_engine *p)
{
    struct sink out;
    int rc;

    if (!wire_has_room(&p->wire, PAGESUMS_RECORD_MAX))
        return -EAGAIN;
    out = wire_sink(&p->wire);
    rc = epoch_out_sums(&p->out, &out);
    if (rc > 0)
        wire_put(&p->wire, &out);
    return rc == -ENOBUFS ? -EAGAIN : rc;
}

static int flush_on(struct primary_engine *p)
{
    struct sink out;
    int rc = encode_chunk(p);

    if (rc == 0)
        rc = send_sums(p);
    if (rc != 0)
        return rc;
    if (!wire_has_room(&p->wire, epoch_out_finish_bytes(&p->out)))
        return -EAGAIN;
    primary_send_heartbeat(p); /* the ack's echo, and with it the lease, is then as fresh as can be */
    out = wire_sink(&p->wire);
    if (epoch_out_finish(&p->out, &out) < 0)
        return -EAGAIN;
    wire_put(&p->wire, &out);
    primary_set_activity(p, ACTIVITY_NONE);
    primary_feed_plain(p, PE_SENT);
    return 1;
}

bool primary_work(struct primary_engine *p)
{
    static const enum primary_action_type fault_of[] = { PA_BEGIN, PA_PRECOPY, PA_CAPTURE, PA_CAPTURE, PA_FLUSH };
    enum activity was = p->activity;
    struct err e = { 0 };
    int rc = 0;

    switch (p->activity) {
    case ACTIVITY_NONE:
        return false;
    case ACTIVITY_PRECOPY:
        rc = precopy_on(p, &e);
        break;
    case ACTIVITY_CAPTURE:
        rc = capture_on(p, &e);
        break;
    case ACTIVITY_VERIFY:
        rc = verify_on(p, &e);
        break;
    case ACTIVITY_FLUSH:
        rc = flush_on(p);
        break;
    }
    if (rc < 0 && rc != -EAGAIN)
        epoch_fault(p, fault_of[was], &e);
    return rc != -EAGAIN;
}

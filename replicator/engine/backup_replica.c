/* backup_replica — the replica's life within the engine: made, begun, watched, compared, given up,
 * dropped. One
 * that takes its time (see replica.h) is gone on with whenever its descriptor says so. */
#include "replicator/engine/backup_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "compress/codec.h"

void backup_drop_replica(struct backup_engine *b)
{
    if (b->has_stage)
        stage_close(&b->stage);
    b->has_stage = false;
    if (b->replica)
        b->replica->ops->close(b->replica);
    b->replica = NULL;
    b->is_building = false;
}

int backup_make_replica(struct backup_engine *b, const struct hello *h, struct err *e)
{
    const struct backup_world *world = b->parts.world;
    size_t limit = b->parts.stage_bytes;
    int rc = world->make_replica(world->context, h, &b->replica, e);

    if (rc < 0)
        return rc;
    if (limit == 0) /* every page raw, its index, and the chunks' heads */
        limit = h->pages * (PAGE_BYTES + PAGE_BYTES / 8) + 2 * PAGES_BODY_MAX;
    rc = stage_open(&b->stage, b->replica, limit, b->parts.decoders, e);
    if (rc < 0) {
        backup_drop_replica(b);
        return rc;
    }
    b->has_stage = true;
    b->shape = *h;
    return 0;
}

int backup_begin_replica(struct backup_engine *b, struct err *e)
{
    int rc = b->replica->ops->preamble(b->replica, b->preamble, b->preamble_bytes, e);

    b->is_building = rc == -EAGAIN;
    must(!b->is_building || b->proto.committed == 0);
    return b->is_building ? 0 : rc;
}

void backup_give_up(struct backup_engine *b, const struct err *e)
{
    backup_say(b, LOG_LEVEL_ERR, "event=lost domain=%s role=backup epoch=%" PRIu64 " reason=\"%s\"",
               b->shape.name, b->proto.committed, e->text);
    b->is_lost = true;
    b->activate_at_ns = 0;
    backup_raise(b, (struct backup_event){ .type = BE_STOP });
}

static bool has_news(const struct backup_engine *b)
{
    struct pollfd fd = { .fd = b->replica->ops->event_fd(b->replica), .events = POLLIN };

    return fd.fd >= 0 && poll(&fd, 1, 0) > 0;
}

bool backup_look_at_replica(struct backup_engine *b)
{
    struct err e = { 0 };

    if (!b->replica || b->guest || b->is_lost || !has_news(b))
        return false;
    if (b->is_building) {
        if (backup_begin_replica(b, &e) < 0)
            backup_link_down(b, &e);
        return true;
    }
    if (b->proto.state == B_ACTIVATING) {
        b->activate_at_ns = backup_now(b);
        return false;
    }
    if (b->replica->ops->health(b->replica, &e) == 0)
        return false;
    backup_give_up(b, &e);
    return true;
}

/* ---- compared with the guest --------------------------------------------------------------------- */

/* " 0x1a 0x1b …": as many as are known. */
static const char *named(const struct stage_compared *c, char to[STAGE_DIFFERING_MAX * 20 + 8])
{
    size_t n = c->differing < STAGE_DIFFERING_MAX ? (size_t)c->differing : STAGE_DIFFERING_MAX;
    char *at = to;

    *at = '\0';
    for (size_t i = 0; i < n; i++)
        at += sprintf(at, " %#" PRIx64, c->pfns[i]);
    if (n < c->differing)
        strcpy(at, " …");
    return to;
}

/* A primary that can't be told is lost: the next thing that is sent to it will find that. */
static void tell_compared(struct backup_engine *b)
{
    const struct backup_verified *v = &b->verified;
    struct verified m = { b->proto.session, v->epoch, v->pages, v->differing, v->first_pfn };
    struct sink out = wire_sink(&b->wire);
    char pfns[STAGE_DIFFERING_MAX * 20 + 8];

    if (b->wire.link && verified_put(&out, &m) == 0)
        wire_put(&b->wire, &out);
    if (v->differing == 0)
        backup_say(b, LOG_LEVEL_INFO, "event=verified domain=%s role=backup epoch=%" PRIu64 " pages=%" PRIu64,
                   b->shape.name, v->epoch, v->pages);
    else
        backup_say(b, LOG_LEVEL_ERR, "event=differs domain=%s role=backup epoch=%" PRIu64 " reason=\"%" PRIu64
                   " of %" PRIu64 " pages of the replica differ from the guest's: pfn%s; it is given up\"",
                   b->shape.name, v->epoch, v->differing, v->pages, named(&b->stage.compared, pfns));
}

bool backup_compare(struct backup_engine *b, bool *ret_differs)
{
    const struct stage_compared *c = &b->stage.compared;
    int rc = stage_compare(&b->stage);

    *ret_differs = rc == 0 && c->differing > 0;
    if (rc != 0)
        return rc > 0;
    b->verified.epochs += c->differing == 0;
    b->verified.epoch = b->proto.committed;
    b->verified.pages = c->pages;
    b->verified.differing = c->differing;
    b->verified.first_pfn = c->differing > 0 ? c->pfns[0] : 0;
    tell_compared(b);
    return false;
}

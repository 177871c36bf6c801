/* fake_netbuf — the plug in the primary host's kernel, which outlives the daemon: one marked epoch is
 * remembered, a second mark joins the older one's frames to it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "netbuf/netbuf_alone.h"
#include "tests/sim/observer.h"
#include "tests/sim/world.h"

void plug_take(struct world *w, uint64_t value)
{
    struct plug *p = &w->plug;
    struct frame f = { .value = value };

    if (p->dropped)
        return;
    if (!p->holds)
        observe_frame(w, &f, BY_PASSING);
    else if (p->n < FRAMES_MAX)
        p->frames[p->n++] = f;
}

static bool is_deaf(struct world *w)
{
    return !w->nodes[PRIMARY].is_alive;
}

static int refuse(struct err *e)
{
    return err_set(e, EIO, "netlink: no buffer space");
}

static int fake_mark(struct netbuf *n, uint64_t epoch, struct err *e)
{
    struct world *w = the_world;
    struct plug *p = &w->plug;
    bool fails;

    (void)n;
    world_point(w, PRIMARY, PLACE_ANY);
    if (is_deaf(w))
        return refuse(e);
    fails = world_fails(w, CALL_netbuf_mark);
    if (fails && coin(w, 500000))
        return refuse(e);
    observe_mark(w, epoch);
    p->holds = true;
    for (unsigned i = 0; i < p->n; i++) {
        if (p->frames[i].serial == 0)
            p->frames[i].serial = w->serial;
        p->frames[i].epoch = epoch;
    }
    world_point(w, PRIMARY, PLACE_ANY);
    return fails ? refuse(e) : 0;
}

/* The kernel empties what was unplugged at its own pace; the caller asked in time, or not at all. */
static void let_out(struct world *w, unsigned count, enum frame_way way)
{
    struct plug *p = &w->plug;

    for (unsigned i = 0; i < count && !w->is_over; i++)
        observe_frame(w, &p->frames[i], way);
    p->n -= count;
    memmove(p->frames, p->frames + count, p->n * sizeof(p->frames[0]));
}

static int fake_release(struct netbuf *n, uint64_t epoch, uint64_t not_after_ns, struct err *e)
{
    struct world *w = the_world;
    struct plug *p = &w->plug;
    unsigned count = 0;
    bool fails;

    (void)n;
    world_point(w, PRIMARY, PLACE_ANY);
    if (is_deaf(w))
        return refuse(e);
    fails = world_fails(w, CALL_netbuf_release);
    if (fails && coin(w, 500000))
        return refuse(e);
    while (count < p->n && p->frames[count].epoch != 0 && p->frames[count].epoch <= epoch)
        count++;
    if (world_local(&w->nodes[PRIMARY], w->now) > not_after_ns) {
        trace(w, "netbuf  release of epoch %" PRIu64 " is late", epoch);
        return err_set(e, ETIME, "the lease is over");
    }
    trace(w, "netbuf  release of epoch %" PRIu64 ": %u frames", epoch, count);
    let_out(w, count, BY_RELEASE);
    world_point(w, PRIMARY, PLACE_ANY);
    return fails ? refuse(e) : 0;
}

static int fake_open(struct netbuf *n, struct err *e)
{
    struct world *w = the_world;
    bool fails;

    (void)n;
    world_point(w, PRIMARY, PLACE_ANY);
    if (is_deaf(w))
        return refuse(e);
    fails = world_fails(w, CALL_netbuf_open);
    if (fails && coin(w, 500000))
        return refuse(e);
    trace(w, "netbuf  open: %u frames", w->plug.n);
    w->plug.holds = false;
    observe_open(w);
    let_out(w, w->plug.n, BY_PASSING);
    world_point(w, PRIMARY, PLACE_ANY);
    return fails ? refuse(e) : 0;
}

static int fake_drop(struct netbuf *n, struct err *e)
{
    struct world *w = the_world;

    (void)n;
    world_point(w, PRIMARY, PLACE_ANY);
    if (is_deaf(w))
        return refuse(e);
    trace(w, "netbuf  drop: %u frames", w->plug.n);
    w->plug.dropped = true;
    w->plug.n = 0;
    return 0;
}

static void fake_stats(struct netbuf *n, struct netbuf_stats *ret)
{
    (void)n;
    *ret = (struct netbuf_stats){ .held_frames = the_world->plug.n };
}

/* While every mark fails an interface is there whose output can't be held. */
bool plug_is_whole(const struct world *w)
{
    return !(w->fail_forever[CALL_netbuf_mark] && w->fail_in[CALL_netbuf_mark] == 1);
}

static void fake_health(const struct netbuf *n, struct netbuf_health *ret)
{
    (void)n;
    *ret = (struct netbuf_health){ .is_whole = plug_is_whole(the_world) };
}

static void fake_close(struct netbuf *n)
{
    (void)n;
}

const struct netbuf_ops fake_netbuf_ops = {
    .kind = "fake", .holds = true, .mark = fake_mark, .release = fake_release, .open = fake_open,
    .drop = fake_drop, .stats = fake_stats, .ports = netbuf_alone_ports, .fd = netbuf_alone_fd,
    .watch = netbuf_alone_watch, .health = fake_health, .close = fake_close,
};

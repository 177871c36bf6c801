/* primary_walk_test — random walks over every event a primary can meet, with fields that are right,
 * nearly right or anything: no assertion fires, no promise of proto/primary.h breaks, time goes on.
 */
#include "replicator/proto/primary.h"

#include "base/rng.h"
#include "tests/unit/primary_bench.h"

struct walk {
    struct bench b;
    struct rng r;
    bool is_guest_paused;
    uint64_t newest_begun;
    bool is_epoch_open; /* begun, neither acknowledged nor abandoned */
};

/* A field from outside: mostly near what would be right, sometimes anything. */
static uint64_t near(struct rng *r, uint64_t right)
{
    switch (rng_below(r, 8)) {
    case 0:
        return right + 1;
    case 1:
        return right - 1;
    case 2:
        return 0;
    case 3:
        return rng_next(r);
    default:
        return right;
    }
}

/* What an arbiter's owner may have said when output opens although a commit may exist. */
static bool may_open(const struct primary *before, const struct primary_event *ev)
{
    if (before->owns || !before->armed)
        return true;
    switch (ev->type) {
    case PE_TOKEN:
        return before->state == P_ASKING && ev->answer == FENCE_GRANTED && ev->term == before->term;
    case PE_DETACH:
        return ev->detach->session == before->session;
    default:
        return before->open_due;
    }
}

static void check_release(const struct walk *w, const struct primary_action *a)
{
    const struct primary *p = &w->b.p;

    assert_true(a->epoch != 0 && a->epoch == p->acked && a->epoch <= p->epoch);
    assert_true(p->state >= P_READY && p->state <= P_AWAIT);
    if (!p->owns)
        assert_true(w->b.now < a->not_after_ns && a->not_after_ns == p->lease_until_ns);
}

static void check_action(struct walk *w, const struct primary *before,
                         const struct primary_event *ev, const struct primary_action *a)
{
    switch (a->type) {
    case PA_RELEASE:
        check_release(w, a);
        break;
    case PA_OPEN:
        assert_true(may_open(before, ev));
        assert_false(w->b.p.held);
        break;
    case PA_BEGIN:
        assert_false(w->is_epoch_open);
        assert_true(a->epoch > w->newest_begun);
        w->newest_begun = a->epoch;
        w->is_epoch_open = true;
        break;
    case PA_ABANDON:
        w->is_epoch_open = false;
        break;
    case PA_ACKED:
        assert_true(w->is_epoch_open && a->epoch == w->newest_begun && before->state == P_AWAIT);
        w->is_epoch_open = false;
        break;
    case PA_PAUSE:
        assert_false(w->is_guest_paused);
        w->is_guest_paused = true;
        break;
    case PA_RESUME:
        assert_true(w->is_guest_paused);
        w->is_guest_paused = false;
        break;
    case PA_MARK:
        assert_true(w->is_guest_paused && w->b.p.held);
        break;
    case PA_DESTROY:
        assert_true(
            (ev->type == PE_TOKEN && ev->answer == FENCE_DENIED) ||
            (ev->type == PE_HELLO_ACK && ev->hello_ack->verdict == HELLO_ACTIVE && before->owns));
        break;
    default:
        break;
    }
}

static void walk_step(struct walk *w, struct primary_event ev)
{
    struct primary before = w->b.p;
    const struct primary *p = &w->b.p;

    feed(&w->b, ev);
    if (before.state == P_FENCED || before.state == P_ENDED)
        assert_int_equal(w->b.out.n, 0);
    for (unsigned i = 0; i < w->b.out.n; i++)
        check_action(w, &before, &ev, &w->b.out.list[i]);
    /* The guest is still for the capture only (or for good, in the hands of PA_DESTROY). */
    assert_int_equal(w->is_guest_paused, p->paused);
    /* Else only as its predecessor left it, until the token says whose it is. */
    assert_true(p->paused == (p->state == P_CAPTURE) || p->state < P_READY || p->state == P_ASKING || p->state >= P_FENCED);
    assert_true(p->state != P_ENDED || !p->held);
    assert_true(p->lineage != 0 && p->acked <= p->epoch + 1);
    assert_true(before.term == p->term || before.term + 1 == p->term ||
                p->lineage != before.lineage);
    if (primary_is_protected(p, w->b.now))
        assert_true(p->acked > 0 && p->state >= P_READY && p->state <= P_AWAIT && p->held &&
                    p->armed);
}

/* After a tick at the deadline a waiting machine waits for something ahead. */
static void walk_tick(struct walk *w)
{
    struct primary_event tick = { .type = PE_TICK };
    uint64_t at = primary_deadline(&w->b.p);

    if (at == TIME_NEVER) {
        assert_true(w->b.p.state == P_FENCED || w->b.p.state == P_ENDED);
        return;
    }
    w->b.now = at > w->b.now ? at : w->b.now;
    for (unsigned i = 0; primary_deadline(&w->b.p) <= w->b.now; i++) {
        assert_true(i < 4);
        walk_step(w, tick);
    }
}

static void walk_message(struct walk *w, enum primary_event_type type)
{
    const struct primary *p = &w->b.p;
    struct rng *r = &w->r;
    uint64_t session = near(r, p->session), echo = w->b.now - rng_below(r, TIMEOUT_NS);
    struct hello_ack hello = { .session = session,
                               .lineage = near(r, p->lineage),
                               .committed = rng_chance(r, 300000) ? near(r, p->epoch) : p->acked,
                               .echo_ns = near(r, echo),
                               .verdict =
                                   rng_chance(r, 100000) ? (uint32_t)rng_below(r, 10) : HELLO_OK };
    struct ack ack = { session, near(r, p->epoch), near(r, echo) };
    struct heartbeat heart = { session, near(r, w->b.now), near(r, echo) };
    struct need_pages need = { session, near(r, p->epoch) };
    struct detach bye = { session, 1 + (uint32_t)rng_below(r, 6), rng_chance(r, 500000) };
    struct primary_event ev = { .type = type };

    switch (type) {
    case PE_HELLO_ACK:
        ev.hello_ack = &hello;
        break;
    case PE_ACK:
        ev.ack = &ack;
        break;
    case PE_HEARTBEAT:
        ev.heartbeat = &heart;
        break;
    case PE_NEED_PAGES:
        ev.need_pages = &need;
        break;
    default:
        ev.detach = &bye;
        break;
    }
    walk_step(w, ev);
}

/* The event that would bring the machine on. */
static enum primary_event_type wanted(const struct primary *p)
{
    static const enum primary_event_type next[P_STATES] = {
        [P_OFF] = PE_TICK,         [P_CONNECTING] = PE_LINK_UP, [P_GREETING] = PE_HELLO_ACK,
        [P_READY] = PE_TICK,       [P_PRECOPY] = PE_PRECOPIED,  [P_CAPTURE] = PE_CAPTURED,
        [P_FLUSH] = PE_SENT,       [P_AWAIT] = PE_ACK,          [P_ASKING] = PE_TOKEN,
        [P_DETACHING] = PE_DETACH,
    };

    if (p->release_due != 0 && p->state >= P_READY)
        return PE_RELEASED;
    return next[p->state];
}

static void walk_event(struct walk *w, enum primary_event_type type)
{
    struct primary_event ev = { .type = type };
    struct rng *r = &w->r;

    switch (type) {
    case PE_TICK:
        walk_tick(w);
        return;
    case PE_HELLO_ACK:
    case PE_ACK:
    case PE_HEARTBEAT:
    case PE_NEED_PAGES:
    case PE_DETACH:
        walk_message(w, type);
        return;
    case PE_RELEASED:
    case PE_RELEASE_LATE:
        if (!says(&w->b, PA_RELEASE)) /* the answer to an action, never out of the blue */
            return;
        break;
    case PE_FAULT:
        if (w->b.out.n == 0)
            return;
        ev.fault = w->b.out.list[w->b.out.n - 1].type;
        break;
    case PE_TOKEN:
        ev.answer = (enum fence_answer)(FENCE_GRANTED + rng_below(r, 8) % 3);
        if (ev.answer == FENCE_DENIED && rng_chance(r, 700000))
            ev.answer = FENCE_NO_ANSWER;
        ev.term = (uint32_t)near(r, w->b.p.term);
        break;
    case PE_GUEST_ENDED:
    case PE_STOP:
        if (!rng_chance(r, 20000))
            return;
        ev.reason = DETACH_STOPPED;
        break;
    default:
        break;
    }
    walk_step(w, ev);
}

static void walk_start(struct walk *w)
{
    const struct primary_past past = { .lineage = rng_next(&w->r),
                                       .term = 1 + (uint32_t)rng_below(&w->r, 5),
                                       .armed = rng_chance(&w->r, 500000) };
    struct timing t = { rng_chance(&w->r, 300000) ? 0 : INTERVAL_NS, HEARTBEAT_NS, TIMEOUT_NS };
    bool has_past = rng_chance(&w->r, 200000);

    w->b = (struct bench){ .now = 10 * NS_PER_S + rng_below(&w->r, NS_PER_S) };
    w->is_epoch_open = false;
    w->newest_begun = 0;
    primary_init(&w->b.p, &t, rng_chance(&w->r, 300000), LINEAGE, has_past ? &past : NULL,
                 w->b.now);
    w->is_guest_paused = w->b.p.paused;
}

static void no_order_of_events_breaks_a_promise(void **state UNUSED)
{
    struct walk w = { 0 };
    unsigned visits[P_STATES] = { 0 }, total = 0;

    rng_seed(&w.r, 1);
    for (unsigned walks = 0; walks < 2000; walks++) {
        walk_start(&w);
        for (unsigned i = 0; i < 400 && w.b.p.state != P_ENDED && w.b.p.state != P_FENCED; i++) {
            w.b.now += rng_chance(&w.r, 300000) ? rng_below(&w.r, 40 * NS_PER_MS) : 0;
            visits[w.b.p.state]++;
            walk_event(&w, rng_chance(&w.r, 650000)
                               ? wanted(&w.b.p)
                               : (enum primary_event_type)rng_below(&w.r, PE_STOP + 1));
        }
        visits[w.b.p.state]++;
    }
    for (unsigned s = 0; s < P_STATES; s++) {
        assert_true(visits[s] > 50); /* a walk that goes nowhere proves nothing */
        total += visits[s];
    }
    assert_true(total > 100000);
}

static void events_without_any_sense_harm_nothing(void **state UNUSED)
{
    struct walk w = { 0 };

    rng_seed(&w.r, 2);
    for (unsigned walks = 0; walks < 500; walks++) {
        walk_start(&w);
        for (unsigned i = 0; i < 400; i++) {
            w.b.now += rng_below(&w.r, 100 * NS_PER_MS);
            walk_event(&w, (enum primary_event_type)rng_below(&w.r, PE_STOP + 1));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_order_of_events_breaks_a_promise),
        cmocka_unit_test(events_without_any_sense_harm_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

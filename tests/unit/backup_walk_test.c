/* backup_walk_test — random walks over every event a backup can meet, with fields that are right,
 * nearly right or anything: no assertion fires, no promise of proto/backup.h breaks, time goes on.
 */
#include "replicator/proto/backup.h"

#include "base/rng.h"
#include "tests/unit/backup_bench.h"

struct walk {
    struct bench b;
    struct rng r;
    uint64_t heard_ns;    /* the newest sign of life of the primary, as this test saw it */
    bool is_discarded;
    bool is_wrong;        /* the replica differed from the guest */
};

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

static void check_action(struct walk *w, const struct backup *before, const struct backup_event *ev,
                         const struct backup_action *a)
{
    const struct backup *b = &w->b.b;

    switch (a->type) {
    case BA_ACK:
    case BA_COMMIT:
        assert_true(ev->type == BE_COMPLETE && ev->epoch == a->epoch &&
                    before->state == B_STAGING && before->staging == a->epoch &&
                    a->epoch > before->committed);
        break;
    case BA_ASK:
        assert_false(before->primary_owns);
        assert_true(w->b.now >= w->heard_ns + before->timing.timeout_ns);
        assert_true(before->committed > 0 && before->committed_term == a->term &&
                    !before->is_final);
        break;
    case BA_ACTIVATE:
        assert_false(w->is_discarded || w->is_wrong);
        assert_true(a->epoch == before->committed && a->epoch > 0 && !before->is_final);
        assert_true(before->primary_owns ? ev->type == BE_ACTIVATE && ev->fenced
                                         : ev->type == BE_TOKEN && ev->answer == FENCE_GRANTED &&
                                               ev->term == before->committed_term);
        break;
    case BA_DISCARD:
        w->is_discarded = true;
        assert_false(before->state == B_ACTIVATING || before->state == B_ACTIVE);
        break;
    case BA_RESET:
        w->is_discarded = false;
        assert_true(before->committed == 0 || ev->hello->replaces == before->lineage);
        break;
    case BA_STAGE:
        assert_true(a->epoch > before->newest_begun && a->epoch > before->committed);
        assert_int_equal((a->flags & EPOCH_SEED) != 0, before->committed == 0);
        break;
    default:
        break;
    }
    assert_true(b->state < B_STATES);
}

static void walk_step(struct walk *w, struct backup_event ev)
{
    struct backup before = w->b.b;
    const struct backup *b = &w->b.b;

    feed(&w->b, ev);
    w->is_wrong = w->is_wrong || (ev.type == BE_APPLIED && before.state == B_APPLYING && ev.differs);
    for (unsigned i = 0; i < w->b.out.n; i++)
        check_action(w, &before, &ev, &w->b.out.list[i]);
    if (b->last_rx_ns != before.last_rx_ns)
        w->heard_ns = w->b.now;
    if (before.state == B_ENDED)
        for (unsigned i = 0; i < w->b.out.n; i++)
            assert_true(w->b.out.list[i].type == BA_HELLO_ACK ||
                        w->b.out.list[i].type == BA_REFUSE);
    assert_true(b->lineage != before.lineage || b->committed >= before.committed ||
                w->is_discarded);
    assert_true(b->lineage != before.lineage ||
                (b->term >= before.term && b->session >= before.session));
    assert_true(!backup_is_ready(b) || (b->committed > 0 && !w->is_discarded && !w->is_wrong));
}

static void walk_tick(struct walk *w)
{
    struct backup_event tick = { .type = BE_TICK };
    uint64_t at = backup_deadline(&w->b.b);

    if (at == TIME_NEVER) {
        w->b.now += rng_below(&w->r, TIMEOUT_NS);
        walk_step(w, tick);
        assert_int_equal(w->b.out.n, 0);
        return;
    }
    w->b.now = at > w->b.now ? at : w->b.now;
    for (unsigned i = 0; backup_deadline(&w->b.b) <= w->b.now; i++) {
        assert_true(i < 4);
        walk_step(w, tick);
    }
}

static void walk_hello(struct walk *w)
{
    const struct backup *b = &w->b.b;
    struct hello m = hello_of(
        &w->b, rng_chance(&w->r, 800000) && b->lineage ? b->lineage : 1 + rng_below(&w->r, 5),
        rng_chance(&w->r, 600000) ? b->session + 1 : near(&w->r, b->session),
        rng_chance(&w->r, 900000) ? b->term : b->term + (uint32_t)rng_below(&w->r, 2));
    struct backup_event ev = { .type = BE_HELLO, .hello = &m };

    if (b->state == B_APPLYING)
        return; /* the engine waits with it */
    m.replaces = near(&w->r, rng_chance(&w->r, 300000) ? b->lineage : 0);
    m.timeout_ns = rng_chance(&w->r, 100000) ? TIMEOUT_NS / 2 : TIMEOUT_NS;
    ev.precheck = rng_chance(&w->r, 50000) ? HELLO_SHAPE : HELLO_OK;
    walk_step(w, ev);
}

static void walk_begin(struct walk *w)
{
    const struct backup *b = &w->b.b;
    bool is_fair = rng_chance(&w->r, 900000);
    uint32_t flags =
        (b->committed == 0 ? EPOCH_SEED : 0u) | (rng_chance(&w->r, 30000) ? EPOCH_FINAL : 0u);
    struct epoch_begin m = { is_fair ? b->session : near(&w->r, b->session),
                             is_fair ? b->newest_begun + 1 : near(&w->r, b->newest_begun),
                             b->term, is_fair ? flags : (uint32_t)rng_below(&w->r, 4) };

    walk_step(w, (struct backup_event){ .type = BE_EPOCH_BEGIN, .epoch_begin = &m });
}

static enum backup_event_type wanted(const struct backup *b)
{
    static const enum backup_event_type next[B_STATES] = {
        [B_EMPTY] = BE_HELLO,      [B_LINKED] = BE_EPOCH_BEGIN,     [B_STAGING] = BE_COMPLETE,
        [B_APPLYING] = BE_APPLIED, [B_ALONE] = BE_TICK,             [B_ASKING] = BE_TOKEN,
        [B_STALE] = BE_HELLO,      [B_ACTIVATING] = BE_ACTIVATED,   [B_ACTIVE] = BE_ACTIVATE,
        [B_LEAVING] = BE_DETACH,   [B_ENDED] = BE_TICK,
    };

    return next[b->state];
}

static void walk_event(struct walk *w, enum backup_event_type type)
{
    const struct backup *b = &w->b.b;
    struct backup_event ev = { .type = type };
    struct heartbeat heart = { near(&w->r, b->session), near(&w->r, w->b.now), 0 };
    struct detach bye = { near(&w->r, b->session), DETACH_STOPPED, rng_chance(&w->r, 700000) };

    switch (type) {
    case BE_TICK:
        walk_tick(w);
        return;
    case BE_HELLO:
        walk_hello(w);
        return;
    case BE_EPOCH_BEGIN:
        walk_begin(w);
        return;
    case BE_COMPLETE:
        ev.epoch = rng_chance(&w->r, 900000) ? b->staging : near(&w->r, b->staging);
        ev.flags = rng_chance(&w->r, 900000) ? b->staging_flags : (uint32_t)rng_below(&w->r, 4);
        break;
    case BE_HEARTBEAT:
        ev.heartbeat = &heart;
        break;
    case BE_DETACH:
        if (b->state == B_APPLYING || (b->state != B_LEAVING && !rng_chance(&w->r, 50000)))
            return;
        ev.detach = &bye;
        break;
    case BE_TOKEN:
        ev.answer = (enum fence_answer)(FENCE_GRANTED + rng_below(&w->r, 3));
        ev.term = (uint32_t)near(&w->r, b->term);
        break;
    case BE_ACTIVATE:
        ev.fenced = rng_chance(&w->r, 500000);
        break;
    case BE_APPLIED:
        ev.differs = rng_chance(&w->r, 10000);
        break;
    case BE_STOP:
        if (!rng_chance(&w->r, 30000))
            return;
        break;
    default:
        break;
    }
    walk_step(w, ev);
}

static void walk_many(uint64_t seed, unsigned walks, uint32_t sense, unsigned *visits)
{
    struct walk w = { 0 };

    rng_seed(&w.r, seed);
    for (unsigned i = 0; i < walks; i++) {
        start(&w.b, rng_chance(&w.r, 300000));
        w.heard_ns = 0;
        w.is_discarded = w.is_wrong = false;
        for (unsigned n = 0; n < 400 && w.b.b.state != B_ENDED; n++) {
            w.b.now += rng_chance(&w.r, 300000) ? rng_below(&w.r, 40 * NS_PER_MS) : 0;
            visits[w.b.b.state]++;
            walk_event(&w, rng_chance(&w.r, sense)
                               ? wanted(&w.b.b)
                               : (enum backup_event_type)rng_below(&w.r, BE_STOP + 1));
        }
        visits[w.b.b.state]++;
        for (unsigned n = 0; n < 20; n++) /* and what comes after the end */
            walk_event(&w, (enum backup_event_type)rng_below(&w.r, BE_STOP + 1));
    }
}

static void no_order_of_events_breaks_a_promise(void **state UNUSED)
{
    unsigned visits[B_STATES] = { 0 }, total = 0;

    walk_many(1, 4000, 700000, visits);
    for (unsigned s = 0; s < B_STATES; s++) {
        assert_true(visits[s] > 50);
        total += visits[s];
    }
    walk_many(2, 2000, 0, visits);
    assert_true(total > 100000);
}

static void every_state_and_end_has_words(void **state UNUSED)
{
    for (unsigned s = 0; s < B_STATES; s++)
        assert_non_null(backup_state_name((enum backup_state)s));
    assert_non_null(backup_end_words(BACKUP_END_STOPPED));
    assert_string_equal(backup_end_words(1000), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_order_of_events_breaks_a_promise),
        cmocka_unit_test(every_state_and_end_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* fake_fence — an arbiter somewhere else: a test-and-set a token. A question travels, may be lost on
 * its way there or back, and counts when it arrived, even if its asker is dead by then. */
#include <errno.h>
#include <inttypes.h>

#include "tests/sim/observer.h"
#include "tests/sim/world.h"

static enum side side_of(const struct fence *f)
{
    return f == &the_world->fence[PRIMARY] ? PRIMARY : BACKUP;
}

static enum fence_answer test_and_set(struct world *w, const struct question *q)
{
    for (unsigned i = 0; i < w->n_tokens; i++)
        if (w->tokens[i].lineage == q->lineage && w->tokens[i].term == q->term)
            return w->tokens[i].owner == q->side ? FENCE_GRANTED : FENCE_DENIED;
    if (w->n_tokens == TOKENS_MAX)
        return FENCE_NO_ANSWER;
    w->tokens[w->n_tokens].lineage = q->lineage;
    w->tokens[w->n_tokens].term = q->term;
    w->tokens[w->n_tokens++].owner = q->side;
    return FENCE_GRANTED;
}

uint64_t arbiter_wake(const struct world *w)
{
    uint64_t at = TIME_NEVER;

    for (unsigned i = 0; i < QUESTIONS_MAX; i++)
        if (w->questions[i].is_open && w->questions[i].reaches_at < at)
            at = w->questions[i].reaches_at;
    return at;
}

void arbiter_run(struct world *w)
{
    for (unsigned i = 0; i < QUESTIONS_MAX; i++) {
        struct question *q = &w->questions[i];

        if (!q->is_open || q->reaches_at > w->now)
            continue;
        q->is_open = false;
        q->answer_at = w->now + pick(w, w->config.arbiter_ns / 2, w->config.arbiter_ns);
        q->answer = FENCE_NO_ANSWER;
        if (w->now < w->arbiter_down_until || coin(w, w->config.arbiter_silence / 2)) {
            q->answer_at += w->config.timing.timeout_ns / 2;
            continue; /* never arrived */
        }
        q->answer = test_and_set(w, q);
        trace(w, "arbiter says %s to the %s for term %u", q->answer == FENCE_GRANTED ? "yes" : "no",
              q->side == PRIMARY ? "primary" : "backup", q->term);
        if (coin(w, w->config.arbiter_silence / 2)) {
            q->answer_at += w->config.timing.timeout_ns / 2;
            q->answer = FENCE_NO_ANSWER; /* decided, but the asker does not learn it */
        }
    }
}

static const struct question *current(const struct world *w, enum side side)
{
    for (unsigned i = 0; i < QUESTIONS_MAX; i++)
        if (w->questions[i].is_current && w->questions[i].side == side)
            return &w->questions[i];
    return NULL;
}

uint64_t arbiter_answer_at(const struct world *w, enum side side)
{
    const struct question *q = current(w, side);

    return !q || q->is_open ? TIME_NEVER : q->answer_at;
}

static int fake_ask(struct fence *f, const struct fence_question *asked, struct err *e)
{
    struct world *w = the_world;
    enum side side = side_of(f);
    struct question *free_one = NULL;

    world_point(w, side, PLACE_ANY);
    if (!w->nodes[side].is_alive || world_fails(w, CALL_fence_ask))
        return err_set(e, EAGAIN, "can't ask");
    if ((asked->side == FENCE_PRIMARY) != (side == PRIMARY))
        violation(w, "P3", "a question in the other side's name");
    for (unsigned i = 0; i < QUESTIONS_MAX; i++) {
        if (w->questions[i].side == side)
            w->questions[i].is_current = false;
        if (!w->questions[i].is_open && !w->questions[i].is_current)
            free_one = &w->questions[i];
    }
    if (!free_one)
        return err_set(e, EAGAIN, "can't ask");
    *free_one = (struct question){ .lineage = asked->lineage, .term = asked->term, .side = side,
                                   .is_open = true, .is_current = true, .answer_at = TIME_NEVER,
                                   .reaches_at = w->now + pick(w, w->config.arbiter_ns / 2,
                                                               w->config.arbiter_ns) };
    trace(w, "%s asks for term %u", side == PRIMARY ? "primary" : "backup ", asked->term);
    world_point(w, side, PLACE_ANY);
    return 0;
}

static enum fence_answer fake_answer(struct fence *f, struct err *e)
{
    const struct question *q = current(the_world, side_of(f));

    (void)e;
    return !q || q->is_open || q->answer_at > the_world->now ? FENCE_PENDING : q->answer;
}

static int fake_fd(const struct fence *f)
{
    (void)f;
    return 2000;
}

static void fake_close(struct fence *f)
{
    (void)f;
}

static int never_ask(struct fence *f, const struct fence_question *q, struct err *e)
{
    (void)f;
    (void)q;
    violation(the_world, "P3", "a side asks a token that is the primary's");
    return err_set(e, EINVAL, "manual");
}

const struct fence_ops fake_exec_ops = {
    .kind = "exec", .primary_owns = false, .ask = fake_ask, .answer = fake_answer, .fd = fake_fd,
    .close = fake_close,
};
const struct fence_ops fake_manual_ops = {
    .kind = "manual", .primary_owns = true, .ask = never_ask, .answer = fake_answer, .fd = fake_fd,
    .close = fake_close,
};

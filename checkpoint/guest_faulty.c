/* guest_faulty — see guest_faulty.h. */
#include "checkpoint/guest_faulty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compress/codec.h"

struct faulty {
    struct guest base;
    struct guest *inner;
    struct guest_fault_plan plan;
    struct rng rng;
    uint32_t calls[GUEST_OP_COUNT];
    uint32_t spoilt;
};

static const struct guest_ops faulty_ops;

static const char *const op_names[GUEST_OP_COUNT] = {
    [GUEST_OP_PREAMBLE] = "preamble", [GUEST_OP_PAUSE] = "pause", [GUEST_OP_DIRTY] = "dirty",
    [GUEST_OP_COPY] = "copy",         [GUEST_OP_STATE] = "state", [GUEST_OP_RESUME] = "resume",
};

static const struct faulty *faulty_of_const(const struct guest *g)
{
    must(g->ops == &faulty_ops);
    return (const struct faulty *)(const void *)g;
}

static struct faulty *faulty_of(struct guest *g)
{
    must(g->ops == &faulty_ops);
    return (struct faulty *)(void *)g;
}

static enum guest_fault_what random_what(struct faulty *f, enum guest_op op)
{
    return (enum guest_fault_what)rng_below(
        &f->rng, op == GUEST_OP_COPY ? GUEST_FAULT_COUNT : GUEST_FAULT_DEFER);
}

/* Counts a call; whether it is to be spoilt, and how. */
static bool is_spoilt(struct faulty *f, enum guest_op op, struct guest_fault *ret)
{
    uint32_t nth = ++f->calls[op];

    for (size_t i = 0; i < f->plan.n; i++) {
        *ret = f->plan.faults[i];
        if (ret->op == op && (ret->nth == 0 || ret->nth == nth)) {
            f->spoilt++;
            return true;
        }
    }
    if (!rng_chance(&f->rng, f->plan.per_million))
        return false;
    *ret = (struct guest_fault){ .op = op, .nth = nth, .what = random_what(f, op), .error = EIO };
    f->spoilt++;
    return true;
}

static int fail(const struct guest_fault *fault, struct err *e)
{
    return err_set(e, fault->error, "%s spoilt by plan: %m", op_names[fault->op]);
}

/* The common shape: fail before, or do it and fail after, or just do it. `call` must not be evaluated
 * in the first case, so this is a macro. */
#define SPOIL(f, op, call, e)                                    \
    do {                                                         \
        struct guest_fault fault_;                               \
        int rc_;                                                 \
        if (!is_spoilt(f, op, &fault_))                          \
            return call;                                         \
        if (fault_.what == GUEST_FAULT_BEFORE)                   \
            return fail(&fault_, e);                             \
        rc_ = call;                                              \
        return rc_ < 0 ? rc_ : fail(&fault_, e);                 \
    } while (0)

static void faulty_info(const struct guest *g, struct guest_info *ret)
{
    const struct faulty *f = faulty_of_const(g);

    f->inner->ops->info(f->inner, ret);
}

static int faulty_preamble(struct guest *g, struct sink *to, struct err *e)
{
    struct faulty *f = faulty_of(g);

    SPOIL(f, GUEST_OP_PREAMBLE, f->inner->ops->preamble(f->inner, to, e), e);
}

static int faulty_pause(struct guest *g, struct err *e)
{
    struct faulty *f = faulty_of(g);

    SPOIL(f, GUEST_OP_PAUSE, f->inner->ops->pause(f->inner, e), e);
}

static int faulty_dirty(struct guest *g, struct dirty *into, struct err *e)
{
    struct faulty *f = faulty_of(g);

    SPOIL(f, GUEST_OP_DIRTY, f->inner->ops->dirty(f->inner, into, e), e);
}

static int faulty_copy(struct guest *g, const uint64_t *pfns, size_t n, uint8_t *const *to, uint8_t *types,
                       struct err *e)
{
    struct faulty *f = faulty_of(g);
    struct guest_fault fault;
    int rc;

    if (!is_spoilt(f, GUEST_OP_COPY, &fault))
        return f->inner->ops->copy(f->inner, pfns, n, to, types, e);
    if (fault.what == GUEST_FAULT_BEFORE)
        return fail(&fault, e);
    rc = f->inner->ops->copy(f->inner, pfns, n, to, types, e);
    if (rc < 0 || fault.what == GUEST_FAULT_AFTER)
        return rc < 0 ? rc : fail(&fault, e);
    for (size_t i = 0; i < n; i += 2) {
        memset(to[i], 0xdb, PAGE_BYTES); /* whoever uses it shall notice */
        types[i] = PAGE_TYPE_DEFERRED;
    }
    return 0;
}

static int faulty_state(struct guest *g, struct sink *to, struct err *e)
{
    struct faulty *f = faulty_of(g);

    SPOIL(f, GUEST_OP_STATE, f->inner->ops->state(f->inner, to, e), e);
}

static int faulty_resume(struct guest *g, struct err *e)
{
    struct faulty *f = faulty_of(g);

    SPOIL(f, GUEST_OP_RESUME, f->inner->ops->resume(f->inner, e), e);
}

static void faulty_settle(struct guest *g)
{
    struct faulty *f = faulty_of(g);

    f->inner->ops->settle(f->inner);
}

static enum guest_life faulty_life(struct guest *g)
{
    struct faulty *f = faulty_of(g);

    return f->inner->ops->life(f->inner);
}

static int faulty_event_fd(struct guest *g)
{
    struct faulty *f = faulty_of(g);

    return f->inner->ops->event_fd(f->inner);
}

static void faulty_destroy(struct guest *g)
{
    struct faulty *f = faulty_of(g);

    f->inner->ops->destroy(f->inner);
}

static void faulty_close(struct guest *g)
{
    struct faulty *f = faulty_of(g);

    f->inner->ops->close(f->inner);
    free(f);
}

static const struct guest_ops faulty_ops = {
    .kind = "faulty",
    .info = faulty_info,
    .preamble = faulty_preamble,
    .pause = faulty_pause,
    .dirty = faulty_dirty,
    .copy = faulty_copy,
    .state = faulty_state,
    .resume = faulty_resume,
    .settle = faulty_settle,
    .life = faulty_life,
    .event_fd = faulty_event_fd,
    .destroy = faulty_destroy,
    .close = faulty_close,
};

int guest_faulty_open(struct guest **ret, struct guest *inner, const struct guest_fault_plan *plan,
                      struct err *e)
{
    struct faulty *f = calloc(1, sizeof(*f));

    if (!f)
        return err_set(e, ENOMEM, "no memory for a faulty guest");
    must(plan->n <= GUEST_FAULTS_MAX);
    f->base.ops = &faulty_ops;
    f->inner = inner;
    f->plan = *plan;
    rng_seed(&f->rng, plan->seed);
    *ret = &f->base;
    return 0;
}

uint32_t guest_faulty_calls(const struct guest *g, enum guest_op op)
{
    return faulty_of_const(g)->calls[op];
}

uint32_t guest_faulty_spoilt(const struct guest *g)
{
    return faulty_of_const(g)->spoilt;
}

/* fence_manual — the token is the primary's from the start: losing the backup never makes a guest
 * less available. The backup activates on a person's or cluster manager's word only, so it has no
 * reason to ask; should it, the answer is no. */
#include <errno.h>
#include <stdlib.h>

#include "replicator/fence/fence_rows.h"

struct fence_manual {
    struct fence fence;
    enum fence_answer answer;
};

static int manual_ask(struct fence *f, const struct fence_question *q, UNUSED struct err *e)
{
    ((struct fence_manual *)f)->answer = q->side == FENCE_PRIMARY ? FENCE_GRANTED : FENCE_DENIED;
    return 0;
}

static enum fence_answer manual_answer(struct fence *f, UNUSED struct err *e)
{
    return ((struct fence_manual *)f)->answer;
}

static int manual_fd(UNUSED const struct fence *f)
{
    return -1;
}

static void manual_close(struct fence *f)
{
    free(f);
}

static const struct fence_ops manual_ops = {
    .kind = "manual",
    .primary_owns = true,
    .ask = manual_ask,
    .answer = manual_answer,
    .fd = manual_fd,
    .close = manual_close,
};

int fence_manual_open(struct fence **ret, UNUSED const char *where, UNUSED uint64_t timeout_ns,
                      struct err *e)
{
    struct fence_manual *m = calloc(1, sizeof(*m));

    if (!m)
        return err_set(e, ENOMEM, "arbiter: %m");
    m->fence.ops = &manual_ops;
    m->answer = FENCE_PENDING;
    *ret = &m->fence;
    return 0;
}

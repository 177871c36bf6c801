/* fence_exec — the arbiter is a program: PROGRAM DOMAIN LINEAGE TERM primary|backup.
 * Exit 0 grants, 1 denies; any other end, a program that can't be started, or none within the time
 * is no answer. What it prints goes to our stderr. A program that is too slow is killed with all
 * its group; a grant that it may have noted down by then is given again when it is asked again. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "replicator/fence/fence_rows.h"

struct fence_exec {
    struct fence fence;
    char *program;
    uint64_t timeout_ns;

    pid_t asked;          /* 0: nobody is being asked */
    int ended_fd;         /* a pidfd of it */
    uint64_t deadline_ns;
    enum fence_answer answer;
    struct err why;       /* of FENCE_NO_ANSWER */
};

/* Forgets the program that is being asked; one that runs still is killed. */
static void stop_asking(struct fence_exec *x)
{
    if (x->asked)
        child_end(x->asked, 0, 0);
    x->asked = 0;
    auto_close(&x->ended_fd);
}

static int null_fd(void)
{
    AUTO_CLOSE int low = open("/dev/null", O_RDWR | O_CLOEXEC);

    return low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, 3);
}

static int start(struct fence_exec *x, const struct fence_question *q)
{
    AUTO_CLOSE int in = null_fd();
    AUTO_CLOSE int out = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    char lineage[17], term[11];
    const char *const arguments[] = { x->program, q->domain, lineage, term, fence_side_name(q->side), NULL };

    if (in < 0)
        return -errno;
    snprintf(lineage, sizeof(lineage), "%016" PRIx64, q->lineage);
    snprintf(term, sizeof(term), "%" PRIu32, q->term);
    return child_start(&x->asked, x->program, arguments, in, out < 0 ? in : out);
}

static int exec_ask(struct fence *f, const struct fence_question *q, struct err *e)
{
    struct fence_exec *x = (struct fence_exec *)f;
    int rc = fence_question_check(q, e);

    if (rc < 0)
        return rc;
    stop_asking(x);
    x->answer = FENCE_PENDING;
    x->deadline_ns = fence_deadline(x->timeout_ns);
    rc = start(x, q);
    if (rc < 0) {
        x->asked = 0;
        x->answer = FENCE_NO_ANSWER;
        err_set(&x->why, -rc, "arbiter %s: %m", x->program);
        return 0; /* the question was taken; answer() says the rest */
    }
    x->ended_fd = pidfd_open(x->asked, 0);
    return 0;
}

/* The program ended: what its status means. */
static enum fence_answer answer_of(struct fence_exec *x, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return FENCE_GRANTED;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
        return FENCE_DENIED;
    if (WIFEXITED(status))
        err_set(&x->why, EPROTO, "arbiter %s: exit status %d", x->program, WEXITSTATUS(status));
    else
        err_set(&x->why, EPROTO, "arbiter %s: ended by signal %d", x->program, WTERMSIG(status));
    return FENCE_NO_ANSWER;
}

static enum fence_answer exec_answer(struct fence *f, struct err *e)
{
    struct fence_exec *x = (struct fence_exec *)f;
    int status;
    pid_t ended;

    if (x->asked) {
        ended = waitpid(x->asked, &status, WNOHANG);
        if (ended == x->asked) {
            x->asked = 0;
            x->answer = answer_of(x, status);
        } else if (ended < 0 && errno == ECHILD) {
            x->asked = 0;
            x->answer = FENCE_NO_ANSWER;
            err_set(&x->why, ECHILD, "arbiter %s: somebody else took its exit status", x->program);
        } else if (clock_now_ns() >= x->deadline_ns) {
            x->answer = FENCE_NO_ANSWER;
            err_set(&x->why, ETIMEDOUT, "arbiter %s: no answer within %" PRIu64 " ms", x->program,
                    x->timeout_ns / NS_PER_MS);
        }
        if (x->answer != FENCE_PENDING)
            stop_asking(x);
    }
    if (x->answer == FENCE_NO_ANSWER)
        *e = x->why;
    return x->answer;
}

static int exec_fd(const struct fence *f)
{
    return ((const struct fence_exec *)f)->ended_fd;
}

static void exec_close(struct fence *f)
{
    struct fence_exec *x = (struct fence_exec *)f;

    stop_asking(x);
    free(x->program);
    free(x);
}

static const struct fence_ops exec_ops = {
    .kind = "exec",
    .primary_owns = false,
    .ask = exec_ask,
    .answer = exec_answer,
    .fd = exec_fd,
    .close = exec_close,
};

/* A program that is not there is said now, and not first in the night when it is needed. */
int fence_exec_open(struct fence **ret, const char *where, uint64_t timeout_ns, struct err *e)
{
    struct fence_exec *x;

    if (access(where, X_OK) < 0)
        return err_set(e, errno, "arbiter exec:%s: %m", where);
    x = calloc(1, sizeof(*x));
    if (x)
        x->program = strdup(where);
    if (!x || !x->program) {
        free(x);
        return err_set(e, ENOMEM, "arbiter exec:%s: %m", where);
    }
    x->fence.ops = &exec_ops;
    x->timeout_ns = timeout_ns;
    x->ended_fd = -1;
    x->answer = FENCE_PENDING;
    *ret = &x->fence;
    return 0;
}

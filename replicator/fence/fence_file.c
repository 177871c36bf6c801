/* fence_file — the arbiter is a folder on storage that both hosts see (token_file has the rules).
 * Shared storage may hang, so each question is asked in a thread of its own. One that does not
 * answer in time is left alone to finish: what it may take later is found when asking again. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "replicator/fence/fence_rows.h"
#include "replicator/fence/token_file.h"

#define ASKER_STACK_BYTES (256u << 10)

/* One question under way; freed by whoever leaves it last, the fence or the thread. */
struct asking {
    atomic_int holders;
    atomic_int answer; /* the thread's last write; `why` is complete when it is not pending */
    int answered_fd;
    struct fence_question question;
    struct err why;
    char folder[];
};

struct fence_file {
    struct fence fence;
    struct asking *asking; /* NULL: nothing was asked */
    bool is_late;
    uint64_t timeout_ns, deadline_ns;
    char folder[];
};

static void asking_leave(struct asking *a)
{
    if (!a || atomic_fetch_sub(&a->holders, 1) > 1)
        return;
    auto_close(&a->answered_fd);
    free(a);
}

static void *take(void *argument)
{
    struct asking *a = argument;
    uint64_t one = 1;
    enum fence_answer answer = token_file_take(a->folder, &a->question, &a->why);

    atomic_store(&a->answer, (int)answer);
    if (write(a->answered_fd, &one, sizeof(one)) < 0)
        (void)0; /* the counter is full of nothing but us; answer() is polled anyway */
    asking_leave(a);
    return NULL;
}

static int start_thread(struct asking *a)
{
    sigset_t all, before;
    pthread_attr_t how;
    pthread_t thread;
    int rc;

    pthread_attr_init(&how);
    pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&how, ASKER_STACK_BYTES);
    sigfillset(&all); /* signals belong to the threads that expect them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, &how, take, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&how);
    return -rc;
}

/* On failure the answer is "none", and says why. */
static struct asking *asking_start(const char *folder, const struct fence_question *q)
{
    struct asking *a = calloc(1, sizeof(*a) + strlen(folder) + 1);
    int rc;

    if (!a)
        return NULL;
    memcpy(a->folder, folder, strlen(folder) + 1);
    a->question = *q;
    atomic_init(&a->holders, 2);
    atomic_init(&a->answer, FENCE_PENDING);
    a->answered_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = a->answered_fd < 0 ? -errno : start_thread(a);
    if (rc < 0) {
        atomic_init(&a->holders, 1);
        atomic_init(&a->answer, FENCE_NO_ANSWER);
        err_set(&a->why, -rc, "arbiter file:%s: %m", folder);
    }
    return a;
}

static bool is_same_question(const struct fence_question *a, const struct fence_question *b)
{
    return strcmp(a->domain, b->domain) == 0 && a->lineage == b->lineage && a->term == b->term &&
           a->side == b->side;
}

static int file_ask(struct fence *f, const struct fence_question *q, struct err *e)
{
    struct fence_file *x = (struct fence_file *)f;
    int rc = fence_question_check(q, e);

    if (rc < 0)
        return rc;
    x->deadline_ns = fence_deadline(x->timeout_ns);
    x->is_late = false;
    /* Hanging storage must not collect a thread for each time we ask the same again. */
    if (x->asking && atomic_load(&x->asking->answer) == FENCE_PENDING &&
        is_same_question(&x->asking->question, q))
        return 0;
    asking_leave(x->asking);
    x->asking = asking_start(x->folder, q);
    return x->asking ? 0 : err_set(e, ENOMEM, "arbiter file:%s: %m", x->folder);
}

static enum fence_answer file_answer(struct fence *f, struct err *e)
{
    struct fence_file *x = (struct fence_file *)f;
    enum fence_answer answer;

    if (!x->asking)
        return FENCE_PENDING;
    answer = (enum fence_answer)atomic_load(&x->asking->answer);
    if (answer == FENCE_PENDING && clock_now_ns() >= x->deadline_ns)
        x->is_late = true; /* and stays so until asked again, whatever comes in then */
    if (answer == FENCE_NO_ANSWER)
        *e = x->asking->why;
    if (!x->is_late)
        return answer;
    err_set(e, ETIMEDOUT, "arbiter file:%s: no answer within %" PRIu64 " ms", x->folder,
            x->timeout_ns / NS_PER_MS);
    return FENCE_NO_ANSWER;
}

static int file_fd(const struct fence *f)
{
    const struct fence_file *x = (const struct fence_file *)f;

    return x->asking ? x->asking->answered_fd : -1;
}

static void file_close(struct fence *f)
{
    struct fence_file *x = (struct fence_file *)f;

    asking_leave(x->asking);
    free(x);
}

static const struct fence_ops file_ops = {
    .kind = "file",
    .primary_owns = false,
    .ask = file_ask,
    .answer = file_answer,
    .fd = file_fd,
    .close = file_close,
};

/* The folder is looked for at each question, not now: shared storage may be mounted later. */
int fence_file_open(struct fence **ret, const char *where, uint64_t timeout_ns, struct err *e)
{
    struct fence_file *x = calloc(1, sizeof(*x) + strlen(where) + 1);

    if (!x)
        return err_set(e, ENOMEM, "arbiter file:%s: %m", where);
    memcpy(x->folder, where, strlen(where) + 1);
    x->fence.ops = &file_ops;
    x->timeout_ns = timeout_ns;
    *ret = &x->fence;
    return 0;
}

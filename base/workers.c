/* workers — see workers.h. One list, one lock: pieces are tens of microseconds of work each, so that
 * neither is ever what anybody waits for. */
#include "base/workers.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t has_work, has_done;
    struct work *first, *last;
    bool is_closing;
    int fd;
    unsigned count;
    pthread_t threads[WORKERS_MAX];
};

static struct work *take(struct workers *p)
{
    struct work *w;

    while (!p->first && !p->is_closing)
        pthread_cond_wait(&p->has_work, &p->lock);
    w = p->first;
    if (w)
        p->first = w->next;
    return w;
}

static void *serve(void *context)
{
    struct workers *p = context;
    const uint64_t one = 1;
    struct work *w;

    pthread_mutex_lock(&p->lock);
    while ((w = take(p)) != NULL) {
        pthread_mutex_unlock(&p->lock);
        w->run(w);
        pthread_mutex_lock(&p->lock);
        atomic_store_explicit(&w->is_done, true, memory_order_release);
        pthread_cond_signal(&p->has_done); /* only the owner waits */
        (void)!write(p->fd, &one, sizeof(one)); /* full means readable, which is all it says */
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Signals are the owner's: a thread that took one would end the process by its default action. */
static int start_threads(struct workers *p, unsigned count)
{
    sigset_t all, before;
    int code = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; p->count < count && code == 0; p->count += code == 0)
        code = pthread_create(&p->threads[p->count], NULL, serve, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

int workers_open(struct workers **ret, unsigned count, struct err *e)
{
    struct workers *p;
    int code = 0;

    if (count > WORKERS_MAX)
        return err_set(e, EINVAL, "%u threads: up to %u are possible", count, WORKERS_MAX);
    p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(e, ENOMEM, "no memory for %u threads", count);
    p->fd = -1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->has_work, NULL);
    pthread_cond_init(&p->has_done, NULL);
    if (count > 0 && (p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
        code = errno;
    if (code == 0)
        code = start_threads(p, count);
    if (code != 0) {
        workers_close(p);
        return err_set(e, code, "can't start %u threads: %s", count, strerror(code));
    }
    *ret = p;
    return 0;
}

void workers_close(struct workers *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_closing = true;
    pthread_cond_broadcast(&p->has_work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->count; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->has_work);
    pthread_cond_destroy(&p->has_done);
    pthread_mutex_destroy(&p->lock);
    auto_close(&p->fd);
    free(p);
}

void workers_submit(struct workers *p, struct work *w)
{
    w->next = NULL;
    atomic_store_explicit(&w->is_done, false, memory_order_relaxed);
    if (p->count == 0) {
        w->run(w);
        atomic_store_explicit(&w->is_done, true, memory_order_relaxed);
        return;
    }
    pthread_mutex_lock(&p->lock);
    if (p->first)
        p->last->next = w;
    else
        p->first = w;
    p->last = w;
    pthread_cond_signal(&p->has_work);
    pthread_mutex_unlock(&p->lock);
}

bool workers_help(struct workers *p)
{
    struct work *w = NULL;

    if (p->count == 0)
        return false;
    pthread_mutex_lock(&p->lock);
    if (p->first) {
        w = p->first;
        p->first = w->next;
    }
    pthread_mutex_unlock(&p->lock);
    if (!w)
        return false;
    w->run(w);
    atomic_store_explicit(&w->is_done, true, memory_order_release);
    return true;
}

void workers_wait(struct workers *p, struct work *w)
{
    while (!work_is_done(w) && workers_help(p))
        ;
    if (work_is_done(w))
        return;
    pthread_mutex_lock(&p->lock);
    while (!work_is_done(w))
        pthread_cond_wait(&p->has_done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

int workers_fd(const struct workers *p)
{
    return p->fd;
}

void workers_calm(struct workers *p)
{
    uint64_t count;

    if (p->fd >= 0)
        (void)!read(p->fd, &count, sizeof(count));
}

unsigned workers_sensible(unsigned most)
{
    cpu_set_t mine;
    unsigned n = sched_getaffinity(0, sizeof(mine), &mine) == 0 ? (unsigned)CPU_COUNT(&mine) : 1;

    n = n > 1 ? n - 1 : 1;
    return n < most ? n : most;
}

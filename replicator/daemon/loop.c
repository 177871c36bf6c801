/* loop — see loop.h. */
#include "replicator/daemon/loop.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define WAKE_SLACK_NS 1ul /* the default of 50 us would be felt in every epoch */

int loop_open(struct loop *l, struct err *e)
{
    sigset_t taken;

    *l = (struct loop){ .signal_fd = -1 };
    sigemptyset(&taken);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGHUP);
    sigaddset(&taken, SIGUSR1);
    sigaddset(&taken, SIGCHLD);
    if (pthread_sigmask(SIG_BLOCK, &taken, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_set(e, errno, "signals: %m");
    l->signal_fd = signalfd(-1, &taken, SFD_NONBLOCK | SFD_CLOEXEC);
    if (l->signal_fd < 0)
        return err_set(e, errno, "signalfd: %m");
    prctl(PR_SET_TIMERSLACK, WAKE_SLACK_NS);
    return 0;
}

void loop_close(struct loop *l)
{
    auto_close(&l->signal_fd);
}

void loop_forget(struct loop *l)
{
    loop_close(l);
    l->n = 0;
}

void loop_begin(struct loop *l)
{
    l->n = 0;
    loop_watch(l, l->signal_fd, POLLIN);
}

unsigned loop_watch(struct loop *l, int fd, short events)
{
    must(l->n < LOOP_FDS_MAX);
    l->fds[l->n] = (struct pollfd){ .fd = fd, .events = events };
    return l->n++;
}

void loop_wait(struct loop *l, uint64_t until_ns)
{
    uint64_t now = until_ns == 0 || until_ns == TIME_NEVER ? 0 : clock_now_ns();
    uint64_t left = until_ns > now ? until_ns - now : 0;
    struct timespec wait = { (time_t)(left / NS_PER_S), (long)(left % NS_PER_S) };

    if (ppoll(l->fds, l->n, until_ns == TIME_NEVER ? NULL : &wait, NULL) <= 0)
        for (unsigned i = 0; i < l->n; i++)
            l->fds[i].revents = 0;
}

short loop_ready(const struct loop *l, unsigned slot)
{
    must(slot < l->n);
    return l->fds[slot].revents;
}

int loop_signal(struct loop *l)
{
    struct signalfd_siginfo got;

    if (read(l->signal_fd, &got, sizeof(got)) != (ssize_t)sizeof(got))
        return 0;
    return (int)got.ssi_signo;
}

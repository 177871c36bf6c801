/* loop — what a daemon waits on: a few descriptors, signals, and an instant, to the nanosecond.
 * The set is built anew for every wait: links come and go and reuse descriptor numbers, which a
 * registration that outlives them (epoll) would get wrong; for so few it costs the same.
 *
 *   loop_begin → slot = loop_watch(fd, events) … → loop_wait(until) → loop_ready(slot), loop_signal */
#ifndef REPLICATOR_LOOP_H
#define REPLICATOR_LOOP_H

#include <poll.h>
#include <signal.h>
#include <stdint.h>

#include "base/err.h"

#define LOOP_FDS_MAX 1200u

struct loop {
    /* private */
    int signal_fd;
    unsigned n;
    struct pollfd fds[LOOP_FDS_MAX];
};

/* Takes SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGCHLD over as events, ignores SIGPIPE and asks the
 * kernel for wake-ups without slack. */
MUST_CHECK int loop_open(struct loop *l, struct err *e);
void loop_close(struct loop *l); /* any state, twice */

void loop_begin(struct loop *l);

/* Returns the slot to ask with; an fd of -1 takes a slot that is never ready. */
unsigned loop_watch(struct loop *l, int fd, short events);

/* Waits until something is ready or `until_ns` (base/clock; 0: only looks, TIME_NEVER: for ever). */
void loop_wait(struct loop *l, uint64_t until_ns);

/* What is ready: poll's bits, 0 for nothing. */
short loop_ready(const struct loop *l, unsigned slot);

/* The next signal that came, 0 when there is none. */
int loop_signal(struct loop *l);

/* In a forked child: drops what the parent's loop held; signals stay taken over. */
void loop_forget(struct loop *l);

#endif

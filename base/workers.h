/* workers — threads that carry out pieces of work which share nothing, in the order they were handed
 * over; with none of them the piece is done at once by whoever hands it over, on the same path.
 * Never allocates after open, never calls back into the owner's thread. One thread owns a pool: only
 * that one submits, waits and closes. */
#ifndef REPLICATOR_BASE_WORKERS_H
#define REPLICATOR_BASE_WORKERS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

#define WORKERS_MAX 64u

/* One piece, embedded in what it works on. `run` must be filled; it gets this very struct. */
struct work {
    void (*run)(struct work *w);
    /* private */
    struct work *next;
    atomic_bool is_done;
};

struct workers;

/* Starts `count` threads (0 … WORKERS_MAX) that take no signals. -EINVAL, -ENOMEM, -EAGAIN. */
MUST_CHECK int workers_open(struct workers **ret, unsigned count, struct err *e);
/* Every piece that was handed over is done when this returns; NULL is fine. */
void workers_close(struct workers *p);

/* Hands a piece over. It, and all that it points to, belongs to the pool until it is done. */
void workers_submit(struct workers *p, struct work *w);
/* The owner, with nothing better to do, takes the oldest piece that no thread has begun; false: there is
 * none. So nobody waits for a thread that the system has not woken yet. */
bool workers_help(struct workers *p);
/* Helps, then blocks, until it is done. Only for a piece that was submitted. */
void workers_wait(struct workers *p, struct work *w);

/* What the piece wrote may be read once this is true. */
static inline bool work_is_done(const struct work *w)
{
    return atomic_load_explicit(&w->is_done, memory_order_acquire);
}

/* Readable after a piece was done by a thread, until workers_calm(); -1 without threads. */
int workers_fd(const struct workers *p);
void workers_calm(struct workers *p);

/* A number for whoever does not want to choose: all processors but one, `most` at most, one at least. */
unsigned workers_sensible(unsigned most);

#endif

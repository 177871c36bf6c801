/* fence — the arbiter that decides which side goes on when they lose each other: one table, a kind a
 * row (manual, exec, file). One token per (domain, lineage, term), a test-and-set: whoever asks
 * first gets it, asking again gives the same answer, two askers never both get yes.
 * Asking never blocks; the answer is polled for. */
#ifndef REPLICATOR_FENCE_FENCE_H
#define REPLICATOR_FENCE_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "checkpoint/guest.h"

enum fence_answer {
    FENCE_PENDING,
    FENCE_GRANTED,   /* this side owns the guest for good, in this term                     */
    FENCE_DENIED,    /* the other side owns it: nothing of ours may leave any more          */
    FENCE_NO_ANSWER, /* the arbiter could not be asked: nothing is decided, ask again later */
};

enum fence_side { FENCE_PRIMARY, FENCE_BACKUP };

struct fence_question {
    char domain[GUEST_NAME_MAX + 1];
    uint64_t lineage;
    uint32_t term;
    enum fence_side side;
};

struct fence;

struct fence_ops {
    const char *kind;
    bool primary_owns; /* manual: the token is the primary's from the start; the backup never asks */

    /* Starts asking; one question at a time (a new one replaces an unanswered one). */
    int (*ask)(struct fence *f, const struct fence_question *q, struct err *e);
    enum fence_answer (*answer)(struct fence *f, struct err *e);
    int (*fd)(const struct fence *f); /* readable when the answer is there; -1: poll */
    void (*close)(struct fence *f);
};

struct fence {
    const struct fence_ops *ops;
};

/* "manual", "exec:/path/to/program" (run as PROGRAM DOMAIN LINEAGE TERM primary|backup; exit 0
 * granted, 1 denied, anything else or timeout_ns over: no answer) or "file:/shared/dir" (atomic
 * creation of a file that names its owner). -EINVAL with words for anything else. */
MUST_CHECK int fence_open(struct fence **ret, const char *arbiter, uint64_t timeout_ns, struct err *e);

#endif

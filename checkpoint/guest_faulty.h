/* guest_faulty — wraps any guest and makes its operations fail by plan: a test instrument that is one
 * more row of the same table. What it does not spoil it passes on. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_FAULTY_H
#define REPLICATOR_CHECKPOINT_GUEST_FAULTY_H

#include "base/rng.h"
#include "checkpoint/guest.h"

enum guest_op { GUEST_OP_PREAMBLE, GUEST_OP_PAUSE, GUEST_OP_DIRTY, GUEST_OP_COPY, GUEST_OP_STATE,
                GUEST_OP_RESUME, GUEST_OP_COUNT };

enum guest_fault_what {
    GUEST_FAULT_BEFORE, /* fails with `error`, the guest is not asked          */
    GUEST_FAULT_AFTER,  /* the guest does it, then it fails: a lost answer      */
    GUEST_FAULT_DEFER,  /* copy only: every other page comes back as deferred   */
    GUEST_FAULT_COUNT
};

struct guest_fault {
    enum guest_op op;
    uint32_t nth; /* of that operation's calls, the first is 1; 0: every call */
    enum guest_fault_what what;
    int error;    /* positive errno value */
};

#define GUEST_FAULTS_MAX 32u

struct guest_fault_plan {
    struct guest_fault faults[GUEST_FAULTS_MAX];
    size_t n;
    uint64_t seed;        /* besides, any call fails by chance: */
    uint32_t per_million; /* so often */
};

/* The inner guest is the wrapper's from then on, and closed with it; on failure it is not. */
MUST_CHECK int guest_faulty_open(struct guest **ret, struct guest *inner,
                                 const struct guest_fault_plan *plan, struct err *e);

/* How many calls of op there were, and how many of all were spoilt. */
uint32_t guest_faulty_calls(const struct guest *g, enum guest_op op);
uint32_t guest_faulty_spoilt(const struct guest *g);

#endif

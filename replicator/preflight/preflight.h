/* preflight — asks a backup whether it would hold a replica of a guest, by the greeting that protect
 * begins with, and takes leave again: nothing is sent of the guest but its shape. */
#ifndef REPLICATOR_PREFLIGHT_H
#define REPLICATOR_PREFLIGHT_H

#include <stdint.h>

#include "checkpoint/guest.h"

/* 0: it would. -ECONNREFUSED and the like: it can't be reached; -EPERM: it refuses, in its words;
 * -ETIMEDOUT: it does not answer within timeout_ns; -EPROTO: what answers is no backup. */
MUST_CHECK int preflight_ask(const struct guest_info *about, const char *address, uint64_t timeout_ns,
                             struct err *e);

#endif

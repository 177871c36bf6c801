/* preflight — what can be known before a guest is protected: that there is such a kind of guest, that
 * nobody protects it already, that the backup would hold its replica. The backup is asked by the greeting
 * that protect begins with, and left again: nothing is sent of the guest but its shape. */
#ifndef REPLICATOR_PREFLIGHT_H
#define REPLICATOR_PREFLIGHT_H

#include <stdint.h>

#include "checkpoint/guest.h"

/* 0: it would. -ECONNREFUSED and the like: it can't be reached; -EPERM: it refuses, in its words;
 * -ETIMEDOUT: it does not answer within timeout_ns; -EPROTO: what answers is no backup. */
MUST_CHECK int preflight_ask(const struct guest_info *about, const char *address, uint64_t timeout_ns,
                             struct err *e);

/* Holds the lock of a protection of `spec`, whose kind is known, as long as *ret_fd is open: two that read
 * one dirty log would take each other's pages. -EBUSY: it is protected. run_dir as for run_dir_open. */
MUST_CHECK int preflight_lock(const char *spec, const char *run_dir, int *ret_fd, struct err *e);

/* Says on stderr that this build knows no kind of guest that `spec` names; returns EXIT_UNIMPLEMENTED. */
int preflight_no_kind(const char *command, const char *spec);

#endif

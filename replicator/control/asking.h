/* asking — the client's side of the control socket: what status, events, activate and detach share. */
#ifndef REPLICATOR_ASKING_H
#define REPLICATOR_ASKING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "replicator/control/control.h"
#include "replicator/control/run_dir.h"

struct asking {
    /* private */
    int fd;
    size_t bytes;
    char in[CONTROL_OUT_MAX]; /* no line is longer */
};

/* Connects to the domain's process on that side, and asks {"op":…} (taken). Exit codes, with words on
 * stderr unless they are EXIT_NOT_RUNNING, which the caller may know better about. */
MUST_CHECK int asking_open(struct asking *a, const struct run_dir *run, enum run_side side,
                           const char *domain, json_t *request);
void asking_close(struct asking *a); /* any state after open, twice */

/* The next line; NULL at the end or after `until_ns` (*ret_late then). A new reference. */
json_t *asking_next(struct asking *a, uint64_t until_ns, bool *ret_late);

/* Asks once and takes one answer. EXIT_OK with *ret (a new reference), or an exit code. */
MUST_CHECK int asking_once(const struct run_dir *run, enum run_side side, const char *domain,
                           json_t *request, uint64_t timeout_ns, json_t **ret);

/* Says on stderr that nothing runs there, with what to do; returns EXIT_NOT_RUNNING. */
int asking_nobody(const char *command, const char *domain, const struct run_dir *run);

/* An object on stdout in one line. */
void asking_print(const json_t *object);

#endif

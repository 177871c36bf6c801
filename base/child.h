/* child — a helper process in a process group of its own: started without a fork (which would copy
 * the page tables of a process that holds a guest's memory), ended without waiting for it.
 * Leaves no zombie as long as nobody else in the process waits for "any child". */
#ifndef REPLICATOR_BASE_CHILD_H
#define REPLICATOR_BASE_CHILD_H

#include <sys/types.h>

#include "base/attr.h"

/* Runs the program at `path` (no search, no shell) with in_fd as stdin and out_fd as stdout, both
 * at least 3 and still the caller's; stderr is shared; everything else is close-on-exec by custom.
 * 0 and the pid, which is the group's number too, or -errno. */
MUST_CHECK int child_start(pid_t *ret, const char *path, const char *const arguments[], int in_fd,
                           int out_fd);

/* Sees to it, in a thread of its own, that the group ends: alone within quiet_ms, by SIGTERM within
 * the next term_ms, by SIGKILL then. The pid is no longer the caller's. */
void child_end(pid_t group, unsigned quiet_ms, unsigned term_ms);

#endif

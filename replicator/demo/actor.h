/* actor — a replicator run as another process: a daemon of the demo, with what it says kept in a file.
 * It ends with its parent, and its whole process group with actor_close(). */
#ifndef REPLICATOR_DEMO_ACTOR_H
#define REPLICATOR_DEMO_ACTOR_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "replicator/demo/lines.h"

#define ACTOR_ARGUMENTS_MAX 24u

struct actor {
    const char *name;    /* "primary", "backup" */
    char run_dir[PATH_MAX];
    char log[PATH_MAX];  /* its stderr */
    struct lines out;    /* its stdout */
    pid_t pid;           /* and its group; 0: none */
    int pid_fd;          /* readable when it has ended */
};

/* Starts PROGRAM (path of a replicator) with arguments (NULL at the end, without its name); its stderr
 * goes to FOLDER/NAME.log, its run directory is FOLDER/NAME. */
MUST_CHECK int actor_start(struct actor *a, const char *program, const char *name,
                           const char *folder, const char *const arguments[], struct err *e);

/* Connects to its control socket for `domain`, as soon as it has one. -ETIMEDOUT, or -ECHILD when it
 * ended before that. */
MUST_CHECK int actor_connect(struct actor *a, bool is_backup, const char *domain, uint64_t until_ns,
                             struct lines *ret, struct err *e);

/* Ends the process at once (not its children: they are the crash's survivors). */
void actor_kill(struct actor *a);

void actor_close(struct actor *a); /* any state, twice */

#endif

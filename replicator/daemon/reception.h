/* reception — what becomes of one new connection: greeted within a deadline, then given to the
 * process that holds the domain's replica, or the beginning of one. Runs in a process of its own, so
 * that a bad stream harms one connection only. */
#ifndef REPLICATOR_RECEPTION_H
#define REPLICATOR_RECEPTION_H

#include <stdbool.h>

#include "replicator/daemon/backup_daemon.h"

struct reception {
    int receive_fd, send_fd; /* taken */
    int report_fd;           /* taken; -1: none */
    const char *peer;        /* for the log */
    bool is_full;            /* no further replica may begin; one that lives may take it */
    bool stays;              /* stdio: wait here until the link is closed, wherever it lives */
};

/* Returns an exit code; in the process that becomes the replica, only after that has ended. */
int reception_run(const struct backup_options *o, const struct reception *r);

#endif

/* acceptor — `replicator receive --listen`: only accepts and forks; never reads what comes in. Knows
 * its children by pid and by the lines they report, and says why each replica ended. */
#ifndef REPLICATOR_ACCEPTOR_H
#define REPLICATOR_ACCEPTOR_H

#include <stdbool.h>

#include "replicator/daemon/backup_daemon.h"

#define ACCEPTOR_REPLICAS_MAX  1024u
#define ACCEPTOR_GREETINGS_MAX 64u   /* connections that have not said whose they are */

struct acceptor_options {
    struct backup_options backup;
    const char *listen;
    uint64_t max_replicas;
    bool json;
};

/* Runs until SIGTERM and returns an exit code; in a forked child, that child's. */
int acceptor_run(const struct acceptor_options *o);

#endif

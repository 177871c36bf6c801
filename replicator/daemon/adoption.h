/* adoption — where a living replica's process takes further connections: a socket beside its control
 * socket, and the few givers that have connected to it but not yet given. */
#ifndef REPLICATOR_ADOPTION_H
#define REPLICATOR_ADOPTION_H

#include <stdbool.h>

#include "checkpoint/record.h"
#include "replicator/daemon/handover.h"
#include "replicator/daemon/loop.h"
#include "replicator/control/run_dir.h"

#define ADOPTION_GIVERS_MAX 8u

struct adoption {
    /* private */
    int fd;
    unsigned slot;
    char path[RUN_PATH_MAX];
    struct {
        int fd;
        unsigned slot;
    } givers[ADOPTION_GIVERS_MAX];
    struct handover taken; /* here for its size */
};

void adoption_init(struct adoption *a);
MUST_CHECK int adoption_open(struct adoption *a, const char *path, struct err *e);
void adoption_close(struct adoption *a); /* any state after init, twice; removes the socket */

/* A turn of the loop. serve: true when a connection for `domain` was taken; link and hello are the
 * caller's. At most one a turn. */
void adoption_watch(struct adoption *a, struct loop *l);
bool adoption_serve(struct adoption *a, const struct loop *l, const char *domain, struct link **ret,
                    struct hello *ret_hello);

#endif

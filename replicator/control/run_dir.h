/* run_dir — where this host's processes meet: sockets, locks and what must survive a crash.
 *
 *   RUN/primary/NAME.{lock,sock,past}        one protected domain
 *   RUN/backup/NAME.{lock,sock,adopt}        one replica
 *
 * The lock decides who is alive: it goes with its process, files may stay behind. */
#ifndef REPLICATOR_RUN_DIR_H
#define REPLICATOR_RUN_DIR_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/err.h"
#include "checkpoint/guest.h"

#define RUN_PATH_MAX sizeof(((struct sockaddr_un *)NULL)->sun_path)

enum run_side { RUN_PRIMARY, RUN_BACKUP };

struct run_dir {
    char path[RUN_PATH_MAX];
};

/* The folder named by --run-dir, or (NULL) /run/replicator for root, $XDG_RUNTIME_DIR/replicator for
 * others. run_dir_make also creates it and its parts, mode 0700. */
MUST_CHECK int run_dir_open(struct run_dir *ret, const char *path, struct err *e);
MUST_CHECK int run_dir_make(const struct run_dir *d, struct err *e);

/* The path of one file; -ENAMETOOLONG when a socket there could not be named. */
MUST_CHECK int run_dir_file(const struct run_dir *d, enum run_side side, const char *domain,
                            const char *suffix, char ret[RUN_PATH_MAX], struct err *e);

/* The folder of the network buffers' records: of this machine, whichever side. */
MUST_CHECK int run_dir_netbuf(const struct run_dir *d, char ret[RUN_PATH_MAX], struct err *e);

/* Takes the domain's lock for this process: the descriptor holds it. -EBUSY when another process has
 * it; *ret_holder is its pid then (0: not known). */
MUST_CHECK int run_dir_lock(const struct run_dir *d, enum run_side side, const char *domain,
                            int *ret_fd, pid_t *ret_holder, struct err *e);

/* Writes this process's pid into the lock (again, when a forked child goes on with it). */
void run_dir_sign(int lock_fd);

/* A listening unix socket (SOCK_STREAM or SOCK_SEQPACKET) at path, mode 0600, non-blocking. Replaces
 * what is there: the caller holds the domain's lock. */
MUST_CHECK int run_dir_listen(const char *path, int type, int *ret_fd, struct err *e);
/* Connects to it; -ECONNREFUSED or -ENOENT when nobody listens. Blocking. */
MUST_CHECK int run_dir_connect(const char *path, int type, int *ret_fd, struct err *e);

/* True when the process at the other end is root's or ours. */
bool run_dir_is_trusted(int fd);

/* The domains with a socket on that side, sorted: fills up to `most` names, returns how many.
 * -errno when the folder can't be read; a folder that is not there has none. */
MUST_CHECK int run_dir_list(const struct run_dir *d, enum run_side side,
                            char (*ret)[GUEST_NAME_MAX + 1], unsigned most, struct err *e);

#endif

/* onward — a guest that was activated here is protected in turn, with the next backup: the process that held
 * the replica becomes the guest's primary. As long as that can't be, the guest runs on unprotected, and it
 * is tried again. */
#ifndef REPLICATOR_ONWARD_H
#define REPLICATOR_ONWARD_H

#include "replicator/daemon/backup_daemon.h"
#include "replicator/daemon/primary_daemon.h"

struct onward {
    uint64_t due_ns;    /* of the next try */
    struct err failure; /* of the newest; said when it is another one */
};

/* Tries, when it is due, with the timing of the session that is over. True after the guest, or its
 * protection, has ended; false: not yet. */
MUST_CHECK bool onward_try(struct onward *w, const struct backup_options *options,
                           const struct timing *timing, const struct primary_adoption *guest,
                           struct told *told, uint64_t now_ns);

#endif

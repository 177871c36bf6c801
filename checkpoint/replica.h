/* replica — the backup's side of a domain: memory that is always exactly the last committed epoch.
 * One table, a backend a row. The life of a replica, in order:
 *
 *   open (backend's own function) … per epoch: page (to verify against, may populate), then after
 *   the commit: page (to write into) and commit_state; at the end activate or discard; close once.
 *
 * Only apply/ writes through these pointers, and only while it commits an epoch. What takes longer than
 * a heartbeat (another program builds the domain) is begun by one call and ended by a later one:
 * -EAGAIN from preamble or activate means "at it; call again when event_fd is readable". */
#ifndef REPLICATOR_CHECKPOINT_REPLICA_H
#define REPLICATOR_CHECKPOINT_REPLICA_H

#include <stdint.h>
#include <stddef.h>

#include "base/err.h"
#include "checkpoint/guest.h"

struct replica;

struct replica_ops {
    const char *kind;

    uint64_t (*pages)(const struct replica *r);

    /* The page's memory, populated if it was not: zeros at first. Once this has worked for a pfn it
     * works again without further memory (P4). NULL and e filled when it can't be had. */
    uint8_t *(*page)(struct replica *r, uint64_t pfn, struct err *e);

    /* Takes the preamble records of the stream (whole records, concatenated), once per session. May
     * say -EAGAIN before the first commit; the records are then looked at in the first call only. */
    int (*preamble)(struct replica *r, const uint8_t *records, size_t bytes, struct err *e);

    /* Checks that state records of an epoch could be committed; changes nothing. */
    int (*check_state)(struct replica *r, const uint8_t *records, size_t bytes, struct err *e);

    /* Takes the state records of the epoch being committed; copies them into memory reserved at
     * open; cannot fail once check_state said yes. */
    void (*commit_state)(struct replica *r, const uint8_t *records, size_t bytes);

    /* Makes the replica a running guest, equal to the last committed epoch, paused: the caller
     * connects its network, then resumes it. The replica's memory moves into *ret. May say -EAGAIN;
     * -ENOTRECOVERABLE: the replica is lost, trying again is of no use. */
    int (*activate)(struct replica *r, struct guest **ret, struct err *e);

    /* Turns readable when there is something to do for preamble, activate or health; -1: never. */
    int (*event_fd)(const struct replica *r);

    /* 0 while what was committed can be relied on; -ENOTRECOVERABLE with the words when it can't be
     * activated any more, because what holds it is gone (its domain, its toolstack). */
    int (*health)(struct replica *r, struct err *e);

    void (*close)(struct replica *r); /* never fails; discards what was not activated */
};

struct replica {
    const struct replica_ops *ops;
};

#endif

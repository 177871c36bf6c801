/* epoch_sums — what every page of the guest is at a pause, for the backup to compare its replica with
 * (`protect --verify-every`). Pages that the pause copies are noted as they were copied, because that is
 * what the backup gets: the few that a host writes even then (rings of the store, the console, the
 * emulator) change between any two looks. All others are read anew: whatever was copied in an earlier
 * epoch must still be what it was, unless the log has it when all is read: a device's other end may fill
 * buffers of a guest that lies still, and they are the next epoch's. Without an interval it holds nothing
 * and does nothing. */
#ifndef REPLICATOR_ENGINE_EPOCH_SUMS_H
#define REPLICATOR_ENGINE_EPOCH_SUMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "checkpoint/dirty.h"
#include "checkpoint/guest.h"
#include "checkpoint/pagesums.h"

struct epoch_sums {
    struct guest *guest;   /* not owned */
    uint64_t every;        /* epochs from one to the next; 0: never */
    uint64_t newest;       /* epoch they were taken in */
    struct pagesums sums;
    bool is_on;            /* of the open epoch */
    uint64_t read_cursor, put_cursor;
    struct dirty anew, late; /* pages that were read anew; what the log has since the pause's own look */
    size_t at_once;
    uint8_t *room;         /* that pages are read into */
    uint8_t **places;
    uint64_t *pfns;
    uint8_t *types;
};

/* at_once: pages that are read at once, at most. */
MUST_CHECK int epoch_sums_open(struct epoch_sums *s, struct guest *g, uint64_t every, uint64_t pages,
                               size_t at_once, struct err *e);
void epoch_sums_close(struct epoch_sums *s); /* any state, twice */

/* The pause of an epoch begins: whether they are taken in it. One of a switchover's always, because its
 * guest lies still anyway, and runs next as the replica has it. */
bool epoch_sums_begin(struct epoch_sums *s, uint64_t epoch, uint32_t flags);
void epoch_sums_drop(struct epoch_sums *s);

/* What this pause has copied. */
void epoch_sums_note(struct epoch_sums *s, const uint64_t *pfns, const uint8_t *types, uint8_t *const *pages,
                     size_t n);
/* Reads some of the rest, but for pages that the epoch could not have, which are in the carry: 1 more is
 * left, 0 all is read, and what was written meanwhile is in the carry, too. */
MUST_CHECK int epoch_sums_read(struct epoch_sums *s, struct dirty *carry, struct err *e);

/* Appends the next record: 1, 0 none is left (or they are not taken), -ENOBUFS. */
MUST_CHECK int epoch_sums_put(struct epoch_sums *s, struct sink *out);

#endif

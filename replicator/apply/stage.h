/* stage — an epoch that is arriving: kept as it came, verified as it comes, applied only when whole.
 * The replica's memory is not touched before the commit (except by a seed, before which there is
 * nothing to protect). Memory is bounded by `limit`; what does not fit is refused, never half taken.
 * With decoders a chunk's contents are verified while later ones arrive: what is wrong with it is then said
 * of a later record, of EPOCH_END at the latest. All calls, and all calls of the replica, are of one
 * thread. */
#ifndef REPLICATOR_APPLY_STAGE_H
#define REPLICATOR_APPLY_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "checkpoint/dirty.h"
#include "checkpoint/pagesums.h"
#include "checkpoint/record.h"
#include "checkpoint/replica.h"
#include "replicator/apply/decoders.h"

#define STAGE_DIFFERING_MAX 8u /* that are named */

/* Of the newest epoch that came with PAGE_SUMS. */
struct stage_compared {
    uint64_t pages, differing;
    uint64_t pfns[STAGE_DIFFERING_MAX]; /* the first that differ */
};

struct stage {
    struct replica *replica;   /* not owned */
    uint8_t *records;          /* page chunks as they came, framing included */
    uint8_t *state;            /* state records as they came */
    size_t limit, records_bytes, state_bytes, high_water;
    struct dirty seen;         /* pfns that this epoch has so far */
    uint64_t epoch;            /* 0: closed, records are ignored (the rest of a void epoch) */
    uint32_t flags, chunks, batches, state_records;
    uint64_t pages;
    struct digest digest;
    bool is_sealed;            /* EPOCH_END came and everything agrees */
    struct decoders decoders;
    uint8_t *room;             /* for unpacking what is applied: reserved, because that can't fail */
    struct pagesums sums;      /* what the primary says its pages are; open once it has said so */
    bool has_sums;             /* of the staged epoch */
    /* the committed epoch while it is being applied */
    size_t apply_at, apply_bytes;
    bool is_comparing;         /* it has sums, and the replica is not wholly compared */
    uint64_t compare_at;
    struct stage_compared compared;
};

/* limit: octets of page chunks that one epoch may have (virtual; touched only as needed). decoders:
 * threads, see decoders_open(). */
MUST_CHECK int stage_open(struct stage *s, struct replica *r, size_t limit, unsigned decoders,
                          struct err *e);
void stage_close(struct stage *s); /* any state, twice */

void stage_begin(struct stage *s, uint64_t epoch, uint32_t flags);
void stage_void(struct stage *s); /* what is staged is gone; records are ignored until begin */

/* Takes a PAGE_DATA, PAGE_SUMS, PAGE_DATA_ENCODED or state record. 0; -EILSEQ: a delta did not meet its base;
 * -EPROTO: a rule is broken; -ENOSPC: more than the limit; another -errno: the replica can't. */
MUST_CHECK int stage_record(struct stage *s, const struct record *rec, struct err *e);

/* Takes EPOCH_END: 0 when everything is verified, counts and digest agree and the state could be committed;
 * -EILSEQ as above, else -EPROTO. */
MUST_CHECK int stage_seal(struct stage *s, const struct epoch_end *m, struct err *e);

/* Makes the sealed epoch the committed one: its state is taken, its pages are now to be applied.
 * Cannot fail. */
void stage_commit(struct stage *s);

/* Applies one more chunk of the committed epoch: true while there is more. Plain copies into memory
 * that verification has populated: cannot fail, and doing it twice is the same as once. */
bool stage_apply(struct stage *s);

/* Once all is applied: compares some of the replica with what the primary said of its pages, if it did:
 * 1 more is left, 0 s->compared is the result, -ENODATA nothing was said of this epoch. */
MUST_CHECK int stage_compare(struct stage *s);

#endif

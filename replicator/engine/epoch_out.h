/* epoch_out — one epoch on its way out of the guest: which pages it has, the bounded copy, the
 * encoding, and what must be sent again when it fails. Knows guests and pages, no link, no protocol.
 *
 *   begin → [pass → (copy → encode*)* ]* while the guest runs (live copy)
 *         → pass → (copy → encode*)* → state        while it is paused
 *         → encode* → sums* → finish                after it was resumed
 *   encode: whenever a chunk is ready it is given away; else the next one is begun.
 *   then acked, or abandon: its pages return to the carry. */
#ifndef REPLICATOR_ENGINE_EPOCH_OUT_H
#define REPLICATOR_ENGINE_EPOCH_OUT_H

#include "base/bytes.h"
#include "base/digest.h"
#include "base/err.h"
#include "checkpoint/dirty.h"
#include "checkpoint/guest.h"
#include "checkpoint/pagebuf.h"
#include "checkpoint/pages.h"
#include "checkpoint/pages_pack.h"
#include "compress/pagecache.h"
#include "replicator/engine/encoders.h"
#include "replicator/engine/epoch_sums.h"

struct epoch_out_config {
    size_t buffer_pages;         /* the bound of the copy made while the guest is paused */
    size_t cache_bytes;          /* prior versions */
    struct codec_choice allowed;
    bool plain;                  /* standard PAGE_DATA only */
    enum pages_packing packing;  /* LZ4 over whole chunks */
    unsigned encoders;           /* threads; 0: the caller's own */
    uint64_t verify_every;       /* epochs; 0: never */
};

struct epoch_out {
    struct guest *guest;         /* not owned */
    struct epoch_out_config config;
    struct pagebuf buffer;
    struct pagecache *cache;
    struct dirty carry;          /* must be in a coming epoch */
    struct dirty todo;           /* of this pass, not yet copied */
    struct dirty set;            /* already copied in this epoch */
    uint64_t cursor;             /* in todo */
    uint8_t *state;
    size_t state_bytes;
    uint64_t epoch, committed;
    uint32_t flags, batch, chunks;
    uint64_t pages_sent;
    unsigned passes;
    struct digest digest;
    struct encoders encoders;
    struct epoch_sums sums;
    bool is_link_behind;         /* set by the caller: octets of earlier chunks still wait */
    struct pages_tally tally;    /* ever */
};

MUST_CHECK int epoch_out_open(struct epoch_out *o, struct guest *g,
                              const struct epoch_out_config *config, struct err *e);
void epoch_out_close(struct epoch_out *o); /* any state, twice */

/* Every page is dirty and no version is known: a new lineage. */
void epoch_out_forget(struct epoch_out *o);

/* The backup holds exactly `committed`: later versions are no bases. */
void epoch_out_resume(struct epoch_out *o, uint64_t committed);

void epoch_out_begin(struct epoch_out *o, uint64_t epoch, uint32_t flags);

/* Reads the log: what it and the carry say is now to do. Returns how many pages, -errno after a
 * failed read (every page is to do then, in a later epoch). */
MUST_CHECK int64_t epoch_out_pass(struct epoch_out *o, struct err *e);

/* Copies until the buffer is full (1: more is left) or the pass is done (0). -EBUSY: what is in the
 * buffer is encoded, but chunks that were given away still use it. */
MUST_CHECK int epoch_out_copy(struct epoch_out *o, struct err *e);

/* Takes the state of vCPUs and devices. Only while paused. */
MUST_CHECK int epoch_out_state(struct epoch_out *o, struct err *e);

/* The pause begins: what it copies, and then the rest of memory, is noted for the backup to compare with,
 * if this epoch's turn it is. */
void epoch_out_verify(struct epoch_out *o);

/* Notes some of the rest, while paused: 1 more is left, 0 all is noted, or need not be. */
MUST_CHECK int epoch_out_verify_rest(struct epoch_out *o, struct err *e);

/* Hands a chunk of what is copied to the encoders; false: nothing waits, or they are full. */
bool epoch_out_encode(struct epoch_out *o);

/* The next chunk in order, once it is encoded; else NULL. */
const struct pages_built *epoch_out_ready(const struct epoch_out *o);
/* It is on its way, by reference: see encoders_give(). */
void epoch_out_give(struct epoch_out *o, uint64_t until);
void epoch_out_gone(struct epoch_out *o, uint64_t octets);

/* True when all that was copied is given away. */
static inline bool epoch_out_is_drained(const struct epoch_out *o)
{
    return pagebuf_waiting(&o->buffer) == 0 && !encoders_are_busy(&o->encoders);
}

/* Appends the next record of what was noted, when drained: 1, 0 none is left, -ENOBUFS. */
MUST_CHECK int epoch_out_sums(struct epoch_out *o, struct sink *out);

/* Appends state records, EPOCH_END and CHECKPOINT; -ENOBUFS when short (nothing appended). Only when
 * drained. */
MUST_CHECK int epoch_out_finish(struct epoch_out *o, struct sink *out);
size_t epoch_out_finish_bytes(const struct epoch_out *o);

/* Nobody refers to a chunk that was given away any more. */
void epoch_out_abandon(struct epoch_out *o);
void epoch_out_acked(struct epoch_out *o);

/* True when another live pass would not make the pause shorter. */
bool epoch_out_is_small(const struct epoch_out *o, uint64_t left);

#endif

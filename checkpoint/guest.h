/* guest — the primary's side of a domain: one table, a backend a row (sim, xen, faulty).
 * Every slot is filled. The life of a guest, in order:
 *
 *   open (backend's own function) … preamble once per stream, then per epoch:
 *   dirty, copy*            while it runs (live copy), any number of times
 *   pause, dirty, copy*, state, resume        the blackout
 *   settle                                    what comes after it
 *   … close exactly once, which ends what this process holds of the guest.
 *
 * All calls come from one thread. A page's content may change while it is copied from a running
 * guest; then its bit is set in the log that is read next. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_H
#define REPLICATOR_CHECKPOINT_GUEST_H

#include <stdint.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"
#include "checkpoint/dirty.h"

#define GUEST_NAME_MAX   64u
#define GUEST_SPEC_MAX   16384u
#define GUEST_PAGES_MAX  (UINT64_C(1) << 32)  /* 16 TiB */
#define GUEST_STATE_MAX  (UINT64_C(4) << 20)  /* octets of state records of one epoch */

/* libxc page types that matter here (bits 63–60 of a PAGE_DATA entry). */
enum page_type { PAGE_TYPE_NORMAL = 0x0, PAGE_TYPE_BROKEN = 0xd, PAGE_TYPE_XALLOC = 0xe, PAGE_TYPE_XTAB = 0xf,
                 PAGE_TYPE_DEFERRED = 0xff /* never on the wire: no content now, keep it in the carry */ };

enum guest_life { GUEST_RUNS, GUEST_SHUT_DOWN, GUEST_REBOOTED, GUEST_CRASHED };

struct guest_info {
    char name[GUEST_NAME_MAX + 1];
    uint8_t uuid[16];
    uint64_t pages;                 /* size of the physical map: pfns are below it */
    char spec[GUEST_SPEC_MAX + 1];  /* what the backup needs to build a replica of the same shape */
};

struct guest;

struct guest_ops {
    const char *kind;

    void (*info)(const struct guest *g, struct guest_info *ret);

    /* Appends the whole records that come before memory (CPU policies …) to `to`; may be none. */
    int (*preamble)(struct guest *g, struct sink *to, struct err *e);

    /* Stops every vCPU; on return nothing in the guest runs and no frame leaves it.
     * -EAGAIN: it was asked to and runs on for now (a guest that suspends by itself takes its time);
     * call again when event_fd is readable, and now and then. -ECANCELED: it has ended by itself (see
     * life). Any other failure: it runs on, and is not asked any more. */
    int (*pause)(struct guest *g, struct err *e);

    /* ORs the log of pages written since the last call into `into`, and clears the log. After a
     * failure the log's content is unknown: the caller must treat every page as dirty. */
    int (*dirty)(struct guest *g, struct dirty *into, struct err *e);

    /* Copies page pfns[i] to the place to[i] (PAGE_BYTES, aligned to them, wherever the page buffer has
     * one) and says its type, for all i < n. */
    int (*copy)(struct guest *g, const uint64_t *pfns, size_t n, uint8_t *const *to, uint8_t *types,
                struct err *e);

    /* Appends the state of vCPUs and devices as whole records. Only while paused. */
    int (*state)(struct guest *g, struct sink *to, struct err *e);

    /* Lets the guest run on. Also right after a pause that failed half way. */
    int (*resume)(struct guest *g, struct err *e);

    /* After each resume that went well: what the guest need not wait for. A guest without a processor
     * of its own gets ours first, so this may take as long as the pause did. What fails here is tried
     * again by the next pause, which says so. */
    void (*settle)(struct guest *g);

    /* Whether it still runs; becomes final. `event_fd` turns readable when it changes (-1: poll). */
    enum guest_life (*life)(struct guest *g);
    int (*event_fd)(struct guest *g);

    /* Ends the guest for good without letting anything out: this side was fenced. */
    void (*destroy)(struct guest *g);

    /* Frees what this process holds; a domain that can live without us lives on. Never fails. */
    void (*close)(struct guest *g);
};

/* First member of every backend's struct. */
struct guest {
    const struct guest_ops *ops;
};

static inline void guest_settle_nothing(UNUSED struct guest *g)
{
}

/* Both, for who does not measure the pause. */
MUST_CHECK static inline int guest_go_on(struct guest *g, struct err *e)
{
    int rc = g->ops->resume(g, e);

    if (rc == 0)
        g->ops->settle(g);
    return rc;
}

#endif

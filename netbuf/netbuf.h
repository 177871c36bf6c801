/* netbuf — holds a domain's outbound frames until the backup says so: one table, a backend a row
 * (plug: the kernel's qdisc; queue: user space, for the simulated NIC; none: named unsafe).
 *
 *   opened passing (nothing held)
 *   mark(e)     every frame so far belongs to epoch e or an earlier one; from the first mark on all
 *               later frames are held. Called while the guest is paused, before it is resumed.
 *   release(e)  frames marked up to e leave, in order; later ones stay
 *   open        everything leaves, nothing is held any more (unprotected, by right)
 *   drop        held frames are gone and nothing leaves ever again (fenced)
 *   close       frees this process's part and never opens the plug (P5)
 *
 * At most one marked epoch is unreleased in the kernel's plug; a second mark before the release joins
 * the older one's frames to the later epoch. After an error of mark or release the backend asks the
 * kernel for the truth instead of repeating. */
#ifndef REPLICATOR_NETBUF_NETBUF_H
#define REPLICATOR_NETBUF_NETBUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct netbuf_stats {
    uint64_t held_frames, held_bytes; /* now */
    uint64_t released_frames;         /* ever */
    uint64_t dropped_frames;          /* ever, because the limit was reached */
};

struct netbuf;

struct netbuf_ops {
    const char *kind;
    bool holds; /* false: output is not held at all ("none"), and status must say so */

    int (*mark)(struct netbuf *n, uint64_t epoch, struct err *e);

    /* Lets marked frames up to `epoch` out, but none after the instant not_after_ns (base/clock):
     * the lease. -ETIME when it passed first; what is left stays held. TIME_NEVER: no lease. */
    int (*release)(struct netbuf *n, uint64_t epoch, uint64_t not_after_ns, struct err *e);

    int (*open)(struct netbuf *n, struct err *e);
    int (*drop)(struct netbuf *n, struct err *e);
    void (*stats)(struct netbuf *n, struct netbuf_stats *ret);
    void (*close)(struct netbuf *n);
};

struct netbuf {
    const struct netbuf_ops *ops;
};

#endif

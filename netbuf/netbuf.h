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

#define NETBUF_PORTS_MAX 64u
#define NETBUF_WORDS_MAX 320u

struct netbuf_stats {
    uint64_t held_frames, held_bytes; /* now */
    uint64_t released_frames;         /* ever */
    uint64_t dropped_frames;          /* ever, because the limit was reached */
    uint64_t lost_frames;             /* ever, with a plug that had to be made anew */
    uint64_t limit_bytes;             /* of what is held, each interface */
};

/* One interface, for status. */
struct netbuf_port {
    char name[16];
    const char *state; /* a word: passing, holding, dropping; down, gone, unheld, unplugged */
    uint64_t held_frames, held_bytes, released_frames, dropped_frames;
};

/* What is known without asking anybody. */
struct netbuf_health {
    bool is_whole;                  /* all that the guest can send is held when it should be */
    uint64_t troubles;              /* ever: what happened to an interface from outside */
    char newest[NETBUF_WORDS_MAX];  /* of these, in words; "" */
    char degraded[NETBUF_WORDS_MAX]; /* what is amiss now: which interface, why; "": nothing */
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

    /* Fills at most NETBUF_PORTS_MAX; how many. None where no interface of the kernel is held. */
    unsigned (*ports)(struct netbuf *n, struct netbuf_port *ret);

    /* Readable when watch has something to look at; -1: never. watch looks at what happened to the
     * interfaces meanwhile and mends what can be mended: 0, or -errno with interface and reason, each
     * time anew until it is mended. mark and release do the same, and mark fails with it. */
    int (*fd)(const struct netbuf *n);
    int (*watch)(struct netbuf *n, struct err *e);
    void (*health)(const struct netbuf *n, struct netbuf_health *ret);

    void (*close)(struct netbuf *n);
};

struct netbuf {
    const struct netbuf_ops *ops;
};

#endif

/* domain — a guest with what its kind needs around it: how it is found, how its output is held, how a
 * replica of it is made and let run. One table, a row a kind (sim, xen); the daemons know no kind.
 *
 *   a primary:  domain_name … domain_open (guest and netbuf, nothing runs yet) … close
 *   a backup:   domain_await (a replica for a HELLO) … run (the activated guest) … close
 *   onward:     … run … hold (it has a netbuf, and is a primary's from now on) … close
 *
 * All calls come from the daemon's one thread. */
#ifndef REPLICATOR_DOMAIN_H
#define REPLICATOR_DOMAIN_H

#include "base/histogram.h"
#include "checkpoint/guest.h"
#include "checkpoint/record.h"
#include "checkpoint/replica.h"
#include "netbuf/announcer.h"
#include "netbuf/netbuf.h"

struct domain_options {
    const char *spec;          /* as the user wrote it */
    const char *netbuf_folder; /* of the plug's records; exists */
    uint64_t plug_bytes;       /* of output that the kernel holds, each interface */
    uint64_t queue_bytes;      /* of output that this process holds */
    const char *const *vifs;   /* --vif: names or patterns of interfaces, in place of those of the kind */
    unsigned vif_count;
    bool unsafe_netbuf;        /* output is not held */
    bool takes_over;           /* what an earlier process of ours holds is known to be ours to decide about */
};

struct domain;

struct domain_ops {
    const char *kind; /* what stands before the colon of a spec */

    /* The name that locks and sockets carry, without opening anything. */
    int (*name)(const char *spec, char ret[GUEST_NAME_MAX + 1], struct err *e);

    /* guest and netbuf of *ret are filled; the netbuf passes. On failure nothing is left. */
    int (*open)(struct domain **ret, const struct domain_options *o, struct err *e);

    /* A domain without a guest, and the replica that may become one. The replica is the caller's. */
    int (*await)(struct domain **ret, const struct hello *h, struct replica **ret_replica, struct err *e);

    /* The replica's guest, paused: connects its network and lets it run. May be tried again. */
    int (*run)(struct domain *d, struct guest *g, struct err *e);

    /* The guest that runs here shall be protected in turn: gives it a netbuf, which passes, and leaves it
     * running. Once it has one, nothing. */
    int (*hold)(struct domain *d, const struct domain_options *o, struct err *e);

    /* For proofs, while paused: the guest answers for its own memory. -EUCLEAN naming the first bad
     * page, -EOPNOTSUPP when this kind can't. */
    int (*check)(struct domain *d, struct err *e);

    /* What comes in from outside through this process: a descriptor to poll (-1: nothing does), and
     * what to call when it is readable. */
    int (*input_fd)(const struct domain *d);
    void (*input)(struct domain *d);

    /* The interfaces of the guest that runs here, or is protected here, as this host has them now: what
     * is announced after an activation. Fills at most ANNOUNCER_PORTS_MAX, returns how many; none where
     * the kind has no such interfaces. Only with a guest. */
    unsigned (*ports)(const struct domain *d, struct announce_port *ret);

    /* How long frames were held; nothing where the kernel holds them. */
    void (*holds)(const struct domain *d, struct histogram *ret);

    /* The guest, if it is the domain's own, first, then what holds its output (P5). */
    void (*close)(struct domain *d);
};

/* First member of every kind's struct. */
struct domain {
    const struct domain_ops *ops;
    struct guest *guest;   /* the primary's own, or the one that runs here; else NULL */
    bool owns_guest;       /* a guest given to run is the backup engine's, until that lets go of it */
    struct netbuf *netbuf; /* a primary's */
    bool is_plugged;       /* the netbuf is a netbuf_plug: the kernel holds the output, not we */
};

/* The kind of a spec, by its prefix; one without is a Xen domain's name, number or UUID. NULL: none. */
const struct domain_ops *domain_kind(const char *spec);

#endif

/* netbuf_plug_inside — what the two halves of netbuf_plug share; nobody else includes it. */
#ifndef REPLICATOR_NETBUF_NETBUF_PLUG_INSIDE_H
#define REPLICATOR_NETBUF_NETBUF_PLUG_INSIDE_H

#include <limits.h>

#include "netbuf/link_watch.h"
#include "netbuf/netbuf_plug.h"
#include "netbuf/vif.h"

/* What is wrong with one interface. */
enum trouble {
    SOUND,
    GONE,      /* unplugged: nothing to hold until it comes back */
    UNHELD,    /* back, or its redirect was removed: what it sends is not held */
    UNPLUGGED, /* the plug is not what it was: nothing of it may be released */
};

struct plug {
    struct netbuf base;
    struct netlink netlink;
    struct link_watch watch;
    char folder[PATH_MAX];
    struct vif_record record;
    unsigned count;
    struct vif vifs[VIF_RECORD_VIFS_MAX];
    enum trouble troubles[VIF_RECORD_VIFS_MAX];
    uint64_t lost_frames; /* with plugs that were renewed */
};

struct plug *netbuf_plug_of(struct netbuf *n);

/* Mends one interface; what remains of its trouble is the answer. */
MUST_CHECK int netbuf_plug_mend(struct plug *p, unsigned i, struct err *e);

/* A fresh plug for an interface, in its mode. */
MUST_CHECK int netbuf_plug_renew(struct plug *p, struct vif *v, struct err *e);

#endif

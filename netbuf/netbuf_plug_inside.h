/* netbuf_plug_inside — what the parts of netbuf_plug share; nobody else includes it. */
#ifndef REPLICATOR_NETBUF_NETBUF_PLUG_INSIDE_H
#define REPLICATOR_NETBUF_NETBUF_PLUG_INSIDE_H

#include <limits.h>
#include <stdbool.h>

#include "netbuf/link_watch.h"
#include "netbuf/netbuf_plug.h"
#include "netbuf/vif.h"

/* What is wrong with one interface; the later, the more there is to be made anew. */
enum trouble {
    SOUND,
    GONE,      /* unplugged: nothing to hold until it comes back */
    UNHELD,    /* back, or its redirect was removed: what it sends is not held */
    UNPLUGGED, /* the plug is not what it was: nothing of it may be released */
    UNMADE,    /* its ifb is not there */
    NEW,       /* just plugged in, and one of the domain's by its name: nothing is made yet */
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
    bool is_down[VIF_RECORD_VIFS_MAX]; /* the guest's interface */
    uint32_t limit_bytes;
    bool is_taken_over;   /* from an earlier process, holding */
    unsigned pattern_count;
    char patterns[VIF_RECORD_VIFS_MAX][IFNAMSIZ];
    struct netbuf_stats before; /* of plugs that were renewed */
    uint64_t heard;       /* troubles ever */
    char newest[NETBUF_WORDS_MAX];
    struct err unmended;  /* of the last watch; code 0: none */
};

struct plug *netbuf_plug_of(struct netbuf *n);

/* One with nothing made and nothing open; and the end of one, whatever is open: the kernel keeps all. */
MUST_CHECK int netbuf_plug_new(struct plug **ret, struct err *e);
void netbuf_plug_free(struct plug *p);

/* The first `made` interfaces are as before; the record goes when all of them are. */
bool netbuf_plug_give_back(struct plug *p, unsigned made, struct err *e);

/* Hears the kernel out, mends, and says what could not be mended (netbuf_ops.watch). */
MUST_CHECK int netbuf_plug_watch(struct netbuf *n, struct err *e);

/* Mends one interface; what remains of its trouble is the answer. */
MUST_CHECK int netbuf_plug_mend(struct plug *p, unsigned i, struct err *e);

/* An interface that has a pattern's name becomes one more of the domain's, with nothing made yet. False:
 * no pattern, known already, or too many. */
bool netbuf_plug_add(struct plug *p, const char *name);
bool netbuf_plug_has_pattern(const struct plug *p, const char *name);
/* Looks at an interface and gives it the next row of the record, which is not stored yet. */
MUST_CHECK int netbuf_plug_take_row(struct plug *p, unsigned i, const char *name, struct err *e);

void netbuf_plug_health(const struct netbuf *n, struct netbuf_health *ret);
unsigned netbuf_plug_ports(struct netbuf *n, struct netbuf_port *ret);

/* A fresh plug for an interface, in its mode. */
MUST_CHECK int netbuf_plug_renew(struct plug *p, struct vif *v, struct err *e);

#endif

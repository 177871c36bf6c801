/* announcer — announces a guest's interfaces several times, with growing gaps: frames get lost, and a
 * switch may not forward yet. The first round is due at once; the owner's loop asks when the next one is
 * and calls back then. Time comes as an argument. */
#ifndef REPLICATOR_NETBUF_ANNOUNCER_H
#define REPLICATOR_NETBUF_ANNOUNCER_H

#include <net/if.h>

#include "netbuf/announce.h"

#define ANNOUNCER_PORTS_MAX    64u
#define ANNOUNCER_ROUNDS       9u                   /* the last one 12.75 s after the first */
#define ANNOUNCER_GAP_NS_FIRST UINT64_C(50000000)   /* after the first round; then twice as long each */

/* A guest's interface and what is announced for it. */
struct announce_port {
    char interface[IFNAMSIZ]; /* the guest's own one, which is a port of a bridge; or the bridge */
    struct announce_nic nic;
};

/* "br0=52:54:00:12:34:56" or with addresses "br0=52:54:00:12:34:56=10.0.0.7,fd00::7". -EINVAL. */
MUST_CHECK int announce_port_parse(const char *text, struct announce_port *ret, struct err *e);

struct announcer {
    /* read by status */
    unsigned count, rounds;   /* ports; rounds done */
    /* private */
    int (*send)(const struct announce_port *port, struct err *e);
    uint64_t due_ns, gap_ns;
    struct announce_port ports[ANNOUNCER_PORTS_MAX];
};

/* At most ANNOUNCER_PORTS_MAX ports, which are copied; none: there is nothing to do, ever. `send` is
 * announcer_send but in tests. */
void announcer_start(struct announcer *a, const struct announce_port *ports, unsigned count,
                     int (*send)(const struct announce_port *port, struct err *e), uint64_t now_ns);

/* When the next round is due; TIME_NEVER: all are done. An announcer of zeros has nothing to do. */
uint64_t announcer_deadline(const struct announcer *a);

/* Announces every port once if a round is due; a port that fails does not keep the others from it.
 * 1: a round was sent whole, 0: none was due, -errno of the first port that failed. */
MUST_CHECK int announcer_turn(struct announcer *a, uint64_t now_ns, struct err *e);

/* One announcement: the bridge learns where the guest is now, then every frame goes out of the bridge.
 * -ENODEV, -EPERM naming the capability (CAP_NET_RAW; CAP_NET_ADMIN for the bridge's table). */
MUST_CHECK int announcer_send(const struct announce_port *port, struct err *e);

#endif

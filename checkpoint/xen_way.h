/* xen_way — makes way for a guest that was just resumed. Where it shares its processors with this domain, the
 * scheduler puts who has slept (we have, in the suspend) before who has worked: the guest's thaw would wait for
 * the encoding, and all that the guest serves with it. Nothing tells when a guest has thawed; what is known is
 * how long its freezing took, and the processor time that it has had since. */
#ifndef REPLICATOR_CHECKPOINT_XEN_WAY_H
#define REPLICATOR_CHECKPOINT_XEN_WAY_H

#include <stdint.h>

#include "base/clock.h"
#include "checkpoint/xen_domain.h"

#define XEN_WAY_FIRST_NS (100 * NS_PER_US) /* for a free processor to take the guest up */
#define XEN_WAY_STEP_NS  (500 * NS_PER_US) /* between two looks at least: a look takes the processor, too */
#define XEN_WAY_MAX_NS   (100 * NS_PER_MS) /* of way made: the epoch waits meanwhile */

struct xen_way {
    uint64_t began_ns; /* when the guest was let go on */
    uint64_t had_ns;   /* the processor time that it had had by then */
    uint64_t worth_ns; /* that it is to have before anything else, at most */
};

/* At the resume, after a suspend that took so long. */
struct xen_way xen_way_begin(const struct xen_look *first, uint64_t now_ns, uint64_t suspend_ns);

/* How long to sleep before the next look; 0: enough. It is enough when the guest has run as long as its
 * freezing took, waits for something itself, or runs while we look, on another processor. */
uint64_t xen_way_wait_ns(const struct xen_way *w, const struct xen_look *now, uint64_t now_ns);

#endif

/* announcing — tells the network where a guest is that was activated here: its own interfaces, and what
 * --announce adds. Every round is due by the daemon's loop; a failure is said when it is a new one, and tried again. */
#ifndef REPLICATOR_ANNOUNCING_H
#define REPLICATOR_ANNOUNCING_H

#include <jansson.h>

#include "netbuf/announcer.h"
#include "replicator/control/told.h"
#include "replicator/domain/domain.h"
#include "replicator/options.h"

struct announcing {
    struct announcer announcer;
    struct err failure; /* of the newest round; code 0: none */
};

/* Every text is DOMAIN:INTERFACE=MAC or DOMAIN:INTERFACE=MAC=ADDRESS,ADDRESS… -EINVAL. */
MUST_CHECK int announcing_check(const struct option_list *texts, struct err *e);

/* The guest runs: collects its interfaces, and those of the texts that name the domain. */
void announcing_begin(struct announcing *a, const struct domain *d, const struct option_list *texts,
                      const char *name, uint64_t now_ns);

uint64_t announcing_deadline(const struct announcing *a); /* TIME_NEVER: nothing to do */
void announcing_turn(struct announcing *a, struct told *told, const char *name, uint64_t now_ns);

/* {"interfaces":n,"rounds":n,"reason":null or why the newest round failed}: a new reference. */
json_t *announcing_json(const struct announcing *a);

#endif

/* leftover — what network buffers are on this machine, by their records and by the names of links: those
 * of running processes and those that a dead one left behind. Changes nothing. */
#ifndef REPLICATOR_NETBUF_LEFTOVER_H
#define REPLICATOR_NETBUF_LEFTOVER_H

#include "netbuf/vif_record.h"

#define LEFTOVERS_MAX 256u

struct leftover {
    struct vif_record record; /* made up, with an empty domain and holding, where there is none */
    bool is_recorded;
    bool is_owned;            /* the process runs: not a leftover at all */
    unsigned plugs;           /* of its interfaces that have one */
    uint64_t held_frames, held_bytes;
};

/* Fills *ret (free() it); how many. */
MUST_CHECK int leftover_find(const char *folder, struct leftover **ret, struct err *e);

/* Nothing is held or could be: no question is to be asked before it is removed. */
bool leftover_is_harmless(const struct leftover *l);

#endif

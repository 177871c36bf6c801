/* observer — judges a run from outside: frames seen, memory activated, tokens given.
 * The first broken promise ends the run. It never asks the product what it thinks, except for its
 * status, which is itself one of the things judged (P8). */
#ifndef TESTS_SIM_OBSERVER_H
#define TESTS_SIM_OBSERVER_H

#include "tests/sim/world.h"

enum frame_way { BY_RELEASE, BY_PASSING, FROM_BACKUP };

struct observer {
    char promise[8];             /* the first one broken, "" none */
    char text[200];
    uint64_t newest_outside;     /* greatest value seen from the primary */
    uint64_t newest_protected;   /* … among those that left by a release */
    uint32_t committed;          /* newest snapshot ever committed on a backup */
    uint64_t frames[SIDES];
    uint64_t unsound_since;      /* since when `protected` would be a lie, 0: it would not */
    uint64_t epochs;             /* acknowledged, all processes of the run */
    uint64_t healed_at, recovered_epochs;
    bool was_protected_at_death, is_host_dead;
    uint64_t dead_at;
    bool backup_died_too;        /* killed, stopped or its host lost at any time */
    bool clean_end;              /* the primary said goodbye: nothing may be activated any more */
    bool final_mark;             /* the newest snapshot is of a guest that had ended */
    uint64_t takeover_at;
};

void violation(struct world *w, const char *promise, const char *format, ...) PRINTF_LIKE(3, 4);

void observe_mark(struct world *w, uint64_t epoch);
void observe_frame(struct world *w, const struct frame *f, enum frame_way way);
void observe_open(struct world *w);
void observe_commit(struct world *w, uint32_t serial);
void observe_activation(struct world *w, const struct machine *m, uint32_t serial);
void observe_takeover(struct world *w);
void observe_primary(struct world *w, uint64_t epochs_before);
void observe_paused(struct world *w);

/* True when the run may end well: everything has come to rest as promised. */
bool observe_settled(struct world *w);
void observe_end(struct world *w, bool is_in_time);

#endif

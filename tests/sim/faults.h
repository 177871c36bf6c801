/* faults — what a seed does to its world: configuration, and a plan of up to FAULTS_MAX faults. */
#ifndef TESTS_SIM_FAULTS_H
#define TESTS_SIM_FAULTS_H

#include "tests/sim/world.h"

#define FAULT_KINDS(X)                                                                            \
    X(kill_primary_host) X(kill_primary_daemon) X(kill_backup_daemon) X(kill_backup_host)         \
    X(freeze_primary) X(freeze_backup) X(freeze_releasing) X(reset_link) X(cut_both) X(cut_to_backup)                 \
    X(cut_to_primary) X(flap) X(refuse_connections) X(spoil_to_backup) X(spoil_to_primary)        \
    X(stranger_noise) X(stranger_replay) X(guest_call_fails) X(netbuf_call_fails)                 \
    X(other_call_fails) X(guest_ends) X(stop_primary) X(stop_backup) X(activate_unfenced)         \
    X(slow_link) X(flip_bit) X(arbiter_down) X(switchover)
enum fault_kind {
#define X(name) FAULT_##name,
    FAULT_KINDS(X)
#undef X
        FAULT_KINDS_COUNT
};

extern const char *const fault_names[FAULT_KINDS_COUNT];

void faults_configure(struct world *w);
void faults_plan(struct world *w);
/* When the next one is due, and doing it. */
uint64_t faults_wake(const struct world *w);
void faults_run(struct world *w);
/* True when none is ahead and none is in force. */
bool faults_are_over(const struct world *w);

#endif

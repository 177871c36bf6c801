/* guest_xen — a Xen domain as the guest that is protected: PVH and HVM domains of Xen 4.17 and later.
 * Known by its UUID once it is found. The dirty log is on from the first dirty() to close(); a process
 * that was killed leaves it on, and the domain suspended where it lay in a pause: open() finds both, the
 * domain then stays suspended until resume(), because only the caller knows whose the guest is. */
#ifndef REPLICATOR_CHECKPOINT_GUEST_XEN_H
#define REPLICATOR_CHECKPOINT_GUEST_XEN_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/guest.h"
#include "checkpoint/xen_shape.h"

#define GUEST_XEN_SUSPEND_NS (UINT64_C(10) * 1000000000) /* that a guest gets to answer */

/* Opens the domain with this name, number or UUID. -ENOENT: no such; -EOPNOTSUPP: it can't be
 * protected, with the reason; -ENODEV, -EACCES: no Xen, or no right to it. */
MUST_CHECK int guest_xen_open(const char *which, struct guest **ret, struct err *e);

/* Opens a domain that its toolstack has left paused, as xl restore -p does: the first resume() unpauses
 * it. It has this shape. */
MUST_CHECK int guest_xen_adopt(const struct xen_shape *shape, uint32_t domid, struct guest **ret,
                               struct err *e);

/* What a process that is gone left of a domain. */
struct guest_xen_left {
    bool was_suspended;
    bool has_foreign_log; /* on, and not by this program (never known of a domain with an emulator) */
};

/* Ends what a killed process left of a protection: the dirty log, with `foreign` another tool's, too, and
 * with `resume` the suspend. *ret: what was found. 0 also when nothing was left. */
MUST_CHECK int guest_xen_recover(const char *which, bool resume, bool foreign, struct guest_xen_left *ret,
                                 struct err *e);

/* The name of the domain meant, without opening it. */
MUST_CHECK int guest_xen_name(const char *which, char ret[GUEST_NAME_MAX + 1], struct err *e);

/* Its number on this host, of now. */
uint32_t guest_xen_domid(const struct guest *g);

/* How long the parts of the pause that ended last took. Within them: of suspend, state and resume what the
 * emulator took, of copy the questions for types and the mapping. After it: the way made for the guest, the
 * store told, the unmapping. */
struct guest_xen_times {
    uint64_t suspend_ns, log_ns, copy_ns, state_ns, resume_ns;
    uint64_t emulator_stop_ns, emulator_state_ns, emulator_cont_ns, types_ns, map_ns;
    uint64_t way_ns, tell_ns, unmap_ns;
};
struct guest_xen_times guest_xen_last_pause(const struct guest *g);

#endif

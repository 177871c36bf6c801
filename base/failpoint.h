/* failpoint — named places before and after each promise where tests kill, abort or stop a process.
 * In release builds FAILPOINT() is nothing. In test builds (-DREPLICATOR_FAILPOINTS) the hook is
 * called with the place's number; the fault tests arm it from the environment, the simulator sets
 * its own. The list lives once, here. */
#ifndef REPLICATOR_BASE_FAILPOINT_H
#define REPLICATOR_BASE_FAILPOINT_H

#define FAILPOINTS(X)                                                                       \
    /* primary */                                                                           \
    X(pause) X(plug_mark) X(dirty_read) X(page_copy) X(capture_state) X(resume)             \
    X(encode) X(send_epoch) X(send_commit) X(recv_ack) X(lease_check) X(after_release)      \
    X(primary_ask_token) X(go_unprotected) X(send_detach)                  \
    /* backup */                                                                            \
    X(accept) X(recv_page) X(stage_full) X(verify) X(before_commit) X(before_ack)           \
    X(after_ack) X(mid_apply) X(after_apply) X(timeout) X(backup_ask_token)                 \
    X(before_activate) X(after_activate)                                                    \
    /* network buffer: before and after every send to the kernel */                         \
    X(netlink)                                                                              \
    /* a Xen domain, and the shell that is its replica */                                   \
    X(log_on) X(suspend_asked) X(half_resumed) X(shell_begun) X(shell_done)

enum failpoint {
#define X(name) FAILPOINT_##name,
    FAILPOINTS(X)
#undef X
        FAILPOINT_COUNT
};

#ifdef REPLICATOR_FAILPOINTS
extern void (*failpoint_hook)(enum failpoint);
#define FAILPOINT(name)                             \
    do {                                            \
        if (failpoint_hook)                         \
            failpoint_hook(FAILPOINT_##name);       \
    } while (0)
/* Arms from REPLICATOR_FAILPOINT="name:kill|abort|stop[:nth]"; -1 when that names nothing known.
 * Strikes once, on the nth pass of this process and all that it forks, and says so on stderr. */
int failpoint_arm_from_environment(void);
#else
#define FAILPOINT(name) ((void)0)
static inline int failpoint_arm_from_environment(void)
{
    return 0;
}
#endif

/* The name of a place, for lists and traces. */
const char *failpoint_name(enum failpoint f);

#endif

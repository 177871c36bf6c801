/* link_exec — the peer is what a shell command's stdin and stdout lead to (ssh, socat, …).
 * The command runs in a process group of its own that ends with the link: its stdin ends at close,
 * SIGTERM and SIGKILL follow when it has not gone by then. When we exit right after close, only the
 * end of its stdin is left to end it. stderr is shared with us, so that ssh can say what is wrong. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/child.h"
#include "replicator/link/link_fds.h"
#include "replicator/link/link_rows.h"

#define END_OF_INPUT_GRACE_MS 1000
#define TERMINATION_GRACE_MS  1000

struct link_exec {
    struct link_fds fds;
    pid_t group; /* the shell's pid, too */
};

/* The pipes first: their end is what tells a well-behaved command to finish. */
static void exec_close(struct link *l)
{
    pid_t group = ((struct link_exec *)l)->group;

    link_fds_close(l);
    if (group > 0)
        child_end(group, END_OF_INPUT_GRACE_MS, TERMINATION_GRACE_MS);
}

static const struct link_ops exec_ops = {
    .kind = "exec",
    .send = link_fds_send,
    .send_pieces = link_fds_send_pieces,
    .receive = link_fds_receive,
    .fds = link_fds_fds,
    .connected = link_fds_connected,
    .close = exec_close,
};

/* A pipe whose ends are above stdio, so that moving them to 0 and 1 in the child can't clash. */
static int high_pipe(int ret[2])
{
    int low[2], code;

    if (pipe2(low, O_CLOEXEC) < 0)
        return -errno;
    ret[0] = fcntl(low[0], F_DUPFD_CLOEXEC, 3);
    ret[1] = fcntl(low[1], F_DUPFD_CLOEXEC, 3);
    code = errno;
    auto_close(&low[0]);
    auto_close(&low[1]);
    return ret[0] < 0 || ret[1] < 0 ? -code : 0;
}

int link_exec_connect(struct link **ret, const char *place, UNUSED uint64_t timeout_ns, struct err *e)
{
    const char *const shell[] = { "sh", "-c", place, NULL };
    int to[2] = { -1, -1 }, from[2] = { -1, -1 };
    struct link_exec *x;
    int rc;

    if (!place[0])
        return err_set(e, EINVAL, "exec: want a command after the colon");
    x = calloc(1, sizeof(*x));
    if (!x)
        return err_set(e, ENOMEM, "exec:%.80s: %m", place);
    x->fds.link.ops = &exec_ops;
    x->fds.receive_fd = x->fds.send_fd = -1;
    rc = high_pipe(to);
    if (rc == 0)
        rc = high_pipe(from);
    if (rc == 0)
        rc = child_start(&x->group, "/bin/sh", shell, to[0], from[1]);
    auto_close(&to[0]);
    auto_close(&from[1]);
    if (rc < 0) {
        auto_close(&to[1]);
        auto_close(&from[0]);
        err_set(e, -rc, "exec:%.80s: %m", place);
    } else {
        rc = link_fds_start(&x->fds, from[0], to[1], e);
    }
    if (rc < 0) {
        exec_close(&x->fds.link);
        return rc;
    }
    *ret = &x->fds.link;
    return 0;
}

int link_exec_listen(UNUSED int *ret_fd, UNUSED const char *place, UNUSED char *bound, struct err *e)
{
    return err_set(e, EINVAL, "exec: is for connecting; the far side runs receive --stdio");
}

/* link_exec — the peer is what a shell command's stdin and stdout lead to (ssh, socat, …).
 * The command runs in a process group of its own that ends with the link: its stdin ends at close,
 * SIGTERM and SIGKILL follow when it has not gone by then. It leaves no zombie as long as nobody
 * else in the process waits for "any child". When we exit right after close, only the end of its
 * stdin is left to end it. stderr is shared with us, so that ssh can say what is wrong. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replicator/link/link_fds.h"
#include "replicator/link/link_rows.h"

#define END_OF_INPUT_GRACE_MS 1000
#define TERMINATION_GRACE_MS  1000

extern char **environ;

struct link_exec {
    struct link_fds fds;
    pid_t group; /* the shell's pid, too */
};

/* In a thread of its own: waits for the command to end, at first by itself — what we sent last may
 * still be on its way through it — then less kindly. The shell's pid stays ours until it is waited
 * for, so that the group can't be somebody else's. */
static void *reap(void *group_as_pointer)
{
    pid_t group = (pid_t)(intptr_t)group_as_pointer;
    AUTO_CLOSE int fd = pidfd_open(group, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };

    poll(&p, 1, END_OF_INPUT_GRACE_MS);
    kill(-group, SIGTERM);
    poll(&p, 1, TERMINATION_GRACE_MS);
    kill(-group, SIGKILL);
    while (waitpid(group, NULL, 0) < 0 && errno == EINTR)
        ;
    return NULL;
}

static void end_group(pid_t group)
{
    pthread_attr_t detached;
    sigset_t all, before;
    pthread_t thread;

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all); /* signals belong to the threads that expect them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, &detached, reap, (void *)(intptr_t)group) != 0) {
        kill(-group, SIGKILL);
        waitpid(group, NULL, 0);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
}

/* The pipes first: their end is what tells a well-behaved command to finish. */
static void exec_close(struct link *l)
{
    pid_t group = ((struct link_exec *)l)->group;

    link_fds_close(l);
    if (group > 0)
        end_group(group);
}

static const struct link_ops exec_ops = {
    .kind = "exec",
    .send = link_fds_send,
    .receive = link_fds_receive,
    .fds = link_fds_fds,
    .connected = link_fds_connected,
    .close = exec_close,
};

/* posix_spawn, not fork: a fork of a process that holds a guest's memory would copy its page tables
 * while the guest waits. */
static int spawn_shell(pid_t *ret, const char *command, int in, int out)
{
    char *const arguments[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char *)(uintptr_t)command, NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, defaults;
    int rc;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGTERM);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGCHLD);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &defaults);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    rc = posix_spawn(ret, "/bin/sh", &files, &how, arguments, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    return -rc;
}

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
        rc = spawn_shell(&x->group, place, to[0], from[1]);
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

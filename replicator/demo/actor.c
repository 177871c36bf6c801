/* actor — see actor.h. */
#include "replicator/demo/actor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "replicator/control/run_dir.h"

#define LOOK_AGAIN_NS (5 * NS_PER_MS)

NORETURN static void become(const char *program, const struct actor *a, int out,
                            const char *const arguments[], pid_t parent)
{
    sigset_t none;
    const char *all[ACTOR_ARGUMENTS_MAX + 2] = { "replicator" };
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int err = open(a->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || setpgid(0, 0) < 0 || dup2(nothing, 0) < 0 || dup2(out, 1) < 0 ||
        dup2(err, 2) < 0)
        _exit(126);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (unsigned i = 0; i < ACTOR_ARGUMENTS_MAX && arguments[i]; i++)
        all[i + 1] = arguments[i];
    execv(program, (char *const *)(uintptr_t)all);
    _exit(127);
}

int actor_start(struct actor *a, const char *program, const char *name, const char *folder,
                const char *const arguments[], struct err *e)
{
    pid_t parent = getpid();
    int ends[2];

    a->name = name;
    a->pid = 0;
    a->pid_fd = a->out.fd = -1;
    if (snprintf(a->run_dir, sizeof(a->run_dir), "%s/%s", folder, name) >= (int)sizeof(a->run_dir) ||
        snprintf(a->log, sizeof(a->log), "%s/%s.log", folder, name) >= (int)sizeof(a->log))
        return err_set(e, ENAMETOOLONG, "%s", folder);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return err_set(e, errno, "socketpair: %m");
    a->pid = fork();
    if (a->pid == 0)
        become(program, a, ends[1], arguments, parent);
    close(ends[1]);
    lines_open(&a->out, ends[0]);
    if (a->pid < 0) {
        a->pid = 0;
        return err_set(e, errno, "no process for the %s: %m", name);
    }
    setpgid(a->pid, a->pid); /* whoever comes first */
    a->pid_fd = pidfd_open(a->pid, 0);
    return a->pid_fd < 0 ? err_set(e, errno, "pidfd_open: %m") : 0;
}

int actor_connect(struct actor *a, bool is_backup, const char *domain, uint64_t until_ns,
                  struct lines *ret, struct err *e)
{
    char path[RUN_PATH_MAX];
    struct run_dir run;
    int fd, rc = run_dir_open(&run, a->run_dir, e);

    if (rc == 0)
        rc = run_dir_file(&run, is_backup ? RUN_BACKUP : RUN_PRIMARY, domain, "sock", path, e);
    while (rc == 0) {
        uint64_t now = clock_now_ns();

        if (run_dir_connect(path, SOCK_STREAM, &fd, e) == 0) {
            lines_open(ret, fd);
            return 0;
        }
        if (now >= until_ns)
            return err_set(e, ETIMEDOUT, "the %s has no control socket %s yet", a->name, path);
        rc = lines_poll(a->pid_fd, -1, now + LOOK_AGAIN_NS);
        if (rc > 0)
            rc = err_set(e, ECHILD, "the %s has ended", a->name);
        else if (rc < 0)
            err_set(e, -rc, "interrupted");
    }
    return rc;
}

void actor_kill(struct actor *a)
{
    if (a->pid > 0)
        kill(a->pid, SIGKILL); /* waited for at close: until then the group's number stays ours */
}

void actor_close(struct actor *a)
{
    if (a->pid > 0) {
        kill(-a->pid, SIGKILL);
        while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    a->pid = 0;
    auto_close(&a->pid_fd);
    lines_close(&a->out);
}

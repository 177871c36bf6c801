/* child — see child.h. A child's pid stays ours until it is waited for, so that signals to its group
 * can't reach somebody else's. */
#include "base/child.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define REAPER_STACK_BYTES (128u << 10)

extern char **environ;

int child_start(pid_t *ret, const char *path, const char *const arguments[], int in_fd, int out_fd)
{
    static const short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, every;
    int rc;

    sigemptyset(&none);
    sigfillset(&every);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, flags);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &every);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in_fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out_fd, STDOUT_FILENO);
    rc = posix_spawn(ret, path, &files, &how, (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    return -rc;
}

struct ending {
    pid_t group;
    unsigned quiet_ms, term_ms;
};

static void *reap(void *argument)
{
    AUTO_FREE struct ending *x = argument;
    AUTO_CLOSE int fd = pidfd_open(x->group, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };

    if (x->quiet_ms)
        poll(&p, 1, (int)x->quiet_ms);
    if (x->term_ms) {
        kill(-x->group, SIGTERM);
        poll(&p, 1, (int)x->term_ms);
    }
    kill(-x->group, SIGKILL);
    while (waitpid(x->group, NULL, 0) < 0 && errno == EINTR)
        ;
    return NULL;
}

void child_end(pid_t group, unsigned quiet_ms, unsigned term_ms)
{
    struct ending *x = malloc(sizeof(*x));
    pthread_attr_t how;
    sigset_t all, before;
    pthread_t thread;
    int rc = x ? 0 : ENOMEM;

    if (rc == 0) {
        *x = (struct ending){ group, quiet_ms, term_ms };
        pthread_attr_init(&how);
        pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&how, REAPER_STACK_BYTES);
        sigfillset(&all); /* signals belong to the threads that expect them */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = pthread_create(&thread, &how, reap, x);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&how);
    }
    if (rc) { /* no thread to be had: no mercy, and a zombie if it does not go at once */
        free(x);
        kill(-group, SIGKILL);
        waitpid(group, NULL, WNOHANG);
    }
}

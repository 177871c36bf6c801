/* replica_xen_shell — see replica_xen_shell.h. The pipe holds one page: it is writable only when xl has
 * read all of it, and that is how "taken" is known without asking. */
#include "checkpoint/replica_xen_shell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"

#define PIPE_BYTES   4096      /* one slot of the pipe */
#define TIDY_MS      60000u    /* xl destroys the domain and its devices */
#define TERM_MS      5000u

void replica_xen_shell_init(struct replica_xen_shell *s)
{
    *s = (struct replica_xen_shell){ .events = -1, .process = -1, .feed = -1, .words = -1 };
}

/* ---- what it said -------------------------------------------------------------------------------- */

static const char *find_error(const char *words)
{
    for (const char *at = words; at && *at; at = strchr(at, '\n')) {
        const char *end;

        at += *at == '\n';
        end = strchrnul(at, '\n');
        for (const char *c = at; c < end; c++)
            if (strncasecmp(c, "error", 5) == 0)
                return at;
    }
    return NULL;
}

static const char *find_last(const char *words)
{
    size_t n = strlen(words);

    while (n > 0 && words[n - 1] == '\n')
        n--;
    while (n > 0 && words[n - 1] != '\n')
        n--;
    return words + n;
}

void replica_xen_shell_line(const char *words, char *to, size_t room)
{
    const char *line = find_error(words);
    size_t n;

    line = line ? line : find_last(words);
    n = strcspn(line, "\n");
    snprintf(to, room, "%.*s", (int)n, line);
    for (char *c = to; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

static int ended(const struct replica_xen_shell *s, struct err *e)
{
    char words[REPLICA_XEN_WORDS_MAX + 1], line[200];
    ssize_t n = pread(s->words, words, sizeof(words) - 1, 0); /* the first: what follows an error is its echo */

    words[n > 0 ? n : 0] = '\0';
    replica_xen_shell_line(words, line, sizeof(line));
    if (WIFSIGNALED(s->exit_status))
        return err_set(e, ENOTRECOVERABLE, "xl, which held the replica's domain, was killed by signal %d",
                       WTERMSIG(s->exit_status));
    return err_set(e, ENOTRECOVERABLE, "xl restore ended with %d: %s", WEXITSTATUS(s->exit_status),
                   *line ? line : "it said nothing");
}

static void look(struct replica_xen_shell *s)
{
    if (s->pid > 0 && !s->is_over && waitpid(s->pid, &s->exit_status, WNOHANG) == s->pid) {
        s->is_over = true;
        s->pid = 0;
        auto_close(&s->process);
    }
}

/* ---- its life ------------------------------------------------------------------------------------ */

static int watch(struct replica_xen_shell *s, int fd, uint32_t what, struct err *e)
{
    struct epoll_event event = { .events = what, .data.fd = fd };

    return epoll_ctl(s->events, EPOLL_CTL_ADD, fd, &event) < 0
               ? err_set(e, errno, "xl can't be watched: %m")
               : 0;
}

int replica_xen_shell_watch(struct replica_xen_shell *s, int fd, struct err *e)
{
    return watch(s, fd, EPOLLIN, e);
}

static void want_to_feed(struct replica_xen_shell *s, bool is_wanted)
{
    struct epoll_event event = { .events = is_wanted ? EPOLLOUT : 0, .data.fd = s->feed };

    must(epoll_ctl(s->events, EPOLL_CTL_MOD, s->feed, &event) == 0);
}

/* Both of its outputs are one: where they go is arranged by a shell, because base/child shares stderr. */
static int spawn(struct replica_xen_shell *s, const char *xl, int in, int out, struct err *e)
{
    const char *const arguments[] = { "sh", "-c", "exec \"$@\" 2>&1", "sh", xl, "restore", "-p",
                                      "/proc/self/fd/0", NULL };
    pid_t pid;
    int rc = child_start(&pid, "/bin/sh", arguments, in, out);

    if (rc < 0)
        return err_set(e, -rc, "%s can't be started: %m", xl);
    s->pid = pid;
    s->process = pidfd_open(pid, 0);
    return s->process < 0 ? err_set(e, errno, "%s can't be watched: %m", xl) : 0;
}

static int make_pipe(int feed[2], struct err *e)
{
    if (pipe2(feed, O_CLOEXEC) < 0)
        return err_set(e, errno, "no pipe to xl: %m");
    if (fcntl(feed[1], F_SETPIPE_SZ, PIPE_BYTES) != PIPE_BYTES || fcntl(feed[1], F_SETFL, O_NONBLOCK) < 0)
        return err_set(e, errno, "no pipe of one page to xl: %m");
    return 0;
}

int replica_xen_shell_start(struct replica_xen_shell *s, const char *xl, struct err *e)
{
    int feed[2] = { -1, -1 };
    int rc = make_pipe(feed, e);

    s->events = epoll_create1(EPOLL_CLOEXEC);
    s->words = memfd_create("xl", MFD_CLOEXEC);
    if (rc == 0 && (s->events < 0 || s->words < 0 || fcntl(s->words, F_SETFL, O_APPEND) < 0))
        rc = err_set(e, errno, "xl can't be watched: %m");
    if (rc == 0)
        rc = spawn(s, xl, feed[0], s->words, e);
    s->feed = fd_steal(&feed[1]);
    auto_close(&feed[0]);
    if (rc == 0 && (rc = watch(s, s->process, EPOLLIN, e)) == 0)
        rc = watch(s, s->feed, 0, e);
    return rc;
}

void replica_xen_shell_close(struct replica_xen_shell *s)
{
    auto_close(&s->feed); /* the end of what it reads: it destroys the domain */
    auto_close(&s->words);
    auto_close(&s->process);
    auto_close(&s->events);
    if (s->pid > 0)
        child_end(s->pid, TIDY_MS, TERM_MS);
    s->pid = 0;
}

/* ---- feeding ------------------------------------------------------------------------------------- */

void replica_xen_shell_feed(struct replica_xen_shell *s, struct view octets)
{
    s->octets = octets;
    if (s->feed >= 0)
        want_to_feed(s, true);
}

/* Nobody reads any more: xl is about to end, and what it says then is the reason. Let go of, because a
 * broken pipe is always an event. */
static bool is_broken(struct replica_xen_shell *s)
{
    struct pollfd fd = { .fd = s->feed };

    if (s->feed < 0)
        return true;
    if (poll(&fd, 1, 0) != 1 || !(fd.revents & POLLERR))
        return false;
    auto_close(&s->feed);
    return true;
}

static bool is_drained(const struct replica_xen_shell *s)
{
    int waiting = 0;

    return ioctl(s->feed, FIONREAD, &waiting) == 0 && waiting == 0;
}

int replica_xen_shell_pump(struct replica_xen_shell *s, struct err *e)
{
    ssize_t n;

    look(s);
    if (s->is_over)
        return ended(s, e);
    if (is_broken(s))
        return 0;
    while (s->octets.left > 0 && (n = write(s->feed, s->octets.at, s->octets.left)) > 0) {
        s->octets.at += n;
        s->octets.left -= (size_t)n;
    }
    if (s->octets.left > 0 || !is_drained(s))
        return 0;
    want_to_feed(s, false);
    return 1;
}

int replica_xen_shell_finish(struct replica_xen_shell *s, struct err *e)
{
    look(s);
    if (!s->is_over && replica_xen_shell_pump(s, e) == 1) {
        auto_close(&s->feed);
        look(s);
    }
    if (!s->is_over)
        return 0;
    return s->octets.left == 0 && WIFEXITED(s->exit_status) && WEXITSTATUS(s->exit_status) == 0 ? 1 : ended(s, e);
}

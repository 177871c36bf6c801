/* acceptor — see acceptor.h. */
#include "replicator/daemon/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "replicator/commands.h"
#include "replicator/link/link.h"
#include "replicator/daemon/loop.h"
#include "replicator/daemon/reception.h"
#include "replicator/control/told.h"

#define PEER_MAX     80u
#define REPORT_MAX   512u
#define CHILDREN_MAX (ACCEPTOR_REPLICAS_MAX + ACCEPTOR_GREETINGS_MAX)

struct child {
    pid_t pid;           /* 0: free */
    int report_fd;
    unsigned slot;
    bool is_replica, is_active;
    char name[GUEST_NAME_MAX + 1];
    char why[REPORT_MAX];
    char line[REPORT_MAX];
    size_t line_bytes;
};

struct acceptor {
    const struct acceptor_options *options;
    struct loop loop;
    struct told told;
    int listen_fd;
    unsigned listen_slot, signals;
    unsigned n_children, n_replicas;
    struct child *children; /* CHILDREN_MAX */
};

/* ---- children ----------------------------------------------------------------------------------------- */

static void take_line(struct acceptor *a, struct child *c)
{
    char *words = strchr(c->line, ' ');

    if (!words)
        return;
    *words++ = '\0';
    if (strcmp(c->line, "replica") == 0 && !c->is_replica) {
        c->is_replica = true;
        a->n_replicas++;
        snprintf(c->name, sizeof(c->name), "%.*s", (int)GUEST_NAME_MAX, words);
    } else if (strcmp(c->line, "active") == 0) {
        c->is_active = true;
    } else if (strcmp(c->line, "ended") == 0) {
        snprintf(c->why, sizeof(c->why), "%.*s", (int)sizeof(c->why) - 1, words);
    }
}

static void read_report(struct acceptor *a, struct child *c)
{
    char octet;

    while (read(c->report_fd, &octet, 1) == 1) {
        if (octet != '\n') {
            if (c->line_bytes < sizeof(c->line) - 1)
                c->line[c->line_bytes++] = octet;
            continue;
        }
        c->line[c->line_bytes] = '\0';
        c->line_bytes = 0;
        take_line(a, c);
    }
}

static void child_ended(struct acceptor *a, struct child *c, int status)
{
    char text[REPORT_MAX + 256];

    read_report(a, c);
    if (WIFSIGNALED(status))
        snprintf(c->why, sizeof(c->why), "killed by signal %d", WTERMSIG(status));
    if (c->is_replica) {
        snprintf(text, sizeof(text), "event=replica_ended domain=%s pid=%ld reason=\"%s\"", c->name,
                 (long)c->pid, c->why);
        told_say(&a->told, LOG_LEVEL_NOTICE, text);
        a->n_replicas--;
    }
    auto_close(&c->report_fd);
    *c = (struct child){ .report_fd = -1 };
    a->n_children--;
}

static void reap(struct acceptor *a)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < CHILDREN_MAX; i++)
            if (a->children[i].pid == pid)
                child_ended(a, &a->children[i], status);
}

static struct child *free_child(struct acceptor *a)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (a->children[i].pid == 0)
            return &a->children[i];
    return NULL;
}

/* In the child: nothing of the acceptor's stays open, and signals mean what they mean to a process. */
static void leave_acceptor(struct acceptor *a)
{
    sigset_t none;

    loop_forget(&a->loop);
    auto_close(&a->listen_fd);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        auto_close(&a->children[i].report_fd);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void peer_name(const struct sockaddr_storage *from, socklen_t bytes, char ret[PEER_MAX])
{
    char host[48], port[8];

    if (from->ss_family == AF_UNIX ||
        getnameinfo((const struct sockaddr *)from, bytes, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(ret, PEER_MAX, "unix");
    else
        snprintf(ret, PEER_MAX, "%s:%s", host, port);
}

/* Returns -1 in the acceptor, the exit code in a child that has done its work. */
static int start_child(struct acceptor *a, int fd, const char *peer)
{
    struct child *c = free_child(a);
    int report[2];
    pid_t pid;

    if (!c || pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0) {
        close(fd);
        return -1;
    }
    pid = fork();
    if (pid == 0) {
        const struct backup_options backup = a->options->backup;
        const struct reception r = { .receive_fd = fd, .send_fd = fd, .report_fd = report[1],
                                     .peer = peer,
                                     .is_full = a->n_replicas >= a->options->max_replicas };

        close(report[0]);
        leave_acceptor(a);
        return reception_run(&backup, &r);
    }
    close(report[1]);
    close(fd);
    if (pid < 0) {
        log_err("fork: %s: the connection from %s is dropped", strerror(errno), peer);
        close(report[0]);
        return -1;
    }
    *c = (struct child){ .pid = pid, .report_fd = report[0] };
    snprintf(c->why, sizeof(c->why), "its process said nothing");
    a->n_children++;
    return -1;
}

static int accept_one(struct acceptor *a)
{
    struct sockaddr_storage from = { .ss_family = AF_UNIX };
    socklen_t bytes = sizeof(from);
    int fd = accept4(a->listen_fd, (struct sockaddr *)&from, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    char peer[PEER_MAX];

    if (fd < 0)
        return -1;
    peer_name(&from, bytes, peer);
    if (a->n_children - a->n_replicas >= ACCEPTOR_GREETINGS_MAX) {
        log_warning("event=refused peer=%s reason=\"%u connections have not said HELLO yet\"", peer,
                    ACCEPTOR_GREETINGS_MAX);
        close(fd);
        return -1;
    }
    return start_child(a, fd, peer);
}

/* ---- the end ------------------------------------------------------------------------------------------ */

/* SIGUSR1 ends a replica but not a guest that runs: that one answers "active" and goes on. */
static void stop_children(struct acceptor *a)
{
    auto_close(&a->listen_fd);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (a->children[i].pid != 0 && !a->children[i].is_active)
            kill(a->children[i].pid, SIGUSR1);
}

static bool is_stopped(const struct acceptor *a)
{
    if (a->signals == 0)
        return false;
    for (unsigned i = 0; a->signals == 1 && i < CHILDREN_MAX; i++)
        if (a->children[i].pid != 0 && !a->children[i].is_active)
            return false;
    return true;
}

static void say_end(struct acceptor *a)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (a->children[i].is_active)
            log_warning("%s runs here and goes on, as process %ld", a->children[i].name,
                        (long)a->children[i].pid);
    told_say(&a->told, LOG_LEVEL_NOTICE, "event=ended role=acceptor reason=\"stopped by a signal\"");
}

/* ---- the loop ----------------------------------------------------------------------------------------- */

static void take_signals(struct acceptor *a)
{
    for (int s; (s = loop_signal(&a->loop)) != 0;) {
        if (s == SIGCHLD)
            reap(a);
        else if ((s == SIGTERM || s == SIGINT) && a->signals++ == 0)
            stop_children(a);
    }
}

static int turn(struct acceptor *a)
{
    loop_begin(&a->loop);
    a->listen_slot = loop_watch(&a->loop, a->listen_fd, POLLIN);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        a->children[i].slot =
            a->children[i].pid ? loop_watch(&a->loop, a->children[i].report_fd, POLLIN) : 0;
    loop_wait(&a->loop, TIME_NEVER);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (a->children[i].slot && loop_ready(&a->loop, a->children[i].slot) & POLLIN)
            read_report(a, &a->children[i]);
    take_signals(a);
    if (a->listen_fd < 0 || !(loop_ready(&a->loop, a->listen_slot) & POLLIN))
        return -1;
    return accept_one(a);
}

static void say_listening(struct acceptor *a, const char *bound)
{
    log_notice("listening on %s", bound);
    told_object(&a->told, json_pack("{s:s, s:s}", "event", "listening", "address", bound), false);
}

int acceptor_run(const struct acceptor_options *o)
{
    struct acceptor a = { .options = o, .listen_fd = -1, .loop = { .signal_fd = -1 },
                          .told = { .to_stdout = o->json } };
    char bound[LINK_ADDRESS_MAX];
    struct err e;
    int rc, child = -1;

    log_open("receive", LOG_LEVEL_INFO);
    a.children = calloc(CHILDREN_MAX, sizeof(*a.children));
    rc = a.children ? 0 : err_set(&e, ENOMEM, "no memory for an acceptor");
    for (unsigned i = 0; rc == 0 && i < CHILDREN_MAX; i++)
        a.children[i].report_fd = -1;
    if (rc < 0 || (rc = run_dir_make(&o->backup.run, &e)) < 0 || (rc = loop_open(&a.loop, &e)) < 0 ||
        (rc = link_listen(&a.listen_fd, o->listen, bound, &e)) < 0) {
        log_err("%s", e.text);
    } else {
        say_listening(&a, bound);
        while (child < 0 && !is_stopped(&a))
            child = turn(&a);
        if (child < 0)
            say_end(&a);
    }
    auto_close(&a.listen_fd);
    loop_close(&a.loop);
    for (unsigned i = 0; a.children && i < CHILDREN_MAX; i++)
        auto_close(&a.children[i].report_fd);
    free(a.children);
    if (child >= 0)
        return child;
    if (rc == -EINVAL)
        return EXIT_USAGE;
    if (rc == -EACCES)
        return EXIT_PERMISSION;
    return rc < 0 || a.signals > 1 ? EXIT_FAILED : EXIT_OK;
}

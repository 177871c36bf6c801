/* cell — two real processes, a guest that talks to an observer, and one strike: the players of a
 * fault test, and waiting for what they must come to. Every wait is for an event and has a
 * deadline. All of it in one header: a fault test is one file and its program. */
#ifndef TESTS_FAULT_CELL_H
#define TESTS_FAULT_CELL_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "checkpoint/sim/guest_sim_spec.h"
#include "replicator/demo/actor.h"
#include "replicator/demo/observer.h"

#define DOMAIN      "cell"
#define PATIENCE_NS (60 * NS_PER_S) /* for what takes a second at most, on a machine of its own */
#define LOOK_MS     5
#define ENOUGH      150u            /* payloads that show that the guest goes on */
#define LOG_BYTES   (512u << 10)

enum side { PRIMARY, BACKUP };

/* How a place is reached: by itself, after the other side was frozen, after a detach was asked for.
 */
enum scene { BY_ITSELF, PEER_FROZEN, DETACHING };

/* What must follow. */
enum outcome {
    TAKES_OVER, /* the backup runs the guest; a primary that wakes up says nothing and ends, fenced
                 */
    GOES_ON,    /* the primary's guest goes on; a backup that wakes up never runs it */
    NOBODY,     /* both sides are lost, and the one that lives knows that it must not go on */
    NOT_YET,    /* nothing was committed: the replica ends; a primary that wakes up goes on */
};

struct row {
    const char *place;
    enum side side;
    enum scene scene;
    unsigned nth;            /* on which pass, at least; more by chance */
    enum outcome killed, stopped;
    bool has_early;          /* also on its first pass … */
    enum outcome early;      /* … with this outcome */
};

static const char *const actions[] = { "kill", "abort", "stop" };
static const char *const transports[] = { "tcp", "unix" };
enum { ACTIONS = ARRAY_LEN(actions), TRANSPORTS = ARRAY_LEN(transports), STOP = 2 };

/* ---- a cell ---------------------------------------------------------------------------------- */

struct log {
    int fd;
    size_t bytes, mark; /* mark: what was said before is of no interest any more */
    char text[LOG_BYTES + 1];
};

struct plan {
    const struct row *row;
    unsigned action, transport;
    bool is_early;
    uint64_t seed;
};

struct cell {
    struct plan plan;
    char order[64], folder[64], address[128], arbiter[96], spec[GUEST_SPEC_MAX + 1];
    int socket;
    struct observer observer;
    struct actor actors[2];
    struct log logs[2];
    pid_t struck;
    uint64_t payloads_then;
    bool is_strike_near; /* what happens from now on happens because of it */
};

static inline void hear(struct cell *c)
{
    uint8_t octets[2048], answer[FRAME_ACK_BYTES];
    struct frame_ack ack;

    for (unsigned i = 0; i < 1024; i++) {
        struct sockaddr_in from = { 0 };
        socklen_t from_bytes = sizeof(from);
        ssize_t got = recvfrom(c->socket, octets, sizeof(octets), MSG_DONTWAIT,
                               (struct sockaddr *)&from, &from_bytes);

        if (got < 0 && errno == EAGAIN)
            return;
        if (got < 0 || !observer_frame(&c->observer, ntohs(from.sin_port), octets, (size_t)got,
                                       clock_now_ns(), &ack))
            continue;
        frame_ack_put(answer, &ack);
        if (sendto(c->socket, answer, sizeof(answer), MSG_DONTWAIT, (struct sockaddr *)&from,
                   sizeof(from)) < 0)
            continue; /* lost, as on any network: the guest says it again */
    }
}

static inline void read_log(struct cell *c, enum side side)
{
    struct log *l = &c->logs[side];
    ssize_t got;

    if (l->fd < 0 && c->actors[side].log[0])
        l->fd = open(c->actors[side].log, O_RDONLY | O_CLOEXEC);
    while (l->fd >= 0 && (got = read(l->fd, l->text + l->bytes, LOG_BYTES - l->bytes)) > 0)
        l->bytes += (size_t)got;
    l->text[l->bytes] = '\0';
}

static inline bool has_said(struct cell *c, enum side side, const char *words)
{
    return strstr(c->logs[side].text + c->logs[side].mark, words) != NULL;
}

static inline bool has_ended(const struct actor *a)
{
    struct pollfd p = { .fd = a->pid_fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

/* ---- what is waited for ---------------------------------------------------------------------- */

typedef bool claim(struct cell *c);

static inline bool is_protected(struct cell *c)
{
    return has_said(c, PRIMARY, "to=protected");
}

static inline bool is_struck(struct cell *c)
{
    const char *word = strstr(c->logs[c->plan.row->side].text, " reached by process ");

    if (!word || !strchr(word, '\n'))
        return false;
    c->struck = (pid_t)strtol(word + strlen(" reached by process "), NULL, 10);
    return true;
}

static inline uint64_t payloads(const struct cell *c)
{
    return c->observer.frames - c->observer.again;
}

static inline bool goes_on(struct cell *c)
{
    return payloads(c) >= c->payloads_then + ENOUGH && observer_missing(&c->observer) == 0;
}

static inline bool is_active(struct cell *c)
{
    return has_said(c, BACKUP, "to=active ");
}

static inline bool is_heard_from_the_backup(struct cell *c)
{
    return c->observer.sources == 2 && observer_new_payloads(&c->observer) >= ENOUGH &&
           observer_missing(&c->observer) == 0;
}

static inline bool is_stale(struct cell *c)
{
    return has_said(c, BACKUP, "to=stale");
}

static inline bool is_fenced(struct cell *c)
{
    return has_ended(&c->actors[PRIMARY]) && has_said(c, PRIMARY, "reason=\"fenced");
}

static inline bool is_given_up(struct cell *c)
{
    return has_said(c, BACKUP, "lost before the first commit");
}

static const struct {
    claim *is_so;
    const char *words;
} claims[] = {
    { is_protected, "protection" },
    { is_struck, "the strike" },
    { goes_on, "the guest going on" },
    { is_active, "the activation" },
    { is_heard_from_the_backup, "the guest going on at the backup" },
    { is_stale, "the backup knowing that it is stale" },
    { is_fenced, "the primary ending, fenced" },
    { is_given_up, "the replica ending with nothing held" },
};

/* How often the primary lost its backup since the strike (or the beginning). */
static inline unsigned losses(const struct cell *c)
{
    const char *at = c->logs[PRIMARY].text + c->logs[PRIMARY].mark;
    unsigned n = 0;

    while ((at = strstr(at, "from=protected to=")) != NULL)
        at++, n++;
    return n;
}

/* Hears both sides and the guest until the claim is so. -EBADMSG: the observer saw a promise broken;
 * -EAGAIN: they lost each other again without a reason; -ETIMEDOUT: it does not come. */
static inline int await(struct cell *c, claim *is_so, struct err *e)
{
    uint64_t until = clock_now_ns() + PATIENCE_NS;
    const char *words = "";

    for (size_t i = 0; i < ARRAY_LEN(claims); i++)
        words = claims[i].is_so == is_so ? claims[i].words : words;
    for (;;) {
        struct pollfd p = { .fd = c->socket, .events = POLLIN };

        hear(c);
        read_log(c, PRIMARY);
        read_log(c, BACKUP);
        if (is_so(c))
            return 0;
        if (c->observer.words[0])
            return err_set(e, EBADMSG, "while waiting for %s: %s", words, c->observer.words);
        if (clock_now_ns() > until)
            return err_set(e, losses(c) > 1 ? EAGAIN : ETIMEDOUT, "%s does not come", words);
        (void)poll(&p, 1, LOOK_MS);
    }
}

/* ---- the players ----------------------------------------------------------------------------- */

static inline int open_socket(struct cell *c, unsigned *ret_port, struct err *e)
{
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof(here);
    int room = 8 << 20;

    c->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(c->socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    if (c->socket < 0 || bind(c->socket, (struct sockaddr *)&here, sizeof(here)) < 0 ||
        getsockname(c->socket, (struct sockaddr *)&here, &bytes) < 0)
        return err_set(e, errno, "a socket for the guest to talk to: %m");
    *ret_port = ntohs(here.sin_port);
    return 0;
}

static inline int set_stage(struct cell *c, struct err *e)
{
    const char *root = getenv("TMPDIR");
    struct guest_sim_spec spec;
    uint8_t uuid[16];
    unsigned port = 0;
    int rc;

    snprintf(c->folder, sizeof(c->folder), "%s/fault.XXXXXX",
             root && strlen(root) < 40 ? root : "/tmp");
    if (!mkdtemp(c->folder))
        return err_set(e, errno, "%s: %m", c->folder);
    snprintf(c->arbiter, sizeof(c->arbiter), "file:%s/arbiter", c->folder);
    if (mkdir(c->arbiter + strlen("file:"), 0700) < 0)
        return err_set(e, errno, "%s: %m", c->arbiter);
    rc = open_socket(c, &port, e);
    if (rc < 0)
        return rc;
    /* steps: should all else fail, the guest ends by itself. */
    snprintf(c->spec, sizeof(c->spec),
             "sim:" DOMAIN "?mib=16&workload=web&dirty=1000&vcpus=2&seed=%" PRIu64
             "&frames=800&steps=60000&nic=udp:127.0.0.1:%u",
             c->plan.seed, port);
    rc = guest_sim_spec_parse(c->spec, &spec, e);
    if (rc < 0)
        return rc;
    guest_sim_spec_uuid(&spec, uuid);
    observer_init(&c->observer, frame_domain(uuid));
    return 0;
}

static inline int start_actor(struct cell *c, enum side side, const char *const arguments[],
                              struct err *e)
{
    static const char *const names[] = { "primary", "backup" };
    int rc;

    if (c->plan.row->side == side)
        setenv("REPLICATOR_FAILPOINT", c->order, 1);
    rc = actor_start(&c->actors[side], getenv("REPLICATOR_TEST"), names[side], c->folder, arguments,
                     e);
    unsetenv("REPLICATOR_FAILPOINT");
    return rc;
}

static inline int start_backup(struct cell *c, struct err *e)
{
    char run[80];
    const char *const arguments[] = { "receive", "--listen", c->address, "--arbiter", c->arbiter,
                                      "--run-dir", run, "--json", NULL };
    json_t *line;
    int rc;

    snprintf(run, sizeof(run), "%s/backup", c->folder);
    snprintf(c->address, sizeof(c->address),
             c->plan.transport == 0 ? "tcp:127.0.0.1:0" : "unix:%s/link", c->folder);
    rc = start_actor(c, BACKUP, arguments, e);
    if (rc == 0)
        rc = lines_wait(&c->actors[BACKUP].out, clock_now_ns() + PATIENCE_NS, &line, e);
    if (rc < 0)
        return err_wrap(e, "the backup's first word");
    snprintf(c->address, sizeof(c->address), "%s",
             json_string_value(json_object_get(line, "address")));
    json_decref(line);
    return 0;
}

static inline int start_primary(struct cell *c, struct err *e)
{
    char run[80];
    const char *const arguments[] = {
        "protect",       c->spec, "--to",         c->address, "--arbiter", c->arbiter,
        "--run-dir",     run,     "--interval",   "8ms",      "--timeout", "600ms",
        "--page-buffer", "256",   "--page-cache", "4M",       NULL
    };

    snprintf(run, sizeof(run), "%s/primary", c->folder);
    return start_actor(c, PRIMARY, arguments, e);
}

/* The replica's process: it is no child of ours, but its lock says who it is. */
static inline pid_t replica_pid(const struct cell *c)
{
    char path[128];
    FILE *file;
    int pid = 0;

    snprintf(path, sizeof(path), "%s/backup/backup/" DOMAIN ".lock", c->folder);
    file = fopen(path, "re");
    if (file && fscanf(file, "%d", &pid) != 1)
        pid = 0;
    if (file)
        fclose(file);
    return pid > 1 ? pid : 0;
}

/* The side that the strike does not meet. */
static inline pid_t peer_pid(const struct cell *c)
{
    return c->plan.row->side == PRIMARY ? replica_pid(c) : c->actors[PRIMARY].pid;
}

static inline int ask(struct cell *c, enum side side, const char *op, json_t **ret, struct err *e)
{
    struct lines to;
    int rc = actor_connect(&c->actors[side], side == BACKUP, DOMAIN, clock_now_ns() + PATIENCE_NS,
                           &to, e);

    if (rc < 0)
        return rc;
    if (ret)
        rc = lines_ask(&to, json_pack("{s:s}", "op", op), clock_now_ns() + PATIENCE_NS, ret, e);
    else
        rc = lines_say(&to, json_pack("{s:s}", "op", op), e);
    lines_close(&to);
    return rc;
}

/* The guest that the backup runs answers for its own memory. */
static inline int check_guest(struct cell *c, struct err *e)
{
    json_t *answer;
    int rc = ask(c, BACKUP, "check", &answer, e);

    if (rc < 0)
        return err_wrap(e, "the check of the guest");
    if (!json_is_true(json_object_get(answer, "ok"))) {
        char *text = json_dumps(answer, JSON_COMPACT);

        rc = err_set(e, EUCLEAN, "the guest's memory: %s", text);
        free(text);
    }
    json_decref(answer);
    return rc;
}

#endif

/* witness — see witness.h. */
#include "replicator/demo/witness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "replicator/demo/observer.h"

#define SOCKET_BYTES      (8 << 20) /* a burst of released frames must fit */
#define DATAGRAM_MAX      2048u
#define DATAGRAMS_A_TURN  256u

/* ---- the process --------------------------------------------------------------------------------- */

struct seat {
    int fd;
    struct observer observer;
    struct lines out;
    bool told_frame, told_successor, told_well, told_fault;
};

static void tell(struct seat *s, bool *told, bool is_so, const char *what, uint64_t at_ns)
{
    struct err e;

    if (*told || !is_so)
        return;
    *told = true;
    if (lines_say(&s->out, json_pack("{s:s, s:I, s:s}", "saw", what, "at_ns", (json_int_t)at_ns,
                                     "words", s->observer.words), &e) < 0)
        _exit(1); /* the demo is gone */
}

static bool any_fault(const struct observer *o)
{
    return o->words[0] != '\0';
}

static bool goes_on_well(const struct observer *o)
{
    return o->sources == 2 && observer_new_payloads(o) >= WITNESS_WELL && observer_missing(o) == 0;
}

static void answer(const struct seat *s, const struct sockaddr_in *to, const struct frame_ack *ack)
{
    uint8_t octets[FRAME_ACK_BYTES];

    frame_ack_put(octets, ack);
    /* One that can't be sent is lost, as on any network: the guest says the payload again. */
    if (sendto(s->fd, octets, sizeof(octets), MSG_DONTWAIT, (const struct sockaddr *)to,
               sizeof(*to)) < 0)
        return;
}

static void hear(struct seat *s)
{
    uint8_t octets[DATAGRAM_MAX];
    struct frame_ack ack;

    for (unsigned i = 0; i < DATAGRAMS_A_TURN; i++) {
        struct sockaddr_in from = { 0 };
        socklen_t from_bytes = sizeof(from);
        ssize_t got = recvfrom(s->fd, octets, sizeof(octets), MSG_DONTWAIT,
                               (struct sockaddr *)&from, &from_bytes);
        uint64_t now = clock_now_ns();
        uint64_t source = (uint64_t)ntohl(from.sin_addr.s_addr) << 16 | ntohs(from.sin_port);

        if (got < 0 && errno == EAGAIN)
            return;
        if (got < 0) /* somebody closed the socket that an answer went to */
            continue;
        if (observer_frame(&s->observer, source, octets, (size_t)got, now, &ack))
            answer(s, &from, &ack);
        tell(s, &s->told_frame, s->observer.frames > 0, "frame", now);
        tell(s, &s->told_fault, any_fault(&s->observer), "fault", now);
        tell(s, &s->told_successor, s->observer.sources > 1, "successor", now);
        tell(s, &s->told_well, goes_on_well(&s->observer), "well", now);
    }
}

static json_t *judgement(const struct observer *o)
{
    uint64_t silence = o->sources > 1 ? o->source_first_ns[1] - o->source_last_ns[0] : 0;

    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:s, s:I, s:I, s:I, s:i, s:I, s:I, s:I}", "saw", "all",
                     "p1", observer_keeps(o, OBSERVER_P1), "p2", observer_keeps(o, OBSERVER_P2),
                     "p3", observer_keeps(o, OBSERVER_P3) && o->sources <= 2, "nothing_lost",
                     observer_keeps(o, OBSERVER_LOST), "words", o->words, "frames",
                     (json_int_t)o->frames, "again", (json_int_t)o->again, "strangers",
                     (json_int_t)o->strangers, "sources", (int)o->sources, "held_died",
                     (json_int_t)o->held_died, "missing", (json_int_t)observer_missing(o),
                     "silence_ns", (json_int_t)silence);
}

NORETURN static void sit(int fd, int out, uint64_t domain, pid_t parent)
{
    static struct seat seat;
    struct pollfd fds[2] = { { .fd = fd, .events = POLLIN }, { .fd = out, .events = POLLIN } };
    struct err e;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    signal(SIGINT, SIG_IGN); /* the demo ends us */
    seat.fd = fd;
    observer_init(&seat.observer, domain);
    lines_open(&seat.out, out);
    while (!(fds[1].revents & (POLLIN | POLLHUP))) {
        if (poll(fds, 2, -1) > 0 && fds[0].revents)
            hear(&seat);
    }
    hear(&seat);
    _exit(lines_say(&seat.out, judgement(&seat.observer), &e) < 0);
}

/* ---- the demo's end ------------------------------------------------------------------------------- */

static int open_socket(int *ret_fd, unsigned *ret_port, struct err *e)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t bytes = sizeof(at);
    const int room = SOCKET_BYTES;
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &bytes) < 0)
        return err_set(e, errno, "the observer's socket: %m");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) < 0)
        return err_set(e, errno, "the observer's socket: %m");
    *ret_port = ntohs(at.sin_port);
    *ret_fd = fd_steal(&fd);
    return 0;
}

int witness_start(struct witness *w, uint64_t domain, struct err *e)
{
    AUTO_CLOSE int fd = -1;
    pid_t parent = getpid();
    int ends[2], rc = open_socket(&fd, &w->port, e);

    w->pid = 0;
    w->lines.fd = -1;
    if (rc < 0)
        return rc;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return err_set(e, errno, "socketpair: %m");
    w->pid = fork();
    if (w->pid == 0) {
        close(ends[0]);
        sit(fd, ends[1], domain, parent);
    }
    close(ends[1]);
    lines_open(&w->lines, ends[0]);
    if (w->pid < 0) {
        w->pid = 0;
        return err_set(e, errno, "no process for the observer: %m");
    }
    return 0;
}

int witness_await(struct witness *w, const char *what, uint64_t until_ns, uint64_t *ret_at_ns,
                  struct err *e)
{
    for (;;) {
        json_t *line;
        const char *saw;
        int rc = lines_wait(&w->lines, until_ns, &line, e);

        if (rc < 0)
            return err_wrap(e, "the observer, asked for \"%s\"", what);
        saw = json_string_value(json_object_get(line, "saw"));
        if (saw && strcmp(saw, what) == 0) {
            *ret_at_ns = (uint64_t)json_integer_value(json_object_get(line, "at_ns"));
            rc = 1;
        } else if (saw && strcmp(saw, "fault") == 0) {
            rc = err_set(e, EBADMSG, "the observer: %s",
                         json_string_value(json_object_get(line, "words")));
        }
        json_decref(line);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
}

int witness_judgement(struct witness *w, uint64_t until_ns, json_t **ret, struct err *e)
{
    shutdown(w->lines.fd, SHUT_WR);
    for (;;) {
        int rc = lines_wait(&w->lines, until_ns, ret, e);
        const char *saw;

        if (rc < 0)
            return err_wrap(e, "the observer's judgement");
        saw = json_string_value(json_object_get(*ret, "saw"));
        if (saw && strcmp(saw, "all") == 0)
            return 0;
        json_decref(*ret);
    }
}

void witness_close(struct witness *w)
{
    lines_close(&w->lines);
    if (w->pid > 0) {
        kill(w->pid, SIGKILL);
        while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    w->pid = 0;
}

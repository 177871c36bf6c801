/* control — see control.h. */
#include "replicator/control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replicator/commands.h"
#include "replicator/control/run_dir.h"

struct client {
    int fd;                 /* -1: free */
    unsigned slot;          /* in the loop, 0: not watched in this turn */
    bool is_eof;            /* asks nothing more; gets its answers, then it is closed */
    bool follows, follows_epochs;
    bool is_pending;
    struct control_request request;
    uint64_t since_ns;
    size_t in_bytes, out_from, out_to;
    char in[CONTROL_LINE_MAX];
    char *out;              /* CONTROL_OUT_MAX */
};

struct control {
    int fd;
    unsigned slot;
    struct control_world world;
    char path[RUN_PATH_MAX];
    struct client clients[CONTROL_CLIENTS_MAX];
};

int control_open(struct control **ret, const char *path, const struct control_world *world, struct err *e)
{
    struct control *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return err_set(e, ENOMEM, "no memory for a control socket");
    c->world = *world;
    snprintf(c->path, sizeof(c->path), "%s", path);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        c->clients[i].fd = -1;
    rc = run_dir_listen(path, SOCK_STREAM, &c->fd, e);
    if (rc < 0) {
        free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

static void drop(struct client *k)
{
    auto_close(&k->fd);
    free(k->out);
    *k = (struct client){ .fd = -1 };
}

static void flush(struct client *k)
{
    while (k->out_from < k->out_to) {
        ssize_t sent = send(k->fd, k->out + k->out_from, k->out_to - k->out_from,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            drop(k);
        if (sent < 0)
            return;
        k->out_from += (size_t)sent;
    }
    k->out_from = k->out_to = 0;
}

/* Queues one line; a client that has not taken the earlier ones is too slow to be told more. */
static void send_line(struct client *k, const json_t *line)
{
    size_t most, bytes;

    if (k->fd < 0)
        return;
    flush(k);
    if (k->fd < 0)
        return;
    memmove(k->out, k->out + k->out_from, k->out_to - k->out_from);
    k->out_to -= k->out_from;
    k->out_from = 0;
    most = CONTROL_OUT_MAX - k->out_to;
    bytes = json_dumpb(line, k->out + k->out_to, most, CONTROL_FORMAT);
    if (bytes == 0 || bytes >= most) {
        drop(k);
        return;
    }
    k->out_to += bytes;
    k->out[k->out_to++] = '\n';
    flush(k);
}

static void answer(struct client *k, json_t *line)
{
    k->is_pending = false;
    send_line(k, line);
    json_decref(line);
}

void control_close(struct control *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (c->clients[i].fd >= 0)
            drop(&c->clients[i]);
    if (c->fd >= 0)
        unlink(c->path);
    auto_close(&c->fd);
    free(c);
}

json_t *control_text(const char *from, size_t bytes)
{
    json_t *text = json_stringn(from, bytes);

    while (!text && bytes > 0)
        text = json_stringn(from, --bytes);
    return text;
}

json_t *control_refusal(int exit_code, const char *words)
{
    return json_pack("{s:b, s:i, s:o}", "ok", 0, "exit", exit_code, "error", control_text(words, strlen(words)));
}

json_t *control_done(const char *state)
{
    return json_pack("{s:b, s:s}", "ok", 1, "state", state);
}

/* ---- requests ------------------------------------------------------------------------------------- */

static void follow(struct control *c, struct client *k, bool epochs)
{
    k->follows = true;
    k->follows_epochs = epochs;
    answer(k, json_pack("{s:i, s:s, s:o}", "schema", 1, "event", "hello", "status",
                        c->world.status(c->world.context)));
}

static void take_request(struct control *c, struct client *k, const char *line, size_t bytes,
                         uint64_t now_ns)
{
    struct err e;
    json_t *line_out;

    if (control_request_parse(line, bytes, &k->request, &e) < 0) {
        answer(k, control_refusal(EXIT_USAGE, e.text));
    } else if (k->request.op == CONTROL_STATUS) {
        answer(k, c->world.status(c->world.context));
    } else if (k->request.op == CONTROL_EVENTS) {
        follow(c, k, k->request.epochs);
    } else {
        k->is_pending = true;
        k->since_ns = now_ns;
        line_out = c->world.request(c->world.context, &k->request);
        if (line_out)
            answer(k, line_out);
    }
}

/* Takes whole lines out of what came; one request at a time, the next waits for the answer. */
static void take_lines(struct control *c, struct client *k, uint64_t now_ns)
{
    char *end;

    while (k->fd >= 0 && !k->is_pending && (end = memchr(k->in, '\n', k->in_bytes))) {
        size_t bytes = (size_t)(end - k->in);
        char line[CONTROL_LINE_MAX];

        memcpy(line, k->in, bytes);
        k->in_bytes -= bytes + 1;
        memmove(k->in, end + 1, k->in_bytes);
        take_request(c, k, line, bytes, now_ns);
    }
    if (k->fd >= 0 && k->in_bytes == sizeof(k->in) && !k->is_pending) {
        answer(k, control_refusal(EXIT_USAGE, "a request is one line of at most 4096 octets"));
        drop(k);
    }
}

static void receive(struct control *c, struct client *k, uint64_t now_ns)
{
    ssize_t got = recv(k->fd, k->in + k->in_bytes, sizeof(k->in) - k->in_bytes, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0) {
        drop(k);
    } else if (got == 0) {
        k->is_eof = true;
    } else {
        k->in_bytes += (size_t)got;
        take_lines(c, k, now_ns);
    }
}

static void accept_client(struct control *c)
{
    int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    char *out = NULL;

    if (fd < 0)
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *k = &c->clients[i];

        if (k->fd >= 0)
            continue;
        out = run_dir_is_trusted(fd) ? malloc(CONTROL_OUT_MAX) : NULL;
        if (out)
            *k = (struct client){ .fd = fd_steal(&fd), .out = out };
        break;
    }
    auto_close(&fd);
}

/* ---- the loop ------------------------------------------------------------------------------------- */

void control_watch(struct control *c, struct loop *l)
{
    c->slot = loop_watch(l, c->fd, POLLIN);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *k = &c->clients[i];
        bool listens = !k->is_eof && !k->is_pending && k->in_bytes < sizeof(k->in);
        bool sends = k->out_from < k->out_to;

        /* One that neither asks nor gets is not polled: its hang-up would wake the loop for ever. */
        k->slot = k->fd < 0 || (k->is_eof && !sends)
                      ? 0
                      : loop_watch(l, k->fd, (short)((listens ? POLLIN : 0) | (sends ? POLLOUT : 0)));
    }
}

static void serve_client(struct control *c, struct client *k, short ready, uint64_t now_ns)
{
    if (k->is_pending) {
        json_t *line = c->world.settle(c->world.context, &k->request, k->since_ns);

        if (line)
            answer(k, line);
        else if (ready & (POLLHUP | POLLERR))
            drop(k); /* nobody is there to hear the outcome */
        return;
    }
    if (ready & POLLOUT)
        flush(k);
    if (k->fd >= 0 && k->in_bytes > 0)
        take_lines(c, k, now_ns); /* what waited for an earlier answer */
    if (k->fd >= 0 && !k->is_pending && !k->is_eof && (ready & (POLLIN | POLLHUP | POLLERR)))
        receive(c, k, now_ns);
    if (k->fd >= 0 && k->is_eof && !k->is_pending &&
        (k->out_from == k->out_to || (ready & (POLLHUP | POLLERR))) && !k->follows)
        drop(k);
    else if (k->fd >= 0 && k->follows && k->is_eof)
        drop(k);
}

void control_serve(struct control *c, const struct loop *l, uint64_t now_ns)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *k = &c->clients[i];

        if (k->fd >= 0)
            serve_client(c, k, k->slot ? loop_ready(l, k->slot) : 0, now_ns);
    }
    if (loop_ready(l, c->slot) & POLLIN)
        accept_client(c);
}

void control_settle_all(struct control *c, struct loop *l, uint64_t now_ns)
{
    loop_begin(l);
    control_watch(c, l);
    loop_wait(l, 0);
    control_serve(c, l, now_ns);
}

bool control_has_pending(const struct control *c)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (c->clients[i].fd >= 0 && c->clients[i].is_pending)
            return true;
    return false;
}

bool control_has_followers(const struct control *c, bool is_epoch)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (c->clients[i].fd >= 0 && c->clients[i].follows &&
            (!is_epoch || c->clients[i].follows_epochs))
            return true;
    return false;
}

void control_publish(struct control *c, json_t *event, bool is_epoch)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *k = &c->clients[i];

        if (k->fd >= 0 && k->follows && (!is_epoch || k->follows_epochs))
            send_line(k, event);
    }
    json_decref(event);
}

/* link_fds — see link_fds.h. A peer that is gone gives -EPIPE, never a signal, whatever the
 * process does with SIGPIPE. */
#include "replicator/link/link_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "replicator/link/link_socket.h"

static int make_ready(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

int link_fds_start(struct link_fds *l, int receive_fd, int send_fd, struct err *e)
{
    int rc = make_ready(receive_fd);

    l->receive_fd = receive_fd;
    l->send_fd = send_fd;
    if (rc == 0 && send_fd != receive_fd)
        rc = make_ready(send_fd);
    return rc < 0 ? err_set(e, -rc, "descriptors %d and %d: %m", receive_fd, send_fd) : 0;
}

/* A write to a pipe has no MSG_NOSIGNAL: block SIGPIPE in this thread, and take back the one that
 * the write made, unless one was pending before. */
static ssize_t write_without_signal(int fd, const struct iovec *parts, size_t n)
{
    const struct timespec at_once = { 0, 0 };
    sigset_t pipe_only, before, pending;
    ssize_t sent;
    int code;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    do
        sent = writev(fd, parts, (int)n);
    while (sent < 0 && errno == EINTR);
    code = errno;
    if (sent < 0 && code == EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe_only, NULL, &at_once) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = code;
    return sent;
}

ssize_t link_fds_send(struct link *l, const void *from, size_t bytes, struct err *e)
{
    const struct view whole = { from, bytes };

    return link_fds_send_pieces(l, &whole, 1, e);
}

ssize_t link_fds_send_pieces(struct link *l, const struct view *pieces, size_t n, struct err *e)
{
    struct iovec parts[LINK_PIECES_MAX];
    ssize_t sent;

    link_pieces_fill(parts, pieces, n);
    sent = write_without_signal(((struct link_fds *)l)->send_fd, parts, n);
    if (sent >= 0 || errno == EAGAIN)
        return sent < 0 ? 0 : sent;
    return err_set(e, errno, "send: %m");
}

ssize_t link_fds_receive(struct link *l, void *to, size_t bytes, struct err *e)
{
    ssize_t got;

    if (bytes == 0)
        return 0;
    do
        got = read(((struct link_fds *)l)->receive_fd, to, bytes);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return got;
    if (got == 0)
        return err_set(e, EPIPE, "the peer closed the connection");
    return errno == EAGAIN ? 0 : err_set(e, errno, "receive: %m");
}

void link_fds_fds(const struct link *l, int *ret_receive, int *ret_send)
{
    *ret_receive = ((const struct link_fds *)l)->receive_fd;
    *ret_send = ((const struct link_fds *)l)->send_fd;
}

int link_fds_connected(UNUSED struct link *l, UNUSED struct err *e)
{
    return 1;
}

void link_fds_close(struct link *l)
{
    struct link_fds *f = (struct link_fds *)l;

    if (f->send_fd != f->receive_fd)
        auto_close(&f->send_fd);
    auto_close(&f->receive_fd);
    free(f);
}

static const struct link_ops fds_ops = {
    .kind = "fds",
    .send = link_fds_send,
    .send_pieces = link_fds_send_pieces,
    .receive = link_fds_receive,
    .fds = link_fds_fds,
    .connected = link_fds_connected,
    .close = link_fds_close,
};

static const struct link_ops accepted_ops = {
    .kind = "socket",
    .send = link_socket_send,
    .send_pieces = link_socket_send_pieces,
    .receive = link_socket_receive,
    .fds = link_socket_fds,
    .connected = link_socket_connected,
    .close = link_socket_close,
};

/* An accepted socket: the cheaper way to send, and small records leave at once. */
static int from_socket(struct link **ret, int fd, struct err *e)
{
    struct link_socket *s = calloc(1, sizeof(*s));
    int rc = make_ready(fd), on = 1;

    if (!s || rc < 0) {
        rc = err_set(e, s ? -rc : ENOMEM, "accepted connection: %m");
        auto_close(&fd);
        free(s);
        return rc;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* refused by unix sockets: fine */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    s->link.ops = &accepted_ops;
    s->fd = fd;
    snprintf(s->peer, sizeof(s->peer), "the peer");
    *ret = &s->link;
    return 0;
}

static int from_pair(struct link **ret, int receive_fd, int send_fd, struct err *e)
{
    struct link_fds *f = calloc(1, sizeof(*f));
    int rc;

    if (!f) {
        if (send_fd != receive_fd)
            auto_close(&send_fd);
        auto_close(&receive_fd);
        return err_set(e, ENOMEM, "descriptors: %m");
    }
    f->link.ops = &fds_ops;
    rc = link_fds_start(f, receive_fd, send_fd, e);
    if (rc < 0) {
        link_fds_close(&f->link);
        return rc;
    }
    *ret = &f->link;
    return 0;
}

int link_from_fds(struct link **ret, int receive_fd, int send_fd, struct err *e)
{
    socklen_t bytes = sizeof(int);
    int type;
    bool is_socket = receive_fd == send_fd &&
                     getsockopt(receive_fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0;

    return is_socket ? from_socket(ret, receive_fd, e) : from_pair(ret, receive_fd, send_fd, e);
}

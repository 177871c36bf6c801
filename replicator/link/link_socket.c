/* link_socket — see link_socket.h. A peer that is gone gives an errno, never SIGPIPE. */
#include "replicator/link/link_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

static struct link_socket *socket_of(struct link *l)
{
    return (struct link_socket *)l;
}

int link_socket_start(int fd, const struct sockaddr *to, socklen_t bytes, bool *ret_connecting)
{
    if (connect(fd, to, bytes) == 0) {
        *ret_connecting = false;
        return 0;
    }
    if (errno != EINPROGRESS && errno != EINTR)
        return -errno;
    *ret_connecting = true;
    return 0;
}

ssize_t link_socket_send(struct link *l, const void *from, size_t bytes, struct err *e)
{
    ssize_t sent;

    do
        sent = send(socket_of(l)->fd, from, bytes, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0 || errno == EAGAIN)
        return sent < 0 ? 0 : sent;
    return err_set(e, errno, "send to %s: %m", socket_of(l)->peer);
}

void link_pieces_fill(struct iovec *to, const struct view *pieces, size_t n)
{
    must(n >= 1 && n <= LINK_PIECES_MAX);
    for (size_t i = 0; i < n; i++)
        to[i] = (struct iovec){ (void *)(uintptr_t)pieces[i].at, pieces[i].left };
}

ssize_t link_socket_send_pieces(struct link *l, const struct view *pieces, size_t n, struct err *e)
{
    struct iovec parts[LINK_PIECES_MAX];
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = n };
    ssize_t sent;

    link_pieces_fill(parts, pieces, n);
    do
        sent = sendmsg(socket_of(l)->fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0 || errno == EAGAIN)
        return sent < 0 ? 0 : sent;
    return err_set(e, errno, "send to %s: %m", socket_of(l)->peer);
}

ssize_t link_socket_receive(struct link *l, void *to, size_t bytes, struct err *e)
{
    ssize_t got;

    if (bytes == 0)
        return 0;
    do
        got = recv(socket_of(l)->fd, to, bytes, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return got;
    if (got == 0)
        return err_set(e, EPIPE, "%s closed the connection", socket_of(l)->peer);
    if (errno == EAGAIN)
        return 0;
    return err_set(e, errno, "receive from %s: %m", socket_of(l)->peer);
}

void link_socket_fds(const struct link *l, int *ret_receive, int *ret_send)
{
    *ret_receive = *ret_send = ((const struct link_socket *)l)->fd;
}

int link_socket_connected(struct link *l, struct err *e)
{
    struct link_socket *s = socket_of(l);
    struct pollfd p = { .fd = s->fd, .events = POLLOUT };
    socklen_t bytes = sizeof(int);
    int code = 0;

    if (!s->is_connecting)
        return 1;
    if (poll(&p, 1, 0) <= 0)
        return 0;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &code, &bytes) < 0)
        code = errno;
    if (code)
        return err_set(e, code, "connect to %s: %m", s->peer);
    s->is_connecting = false;
    return 1;
}

void link_socket_close(struct link *l)
{
    auto_close(&socket_of(l)->fd);
    free(l);
}

/* handover — see handover.h. */
#include "replicator/daemon/handover.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"

#define FDS_MAX 2u

union control {
    struct cmsghdr header; /* for its alignment */
    char octets[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

void handover_init(struct handover *h)
{
    h->receive_fd = h->send_fd = -1;
    h->bytes = 0;
}

void handover_close(struct handover *h)
{
    if (h->send_fd != h->receive_fd)
        auto_close(&h->send_fd);
    auto_close(&h->receive_fd);
    handover_init(h);
}

int handover_send(int socket, const struct handover *h, struct err *e)
{
    int fds[FDS_MAX] = { h->receive_fd, h->send_fd };
    size_t fds_bytes = (h->receive_fd == h->send_fd ? 1 : 2) * sizeof(int);
    struct iovec octets = { .iov_base = (void *)(uintptr_t)h->octets, .iov_len = h->bytes };
    union control control = { .octets = { 0 } };
    struct msghdr message = {
        .msg_iov = &octets,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = CMSG_SPACE(fds_bytes),
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    must(h->bytes > 0 && h->bytes <= HANDOVER_BYTES_MAX && h->receive_fd >= 0);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds_bytes);
    memcpy(CMSG_DATA(c), fds, fds_bytes);
    if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        return err_set(e, errno, "hand the connection over: %m");
    return 0;
}

/* Descriptors of one message; whatever does not fit the form is closed. */
static size_t take_fds(struct msghdr *message, int fds[FDS_MAX])
{
    size_t taken = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (taken < FDS_MAX)
                fds[taken++] = fd;
            else
                close(fd);
        }
    }
    return taken;
}

int handover_receive(int socket, struct handover *ret, struct err *e)
{
    int fds[FDS_MAX] = { -1, -1 };
    struct iovec octets = { .iov_base = ret->octets, .iov_len = sizeof(ret->octets) };
    union control control;
    struct msghdr message = {
        .msg_iov = &octets,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    size_t n;

    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : err_set(e, errno, "take a connection: %m");
    n = take_fds(&message, fds);
    if (got == 0 && n == 0)
        return err_set(e, EPIPE, "the giver of a connection went away");
    if (got == 0 || n == 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        auto_close(&fds[0]);
        auto_close(&fds[1]);
        return err_set(e, EPROTO, "what came is no handover");
    }
    ret->receive_fd = fds[0];
    ret->send_fd = n == 2 ? fds[1] : fds[0];
    ret->bytes = (size_t)got;
    return 1;
}

void handover_confirm(int socket)
{
    /* A giver that is gone needs no answer. */
    if (send(socket, "1", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return;
}

int handover_await(int socket, uint64_t until_ns, struct err *e)
{
    struct pollfd p = { .fd = socket, .events = POLLIN };
    uint64_t now = clock_now_ns();
    char answer;

    if (poll(&p, 1, until_ns > now ? (int)((until_ns - now) / NS_PER_MS) + 1 : 0) <= 0)
        return err_set(e, ETIMEDOUT, "the replica's process does not take the connection");
    if (recv(socket, &answer, 1, 0) != 1)
        return err_set(e, EPIPE, "the replica's process went away");
    return 0;
}

/* ---- a link with a tether ------------------------------------------------------------------------ */

struct tethered {
    struct link link;
    struct link *inner;
    int tether;
};

static ssize_t tethered_send(struct link *l, const void *from, size_t bytes, struct err *e)
{
    struct link *inner = ((struct tethered *)l)->inner;

    return inner->ops->send(inner, from, bytes, e);
}

static ssize_t tethered_send_pieces(struct link *l, const struct view *pieces, size_t n, struct err *e)
{
    struct link *inner = ((struct tethered *)l)->inner;

    return inner->ops->send_pieces(inner, pieces, n, e);
}

static ssize_t tethered_receive(struct link *l, void *to, size_t bytes, struct err *e)
{
    struct link *inner = ((struct tethered *)l)->inner;

    return inner->ops->receive(inner, to, bytes, e);
}

static void tethered_fds(const struct link *l, int *ret_receive, int *ret_send)
{
    const struct link *inner = ((const struct tethered *)l)->inner;

    inner->ops->fds(inner, ret_receive, ret_send);
}

static int tethered_connected(struct link *l, struct err *e)
{
    struct link *inner = ((struct tethered *)l)->inner;

    return inner->ops->connected(inner, e);
}

static void tethered_close(struct link *l)
{
    struct tethered *t = (struct tethered *)l;

    if (t->inner)
        t->inner->ops->close(t->inner);
    auto_close(&t->tether);
    free(t);
}

static const struct link_ops tethered_ops = {
    .kind = "handed over",
    .send = tethered_send,
    .send_pieces = tethered_send_pieces,
    .receive = tethered_receive,
    .fds = tethered_fds,
    .connected = tethered_connected,
    .close = tethered_close,
};

int handover_link(struct handover *h, int tether, struct link **ret, struct err *e)
{
    struct tethered *t = calloc(1, sizeof(*t));
    int rc;

    if (!t) {
        handover_close(h);
        auto_close(&tether);
        return err_set(e, ENOMEM, "take a connection: %m");
    }
    t->link.ops = &tethered_ops;
    t->tether = tether;
    rc = link_from_fds(&t->inner, h->receive_fd, h->send_fd, e);
    h->receive_fd = h->send_fd = -1;
    if (rc < 0) {
        t->inner = NULL;
        tethered_close(&t->link);
        return rc;
    }
    *ret = &t->link;
    return 0;
}

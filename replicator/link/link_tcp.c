/* link_tcp — links over TCP, IPv4 and IPv6.
 * A name that is no number is resolved at connect or listen, which may wait for the resolver; an
 * established link never waits. A host of several addresses is tried address by address. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "replicator/link/link_rows.h"
#include "replicator/link/link_socket.h"

#define HOST_BYTES_MAX 256u
#define BACKLOG        64

struct link_tcp {
    struct link_socket socket;
    struct addrinfo *all, *tried; /* the host's addresses, and the one being tried now */
    uint64_t timeout_ns;
};

/* "HOST:PORT" or "[V6]:PORT" into its halves. */
static int place_parse(const char *place, char host[HOST_BYTES_MAX], char port[8], struct err *e)
{
    const char *from = place, *colon = strrchr(place, ':'), *end = colon;
    char *stop;
    unsigned long number;

    if (!colon)
        return err_set(e, EINVAL, "tcp:%s: want HOST:PORT", place);
    if (*from == '[') {
        if (end[-1] != ']' || end - from < 3)
            return err_set(e, EINVAL, "tcp:%s: want [ADDRESS]:PORT", place);
        from++, end--;
    } else if (memchr(from, ':', (size_t)(end - from))) {
        return err_set(e, EINVAL, "tcp:%s: write an IPv6 address as [ADDRESS]:PORT", place);
    }
    if (end - from >= (ptrdiff_t)HOST_BYTES_MAX)
        return err_set(e, EINVAL, "tcp:%.40s…: the host's name is too long", place);
    number = strtoul(colon + 1, &stop, 10);
    if (colon[1] < '0' || colon[1] > '9' || *stop || number > 65535)
        return err_set(e, EINVAL, "tcp:%s: \"%s\" is no port", place, colon + 1);
    memcpy(host, from, (size_t)(end - from));
    host[end - from] = '\0';
    snprintf(port, 8, "%lu", number);
    return 0;
}

/* Asks the resolver only when the host is a name. */
static int resolve(const char *host, const char *port, int flags, struct addrinfo **ret, struct err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    int rc;

    hints.ai_flags = flags | AI_NUMERICHOST | AI_NUMERICSERV;
    rc = getaddrinfo(host, port, &hints, ret);
    if (rc == EAI_NONAME) {
        hints.ai_flags = flags | AI_NUMERICSERV;
        rc = getaddrinfo(host, port, &hints, ret);
    }
    if (rc)
        return err_set(e, rc == EAI_SYSTEM ? errno : EHOSTUNREACH, "%s: %s", host, gai_strerror(rc));
    return 0;
}

/* Failures are left alone: a link without an option is slower to notice, not wrong. */
static void set_options(int fd, uint64_t timeout_ns)
{
    unsigned ms = (unsigned)((timeout_ns + NS_PER_MS - 1) / NS_PER_MS);
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (timeout_ns && timeout_ns != TIME_NEVER)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

/* Tries from t->tried on, until one address connects or is under way. The socket keeps its
 * descriptor number, so that whoever polls it need not be told. */
static int try_addresses(struct link_tcp *t, struct err *e)
{
    int rc = -EHOSTUNREACH;

    for (; t->tried; t->tried = t->tried->ai_next) {
        AUTO_CLOSE int fd = socket(t->tried->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        rc = fd < 0 ? -errno : 0;
        if (rc == 0) {
            set_options(fd, t->timeout_ns);
            rc = link_socket_start(fd, t->tried->ai_addr, t->tried->ai_addrlen,
                                   &t->socket.is_connecting);
        }
        if (rc < 0)
            continue;
        if (t->socket.fd < 0)
            t->socket.fd = fd_steal(&fd);
        else if (dup3(fd, t->socket.fd, O_CLOEXEC) < 0)
            return err_set(e, errno, "connect to %s: %m", t->socket.peer);
        return 0;
    }
    return err_set(e, -rc, "connect to %s: %m", t->socket.peer);
}

static int tcp_connected(struct link *l, struct err *e)
{
    struct link_tcp *t = (struct link_tcp *)l;
    int rc = link_socket_connected(l, e);

    if (rc >= 0 || !t->tried || !t->tried->ai_next)
        return rc;
    t->tried = t->tried->ai_next;
    rc = try_addresses(t, e);
    return rc < 0 ? rc : !t->socket.is_connecting;
}

static void tcp_close(struct link *l)
{
    struct link_tcp *t = (struct link_tcp *)l;

    if (t->all)
        freeaddrinfo(t->all);
    link_socket_close(l);
}

static const struct link_ops tcp_ops = {
    .kind = "tcp",
    .send = link_socket_send,
    .send_pieces = link_socket_send_pieces,
    .receive = link_socket_receive,
    .fds = link_socket_fds,
    .connected = tcp_connected,
    .close = tcp_close,
};

int link_tcp_connect(struct link **ret, const char *place, uint64_t timeout_ns, struct err *e)
{
    char host[HOST_BYTES_MAX], port[8];
    struct link_tcp *t;
    int rc;

    rc = place_parse(place, host, port, e);
    if (rc < 0)
        return rc;
    if (!host[0] || strcmp(port, "0") == 0)
        return err_set(e, EINVAL, "tcp:%s: to connect, name a host and a port", place);
    t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(e, ENOMEM, "tcp:%s: %m", place);
    t->socket.link.ops = &tcp_ops;
    t->socket.fd = -1;
    t->timeout_ns = timeout_ns;
    snprintf(t->socket.peer, sizeof(t->socket.peer), "tcp:%s", place);
    rc = resolve(host, port, 0, &t->all, e);
    t->tried = t->all;
    if (rc == 0)
        rc = try_addresses(t, e);
    if (rc < 0) {
        tcp_close(&t->socket.link);
        return rc;
    }
    *ret = &t->socket.link;
    return 0;
}

/* A listening socket at one address, or -errno. */
static int listen_at(const struct addrinfo *at)
{
    AUTO_CLOSE int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, off = 0;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (at->ai_family == AF_INET6) /* "all" means IPv4 too */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return -errno;
    return fd_steal(&fd);
}

static int describe_bound(int fd, char *bound, struct err *e)
{
    struct sockaddr_storage at;
    socklen_t bytes = sizeof(at);
    char host[HOST_BYTES_MAX], port[8];

    if (getsockname(fd, (struct sockaddr *)&at, &bytes) < 0)
        return err_set(e, errno, "getsockname: %m");
    if (getnameinfo((struct sockaddr *)&at, bytes, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return err_set(e, EINVAL, "a bound address that can't be written");
    snprintf(bound, LINK_ADDRESS_MAX, at.ss_family == AF_INET6 ? "tcp:[%s]:%s" : "tcp:%s:%s", host, port);
    return 0;
}

static int listen_on_host(const char *host, const char *port)
{
    struct addrinfo *all;
    struct err unheard;
    int fd = resolve(host, port, AI_PASSIVE, &all, &unheard);

    if (fd < 0)
        return fd;
    fd = -EADDRNOTAVAIL;
    for (const struct addrinfo *at = all; at && fd < 0; at = at->ai_next)
        fd = listen_at(at);
    freeaddrinfo(all);
    return fd;
}

int link_tcp_listen(int *ret_fd, const char *place, char *bound, struct err *e)
{
    char host[HOST_BYTES_MAX], port[8];
    AUTO_CLOSE int fd = -1;
    int rc = place_parse(place, host, port, e);

    if (rc < 0)
        return rc;
    fd = listen_on_host(host[0] ? host : "::", port);
    if (!host[0] && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL))
        fd = listen_on_host("0.0.0.0", port); /* a machine without IPv6 */
    if (fd < 0)
        return err_set(e, -fd, "listen at tcp:%s: %m", place);
    rc = describe_bound(fd, bound, e);
    if (rc < 0)
        return rc;
    *ret_fd = fd_steal(&fd);
    return 0;
}

/* link — an ordered, non-blocking stream of octets to the peer: one table, a transport a row (tcp,
 * unix, exec; faulty wraps any other). Links know nothing of records. Every slot is filled. */
#ifndef REPLICATOR_LINK_LINK_H
#define REPLICATOR_LINK_LINK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

#define LINK_ADDRESS_MAX 512u
#define LINK_PIECES_MAX  64u

struct link;

struct link_ops {
    const char *kind;

    /* As many octets as go without blocking: > 0; 0: would block; -errno: broken, close it. */
    ssize_t (*send)(struct link *l, const void *from, size_t bytes, struct err *e);

    /* The same for n (1 … LINK_PIECES_MAX) pieces, one behind the other, none of them empty. */
    ssize_t (*send_pieces)(struct link *l, const struct view *pieces, size_t n, struct err *e);

    /* > 0 octets; 0: would block; -ECONNRESET (or another errno): broken; -EPIPE: clean end. */
    ssize_t (*receive)(struct link *l, void *to, size_t bytes, struct err *e);

    /* What to poll: the same descriptor twice, or two of them (pipes), -1 when there is none. */
    void (*fds)(const struct link *l, int *ret_receive, int *ret_send);

    /* 1 connected, 0 still connecting (poll send fd for writing), -errno failed. */
    int (*connected)(struct link *l, struct err *e);

    void (*close)(struct link *l); /* any state; never blocks; ends a child process it started */
};

struct link {
    const struct link_ops *ops;
};

/* send_pieces for a row that has no better way: the first piece, by the row's own send. */
ssize_t link_send_first_piece(struct link *l, const struct view *pieces, size_t n, struct err *e);

/* Starts connecting to "tcp:HOST:PORT", "tcp:[V6]:PORT", "unix:PATH" or "exec:COMMAND" without
 * waiting. -EINVAL for an address that can't be read; other -errno when it failed at once.
 * timeout_ns sets TCP_USER_TIMEOUT. */
MUST_CHECK int link_connect(struct link **ret, const char *address, uint64_t timeout_ns, struct err *e);

/* A link over descriptors that are open already (accepted, or stdin and stdout); takes them over.
 * receive_fd and send_fd may be the same. */
MUST_CHECK int link_from_fds(struct link **ret, int receive_fd, int send_fd, struct err *e);

/* A socket that listens at "tcp:HOST:PORT" (HOST empty: all; PORT 0: any) or "unix:PATH" (a stale
 * socket file is replaced, a live one refused with -EADDRINUSE). *ret_fd is the caller's.
 * `bound` gets the real address, LINK_ADDRESS_MAX octets. */
MUST_CHECK int link_listen(int *ret_fd, const char *address, char *bound, struct err *e);

#endif

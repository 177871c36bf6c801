/* link_socket — what tcp and unix links share: one non-blocking stream socket that may still be
 * connecting. The transports make the socket and fill their rows with these functions. */
#ifndef REPLICATOR_LINK_LINK_SOCKET_H
#define REPLICATOR_LINK_LINK_SOCKET_H

#include <stdbool.h>
#include <sys/socket.h>

#include "replicator/link/link.h"

struct link_socket {
    struct link link;
    int fd;
    bool is_connecting;
    char peer[LINK_ADDRESS_MAX]; /* for error texts */
};

/* Pieces as the system's calls want them. */
struct iovec;
void link_pieces_fill(struct iovec *to, const struct view *pieces, size_t n);

/* Starts connecting a socket without waiting; on success *ret_connecting says whether it goes on. */
MUST_CHECK int link_socket_start(int fd, const struct sockaddr *to, socklen_t bytes,
                                 bool *ret_connecting);

ssize_t link_socket_send(struct link *l, const void *from, size_t bytes, struct err *e);
ssize_t link_socket_send_pieces(struct link *l, const struct view *pieces, size_t n, struct err *e);
ssize_t link_socket_receive(struct link *l, void *to, size_t bytes, struct err *e);
void link_socket_fds(const struct link *l, int *ret_receive, int *ret_send);
int link_socket_connected(struct link *l, struct err *e);
void link_socket_close(struct link *l);

#endif

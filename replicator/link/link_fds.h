/* link_fds — a link over two descriptors of any kind: pipes of a command, stdin and stdout.
 * exec builds on it; link_from_fds() makes plain ones. */
#ifndef REPLICATOR_LINK_LINK_FDS_H
#define REPLICATOR_LINK_LINK_FDS_H

#include "replicator/link/link.h"

struct link_fds {
    struct link link;
    int receive_fd, send_fd; /* may be the same */
};

/* Takes both descriptors over, also when it fails, and makes them non-blocking. */
MUST_CHECK int link_fds_start(struct link_fds *l, int receive_fd, int send_fd, struct err *e);

ssize_t link_fds_send(struct link *l, const void *from, size_t bytes, struct err *e);
ssize_t link_fds_send_pieces(struct link *l, const struct view *pieces, size_t n, struct err *e);
ssize_t link_fds_receive(struct link *l, void *to, size_t bytes, struct err *e);
void link_fds_fds(const struct link *l, int *ret_receive, int *ret_send);
int link_fds_connected(struct link *l, struct err *e);
void link_fds_close(struct link *l);

#endif

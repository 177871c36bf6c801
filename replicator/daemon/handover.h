/* handover — gives a connection to another process of this host: its descriptors and the octets that
 * were read from it already, as one message on a SOCK_SEQPACKET socket. The taker answers one octet.
 * The socket itself may stay open as a tether: its end tells the giver that the link is closed. */
#ifndef REPLICATOR_HANDOVER_H
#define REPLICATOR_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "replicator/link/link.h"

#define HANDOVER_BYTES_MAX 20480u

struct handover {
    int receive_fd, send_fd; /* the same one, or two (pipes) */
    size_t bytes;            /* of octets read already, at least 1 */
    uint8_t octets[HANDOVER_BYTES_MAX];
};

/* An empty one: no descriptors, no octets. Closing is for any state, twice. */
void handover_init(struct handover *h);
void handover_close(struct handover *h);

/* Sends the whole; the caller keeps its own copies of the descriptors. -EPIPE, -ECONNRESET: the taker
 * went away; -EAGAIN: its queue is full. */
MUST_CHECK int handover_send(int socket, const struct handover *h, struct err *e);

/* Takes one without waiting: 1 taken, 0 nothing there yet; -EPIPE the giver went away, -EPROTO what
 * came is no handover (every descriptor it brought is closed). */
MUST_CHECK int handover_receive(int socket, struct handover *ret, struct err *e);

/* The taker's answer, and the giver's wait for it (0 taken; -EPIPE the taker went away without it;
 * -ETIMEDOUT). */
void handover_confirm(int socket);
MUST_CHECK int handover_await(int socket, uint64_t until_ns, struct err *e);

/* A link over the descriptors, which it takes out of h; closing the link also closes `tether` (-1:
 * none). On failure both are closed. */
MUST_CHECK int handover_link(struct handover *h, int tether, struct link **ret, struct err *e);

#endif

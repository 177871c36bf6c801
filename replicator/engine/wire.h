/* wire — records over a link: a bounded out buffer and a bounded in buffer, nothing blocks. What is to go
 * out may also stay where it is, until it is gone: pages are not copied for being sent.
 * Both engines own one. Octets that were not sent when the link goes are forgotten with it. */
#ifndef REPLICATOR_ENGINE_WIRE_H
#define REPLICATOR_ENGINE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "checkpoint/record.h"
#include "checkpoint/stream.h"
#include "replicator/link/link.h"

struct wire {
    struct link *link;   /* owned; NULL while there is none */
    uint8_t *out, *in;
    size_t out_size, in_size;
    size_t out_from, out_to;
    struct view *pieces; /* a ring of what waits, in order; at NULL: the next octets of the out buffer */
    size_t piece_first, piece_count, waiting;
    uint64_t gone_bytes, put_bytes; /* ever: sent or forgotten; handed over by reference or not */
    size_t in_from, in_to;
    uint64_t sent_bytes, received_bytes, record_number; /* record_number: since attach */
};

/* Small messages always find this much room, whatever pages are queued. */
#define WIRE_RESERVE 8192u

MUST_CHECK int wire_open(struct wire *w, size_t out_bytes, size_t in_bytes, struct err *e);
void wire_close(struct wire *w); /* any state, twice; closes the link */

/* Takes the link over (an older one is closed) and starts with empty buffers. */
void wire_attach(struct wire *w, struct link *link);
void wire_detach(struct wire *w);

/* Puts octets that were already received in front of what comes (a handed-over connection). */
MUST_CHECK int wire_unread(struct wire *w, const void *octets, size_t bytes);

/* Room at the end of the out buffer; give the advanced sink back with wire_put. */
struct sink wire_sink(struct wire *w);
void wire_put(struct wire *w, const struct sink *advanced);
/* True when `bytes` fit and WIRE_RESERVE stays free besides. */
bool wire_has_room(struct wire *w, size_t bytes);

/* Queues pieces that stay the caller's, to be left as they are until wire->gone_bytes has reached what
 * wire->put_bytes is on return, or wire_own(). False, and nothing done, when there is no room: they count
 * as if they were copied. */
bool wire_put_pieces(struct wire *w, const struct view *pieces, size_t n);
/* Copies what waits by reference, for which there is always room. */
void wire_own(struct wire *w);

static inline size_t wire_waiting(const struct wire *w)
{
    return w->waiting;
}

/* Sends what goes: 1 progress, 0 would block or nothing to send, -errno broken. */
MUST_CHECK int wire_flush(struct wire *w, struct err *e);
/* Receives what is there: 1 progress, 0 would block, -errno broken (-EPIPE: clean end). */
MUST_CHECK int wire_fill(struct wire *w, struct err *e);

/* The next whole record that is in the buffer: 1, 0 when more must come, -EPROTO (text names the
 * record's number and the rule). It stays valid until the next wire_fill. */
MUST_CHECK int wire_next(struct wire *w, struct record *ret, struct err *e);
/* The same for the headers that open a primary's stream. */
MUST_CHECK int wire_headers(struct wire *w, struct stream_headers *ret, struct err *e);

#endif

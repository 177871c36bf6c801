/* wire — see wire.h. Both buffers are linear and compacted, never wrapped: records stay contiguous. */
#include "replicator/engine/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A chunk of zero pages is a thousand times larger than its octets: whoever takes in megabytes of them
 * is deaf for seconds: its own clock calls the peer silent then, and the peer's kernel calls the
 * connection dead (TCP_USER_TIMEOUT). This much is tens of MiB of pages at most. */
#define FILL_MAX ((size_t)32 << 10)

int wire_open(struct wire *w, size_t out_bytes, size_t in_bytes, struct err *e)
{
    *w = (struct wire){ .out_size = out_bytes, .in_size = in_bytes };
    w->out = malloc(out_bytes);
    w->in = malloc(in_bytes);
    if (!w->out || !w->in) {
        wire_close(w);
        return err_set(e, ENOMEM, "no memory for %zu octets of link buffers", out_bytes + in_bytes);
    }
    return 0;
}

void wire_close(struct wire *w)
{
    wire_detach(w);
    free(w->out);
    free(w->in);
    w->out = w->in = NULL;
}

void wire_detach(struct wire *w)
{
    if (w->link)
        w->link->ops->close(w->link);
    w->link = NULL;
    w->out_from = w->out_to = w->in_from = w->in_to = 0;
    w->record_number = 0;
}

void wire_attach(struct wire *w, struct link *link)
{
    wire_detach(w);
    w->link = link;
}

int wire_unread(struct wire *w, const void *octets, size_t bytes)
{
    if (bytes > w->in_size - w->in_to)
        return -ENOBUFS;
    memmove(w->in + w->in_from + bytes, w->in + w->in_from, w->in_to - w->in_from);
    memcpy(w->in + w->in_from, octets, bytes);
    w->in_to += bytes;
    return 0;
}

static void compact(uint8_t *buffer, size_t *from, size_t *to)
{
    if (*from == 0)
        return;
    memmove(buffer, buffer + *from, *to - *from);
    *to -= *from;
    *from = 0;
}

struct sink wire_sink(struct wire *w)
{
    return (struct sink){ w->out + w->out_to, w->out_size - w->out_to };
}

void wire_put(struct wire *w, const struct sink *advanced)
{
    w->out_to = (size_t)(advanced->at - w->out);
}

bool wire_has_room(struct wire *w, size_t bytes)
{
    if (bytes + WIRE_RESERVE > w->out_size - wire_waiting(w))
        return false;
    if (bytes + WIRE_RESERVE > w->out_size - w->out_to)
        compact(w->out, &w->out_from, &w->out_to);
    return true;
}

int wire_flush(struct wire *w, struct err *e)
{
    ssize_t n;

    if (!w->link || wire_waiting(w) == 0)
        return 0;
    n = w->link->ops->send(w->link, w->out + w->out_from, wire_waiting(w), e);
    if (n <= 0)
        return (int)n;
    w->out_from += (size_t)n;
    w->sent_bytes += (uint64_t)n;
    if (w->out_from == w->out_to)
        w->out_from = w->out_to = 0;
    return 1;
}

int wire_fill(struct wire *w, struct err *e)
{
    size_t room;
    ssize_t n;

    if (!w->link)
        return 0;
    if (w->in_from == w->in_to)
        w->in_from = w->in_to = 0;
    if (w->in_to == w->in_size)
        compact(w->in, &w->in_from, &w->in_to);
    if (w->in_to == w->in_size)
        return 0; /* full of records that nobody took yet */
    room = w->in_size - w->in_to;
    n = w->link->ops->receive(w->link, w->in + w->in_to, room < FILL_MAX ? room : FILL_MAX, e);
    if (n <= 0)
        return (int)n;
    w->in_to += (size_t)n;
    w->received_bytes += (uint64_t)n;
    return 1;
}

int wire_next(struct wire *w, struct record *ret, struct err *e)
{
    struct view in = { w->in + w->in_from, w->in_to - w->in_from };
    size_t body_max = w->in_size - RECORD_HEADER_BYTES - 8;
    int rc = record_take(&in, body_max < SESSION_BODY_MAX ? body_max : SESSION_BODY_MAX, ret, e);

    if (rc < 0)
        return err_wrap(e, "record %" PRIu64 " of the session", w->record_number);
    if (rc == 1) {
        w->in_from = w->in_to - in.left;
        w->record_number++;
    }
    return rc;
}

int wire_headers(struct wire *w, struct stream_headers *ret, struct err *e)
{
    struct view in = { w->in + w->in_from, w->in_to - w->in_from };
    int rc = stream_headers_take(&in, ret, e);

    if (rc == 1)
        w->in_from = w->in_to - in.left;
    return rc;
}

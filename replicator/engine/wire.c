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

/* What waits is some chunks of pages, each in up to a piece a page, and messages between them. */
#define PIECES ((size_t)4096)

int wire_open(struct wire *w, size_t out_bytes, size_t in_bytes, struct err *e)
{
    *w = (struct wire){ .out_size = out_bytes, .in_size = in_bytes };
    w->out = malloc(out_bytes);
    w->in = malloc(in_bytes);
    w->pieces = malloc(PIECES * sizeof(*w->pieces));
    if (!w->out || !w->in || !w->pieces) {
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
    free(w->pieces);
    w->out = w->in = NULL;
    w->pieces = NULL;
}

void wire_detach(struct wire *w)
{
    if (w->link)
        w->link->ops->close(w->link);
    w->link = NULL;
    w->out_from = w->out_to = w->in_from = w->in_to = 0;
    w->piece_first = w->piece_count = w->waiting = 0;
    w->gone_bytes = w->put_bytes;
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
    size_t room, bound = w->out_size - w->waiting;

    if (w->out_size - w->out_to < WIRE_RESERVE)
        compact(w->out, &w->out_from, &w->out_to);
    room = w->out_size - w->out_to;
    return (struct sink){ w->out + w->out_to, room < bound ? room : bound };
}

static struct view *piece(const struct wire *w, size_t i)
{
    return &w->pieces[(w->piece_first + i) % PIECES];
}

static bool is_last_own(const struct wire *w)
{
    return w->piece_count > 0 && !piece(w, w->piece_count - 1)->at;
}

static void add_piece(struct wire *w, const uint8_t *at, size_t bytes)
{
    if (!at && is_last_own(w))
        piece(w, w->piece_count - 1)->left += bytes;
    else if (bytes > 0)
        *piece(w, w->piece_count++) = (struct view){ at, bytes };
    w->waiting += bytes;
    w->put_bytes += bytes;
}

void wire_put(struct wire *w, const struct sink *advanced)
{
    size_t to = (size_t)(advanced->at - w->out), bytes = to - w->out_to;

    /* Nothing but a thousand small messages between as many chunks could use up the ring. */
    if (!is_last_own(w) && w->piece_count == PIECES)
        wire_own(w);
    w->out_to = to;
    add_piece(w, NULL, bytes);
}

bool wire_has_room(struct wire *w, size_t bytes)
{
    if (bytes + WIRE_RESERVE > w->out_size - w->waiting)
        return false;
    if (bytes + WIRE_RESERVE > w->out_size - w->out_to)
        compact(w->out, &w->out_from, &w->out_to);
    return true;
}

bool wire_put_pieces(struct wire *w, const struct view *pieces, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += pieces[i].left;
    if (n >= PIECES - w->piece_count || !wire_has_room(w, bytes))
        return false;
    for (size_t i = 0; i < n; i++)
        add_piece(w, pieces[i].at, pieces[i].left);
    return true;
}

/* Own octets go to the end, then everything to the front in order: the front never catches up with what
 * is still to be taken from the end, because all of it fits. */
void wire_own(struct wire *w)
{
    size_t own = w->out_to - w->out_from, from = w->out_size - own, to = 0;

    if (w->waiting == own)
        return;
    memmove(w->out + from, w->out + w->out_from, own);
    for (size_t i = 0; i < w->piece_count; i++) {
        const struct view *p = piece(w, i);

        memmove(w->out + to, p->at ? p->at : w->out + from, p->left);
        from += p->at ? 0 : p->left;
        to += p->left;
    }
    must(to == w->waiting && to <= w->out_size);
    w->out_from = 0;
    w->out_to = to;
    *piece(w, 0) = (struct view){ NULL, to };
    w->piece_count = 1;
}

/* The first of what waits, as a link takes it. */
static size_t gather(const struct wire *w, struct view *ret)
{
    size_t own = w->out_from, n = 0;

    for (; n < w->piece_count && n < LINK_PIECES_MAX; n++) {
        ret[n] = *piece(w, n);
        if (ret[n].at)
            continue;
        ret[n].at = w->out + own;
        own += ret[n].left;
    }
    return n;
}

static void forget_sent(struct wire *w, size_t bytes)
{
    w->waiting -= bytes;
    w->gone_bytes += bytes;
    while (bytes > 0) {
        struct view *p = piece(w, 0);
        size_t n = bytes < p->left ? bytes : p->left;

        if (p->at)
            p->at += n;
        else
            w->out_from += n;
        p->left -= n;
        bytes -= n;
        if (p->left > 0)
            break;
        w->piece_first = (w->piece_first + 1) % PIECES;
        w->piece_count--;
    }
    if (w->out_from == w->out_to)
        w->out_from = w->out_to = 0;
}

int wire_flush(struct wire *w, struct err *e)
{
    struct view first[LINK_PIECES_MAX];
    ssize_t n;

    if (!w->link || w->waiting == 0)
        return 0;
    n = w->link->ops->send_pieces(w->link, first, gather(w, first), e);
    if (n <= 0)
        return (int)n;
    forget_sent(w, (size_t)n);
    w->sent_bytes += (uint64_t)n;
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

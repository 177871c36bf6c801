/* link_faulty — see link_faulty.h. Deterministic: the same calls meet the same faults. */
#include "replicator/link/link_faulty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FLIP_CHUNK 4096u

struct link_faulty {
    struct link link;
    struct link *inner; /* NULL once cut */
    struct link_faults plan;
    uint64_t sent, received;
};

static struct link_faulty *faulty_of(struct link *l)
{
    return (struct link_faulty *)l;
}

static ssize_t cut(struct link_faulty *f, struct err *e)
{
    if (f->inner)
        f->inner->ops->close(f->inner);
    f->inner = NULL;
    return err_set(e, ECONNRESET, "faulty link: cut after %llu octets sent and %llu received",
                   (unsigned long long)f->sent, (unsigned long long)f->received);
}

static bool is_cut(const struct link_faulty *f)
{
    return !f->inner || (f->plan.cut_at_sent && f->sent >= f->plan.cut_at_sent) ||
           (f->plan.cut_at_received && f->received >= f->plan.cut_at_received);
}

static size_t least(size_t bytes, size_t most, uint64_t cut_at, uint64_t done)
{
    if (most && bytes > most)
        bytes = most;
    if (cut_at && bytes > cut_at - done)
        bytes = (size_t)(cut_at - done);
    return bytes;
}

/* Flips in `octets`, the first of which is number `at` of its direction. */
static void flip(uint8_t *octets, size_t bytes, uint64_t at, uint64_t every)
{
    if (every == 0)
        return;
    for (size_t i = (size_t)((every - 1 - at % every) % every); i < bytes; i += every)
        octets[i] ^= 1;
}

static ssize_t faulty_send(struct link *l, const void *from, size_t bytes, struct err *e)
{
    struct link_faulty *f = faulty_of(l);
    uint8_t flipped[FLIP_CHUNK];
    ssize_t sent;

    if (is_cut(f))
        return cut(f, e);
    if (f->plan.is_send_stalled)
        return 0;
    bytes = least(bytes, f->plan.send_most, f->plan.cut_at_sent, f->sent);
    if (f->plan.flip_sent) {
        bytes = bytes < sizeof(flipped) ? bytes : sizeof(flipped);
        memcpy(flipped, from, bytes);
        flip(flipped, bytes, f->sent, f->plan.flip_sent);
        from = flipped;
    }
    sent = f->plan.drops_sent ? (ssize_t)bytes : f->inner->ops->send(f->inner, from, bytes, e);
    if (sent > 0)
        f->sent += (uint64_t)sent;
    return sent;
}

static ssize_t faulty_receive(struct link *l, void *to, size_t bytes, struct err *e)
{
    struct link_faulty *f = faulty_of(l);
    ssize_t got;

    if (is_cut(f))
        return cut(f, e);
    if (f->plan.is_receive_stalled)
        return 0;
    bytes = least(bytes, f->plan.receive_most, f->plan.cut_at_received, f->received);
    got = f->inner->ops->receive(f->inner, to, bytes, e);
    if (got <= 0)
        return got;
    flip(to, (size_t)got, f->received, f->plan.flip_received);
    f->received += (uint64_t)got;
    return f->plan.drops_received ? 0 : got;
}

/* A stalled direction has nothing to poll for: its descriptor would wake the caller for ever. */
static void faulty_fds(const struct link *l, int *ret_receive, int *ret_send)
{
    const struct link_faulty *f = (const struct link_faulty *)l;

    *ret_receive = *ret_send = -1;
    if (f->inner)
        f->inner->ops->fds(f->inner, ret_receive, ret_send);
    if (f->plan.is_receive_stalled)
        *ret_receive = -1;
    if (f->plan.is_send_stalled)
        *ret_send = -1;
}

static int faulty_connected(struct link *l, struct err *e)
{
    struct link_faulty *f = faulty_of(l);

    return f->inner ? f->inner->ops->connected(f->inner, e) : (int)cut(f, e);
}

static void faulty_close(struct link *l)
{
    struct link_faulty *f = faulty_of(l);

    if (f->inner)
        f->inner->ops->close(f->inner);
    free(f);
}

static const struct link_ops faulty_ops = {
    .kind = "faulty",
    .send = faulty_send,
    .send_pieces = link_send_first_piece,
    .receive = faulty_receive,
    .fds = faulty_fds,
    .connected = faulty_connected,
    .close = faulty_close,
};

int link_faulty_open(struct link **ret, struct link *inner, const struct link_faults *plan, struct err *e)
{
    struct link_faulty *f = calloc(1, sizeof(*f));

    if (!f) {
        inner->ops->close(inner);
        return err_set(e, ENOMEM, "faulty link: %m");
    }
    f->link.ops = &faulty_ops;
    f->inner = inner;
    f->plan = *plan;
    *ret = &f->link;
    return 0;
}

struct link_faults *link_faulty_plan(struct link *faulty)
{
    return &faulty_of(faulty)->plan;
}

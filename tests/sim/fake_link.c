/* fake_link — connections as a network and two kernels make them: octets arrive late, in pieces, in
 * order; the tail that had not left is lost with its host, any prefix of a record may arrive; a cut
 * is silence, not an error, and what it swallowed comes when it heals. */
#include <errno.h>
#include <string.h>

#include "tests/sim/observer.h"
#include "tests/sim/world.h"

enum { FD_BASE = 1000 };

static bool is_cut(const struct world *w, enum side from)
{
    return w->now < w->cut_until[from];
}

static uint64_t latency(struct world *w)
{
    uint64_t ns = w->config.latency_ns + rng_below(&w->rng, w->config.latency_ns / 2 + 1);

    return w->now < w->slow_until ? ns * 20 : ns;
}

/* ---- one way of a connection ----------------------------------------------------------------------------- */

static void deliver_at(struct pipe_way *p, uint64_t at)
{
    unsigned last = (p->first + p->n - 1) % SEGMENTS_MAX;

    if (p->n > 0 && p->segments[last].at > at)
        at = p->segments[last].at;
    if (p->n < SEGMENTS_MAX) {
        last = (p->first + p->n) % SEGMENTS_MAX;
        p->n++;
    }
    p->segments[last].end = p->head;
    p->segments[last].at = at;
}

static void write_octets(struct pipe_way *p, const uint8_t *from, size_t n)
{
    size_t at = p->head % PIPE_BYTES;
    size_t first = n < PIPE_BYTES - at ? n : PIPE_BYTES - at;

    memcpy(p->octets + at, from, first);
    memcpy(p->octets, from + first, n - first);
    p->head += n;
}

static uint64_t arrived(struct world *w, struct pipe_way *p)
{
    uint64_t end = p->tail;

    while (p->n > 0 && p->segments[p->first].at <= w->now) {
        end = p->segments[p->first].end;
        if (end > p->tail)
            break;
        p->first = (p->first + 1) % SEGMENTS_MAX;
        p->n--;
    }
    for (unsigned i = 0; i < p->n; i++) {
        unsigned s = (p->first + i) % SEGMENTS_MAX;

        if (p->segments[s].at <= w->now)
            end = p->segments[s].end;
    }
    return end;
}

/* Octets from `keep` on never leave. */
static void truncate_way(struct pipe_way *p, uint64_t keep)
{
    p->head = keep;
    for (unsigned i = 0; i < p->n; i++) {
        unsigned s = (p->first + i) % SEGMENTS_MAX;

        if (p->segments[s].end > keep)
            p->segments[s].end = keep;
    }
}

/* ---- connections -------------------------------------------------------------------------------------------- */

static void discard_if_unheld(struct connection *c)
{
    if (!c->ends[PRIMARY].is_held && !c->ends[BACKUP].is_held)
        c->is_used = false;
}

extern const struct link_ops fake_link_ops;

struct connection *connection_make(struct world *w, bool is_stranger)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &w->connections[i];

        if (c->is_used)
            continue;
        c->is_used = true;
        c->is_established = c->is_reset = false;
        c->is_stranger = is_stranger;
        c->greeted = 0;
        c->established_at = w->now + latency(w);
        c->reset_at = c->reset_one_at[PRIMARY] = c->reset_one_at[BACKUP] = TIME_NEVER;
        for (unsigned s = 0; s < SIDES; s++) {
            struct pipe_way *p = &c->ways[s];

            c->fin_at[s] = TIME_NEVER;
            c->ends[s] = (struct connection_end){ { &fake_link_ops }, c, s, false, false };
            p->head = p->tail = p->first = p->n = 0;
            p->capacity = w->config.pipe_capacity;
        }
        c->ends[PRIMARY].is_held = true;
        return c;
    }
    return NULL;
}

int connection_try(struct world *w, struct link **ret, struct err *e)
{
    struct connection *c;

    world_point(w, PRIMARY, PLACE_ANY);
    if (!w->nodes[PRIMARY].is_alive || world_fails(w, CALL_connect))
        return err_set(e, ENETUNREACH, "no route");
    c = connection_make(w, false);
    if (!c)
        return err_set(e, EMFILE, "too many connections");
    *ret = &c->ends[PRIMARY].link;
    return 0;
}

void connection_push(struct world *w, struct connection *c, enum side from, const void *octets,
                     size_t bytes)
{
    write_octets(&c->ways[from], octets, bytes);
    deliver_at(&c->ways[from], w->now + latency(w));
}

struct connection *connection_by_fd(struct world *w, int fd)
{
    if (fd < FD_BASE || fd >= FD_BASE + CONNECTIONS_MAX || !w->connections[fd - FD_BASE].is_used)
        return NULL;
    return &w->connections[fd - FD_BASE];
}

uint64_t connection_wake(const struct world *w, const struct connection *c, enum side side)
{
    const struct pipe_way *p = &c->ways[!side];
    uint64_t at = c->reset_at < c->fin_at[!side] ? c->reset_at : c->fin_at[!side];

    (void)w;
    at = c->reset_one_at[side] < at ? c->reset_one_at[side] : at;
    if (p->n > 0 && p->segments[p->first].at < at)
        at = p->segments[p->first].at;
    return at;
}

/* A process or its host is gone: its kernel says FIN or RST, or nothing at all. */
void connections_lose_process(struct world *w, enum side side, bool with_host)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &w->connections[i];
        struct pipe_way *p = &c->ways[side];

        if (!c->is_used || (c->is_stranger && side == PRIMARY) || c->ends[side].is_closed)
            continue;
        c->ends[side].is_closed = true;
        if (with_host || coin(w, 500000))
            truncate_way(p, p->tail + rng_below(&w->rng, p->head - p->tail + 1));
        if (with_host)
            continue; /* half open: the other side hears nothing */
        if (coin(w, 300000))
            c->reset_at = w->now + latency(w);
        else
            c->fin_at[side] = w->now + latency(w);
    }
}

void connections_reset(struct world *w, uint64_t at)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        if (w->connections[i].is_used)
            w->connections[i].reset_at = at;
}

/* One side learns that the connection is broken, the other does not: it gets what was under way. */
void connections_reset_one(struct world *w, enum side side)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        if (w->connections[i].is_used && w->connections[i].is_established)
            w->connections[i].reset_one_at[side] = w->now;
}

void connections_cut(struct world *w, enum side from, uint64_t until)
{
    if (until > w->cut_until[from])
        w->cut_until[from] = until;
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct pipe_way *p = &w->connections[i].ways[from];
        unsigned kept = (unsigned)rng_below(&w->rng, p->n + 1);

        for (unsigned k = kept; w->connections[i].is_used && k < p->n; k++)
            p->segments[(p->first + k) % SEGMENTS_MAX].at = TIME_NEVER;
    }
}

void connections_healed(struct world *w, enum side from)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct pipe_way *p = &w->connections[i].ways[from];
        uint64_t at = w->now + latency(w);

        for (unsigned k = 0; w->connections[i].is_used && k < p->n; k++)
            if (p->segments[(p->first + k) % SEGMENTS_MAX].at == TIME_NEVER)
                p->segments[(p->first + k) % SEGMENTS_MAX].at = at;
    }
}

/* From some octet on the stream is noise. */
void connections_spoil(struct world *w, enum side from)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &w->connections[i];
        struct pipe_way *p = &c->ways[from];
        uint8_t noise[64];
        uint64_t at;

        if (!c->is_used || !c->is_established || c->is_stranger)
            continue;
        at = p->tail + rng_below(&w->rng, p->head - p->tail + 1);
        for (; at < p->head; at++)
            p->octets[at % PIPE_BYTES] = (uint8_t)rng_next(&w->rng);
        rng_fill(&w->rng, noise, sizeof(noise));
        if (p->head - p->tail + sizeof(noise) <= PIPE_BYTES)
            connection_push(w, c, from, noise, sizeof(noise));
        c->reset_at = w->now + 10 * latency(w);
    }
}

/* True for octets whose change no digest would show: greetings, marks and heartbeats. What they are
 * worth without a checksum of their own is TCP's and TLS's affair. */
static bool is_near_message(const struct pipe_way *p, uint64_t at)
{
    static const uint8_t marks[][4] = { { 1, 0, 0x50, 0xd2 }, { 2, 0, 0x50, 0x52 },
                                        { 3, 0, 0x50, 0x52 }, { 0x14, 0, 0x50, 0x52 } };

    for (uint64_t back = 0; back < 56; back++)
        for (unsigned m = 0; m < ARRAY_LEN(marks); m++) {
            unsigned same = 0;

            while (same < 4 && p->octets[(at - back + same) % PIPE_BYTES] == marks[m][same])
                same++;
            if (same == 4)
                return true;
        }
    return false;
}

/* One bit of an epoch on its way changes, and TCP's checksum does not see it. */
bool connections_flip(struct world *w)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &w->connections[i];
        struct pipe_way *p = &c->ways[PRIMARY];
        uint64_t at = p->tail + rng_below(&w->rng, p->head - p->tail);

        if (!c->is_used || !c->is_established || c->is_stranger || p->head == p->tail ||
            at < GREETING_MAX || is_near_message(p, at))
            continue;
        p->octets[at % PIPE_BYTES] ^= (uint8_t)(1u << rng_below(&w->rng, 8));
        return true;
    }
    return false;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static struct connection_end *end_of(struct link *l)
{
    return (struct connection_end *)l;
}

static int broken(struct world *w, struct connection_end *end, struct err *e)
{
    if (end->is_closed || !w->nodes[end->side].is_alive)
        return err_set(e, EBADF, "a dead process's link");
    if (w->now >= end->connection->reset_at ||
        w->now >= end->connection->reset_one_at[end->side])
        return err_set(e, ECONNRESET, "connection reset");
    return 0;
}

static ssize_t fake_send(struct link *l, const void *from, size_t bytes, struct err *e)
{
    struct world *w = the_world;
    struct connection_end *end = end_of(l);
    struct pipe_way *p = &end->connection->ways[end->side];
    size_t room;
    int rc;

    world_point(w, end->side, PLACE_ANY);
    rc = broken(w, end, e);
    if (rc < 0)
        return rc;
    if (w->now >= end->connection->fin_at[!end->side] && coin(w, 300000))
        return err_set(e, EPIPE, "the peer has closed");
    room = p->capacity - (size_t)(p->head - p->tail);
    bytes = bytes < room ? bytes : room;
    if (bytes > 1 && w->config.fragments && coin(w, 250000))
        bytes = 1 + rng_below(&w->rng, bytes);
    if (bytes == 0)
        return 0;
    write_octets(p, from, bytes);
    deliver_at(p, is_cut(w, end->side) ? TIME_NEVER : w->now + latency(w));
    world_point(w, end->side, PLACE_ANY);
    return (ssize_t)bytes;
}

static ssize_t fake_receive(struct link *l, void *to, size_t bytes, struct err *e)
{
    struct world *w = the_world;
    struct connection_end *end = end_of(l);
    struct connection *c = end->connection;
    struct pipe_way *p = &c->ways[!end->side];
    size_t n, at, first;
    int rc;

    n = (size_t)(arrived(w, p) - p->tail);
    if (n > 0)
        world_point(w, end->side, PLACE_RECEIVE);
    rc = broken(w, end, e);
    if (rc < 0)
        return rc;
    n = (size_t)(arrived(w, p) - p->tail);
    if (n == 0 && w->now >= c->fin_at[!end->side] && p->head == p->tail)
        return err_set(e, EPIPE, "the peer has closed");
    n = n < bytes ? n : bytes;
    if (n > 1 && w->config.fragments && coin(w, 200000))
        n = 1 + rng_below(&w->rng, n);
    at = p->tail % PIPE_BYTES;
    first = n < PIPE_BYTES - at ? n : PIPE_BYTES - at;
    memcpy(to, p->octets + at, first);
    memcpy((uint8_t *)to + first, p->octets, n - first);
    p->tail += n;
    (void)arrived(w, p); /* forgets segments that are read */
    return (ssize_t)n;
}

static void fake_fds(const struct link *l, int *ret_receive, int *ret_send)
{
    const struct connection_end *end = (const struct connection_end *)l;

    *ret_receive = *ret_send = FD_BASE + (int)(end->connection - the_world->connections);
}

static int fake_connected(struct link *l, struct err *e)
{
    struct world *w = the_world;
    struct connection_end *end = end_of(l);
    struct connection *c = end->connection;

    if (c->is_established)
        return 1;
    if (w->now < c->established_at)
        return 0;
    if (is_cut(w, PRIMARY) || is_cut(w, BACKUP) || !w->nodes[BACKUP].is_host_alive) {
        c->established_at = w->now + w->config.timing.timeout_ns / 4; /* its SYN is sent again */
        return 0;
    }
    if (!w->nodes[BACKUP].is_alive || w->now < w->refuse_until || w->n_pending == CONNECTIONS_MAX)
        return err_set(e, ECONNREFUSED, "refused");
    c->is_established = true;
    c->ends[BACKUP].is_held = true;
    w->pending[w->n_pending++] = c;
    world_point(w, PRIMARY, PLACE_ANY);
    return 1;
}

static void fake_close(struct link *l)
{
    struct world *w = the_world;
    struct connection_end *end = end_of(l);
    struct connection *c = end->connection;

    if (!end->is_closed) {
        end->is_closed = true;
        if (coin(w, 200000))
            c->reset_at = w->now + latency(w);
        else
            c->fin_at[end->side] = w->now + latency(w);
        if (is_cut(w, end->side) || w->now >= c->reset_one_at[end->side])
            c->fin_at[end->side] = c->reset_at = TIME_NEVER;
    }
    end->is_held = false;
    discard_if_unheld(c);
}

const struct link_ops fake_link_ops = {
    .kind = "fake", .send = fake_send, .send_pieces = link_send_first_piece,
    .receive = fake_receive, .fds = fake_fds,
    .connected = fake_connected, .close = fake_close,
};

/* acceptor — what the accept process of a backup host does: reads a connection's headers and HELLO to
 * the octet, then gives the link to the engine; what does not greet well is closed. */
#include <string.h>

#include "checkpoint/record.h"
#include "checkpoint/stream.h"
#include "tests/sim/observer.h"
#include "tests/sim/world.h"

#define FIXED (STREAM_HEADERS_BYTES + RECORD_HEADER_BYTES)

static void forget(struct world *w, unsigned i)
{
    w->pending[i] = w->pending[--w->n_pending];
}

void acceptor_clear(struct world *w)
{
    for (unsigned i = 0; i < w->n_pending; i++)
        w->pending[i]->ends[BACKUP].link.ops->close(&w->pending[i]->ends[BACKUP].link);
    w->n_pending = 0;
}

uint64_t acceptor_wake(const struct world *w)
{
    uint64_t soonest = TIME_NEVER;

    for (unsigned i = 0; i < w->n_pending; i++) {
        uint64_t at = connection_wake(w, w->pending[i], BACKUP);

        soonest = at < soonest ? at : soonest;
    }
    return soonest;
}

/* How many octets the greeting has, as far as one can say yet; 0: too many. */
static size_t wanted(const struct connection *c)
{
    size_t bytes;

    if (c->greeted < FIXED)
        return FIXED;
    bytes = FIXED + record_padded(load_u32(c->greeting + FIXED - 4));
    return bytes > GREETING_MAX ? 0 : bytes;
}

static bool parse(const struct connection *c, struct hello *ret)
{
    struct view in = { c->greeting, c->greeted };
    struct stream_headers headers;
    struct record rec;
    struct err e;

    return stream_headers_take(&in, &headers, &e) == 1 &&
           record_take(&in, GREETING_MAX, &rec, &e) == 1 && rec.type == RECORD_HELLO &&
           hello_get(&rec, ret, &e) == 0;
}

static void hand_over(struct world *w, struct connection *c)
{
    struct hello hello;
    struct link *link = &c->ends[BACKUP].link;
    struct err e;

    if (!parse(c, &hello)) {
        trace(w, "accept  refuses a greeting");
        link->ops->close(link);
        return;
    }
    if (!c->is_stranger) {
        memcpy(w->old_greeting, c->greeting, c->greeted);
        w->old_greeting_bytes = c->greeted;
    }
    if (w->backup_over) { /* that replica has ended: its process makes room for another's */
        struct backup_parts parts = { &w->fence[BACKUP], world_for_backup(),
                                      w->config.stage_bytes, 0 };

        backup_engine_close(w->backup);
        must(backup_engine_open(&w->backup, &parts, &e) == 0);
        w->backup_over = false;
    }
    trace(w, "accept  hands over session %u", (unsigned)hello.session);
    world_point(w, BACKUP, FAILPOINT_accept);
    backup_engine_adopt(w->backup, link, &hello);
}

bool acceptor_step(struct world *w)
{
    for (unsigned i = 0; i < w->n_pending; i++) {
        struct connection *c = w->pending[i];
        struct link *link = &c->ends[BACKUP].link;
        size_t want = wanted(c);
        struct err e;
        ssize_t n;

        if (connection_wake(w, c, BACKUP) > w->now)
            continue;
        n = want == 0 ? -1
                      : link->ops->receive(link, c->greeting + c->greeted, want - c->greeted, &e);
        if (n > 0)
            c->greeted += (size_t)n;
        if (n < 0) {
            forget(w, i);
            link->ops->close(link);
        } else if (c->greeted > FIXED && c->greeted == wanted(c)) {
            forget(w, i);
            hand_over(w, c);
        }
        return true;
    }
    return false;
}

/* estimate — see estimate.h. */
#include "replicator/estimate/estimate.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "replicator/engine/epoch_out.h"

#define BUFFER_PAGES 4096u
#define PAUSE_ASK_MS 50

static const uint64_t intervals_ms[ESTIMATE_ROWS] = { 25, 50, 100, 200, 500, 1000 };

struct trial {
    struct guest *g;
    struct epoch_out out;
    struct dirty working;
    uint64_t number; /* of the epoch */
};

static int wait_until(struct guest *g, uint64_t until_ns, struct err *e)
{
    for (;;) {
        struct pollfd p = { .fd = g->ops->event_fd(g), .events = POLLIN };
        uint64_t now = clock_now_ns();

        if (g->ops->life(g) != GUEST_RUNS)
            return err_set(e, ECANCELED, "the guest has ended");
        if (now >= until_ns)
            return 0;
        poll(&p, 1, (int)((until_ns - now + NS_PER_MS - 1) / NS_PER_MS));
    }
}

/* Whatever is encoded is thrown away. */
static void drain(struct epoch_out *o)
{
    while (epoch_out_encode(o) || epoch_out_ready(o)) {
        while (epoch_out_ready(o))
            epoch_out_give(o, 0);
        epoch_out_gone(o, UINT64_MAX);
    }
}

/* One epoch, as if all of it was in a pause. */
static int take_epoch(struct trial *t, struct estimate_row *row, struct err *e)
{
    uint64_t began_ns = clock_now_ns(), wire = t->out.tally.wire_bytes, pages = t->out.tally.pages;
    int64_t found;
    int rc;

    epoch_out_begin(&t->out, ++t->number, 0);
    found = epoch_out_pass(&t->out, e);
    if (found < 0)
        return (int)found;
    row->log_ns += clock_now_ns() - began_ns;
    if (t->working.words)
        dirty_or(&t->working, &t->out.todo);
    do {
        uint64_t from_ns = clock_now_ns();

        rc = epoch_out_copy(&t->out, e);
        row->copy_ns += clock_now_ns() - from_ns;
        drain(&t->out);
    } while (rc > 0 || rc == -EBUSY);
    if (rc < 0)
        return rc;
    epoch_out_acked(&t->out);
    pages = t->out.tally.pages - pages;
    row->epochs++;
    row->pages += pages;
    row->pages_most = row->pages_most > pages ? row->pages_most : pages;
    row->wire_bytes += t->out.tally.wire_bytes - wire;
    return 0;
}

static int take_row(struct trial *t, uint64_t interval_ns, uint64_t for_ns, struct estimate_row *ret,
                    struct err *e)
{
    struct estimate_row unused = { 0 }, row = { .interval_ns = interval_ns };
    uint64_t began_ns, next_ns;
    int rc = take_epoch(t, &unused, e); /* what was written since the row before */

    began_ns = next_ns = clock_now_ns();
    while (rc == 0 && (row.epochs == 0 || clock_now_ns() - began_ns < for_ns)) {
        next_ns += interval_ns;
        rc = wait_until(t->g, next_ns, e);
        if (rc == 0)
            rc = take_epoch(t, &row, e);
    }
    row.elapsed_ns = clock_now_ns() - began_ns;
    *ret = row;
    return rc;
}

static int pause_guest(struct guest *g, struct err *e)
{
    int rc;

    while ((rc = g->ops->pause(g, e)) == -EAGAIN) {
        struct pollfd p = { .fd = g->ops->event_fd(g), .events = POLLIN };

        poll(&p, 1, PAUSE_ASK_MS);
        (void)g->ops->life(g); /* takes the event */
    }
    return rc;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int try_pauses(struct guest *g, uint64_t n, uint64_t *ret_ns, struct err *e)
{
    uint64_t took[ESTIMATE_PAUSES_MAX];

    for (uint64_t i = 0; i < n; i++) {
        uint64_t began_ns = clock_now_ns();
        struct err unused;
        int rc = pause_guest(g, e), resumed = g->ops->resume(g, rc < 0 ? &unused : e);

        took[i] = clock_now_ns() - began_ns;
        if (resumed == 0)
            g->ops->settle(g);
        if (rc < 0 || resumed < 0)
            return rc < 0 ? rc : resumed;
        if ((rc = wait_until(g, clock_now_ns() + 100 * NS_PER_MS, e)) < 0)
            return rc;
    }
    qsort(took, n, sizeof(took[0]), by_size);
    *ret_ns = took[n / 2];
    return 0;
}

static int measure(struct trial *t, const struct estimate_config *config, struct estimate *ret,
                   struct err *e)
{
    struct estimate_row seed = { 0 };
    uint64_t began_ns = clock_now_ns();
    int rc = take_epoch(t, &seed, e);

    ret->seed_pages = seed.pages;
    ret->seed_wire_bytes = seed.wire_bytes;
    ret->seed_ns = clock_now_ns() - began_ns;
    if (rc == 0)
        rc = dirty_open(&t->working, ret->about.pages, e);
    for (unsigned i = 0; rc == 0 && i < ESTIMATE_ROWS; i++) {
        rc = take_row(t, intervals_ms[i] * NS_PER_MS, config->for_ns / ESTIMATE_ROWS, &ret->rows[i], e);
        ret->row_count += rc == 0;
    }
    if (rc == 0)
        ret->working_pages = dirty_count(&t->working);
    return rc == 0 && config->pauses > 0 ? try_pauses(t->g, config->pauses, &ret->stop_ns, e) : rc;
}

int estimate_run(struct guest *g, const struct estimate_config *config, struct estimate *ret, struct err *e)
{
    const struct epoch_out_config how = { .buffer_pages = BUFFER_PAGES, .cache_bytes = config->cache_bytes,
                                          .allowed = { .delta = CODEC_BY_DELTA } };
    struct trial t = { .g = g };
    int rc;

    must(config->pauses <= ESTIMATE_PAUSES_MAX);
    *ret = (struct estimate){ 0 };
    g->ops->info(g, &ret->about);
    rc = epoch_out_open(&t.out, g, &how, e);
    if (rc == 0)
        rc = measure(&t, config, ret, e);
    dirty_close(&t.working);
    epoch_out_close(&t.out);
    return rc;
}

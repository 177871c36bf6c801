/* mix — what an epoch of real pages costs: pages of a traced guest go through the shipped parts, from the
 * copy in the pause to the apply on the backup, over loopback TCP between two processes. One JSON line.
 * usage: mix EPOCHS ENCODERS DECODERS off|auto|on TRACE... */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "checkpoint/pagecopy.h"
#include "replicator/apply/stage.h"
#include "replicator/bench/bench_load.h"
#include "replicator/engine/epoch_out.h"
#include "replicator/engine/wire.h"

#define DIRTY        10000u                /* pages an epoch */
#define MEMORY_PAGES (UINT64_C(64) << 10)
#define BUFFER_PAGES 12288u
#define CACHE_BYTES  ((size_t)64 << 20)    /* as protect's default */
#define STAGE_BYTES  ((size_t)512 << 20)
#define WIRE_BYTES   ((size_t)4 << 20)
#define TRACES_MAX   8

static struct err e;

static void check(int rc)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "mix: %s\n", e.text);
    exit(1);
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        exit(1);
    (void)madvise(at, bytes, MADV_HUGEPAGE);
    memset(at, 0, bytes);
    return at;
}

/* ---- a guest that does what the traced ones did ----------------------------------------------------- */

struct mix_guest {
    struct guest base;
    uint8_t *memory;
    struct dirty log;
    struct bench_load traces[TRACES_MAX];
    size_t trace_count;
    uint64_t next_fresh; /* pages without a prior version take new places */
};

/* Pages with a prior version go from one version to the other and back, at the same place each time. */
static void guest_runs(struct mix_guest *g, unsigned epoch)
{
    for (uint64_t i = 0; i < DIRTY; i++) {
        const struct bench_load *t = &g->traces[i % g->trace_count];
        size_t at = i / g->trace_count % t->n;
        const uint8_t *content = t->pages + at * PAGE_BYTES;
        uint64_t pfn = i;

        if (!t->has_prior[at])
            pfn = DIRTY + g->next_fresh++ % (MEMORY_PAGES - DIRTY);
        else if (epoch % 2)
            content = t->originals + (size_t)t->slots[at] * PAGE_BYTES;
        memcpy(g->memory + pfn * PAGE_BYTES, content, PAGE_BYTES);
        dirty_set(&g->log, pfn);
    }
}

static void mix_info(const struct guest *g UNUSED, struct guest_info *ret)
{
    *ret = (struct guest_info){ .name = "mix", .pages = MEMORY_PAGES };
}

static int mix_dirty(struct guest *g, struct dirty *into, struct err *x UNUSED)
{
    dirty_or(into, &((struct mix_guest *)g)->log);
    dirty_clear(&((struct mix_guest *)g)->log);
    return 0;
}

static int mix_copy(struct guest *g, const uint64_t *pfns, size_t n, uint8_t *const *to, uint8_t *types,
                    struct err *x UNUSED)
{
    pagecopy(to, ((struct mix_guest *)g)->memory, pfns, n);
    memset(types, PAGE_TYPE_NORMAL, n);
    return 0;
}

static int mix_state(struct guest *g UNUSED, struct sink *to, struct err *x UNUSED)
{
    const uint8_t body[8] = { 1 };

    return record_put(to, RECORD_HVM_CONTEXT, body, sizeof(body));
}

static const struct guest_ops mix_ops = { .kind = "mix", .info = mix_info, .dirty = mix_dirty,
                                          .copy = mix_copy, .state = mix_state };

/* ---- the backup --------------------------------------------------------------------------------------- */

static uint8_t *replica_memory;

static uint64_t replica_pages(const struct replica *r UNUSED)
{
    return MEMORY_PAGES;
}

static uint8_t *replica_page(struct replica *r UNUSED, uint64_t pfn, struct err *x UNUSED)
{
    return replica_memory + pfn * PAGE_BYTES;
}

static int replica_check(struct replica *r UNUSED, const uint8_t *at UNUSED, size_t n UNUSED,
                         struct err *x UNUSED)
{
    return 0;
}

static void replica_take(struct replica *r UNUSED, const uint8_t *at UNUSED, size_t n UNUSED)
{
}

static const struct replica_ops replica_ops = { .kind = "mix", .pages = replica_pages,
                                                .page = replica_page, .check_state = replica_check,
                                                .commit_state = replica_take };

static void await(struct wire *w, int also)
{
    struct pollfd fds[3] = { { .events = POLLIN }, { .events = POLLOUT }, { also, POLLIN, 0 } };

    w->link->ops->fds(w->link, &fds[0].fd, &fds[1].fd);
    if (wire_waiting(w) == 0)
        fds[1].fd = -1;
    (void)!poll(fds, 3, -1);
}

/* Takes a record; false when the epoch went on without one. */
static void take(struct stage *s, struct wire *w, const struct record *rec)
{
    struct epoch_begin begin;
    struct epoch_end end;
    struct sink out;

    switch (rec->type) {
    case (uint32_t)RECORD_EPOCH_BEGIN:
        check(epoch_begin_get(rec, &begin, &e));
        stage_begin(s, begin.epoch, begin.flags);
        return;
    case (uint32_t)RECORD_EPOCH_END:
        check(epoch_end_get(rec, &end, &e));
        check(stage_seal(s, &end, &e));
        return;
    case (uint32_t)RECORD_CHECKPOINT:
        out = wire_sink(w);
        must(ack_put(&out, &(struct ack){ 1, s->epoch, 1 }) == 0);
        wire_put(w, &out);
        check(wire_flush(w, &e));
        stage_commit(s);
        while (stage_apply(s))
            ;
        return;
    default:
        check(stage_record(s, rec, &e));
    }
}

NORETURN static void backup(struct link *link, unsigned decoders, int report)
{
    struct replica replica = { &replica_ops };
    struct stage s;
    struct wire w;
    struct record rec;
    double before = 0, used;
    uint64_t seen = 0;
    int rc;

    replica_memory = map(MEMORY_PAGES * PAGE_BYTES);
    check(stage_open(&s, &replica, STAGE_BYTES, decoders, &e));
    check(wire_open(&w, WIRE_RESERVE * 4, SESSION_RECORD_MAX, &e));
    wire_attach(&w, link);
    for (;;) {
        check(rc = wire_next(&w, &rec, &e));
        if (rc == 1) {
            take(&s, &w, &rec);
            if (rec.type == (uint32_t)RECORD_CHECKPOINT && seen++ == 1)
                before = cpu_seconds(); /* the seed and a first epoch are not counted */
            continue;
        }
        rc = wire_fill(&w, &e);
        if (rc < 0)
            break;
        if (rc == 0)
            await(&w, -1);
    }
    used = cpu_seconds() - before;
    (void)!write(report, &used, sizeof(used));
    stage_close(&s);
    exit(0);
}

/* ---- the primary -------------------------------------------------------------------------------------- */

static void drain(struct epoch_out *o, struct wire *w, bool to_the_end)
{
    for (;;) {
        const struct pages_built *built = epoch_out_ready(o);
        int rc;

        workers_calm(o->encoders.workers);
        epoch_out_gone(o, w->gone_bytes);
        if (built && wire_put_pieces(w, built->pieces, built->count)) {
            epoch_out_give(o, w->put_bytes);
            continue;
        }
        check(rc = wire_flush(w, &e));
        o->is_link_behind = wire_waiting(w) > 0;
        if (epoch_out_encode(o) || rc > 0)
            continue;
        if (epoch_out_is_drained(o) && (!to_the_end || wire_waiting(w) == 0))
            return;
        if (!epoch_out_ready(o) || wire_waiting(w) > 0)
            await(w, workers_fd(o->encoders.workers));
    }
}

static void await_ack(struct wire *w)
{
    struct record rec;
    int rc;

    while (check(rc = wire_next(w, &rec, &e)), rc == 0) {
        check(rc = wire_fill(w, &e));
        if (rc == 0)
            await(w, -1);
    }
}

static double pause_cpu; /* seconds, ever */

/* One epoch; returns the pause's share. */
static uint64_t one_epoch(struct epoch_out *o, struct wire *w, uint64_t epoch, uint32_t flags)
{
    uint64_t began = clock_now_ns(), paused;
    double cpu = cpu_seconds();
    struct epoch_begin m = { 1, epoch, 1, flags };
    struct sink out = wire_sink(w);
    int rc;

    must(epoch_begin_put(&out, &m) == 0);
    wire_put(w, &out);
    epoch_out_begin(o, epoch, flags);
    must(epoch_out_pass(o, &e) > 0);
    while ((rc = epoch_out_copy(o, &e)) == 1 || rc == -EBUSY)
        drain(o, w, true);
    check(rc);
    check(epoch_out_state(o, &e));
    paused = clock_now_ns() - began;
    pause_cpu += cpu_seconds() - cpu;
    drain(o, w, false);
    must(wire_has_room(w, epoch_out_finish_bytes(o)));
    out = wire_sink(w);
    must(epoch_out_finish(o, &out) == 0);
    wire_put(w, &out);
    drain(o, w, true);
    await_ack(w);
    epoch_out_acked(o);
    return paused;
}

static int by_value(const void *a, const void *b)
{
    return (*(const uint64_t *)a > *(const uint64_t *)b) - (*(const uint64_t *)a < *(const uint64_t *)b);
}

static void primary(struct mix_guest *g, struct link *link, const struct epoch_out_config *config,
                    unsigned epochs, int report, pid_t child)
{
    uint64_t *pauses = calloc(epochs, sizeof(*pauses)), spent = 0, sent;
    double cpu = 0, backup_cpu = 0, gib = (double)DIRTY * epochs * PAGE_BYTES / (1 << 30);
    struct pages_tally from;
    struct pagecache_stats cache;
    struct epoch_out o;
    struct wire w;

    check(epoch_out_open(&o, &g->base, config, &e));
    check(wire_open(&w, WIRE_BYTES, WIRE_RESERVE * 4, &e));
    wire_attach(&w, link);
    one_epoch(&o, &w, 1, EPOCH_SEED);
    guest_runs(g, 0);
    one_epoch(&o, &w, 2, 0);
    from = o.tally;
    sent = w.sent_bytes;
    pause_cpu = 0;
    for (unsigned i = 0; i < epochs; i++) {
        uint64_t began;
        double used;

        guest_runs(g, i + 1);
        used = cpu_seconds();
        began = clock_now_ns();
        pauses[i] = one_epoch(&o, &w, i + 3, 0);
        spent += clock_now_ns() - began;
        cpu += cpu_seconds() - used;
    }
    sent = w.sent_bytes - sent;
    wire_detach(&w);
    (void)!read(report, &backup_cpu, sizeof(backup_cpu));
    waitpid(child, NULL, 0);
    qsort(pauses, epochs, sizeof(*pauses), by_value);
    pagecache_stats(o.cache, &cache);
    printf("{\"pages_a_second\": %.0f, \"octets_a_page\": %.2f, \"primary_cpu_s_per_gib\": %.4f, "
           "\"backup_cpu_s_per_gib\": %.4f, \"pause_cpu_s_per_gib\": %.4f, \"pause_ms\": %.3f, \"raw\": %" PRIu64 ", \"delta\": %" PRIu64
           ", \"zero\": %" PRIu64 ", \"hits\": %" PRIu64 ", \"misses\": %" PRIu64 "}\n",
           (double)DIRTY * epochs * 1e9 / (double)spent, (double)sent / DIRTY / epochs, cpu / gib,
           backup_cpu / gib, pause_cpu / gib, (double)pauses[epochs / 2] / 1e6,
           o.tally.by_codec[CODEC_RAW] - from.by_codec[CODEC_RAW],
           o.tally.by_codec[CODEC_DELTA] - from.by_codec[CODEC_DELTA],
           o.tally.by_codec[CODEC_ZERO] - from.by_codec[CODEC_ZERO], cache.hits, cache.misses);
    epoch_out_close(&o);
    free(pauses);
}

static struct link *link_of(int fd)
{
    struct link *l;

    check(link_from_fds(&l, fd, fd, &e));
    return l;
}

int main(int argc, char **argv)
{
    struct epoch_out_config config = { .buffer_pages = BUFFER_PAGES, .cache_bytes = CACHE_BYTES,
                                       .allowed = { .delta = CODEC_BY_DELTA } };
    static struct mix_guest g = { .base = { &mix_ops } };
    struct link *connecting;
    char address[LINK_ADDRESS_MAX];
    int listening, accepted, report[2];
    unsigned decoders;
    pid_t child;

    if (argc < 6 || argc - 5 > TRACES_MAX || atoi(argv[1]) < 1)
        return 2;
    config.encoders = (unsigned)atoi(argv[2]);
    decoders = (unsigned)atoi(argv[3]);
    config.packing = strcmp(argv[4], "on") == 0 ? PAGES_PACK_ON
                     : strcmp(argv[4], "off") == 0 ? PAGES_PACK_OFF : PAGES_PACK_AUTO;
    for (int i = 5; i < argc; i++)
        check(bench_load_read(&g.traces[g.trace_count++], argv[i], &e));
    signal(SIGPIPE, SIG_IGN);
    check(link_listen(&listening, "tcp:127.0.0.1:0", address, &e));
    check(link_connect(&connecting, address, NS_PER_S, &e));
    while ((accepted = accept(listening, NULL, NULL)) < 0)
        (void)!poll(&(struct pollfd){ listening, POLLIN, 0 }, 1, -1);
    while (connecting->ops->connected(connecting, &e) == 0)
        ;
    if (pipe(report) < 0 || (child = fork()) < 0)
        return 1;
    if (child == 0) {
        connecting->ops->close(connecting);
        backup(link_of(accepted), decoders, report[1]);
    }
    close(accepted);
    g.memory = map(MEMORY_PAGES * PAGE_BYTES);
    check(dirty_open(&g.log, MEMORY_PAGES, &e));
    primary(&g, connecting, &config, (unsigned)atoi(argv[1]), report[0], child);
    return 0;
}

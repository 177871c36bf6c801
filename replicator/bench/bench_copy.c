/* bench_copy — see bench_copy.h. */
#include "replicator/bench/bench_copy.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/rng.h"
#include "checkpoint/pagebuf.h"
#include "checkpoint/pagecopy.h"
#include "compress/cpu.h"
#include "replicator/bench/bench_flush.h"
#include "replicator/bench/bench_probe.h"

#define ROUNDS_MAX  101u
#define THREADS_MAX 64u
#define ATTEMPTS    8u
#define FIRST_LEVEL 1u /* ways from here on are pagecopy_stream by level */

struct site {
    uint8_t *memory;
    uint64_t *pfns;
    struct pagebuf to;
    size_t memory_pages, n;
};

const char *bench_copy_way(size_t i)
{
    static const char *const names[] = { "memcpy", "stream portable", "stream avx2", "stream avx512" };

    return names[i];
}

static void close_site(struct site *s)
{
    if (s->memory)
        munmap(s->memory, s->memory_pages * PAGE_BYTES);
    free(s->pfns);
    pagebuf_close(&s->to);
}

static int open_site(struct site *s, const struct bench_copy *b, struct err *e)
{
    struct rng r;
    void *at;

    *s = (struct site){ .memory_pages = b->memory_pages, .n = b->pages };
    at = mmap(NULL, s->memory_pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
              -1, 0);
    s->memory = at == MAP_FAILED ? NULL : at;
    s->pfns = calloc(s->n, sizeof(*s->pfns));
    if (!s->memory || !s->pfns) {
        close_site(s);
        return err_set(e, ENOMEM, "no memory for a guest of %zu pages", b->memory_pages);
    }
    rng_seed(&r, 5);
    for (size_t i = 0; i < s->memory_pages; i++)
        rng_fill(&r, s->memory + i * PAGE_BYTES, 64);
    for (size_t i = 0; i < s->n; i++) /* one of every stretch, then shuffled: random and distinct */
        s->pfns[i] = i * (s->memory_pages / s->n) + rng_below(&r, s->memory_pages / s->n);
    for (size_t i = 0; i < s->n; i++) {
        size_t other = (size_t)rng_below(&r, i + 1);
        uint64_t pfn = s->pfns[i];

        s->pfns[i] = s->pfns[other];
        s->pfns[other] = pfn;
    }
    if (pagebuf_open(&s->to, s->n, e) < 0) {
        close_site(s);
        return -ENOMEM;
    }
    return 0;
}

static void flush_site(const struct site *s)
{
    for (size_t i = 0; i < s->n; i++)
        bench_flush(s->memory + s->pfns[i] * PAGE_BYTES, PAGE_BYTES);
    bench_flush(s->to.pages, s->n * PAGE_BYTES);
}

static long faults(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_minflt + u.ru_majflt;
}

static void copy(const struct site *s, size_t way, size_t from, size_t n)
{
    uint8_t *const *to = s->to.slots + from;

    if (way < FIRST_LEVEL)
        pagecopy_cached(to, s->memory, s->pfns + from, n);
    else
        pagecopy_stream(to, s->memory, s->pfns + from, n);
}

/* ---- threads ------------------------------------------------------------------------------------- */

struct helper {
    const struct site *site;
    pthread_barrier_t *start;
    size_t way, from, n;
};

static void *help(void *arg)
{
    const struct helper *h = arg;

    pthread_barrier_wait(h->start);
    copy(h->site, h->way, h->from, h->n);
    return NULL;
}

/* Nanoseconds from the moment that all threads are there. */
static uint64_t together(const struct site *s, size_t way, unsigned threads)
{
    struct helper helpers[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    pthread_barrier_t start;
    uint64_t before;

    pthread_barrier_init(&start, NULL, threads + 1);
    for (unsigned t = 0; t < threads; t++) {
        helpers[t] = (struct helper){ .site = s, .start = &start, .way = way };
        helpers[t].from = s->n * t / threads;
        helpers[t].n = s->n * (t + 1) / threads - helpers[t].from;
        must(pthread_create(&ids[t], NULL, help, &helpers[t]) == 0);
    }
    pthread_barrier_wait(&start);
    before = clock_now_ns();
    for (unsigned t = 0; t < threads; t++)
        pthread_join(ids[t], NULL);
    pthread_barrier_destroy(&start);
    return clock_now_ns() - before;
}

/* ---- rounds -------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(*values), by_value);
    return values[n / 2];
}

struct times {
    double ways[8][ROUNDS_MAX], ratios[8][ROUNDS_MAX], gain[ROUNDS_MAX], probe[ROUNDS_MAX];
};

static int one_round(struct bench_copy *b, const struct site *s, unsigned round, struct times *t,
                     struct err *e)
{
    uint64_t alone;

    for (size_t way = 0; way < b->ways; way++) {
        enum cpu_level level = way < FIRST_LEVEL ? cpu_best() : (enum cpu_level)(way - FIRST_LEVEL);
        uint64_t before, after;
        long faults_before;

        if (cpu_choose(cpu_level_name(level), e) < 0)
            return -ENOTSUP;
        copy(s, way, 0, 1); /* the code itself may not be in memory yet */
        for (unsigned attempt = 0, is_disturbed = 1; is_disturbed && attempt < ATTEMPTS; attempt++) {
            long switches;

            flush_site(s);
            sched_yield(); /* others go first; and the thread's own time does not count them */
            switches = bench_switches();
            faults_before = faults();
            before = clock_thread_ns();
            copy(s, way, 0, s->n);
            after = clock_thread_ns();
            b->faults += faults() - faults_before;
            t->ways[way][round] = (double)(after - before) / (double)NS_PER_MS;
            is_disturbed = bench_switches() != switches;
        }
        for (size_t i = 0; round == 0 && i < s->n; i++)
            must(memcmp(s->to.pages + i * PAGE_BYTES, s->memory + s->pfns[i] * PAGE_BYTES,
                        PAGE_BYTES) == 0);
        t->ratios[way][round] = t->ways[0][round] / t->ways[way][round];
    }
    flush_site(s);
    alone = together(s, b->ways - 1, 1);
    flush_site(s);
    t->gain[round] = (double)alone / (double)together(s, b->ways - 1, b->threads);
    t->probe[round] = bench_probe_gain(b->threads);
    return 0;
}

int bench_copy(struct bench_copy *b, struct err *e)
{
    struct times t;
    struct site s;
    int rc;

    must(b->rounds >= 1 && b->rounds <= ROUNDS_MAX && b->threads <= THREADS_MAX && b->pages > 0);
    must(b->memory_pages >= b->pages);
    if ((rc = open_site(&s, b, e)) < 0)
        return rc;
    b->ways = FIRST_LEVEL + cpu_best() + 1;
    b->faults = 0;
    for (unsigned round = 0; round < b->rounds && rc == 0; round++)
        rc = one_round(b, &s, round, &t, e);
    for (size_t way = 0; way < b->ways && rc == 0; way++) {
        b->ms[way] = median(t.ways[way], b->rounds);
        b->to_memcpy[way] = median(t.ratios[way], b->rounds);
    }
    if (rc == 0) {
        b->threads_gain = median(t.gain, b->rounds);
        b->probe_gain = median(t.probe, b->rounds);
    }
    close_site(&s);
    return rc;
}

void bench_copy_print(const struct bench_copy *b, FILE *to)
{
    fprintf(to, "\npause copy of %zu random cold pages out of %zu\n", b->pages, b->memory_pages);
    for (size_t way = 0; way < b->ways; way++)
        fprintf(to, "%-22s %8.2f ms  %5.2f us/page  %4.2f x memcpy\n", bench_copy_way(way), b->ms[way],
                b->ms[way] * 1000 / (double)b->pages, b->to_memcpy[way]);
    fprintf(to, "%u threads: copy %.2f times as fast, arithmetic %.2f; page faults inside: %ld\n",
            b->threads, b->threads_gain, b->probe_gain, b->faults);
}

void bench_copy_json(const struct bench_copy *b, FILE *to)
{
    fprintf(to, "{\"pages\": %zu, \"memory_pages\": %zu, \"threads\": %u, \"threads_gain\": %.3f, "
            "\"probe_gain\": %.3f, \"faults\": %ld, \"ways\": [", b->pages, b->memory_pages, b->threads,
            b->threads_gain, b->probe_gain, b->faults);
    for (size_t way = 0; way < b->ways; way++)
        fprintf(to, "%s{\"way\": \"%s\", \"ms\": %.3f, \"to_memcpy\": %.3f}", way ? ", " : "",
                bench_copy_way(way), b->ms[way], b->to_memcpy[way]);
    fputs("]}", to);
}

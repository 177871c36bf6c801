/* bench_compress — see bench_compress.h. */
#include "replicator/bench/bench_compress.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "replicator/bench/bench_flush.h"
#include "replicator/bench/bench_probe.h"

#define ATTEMPTS   4u
#define HOT_PAGES  48u /* with their priors and payloads they fit a second-level cache */
#define HOT_ROUNDS 8u  /* such a pass is short: more of them */

/* What all passes over one load share. */
struct field {
    const struct bench_load *load;
    size_t n;
    bool is_cold;
    unsigned threads;
    bool is_by_wall; /* where some passes have several threads, all are timed by the same clock */
    uint8_t *priors, *out;
    uint32_t *lengths;
    uint8_t *codecs;
    const uint8_t **payloads, **kept;
};

struct share {
    const struct bench_row *row;
    struct bench_work work;
    bool is_decode;
    pthread_barrier_t *start;
};

static void go(const struct bench_row *row, struct share *s)
{
    if (s->is_decode)
        row->decode(row, &s->work);
    else
        row->encode(row, &s->work);
}

static void *run_share(void *arg)
{
    struct share *s = arg;

    pthread_barrier_wait(s->start);
    go(s->row, s);
    return NULL;
}

/* Of one thread: by its own time, so that others on the processor count for little. What is hot is over
 * before anybody comes, and asking for a thread's time takes longer than for the time of day. */
static uint64_t time_alone(const struct field *f, const struct bench_row *row, struct share *s)
{
    uint64_t (*clock)(void) = f->is_cold && !f->is_by_wall ? clock_thread_ns : clock_now_ns;
    uint64_t before = clock();

    go(row, s);
    return clock() - before;
}

/* From the moment that all threads are there until the last one is done. */
static uint64_t time_together(const struct field *f, const struct bench_row *row, struct share *shares)
{
    pthread_t ids[BENCH_THREADS_MAX];
    pthread_barrier_t start;
    uint64_t before;

    pthread_barrier_init(&start, NULL, f->threads);
    for (unsigned t = 1; t < f->threads; t++) {
        shares[t].row = row;
        shares[t].start = &start;
        must(pthread_create(&ids[t], NULL, run_share, &shares[t]) == 0);
    }
    pthread_barrier_wait(&start);
    before = clock_now_ns();
    go(row, &shares[0]);
    for (unsigned t = 1; t < f->threads; t++)
        pthread_join(ids[t], NULL);
    before = clock_now_ns() - before;
    pthread_barrier_destroy(&start);
    return before;
}

/* Octets out are kept in shares between encoding and decoding. */
static double pass(const struct field *f, const struct bench_row *row, struct share *shares,
                   bool is_decode)
{
    uint64_t ns;

    for (unsigned t = 0; t < f->threads; t++)
        shares[t].is_decode = is_decode;
    ns = f->threads > 1 ? time_together(f, row, shares) : time_alone(f, row, shares);
    return (double)f->n * PAGE_BYTES / (double)(ns ? ns : 1);
}

static void split(struct field *f, struct share *shares)
{
    const struct bench_load *l = f->load;

    for (unsigned t = 0; t < f->threads; t++) {
        size_t from = f->n * t / f->threads, to = f->n * (t + 1) / f->threads;

        shares[t].work = (struct bench_work){
            .n = to - from,
            .pages = l->pages + from * PAGE_BYTES,
            .priors = f->priors,
            .slots = l->slots + from,
            .has_prior = l->has_prior + from,
            .out = f->out + from * BENCH_OUT_BYTES,
            .lengths = f->lengths + from,
            .codecs = f->codecs + from,
            .payloads = f->payloads + from,
            .kept = f->kept + from,
        };
    }
}

/* Prior versions as they were; then nothing in the caches, or all of it. */
static void prepare(struct field *f)
{
    const struct bench_load *l = f->load;

    for (size_t i = 0; i < f->n; i++) {
        size_t at = (size_t)l->slots[i] * PAGE_BYTES;

        memcpy(f->priors + at, l->originals + at, PAGE_BYTES);
    }
    if (!f->is_cold) {
        for (size_t at = 0; at < f->n * PAGE_BYTES; at += 64)
            (void)*(volatile uint8_t *)(l->pages + at);
        return;
    }
    bench_flush(l->pages, f->n * PAGE_BYTES);
    bench_flush(f->priors, l->n * PAGE_BYTES);
    bench_flush(f->out, f->n * BENCH_OUT_BYTES);
}

/* Passes of one thread that others interrupted are taken again, a few times; then the best of them is. */
static double quiet_pass(struct field *f, const struct bench_row *row, struct share *shares,
                         bool is_decode)
{
    double speed = 0;

    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        long switches;

        for (unsigned t = 0; t < f->threads && !is_decode; t++)
            shares[t].work.index_bytes = 0;
        prepare(f);
        if (f->is_cold && f->threads == 1)
            sched_yield(); /* others go first: what begins with a slice of its own is seldom interrupted */
        switches = bench_switches();
        speed = fmax(speed, pass(f, row, shares, is_decode));
        if (f->threads > 1 || bench_switches() == switches)
            break;
    }
    return speed;
}

/* Decoding must have led to the new pages. */
static int check(const struct field *f, const struct bench_row *row, struct err *e)
{
    const struct bench_load *l = f->load;

    for (size_t i = 0; i < f->n; i++)
        if (memcmp(f->priors + (size_t)l->slots[i] * PAGE_BYTES, l->pages + i * PAGE_BYTES,
                   PAGE_BYTES) != 0)
            return err_set(e, EILSEQ, "%s, load %s: page %zu does not come back", row->name, l->name, i);
    return 0;
}

/* Rounds of one load: speeds[what][row][round], and what they are held against. */
typedef double per_round[BENCH_ROUNDS_MAX * HOT_ROUNDS];
struct speeds {
    per_round encode[BENCH_ROWS_MAX], decode[BENCH_ROWS_MAX];
    per_round encode_base[BENCH_ROWS_MAX], decode_base[BENCH_ROWS_MAX];
};

/* One row's turn in a round. With several threads first by one alone, in the same breath. */
static void measure_row(struct field *f, const struct bench_row *row, unsigned round, size_t i,
                        struct speeds *s, struct share *shares)
{
    unsigned threads = f->threads;

    if (threads > 1) {
        f->threads = 1;
        split(f, shares);
        s->encode_base[i][round] = quiet_pass(f, row, shares, false);
        s->decode_base[i][round] = quiet_pass(f, row, shares, true);
        f->threads = threads;
    }
    split(f, shares);
    s->encode[i][round] = quiet_pass(f, row, shares, false);
    s->decode[i][round] = quiet_pass(f, row, shares, true);
    if (threads == 1) {
        s->encode_base[i][round] = s->encode[0][round];
        s->decode_base[i][round] = s->decode[0][round];
    }
}

static int measure_round(struct field *f, const struct bench_row *rows, size_t row_count,
                         unsigned round, struct speeds *s, struct bench_figure *ret, struct err *e)
{
    struct share shares[BENCH_THREADS_MAX];
    int rc = 0;

    for (size_t i = 0; i < row_count && rc == 0; i++) {
        size_t bytes = 0, index = 0;

        rc = cpu_choose(cpu_level_name(rows[i].level), e);
        if (rc < 0)
            return rc;
        measure_row(f, &rows[i], round, i, s, shares);
        for (unsigned t = 0; t < f->threads; t++) {
            index += shares[t].work.index_bytes;
            bytes += shares[t].work.out_bytes;
        }
        ret[i].ratio = (double)bytes / ((double)f->n * PAGE_BYTES);
        ret[i].index = (double)index / (double)f->n;
        if (round == 0)
            rc = check(f, &rows[i], e);
    }
    return rc;
}

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

static double median_ratio(const double *values, const double *to, unsigned n)
{
    double ratios[BENCH_ROUNDS_MAX * HOT_ROUNDS];

    for (unsigned i = 0; i < n; i++)
        ratios[i] = values[i] / to[i];
    return median(ratios, n);
}

static void summarise(struct speeds *s, size_t row_count, unsigned rounds, struct bench_figure *ret)
{
    for (size_t i = 0; i < row_count; i++) {
        ret[i].encode_to_base = median_ratio(s->encode[i], s->encode_base[i], rounds);
        ret[i].decode_to_base = median_ratio(s->decode[i], s->decode_base[i], rounds);
    }
    for (size_t i = 0; i < row_count; i++) {
        ret[i].encode = median(s->encode[i], rounds);
        ret[i].decode = median(s->decode[i], rounds);
    }
}

static void close_field(struct field *f, struct speeds *s)
{
    free(f->priors);
    free(f->out);
    free(f->lengths);
    free(f->codecs);
    free(f->payloads);
    free(f->kept);
    free(s);
}

static int measure_load(struct bench_table *t, size_t which, const struct bench_row *rows,
                        const struct bench_load *load, unsigned rounds, struct err *e)
{
    struct field f = { .load = load, .is_cold = t->is_cold, .threads = t->threads, .n = load->n };
    struct speeds *s = malloc(sizeof(*s));
    per_round probe;
    int rc = 0;

    if (!t->is_cold) {
        f.n = load->n < HOT_PAGES ? load->n : HOT_PAGES;
        rounds *= HOT_ROUNDS;
    }
    f.priors = aligned_alloc(PAGE_BYTES, load->n * PAGE_BYTES);
    f.out = aligned_alloc(PAGE_BYTES, (f.n + PAGE_BYTES) * BENCH_OUT_BYTES / PAGE_BYTES * PAGE_BYTES);
    f.lengths = calloc(f.n, sizeof(*f.lengths));
    f.codecs = calloc(f.n, sizeof(*f.codecs));
    f.payloads = calloc(f.n, sizeof(*f.payloads));
    f.kept = calloc(f.n, sizeof(*f.kept));
    if (!s || !f.priors || !f.out || !f.lengths || !f.codecs || !f.payloads || !f.kept) {
        close_field(&f, s);
        return err_set(e, ENOMEM, "no memory to measure %zu pages", load->n);
    }
    memset(f.priors, 1, load->n * PAGE_BYTES);
    memset(f.out, 1, f.n * BENCH_OUT_BYTES);
    f.is_by_wall = t->threads > 1;
    for (unsigned round = 0; round < rounds && rc == 0; round++) {
        rc = measure_round(&f, rows, t->row_count, round, s, t->at[which], e);
        probe[round] = t->threads > 1 ? bench_probe_gain(t->threads) : 1;
    }
    if (rc == 0) {
        summarise(s, t->row_count, rounds, t->at[which]);
        t->probe_gain += median(probe, rounds) / (double)t->load_count;
    }
    close_field(&f, s);
    return rc;
}

int bench_compress(struct bench_table *ret, const struct bench_row *rows, size_t row_count,
                   struct bench_load *loads, size_t load_count, unsigned rounds, struct err *e)
{
    int rc = 0;

    must(row_count <= BENCH_ROWS_MAX && load_count <= BENCH_LOADS_MAX);
    must(rounds >= 1 && rounds <= BENCH_ROUNDS_MAX);
    ret->row_count = row_count;
    ret->load_count = load_count;
    ret->probe_gain = 0;
    if (ret->threads < 1 || ret->threads > BENCH_THREADS_MAX)
        return err_set(e, EINVAL, "%u threads: 1 to %u are possible", ret->threads, BENCH_THREADS_MAX);
    for (size_t i = 0; i < row_count; i++)
        ret->rows[i] = rows[i].name;
    for (size_t i = 0; i < load_count && rc == 0; i++) {
        memcpy(ret->loads[i], loads[i].name, sizeof(ret->loads[i]));
        rc = measure_load(ret, i, rows, &loads[i], rounds, e);
    }
    return rc;
}

size_t bench_row_of(const struct bench_table *t, const char *name)
{
    size_t i = 0;

    while (i < t->row_count && strcmp(t->rows[i], name) != 0)
        i++;
    return i;
}

/* bench_compress — see bench_compress.h. */
#include "replicator/bench/bench_compress.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "replicator/bench/bench_flush.h"

#define ATTEMPTS   8u
#define HOT_PAGES  48u /* with their priors and payloads they fit a second-level cache */
#define HOT_ROUNDS 8u  /* such a pass is short: more of them */

/* What all passes over one load share. */
struct field {
    const struct bench_load *load;
    size_t n;
    bool is_cold;
    unsigned threads;
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

static void *run_share(void *arg)
{
    struct share *s = arg;

    pthread_barrier_wait(s->start);
    if (s->is_decode)
        s->row->decode(s->row, &s->work);
    else
        s->row->encode(s->row, &s->work);
    return NULL;
}

/* Octets out are kept in shares between encoding and decoding. */
static double pass(struct field *f, const struct bench_row *row, struct share *shares, bool is_decode)
{
    pthread_t ids[BENCH_THREADS_MAX];
    pthread_barrier_t start;
    uint64_t before;

    pthread_barrier_init(&start, NULL, f->threads);
    for (unsigned t = 0; t < f->threads; t++) {
        shares[t].row = row;
        shares[t].is_decode = is_decode;
        shares[t].start = &start;
        if (t > 0)
            must(pthread_create(&ids[t], NULL, run_share, &shares[t]) == 0);
    }
    if (f->threads > 1) { /* all are there: the clock runs from here */
        pthread_barrier_wait(&start);
        before = clock_now_ns();
        if (is_decode)
            row->decode(row, &shares[0].work);
        else
            row->encode(row, &shares[0].work);
        for (unsigned t = 1; t < f->threads; t++)
            pthread_join(ids[t], NULL);
    } else {
        before = clock_now_ns();
        run_share(&shares[0]);
    }
    before = clock_now_ns() - before;
    pthread_barrier_destroy(&start);
    return (double)f->n * PAGE_BYTES / (double)(before ? before : 1);
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

/* Passes of one thread that others interrupted are taken again, a few times. */
static double quiet_pass(struct field *f, const struct bench_row *row, struct share *shares,
                         bool is_decode)
{
    double speed = 0;

    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        long switches;

        for (unsigned t = 0; t < f->threads; t++)
            shares[t].work.index_bytes = 0;
        prepare(f);
        if (f->is_cold && f->threads == 1)
            sched_yield(); /* others go first: what begins with a slice of its own is seldom interrupted */
        switches = bench_switches();
        speed = pass(f, row, shares, is_decode);
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

/* Rounds of one load: speeds[what][row][round]. */
struct speeds {
    double encode[BENCH_ROWS_MAX][BENCH_ROUNDS_MAX * HOT_ROUNDS];
    double decode[BENCH_ROWS_MAX][BENCH_ROUNDS_MAX * HOT_ROUNDS];
};

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
        split(f, shares);
        s->encode[i][round] = quiet_pass(f, &rows[i], shares, false);
        for (unsigned t = 0; t < f->threads; t++)
            index += shares[t].work.index_bytes;
        s->decode[i][round] = quiet_pass(f, &rows[i], shares, true);
        for (unsigned t = 0; t < f->threads; t++)
            bytes += shares[t].work.out_bytes;
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

static double median_to_first(const double *values, const double *first, unsigned n)
{
    double ratios[BENCH_ROUNDS_MAX * HOT_ROUNDS];

    for (unsigned i = 0; i < n; i++)
        ratios[i] = values[i] / first[i];
    return median(ratios, n);
}

static void summarise(struct speeds *s, size_t row_count, unsigned rounds, struct bench_figure *ret)
{
    for (size_t i = 0; i < row_count; i++) {
        ret[i].encode_to_memcpy = median_to_first(s->encode[i], s->encode[0], rounds);
        ret[i].decode_to_memcpy = median_to_first(s->decode[i], s->decode[0], rounds);
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
    for (unsigned round = 0; round < rounds && rc == 0; round++)
        rc = measure_round(&f, rows, t->row_count, round, s, t->at[which], e);
    if (rc == 0)
        summarise(s, t->row_count, rounds, t->at[which]);
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

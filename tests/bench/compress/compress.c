/* compress — the program's codecs beside their peers in one run, judged against what the project
 * promises. One line a promise; exit 1 when one is broken.
 * usage: compress ROUNDS JSON-FILE SVG-FILE TRACE... */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "tests/bench/compress/peers.h"
#include "replicator/bench/bench_suite.h"

enum measure { ENCODE, DECODE, OCTETS, INDEX };

/* "traded" is what the program does: the page that was copied in the pause becomes the version that is
 * kept, and what stays raw is sent from its place. "delta" also copies both, as a sender must that has
 * to give its pages back. */
/* row's figure over base's (memcpy, legacy …), on the loads whose name begins so. */
static const struct promise {
    const char *row, *base, *loads;
    enum measure measure;
    bool is_hot, is_mean; /* mean: geometric, over the loads; else each load by itself */
    double at_least;      /* of octets: at most */
} promises[] = {
    { "traded avx512", "memcpy", "W1 W3 W5", ENCODE, false, false, 0.90 },
    { "traded avx512", "memcpy", "W2", ENCODE, false, false, 0.65 },
    { "traded avx512", "memcpy", "W4 W6", ENCODE, false, false, 0.50 },
    { "traded avx2", "traded avx512", "W1 W3 W5", ENCODE, false, false, 0.88 },
    { "traded portable", "legacy Remus", "W vm", ENCODE, false, false, 1.00 },
    { "traded avx512", "legacy Remus", "W1 W2b W3 W5", ENCODE, false, false, 2.50 },
    { "traded avx512", "legacy Remus", "W4 W6", ENCODE, false, false, 1.80 },
    { "traded avx512", "legacy Remus", "vm", OCTETS, false, true, 0.85 },
    { "stream", "legacy Remus", "vm", OCTETS, false, false, 0.50 },
    { "stream", "legacy Remus", "vm", ENCODE, false, false, 1.80 },
    { "stream", "page", "vm", INDEX, false, false, 4.00 },
    { "traded avx512", "memcpy", "W1 W3", DECODE, false, false, 5.00 },
    { "traded avx512", "memcpy", "W2 W2b W4 W5", DECODE, false, false, 0.95 },
    { "traded avx512", "legacy Remus", "W1 W2b W3 W5", ENCODE, true, false, 8.00 },
    { "traded avx512", "legacy Remus", "W4 W6", ENCODE, true, false, 5.00 },
};

static double figure(const struct bench_table *t, size_t load, size_t row, enum measure measure)
{
    const struct bench_figure *f = &t->at[load][row];

    switch (measure) {
    case ENCODE:
        return f->encode_to_base;
    case DECODE:
        return f->decode_to_base;
    case OCTETS:
        return f->ratio;
    default:
        return f->index;
    }
}

/* Whether one of the words is the beginning of the name, up to a whole word for W's. */
static bool is_among(const char *words, const char *name)
{
    char word[8];

    for (int used; sscanf(words, "%7s%n", word, &used) == 1; words += used) {
        size_t n = strlen(word);

        if (strncmp(name, word, n) == 0 && (n == 1 || word[0] == 'v' || name[n] == ' '))
            return true;
    }
    return false;
}

static bool report(const struct promise *p, const char *load, double actual)
{
    static const char *const kinds[] = { "", "decode ", "octets ", "index octets " };
    bool is_most = p->measure == OCTETS || p->measure == INDEX;
    bool is_kept = is_most ? actual <= p->at_least : actual >= p->at_least;
    char what[64];

    snprintf(what, sizeof(what), "%s%s / %s", kinds[p->measure], p->row, p->base);
    printf("%-38s %-20s %-4s %s %5.2f %8.2f  %s\n", what, load, p->is_hot ? "hot" : "cold",
           is_most ? "<=" : ">=", p->at_least, actual, is_kept ? "ok" : "MISSED");
    return is_kept;
}

static unsigned judge(const struct bench_suite *s, const struct promise *p)
{
    const struct bench_table *t = p->is_hot ? &s->hot : &s->cold;
    size_t row = bench_row_of(t, p->row), base = bench_row_of(t, p->base), n = 0;
    unsigned missed = 0;
    double logs = 0;

    if (p->measure == INDEX)
        base = row;
    if (row == t->row_count || base == t->row_count)
        return 0; /* not on this machine */
    for (size_t i = 0; i < t->load_count; i++) {
        double actual = figure(t, i, row, p->measure);

        if (base != row)
            actual /= figure(t, i, base, p->measure);
        if (!is_among(p->loads, t->loads[i]))
            continue;
        logs += log(actual);
        n++;
        if (!p->is_mean)
            missed += !report(p, t->loads[i], actual);
    }
    if (p->is_mean && n > 0)
        missed += !report(p, "geometric mean", exp(logs / (double)n));
    return missed;
}

static unsigned judge_copy(const struct bench_copy *c)
{
    struct promise speed = { .row = "pause copy, SSE2", .base = "memcpy", .at_least = 1.5 };
    struct promise gain = { .row = "copy's gain by threads", .base = "ALU's", .at_least = 0.9 };
    bool is_faultless = c->faults == 0;

    printf("%-38s %-20s %-4s == %5d %8ld  %s\n", "page faults in the pause copy", "", "", 0, c->faults,
           is_faultless ? "ok" : "MISSED");
    return (unsigned)!report(&speed, "random pages", c->to_memcpy[1]) +
           (unsigned)!report(&gain, "random pages", c->threads_gain / c->probe_gain) +
           (unsigned)!is_faultless;
}

int main(int argc, char **argv)
{
    static struct bench_suite s;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned missed = 0;
    struct err e;

    if (argc < 4) {
        fprintf(stderr, "usage: compress ROUNDS JSON-FILE SVG-FILE TRACE...\n");
        return 2;
    }
    s.rounds = (unsigned)strtoul(argv[1], NULL, 10);
    s.json = argv[2];
    s.svg = argv[3];
    s.traces = argv + 4;
    s.trace_count = (size_t)(argc - 4);
    s.threads = processors > 1 ? (unsigned)processors : 1;
    s.is_quick = getenv("BENCH_QUICK") != NULL;
    s.only_loads = getenv("BENCH_LOADS");
    s.only_rows = getenv("BENCH_ROWS");
    s.row_count = bench_rows(s.rows);
    s.rows[s.row_count] = peer_limit;
    s.rows[s.row_count++].level = cpu_best();
    s.rows[s.row_count++] = peer_reading;
    s.rows[s.row_count++] = peer_legacy;
    s.rows[s.row_count++] = peer_legacy_sharper;
    s.rows[s.row_count++] = peer_zstd;
    if (s.rounds < 1 || s.rounds > BENCH_ROUNDS_MAX || (!s.is_quick && bench_suite_copy(&s, &e) < 0) ||
        bench_suite_compress(&s, &e) < 0 || bench_suite_write(&s, &e) < 0) {
        fprintf(stderr, "bench: %s\n", s.rounds ? e.text : "no rounds");
        return 1;
    }
    printf("\n%-38s %-20s %-4s    %5s %8s\n", "promise", "load", "", "goal", "actual");
    for (size_t i = 0; i < ARRAY_LEN(promises); i++)
        missed += judge(&s, &promises[i]);
    if (!s.is_quick)
        missed += judge_copy(&s.copy);
    printf("%u missed\n", missed);
    return missed > 0;
}

/* cmd_bench — options of `replicator bench`: what compression and the pause copy cost on this machine. */
#include "replicator/bench/bench_suite.h"
#include "replicator/commands.h"
#include "replicator/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct chosen {
    const char *json, *svg, *loads, *rows;
    uint64_t rounds, threads;
    bool is_quick;
};

static const struct option_row rows[] = {
    { "rounds", "N", "of which the medians are (7)", option_count, offsetof(struct chosen, rounds),
      { 1, BENCH_ROUNDS_MAX } },
    { "threads", "N", "besides one (as many as processors)", option_count,
      offsetof(struct chosen, threads), { 1, BENCH_THREADS_MAX } },
    { "quick", NULL, "caches cold and one thread only", option_flag,
      offsetof(struct chosen, is_quick), { 0, 0 } },
    { "loads", "NAME,...", "only those whose name begins so", option_text,
      offsetof(struct chosen, loads), { 0, 0 } },
    { "rows", "NAME,...", "only those whose name begins so, and memcpy", option_text,
      offsetof(struct chosen, rows), { 0, 0 } },
    { "json", "FILE", "the figures", option_text, offsetof(struct chosen, json), { 0, 0 } },
    { "svg", "FILE", "speed against ratio", option_text, offsetof(struct chosen, svg), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "bench",
    .rows = rows,
    .words = "compress [TRACE]...  codecs over synthetic pages and traces of guests\n"
             "copy                 the copy that a guest is paused for\n\n"
             "A trace is records of 1 octet (1: has a prior version), 4096 octets prior\n"
             "version, 4096 octets page. Compare ratios, not speeds: machines differ.\n",
    .least = 1,
    .most = 24,
};

int cmd_bench(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct chosen c = { .rounds = 7, .threads = processors > 0 ? (uint64_t)processors : 1 };
    AUTO_FREE struct bench_suite *s = NULL;
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    s = calloc(1, sizeof(*s));
    if (!s)
        return EXIT_FAILED;
    s->rounds = (unsigned)c.rounds;
    s->threads = c.threads < BENCH_THREADS_MAX ? (unsigned)c.threads : BENCH_THREADS_MAX;
    s->is_quick = c.is_quick;
    s->only_loads = c.loads;
    s->only_rows = c.rows;
    s->json = c.json;
    s->svg = c.svg;
    s->row_count = bench_rows(s->rows);
    s->traces = argv + first + 1;
    s->trace_count = (size_t)(argc - first - 1);
    if (strcmp(argv[first], "compress") == 0)
        rc = bench_suite_compress(s, &e);
    else if (strcmp(argv[first], "copy") == 0 && s->trace_count == 0)
        rc = bench_suite_copy(s, &e);
    else
        return options_refuse(&usage, "%.40s: want compress or copy", argv[first]);
    if (rc == 0)
        rc = bench_suite_write(s, &e);
    if (rc == 0)
        return EXIT_OK;
    fprintf(stderr, "replicator bench: %s\n", e.text);
    return EXIT_FAILED;
}

/* demo — `replicator demo`: protect a guest, kill its primary, let the backup take over, and judge all
 * of it from outside. Exit status 1 when any promise was broken or any wait was in vain. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "replicator/commands.h"
#include "replicator/demo/summary.h"
#include "replicator/options.h"
#include "replicator/proto/timing.h"

#define OPTION(field) offsetof(struct demo_options, field)

static const struct option_row rows[] = {
    { "kills", "N", "whole runs, one kill each (1)", option_count, OPTION(kills), { 1, 1000000 } },
    { "seconds", "N", "protected before the kill: a random time up to\nthis (3; below 1 with many kills)",
      option_count, OPTION(seconds), { 0, 3600 } },
    { "mib", "N", "size of the guest (256)", option_count, OPTION(mib), { 16, 16384 } },
    { "workload", "NAME", "idle, counter, kv, web or random (kv)", option_text, OPTION(workload), { 0, 0 } },
    { "dirty", "N", "pages written a second (2000)", option_count, OPTION(dirty), { 0, 100000000 } },
    { "vcpus", "N", "of the guest (2)", option_count, OPTION(vcpus), { 1, 8 } },
    { "seed", "N", "of guest and kill (random)", option_count, OPTION(seed), { 0, INT64_MAX } },
    { "interval", "TIME", "from checkpoint to checkpoint (25ms)", option_time, OPTION(interval_ns),
      { 0, INTERVAL_NS_MAX } },
    { "timeout", "TIME", "silence that counts as death (300ms)", option_time, OPTION(timeout_ns),
      { TIMEOUT_NS_MIN, 60 * NS_PER_S } },
    { "transport", "HOW", "tcp or unix (tcp)", option_text, OPTION(transport), { 0, 0 } },
    { "unsafe", "WHAT", "handed to protect, to see the judge condemn:\nno-netbuf", option_text,
      OPTION(unsafe), { 0, 0 } },
    { "json", NULL, "one object at the end instead of tables", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "demo",
    .rows = rows,
    .words = "Primary, backup and observer are processes of their own on real sockets, in a\n"
             "folder below $TMPDIR that is removed at the end.\n",
};

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal_number)
{
    is_interrupted = signal_number;
}

/* Signals are blocked but for the waits (lines_poll), so that each ends a wait. */
static void take_signals(void)
{
    struct sigaction action = { .sa_handler = interrupt };
    sigset_t ours;

    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGHUP);
    sigprocmask(SIG_BLOCK, &ours, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static bool play(const struct demo_options *o, uint64_t seed, struct round *r, struct summary *s)
{
    bool is_silent = o->json || o->kills > 1, is_good;
    struct table table;
    struct err e;
    int rc;

    table_open(&table, is_silent);
    table_say(&table, "replicator demo: a guest of %llu MiB, workload %s, %llu pages a second, seed %llu",
              (unsigned long long)o->mib, o->workload, (unsigned long long)o->dirty,
              (unsigned long long)seed);
    round_open(r, o, seed, &table);
    rc = round_play(r, &e);
    is_good = summary_add(s, r, rc, &e);
    if (!is_silent && rc == 0)
        summary_print_round(r);
    if (!o->json && o->kills > 1)
        summary_print_line(s, r, rc < 0 ? e.text : NULL);
    if (!is_good) {
        fprintf(stderr, "replicator demo: %s (seed %llu)\n",
                rc < 0 ? e.text : "a promise was broken", (unsigned long long)seed);
        round_show_logs(r);
    }
    round_close(r);
    return is_good;
}

static int run(const struct demo_options *o)
{
    struct round *r = malloc(sizeof(*r));
    struct summary *s = malloc(sizeof(*s));
    bool all_good = r && s;

    if (!all_good) {
        fprintf(stderr, "replicator demo: no memory\n");
        free(r);
        free(s);
        return EXIT_FAILED;
    }
    take_signals();
    summary_open(s, o->json);
    for (uint64_t i = 0; i < o->kills && !is_interrupted; i++)
        all_good &= play(o, o->seed + i, r, s);
    summary_print(s);
    summary_close(s);
    free(r);
    free(s);
    return all_good && !is_interrupted ? EXIT_OK : EXIT_FAILED;
}

int cmd_demo(int argc, char **argv)
{
    struct demo_options o = {
        .workload = "kv", .transport = "tcp", .kills = 1, .mib = 256, .dirty = 2000, .vcpus = 2,
        .seed = rng_system_seed() >> 32, .interval_ns = INTERVAL_NS_DEFAULT,
        .timeout_ns = 300 * NS_PER_MS,
    };
    int first, rc = options_parse(&usage, argc, argv, &o, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (strcmp(o.transport, "tcp") != 0 && strcmp(o.transport, "unix") != 0)
        return options_refuse(&usage, "--transport %.40s: want tcp or unix", o.transport);
    return run(&o);
}

/* sim — runs seeded worlds by the thousand, says what they covered, and prints the seed that replays
 * a broken promise.
 *
 *   sim [--runs N] [--seed S] [--jobs J]   exit 1 when a promise was broken
 *   sim --trace SEED                       one run, a line an event
 *   sim --singles                          every failpoint × {daemon, host, freeze} × the nth time */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/faults.h"
#include "tests/sim/observer.h"
#include "tests/sim/world.h"

#define JOBS_MAX     64u
#define HANG_SECONDS 10u
#define SHOWN_MAX    10u
enum { NTHS = 6, SINGLES_PER_PLACE = 3 * NTHS * 2 };

/* What a worker has done so far: shared with the parent, which outlives it. */
struct tally {
    uint64_t seed, next, runs, failovers, switched, fenced, ended, epochs, steps, violations;
    uint64_t kinds[FAULT_KINDS_COUNT];
    uint32_t struck[SIDES];
    bool stops; /* of the first: all of them shall stop */
};

static struct tally *tallies;

static struct {
    uint64_t runs, seed;
    unsigned jobs;
    bool traces, singles, keeps_on;
} options = { .runs = 200000, .seed = 1, .jobs = 0 };

/* Seed S of --singles: which place, which strike, the how manieth time, which arbiter. */
static void plan_single(struct world *w)
{
    uint64_t seed = w->seed;
    unsigned place = (unsigned)(seed / SINGLES_PER_PLACE % FAILPOINT_COUNT);
    unsigned rest = (unsigned)(seed % SINGLES_PER_PLACE);
    enum side side = place < FAILPOINT_accept ? PRIMARY : BACKUP;
    struct node *n = &w->nodes[side];

    w->config.is_manual = rest % 2;
    n->strike = (enum strike)(STRIKE_DAEMON + rest / 2 % 3);
    n->strike_place = (int)place;
    n->strike_countdown = 1 + rest / 6;
    n->strike_until = 20 * w->config.timing.timeout_ns;
    n->freeze_ns = 2 * w->config.timing.timeout_ns;
    n->restart_after_ns = side == PRIMARY && n->strike == STRIKE_HOST ? 0 : NS_PER_MS;
    w->n_faults = 1;
    w->after_epochs = 4;
    w->faults[0].kind = seed / SINGLES_PER_PLACE / FAILPOINT_COUNT % 2 ? FAULT_reset_link
                                                                       : FAULT_kill_primary_host;
}

/* Runs one seed to its end; true when every promise held. */
static bool run_one(struct world *w, uint64_t seed, struct tally *t)
{
    const struct observer *o = w->observer;

    world_build(w, seed, options.singles ? plan_single : NULL);
    world_run(w, TIME_NEVER);
    if (!w->is_over)
        observe_end(w, false);
    world_close(w);
    t->runs++;
    t->epochs += o->epochs;
    t->steps += w->steps;
    t->failovers += w->backup_runs;
    t->switched += w->backup_runs && w->seen.is_given && w->seen.state == P_ENDED;
    t->fenced += w->seen.state == P_FENCED;
    t->ended += o->clean_end;
    for (unsigned i = 0; i < w->n_faults; i++)
        t->kinds[w->faults[i].kind]++;
    for (unsigned s = 0; s < SIDES; s++)
        t->struck[s] |= w->struck[s];
    return o->promise[0] == '\0';
}

static void show_violation(uint64_t seed, const char *promise, const char *text)
{
    printf("%s broken: %s\n    make sim SEED=%" PRIu64 "%s\n", promise, text, seed,
           options.singles ? " SIM_FLAGS=--singles" : "");
    fflush(stdout);
}

static void work(struct tally *t, unsigned step, uint64_t end)
{
    static struct world w;
    const struct itimerval hang = { .it_value = { .tv_sec = HANG_SECONDS } };

    world_reserve(&w);
    for (; t->next < end && !tallies[0].stops; t->next += step) {
        t->seed = t->next;
        if (t->runs % 256 == 0)
            setitimer(ITIMER_PROF, &hang, NULL); /* of its own time: the machine may be busy */
        if (run_one(&w, t->seed, t))
            continue;
        if (t->violations++ < SHOWN_MAX)
            show_violation(t->seed, w.observer->promise, w.observer->text);
        if (!options.keeps_on)
            tallies[0].stops = true;
    }
}

/* A worker that dies (a failed must(), a hang) broke a promise too. */
static void supervise(uint64_t end)
{
    pid_t pids[JOBS_MAX];
    unsigned left = options.jobs;
    int status;

    for (unsigned j = 0; j < options.jobs; j++) {
        fflush(stdout);
        pids[j] = fork();
        if (pids[j] == 0) {
            work(&tallies[j], options.jobs, end);
            fflush(stdout);
            _exit(0);
        }
    }
    while (left > 0) {
        pid_t pid = wait(&status);
        struct tally *t = NULL;

        for (unsigned j = 0; j < options.jobs; j++)
            if (pids[j] == pid)
                t = &tallies[j];
        left--;
        if (!t || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
            continue;
        t->violations++;
        tallies[0].stops = true;
        show_violation(t->seed, "P7", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "died");
    }
}

static void print_states(const char *side, uint32_t struck, unsigned n,
                         const char *(*name)(unsigned))
{
    printf("# %s struck in:", side);
    for (unsigned s = 0; s < n; s++)
        if (struck >> s & 1)
            printf(" %s", name(s));
    putchar('\n');
}

static const char *primary_name(unsigned s)
{
    return primary_state_name((enum primary_state)s);
}

static const char *backup_name(unsigned s)
{
    return backup_state_name((enum backup_state)s);
}

static int report(uint64_t elapsed_ns)
{
    struct tally all = { 0 };
    double seconds = (double)(elapsed_ns ? elapsed_ns : 1) / 1e9;

    for (unsigned j = 0; j < options.jobs; j++) {
        const struct tally *t = &tallies[j];

        all.runs += t->runs;
        all.failovers += t->failovers;
        all.switched += t->switched;
        all.fenced += t->fenced;
        all.ended += t->ended;
        all.epochs += t->epochs;
        all.steps += t->steps;
        all.violations += t->violations;
        for (unsigned k = 0; k < FAULT_KINDS_COUNT; k++)
            all.kinds[k] += t->kinds[k];
        for (unsigned s = 0; s < SIDES; s++)
            all.struck[s] |= t->struck[s];
    }
    printf("# faults:");
    for (unsigned k = 0; k < FAULT_KINDS_COUNT; k++)
        printf(" %s %" PRIu64, fault_names[k], all.kinds[k]);
    putchar('\n');
    print_states("primary", all.struck[PRIMARY], P_STATES, primary_name);
    print_states("backup", all.struck[BACKUP], B_STATES, backup_name);
    printf("# %" PRIu64 " runs from seed %" PRIu64 ": %" PRIu64 " takeovers, %" PRIu64
           " switchovers, %" PRIu64 " fenced, %" PRIu64 " clean ends, %" PRIu64 " epochs, %" PRIu64 " steps\n"
           "# %.1f s, %u jobs, %.0f runs/s/core, %" PRIu64 " violations\n",
           all.runs, options.seed, all.failovers, all.switched, all.fenced, all.ended, all.epochs, all.steps,
           seconds, options.jobs, (double)all.runs / seconds / options.jobs, all.violations);
    printf("%s 1 - %s: %" PRIu64 " runs, %.0f a second and core, %" PRIu64 " broken promises\n",
           all.violations ? "not ok" : "ok",
           options.singles ? "every failpoint, every strike" : "seeded failovers", all.runs,
           (double)all.runs / seconds / options.jobs, all.violations);
    return all.violations > 0;
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--singles") == 0) {
            options.singles = true;
            options.runs = 2 * SINGLES_PER_PLACE * FAILPOINT_COUNT;
            options.seed = 0;
            continue;
        }
        if (strcmp(argv[i], "--keep-on") == 0) {
            options.keeps_on = true;
            continue;
        }
        if (strcmp(argv[i], "--runs") == 0)
            options.runs = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--seed") == 0)
            options.seed = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--jobs") == 0)
            options.jobs = (unsigned)strtoul(value, NULL, 0);
        else if (strcmp(argv[i], "--trace") == 0) {
            options.seed = strtoull(value, NULL, 0);
            options.traces = true;
        } else {
            return false;
        }
        i++;
    }
    if (options.jobs == 0)
        options.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    options.jobs = options.jobs > JOBS_MAX ? JOBS_MAX : options.jobs;
    return true;
}

int main(int argc, char **argv)
{
    static struct world w;
    uint64_t from;

    if (!parse(argc, argv)) {
        fprintf(stderr, "sim [--runs N] [--seed S] [--jobs J] [--trace SEED] [--singles] [--keep-on]\n");
        return 2;
    }
    /* Engines come and go by the thousand: their memory stays with the process. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    tallies = mmap(NULL, JOBS_MAX * sizeof(*tallies), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tallies == MAP_FAILED)
        return 2;
    if (options.traces) {
        world_reserve(&w);
        w.traces = true;
        if (run_one(&w, options.seed, &tallies[0]))
            return 0;
        show_violation(options.seed, w.observer->promise, w.observer->text);
        return 1;
    }
    for (unsigned j = 0; j < options.jobs; j++)
        tallies[j].next = options.seed + j;
    from = clock_now_ns();
    supervise(options.seed + options.runs);
    return report(clock_now_ns() - from);
}

/* failpoint_grid — every failpoint struck by kill, abort and stop in real processes, over tcp and
 * unix sockets. What follows a strike is what its row of the table says, and an observer outside of
 * both sides finds no broken promise, or the cell has failed. Cells run side by side, each in its
 * process.
 *
 *   failpoint_grid [--jobs N] [--seed N] [--only WORD]     REPLICATOR_TEST: the program */
#include "tests/fault/cell.h"

#include <getopt.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/failpoint.h"

#define TRIES     3u
#define CELLS_MAX 1024u

/* nth: in steady protection. A seed of 16 MiB takes 16 chunks, all others come once an epoch. */
static const struct row rows[] = {
    { "pause", PRIMARY, BY_ITSELF, 15, TAKES_OVER, TAKES_OVER, true, NOT_YET },
    { "plug_mark", PRIMARY, BY_ITSELF, 15, TAKES_OVER, TAKES_OVER, true, NOT_YET },
    { "dirty_read", PRIMARY, BY_ITSELF, 18, TAKES_OVER, TAKES_OVER, true, NOT_YET },
    { "page_copy", PRIMARY, BY_ITSELF, 36, TAKES_OVER, TAKES_OVER, true, NOT_YET },
    { "capture_state", PRIMARY, BY_ITSELF, 15, TAKES_OVER, TAKES_OVER, true, NOT_YET },
    { "resume", PRIMARY, BY_ITSELF, 15, TAKES_OVER, TAKES_OVER, true, NOT_YET },
    { "encode", PRIMARY, BY_ITSELF, 50, TAKES_OVER, TAKES_OVER, true, NOT_YET },
    { "send_epoch", PRIMARY, BY_ITSELF, 15, TAKES_OVER, TAKES_OVER, true, NOT_YET },
    { "send_commit", PRIMARY, BY_ITSELF, 15, TAKES_OVER, TAKES_OVER, true, NOT_YET },
    { "recv_ack", PRIMARY, BY_ITSELF, 15, TAKES_OVER, TAKES_OVER, true, TAKES_OVER },
    { "lease_check", PRIMARY, BY_ITSELF, 15, TAKES_OVER, TAKES_OVER, true, TAKES_OVER },
    { "after_release", PRIMARY, BY_ITSELF, 15, TAKES_OVER, TAKES_OVER, true, TAKES_OVER },
    { "primary_ask_token", PRIMARY, PEER_FROZEN, 1, TAKES_OVER, TAKES_OVER, false, 0 },
    { "go_unprotected", PRIMARY, PEER_FROZEN, 1, NOBODY, GOES_ON, false, 0 },
    { "send_detach", PRIMARY, DETACHING, 1, TAKES_OVER, TAKES_OVER, false, 0 },
    { "accept", BACKUP, BY_ITSELF, 1, GOES_ON, GOES_ON, false, 0 },
    { "recv_page", BACKUP, BY_ITSELF, 50, GOES_ON, GOES_ON, true, GOES_ON },
    { "stage_full", BACKUP, BY_ITSELF, 15, GOES_ON, GOES_ON, true, GOES_ON },
    { "verify", BACKUP, BY_ITSELF, 50, GOES_ON, GOES_ON, true, GOES_ON },
    { "before_commit", BACKUP, BY_ITSELF, 15, GOES_ON, GOES_ON, true, GOES_ON },
    { "before_ack", BACKUP, BY_ITSELF, 15, GOES_ON, GOES_ON, true, GOES_ON },
    { "after_ack", BACKUP, BY_ITSELF, 15, GOES_ON, GOES_ON, true, GOES_ON },
    { "mid_apply", BACKUP, BY_ITSELF, 15, GOES_ON, GOES_ON, true, GOES_ON },
    { "after_apply", BACKUP, BY_ITSELF, 15, GOES_ON, GOES_ON, true, GOES_ON },
    { "timeout", BACKUP, BY_ITSELF, 6, GOES_ON, GOES_ON, true, GOES_ON },
    { "backup_ask_token", BACKUP, PEER_FROZEN, 1, GOES_ON, GOES_ON, false, 0 },
    { "before_activate", BACKUP, PEER_FROZEN, 1, NOBODY, TAKES_OVER, false, 0 },
    { "after_activate", BACKUP, PEER_FROZEN, 1, NOBODY, TAKES_OVER, false, 0 },
};

/* Of what a simulated guest has none of, the kernel's network buffer and Xen: tests of their own reach
 * them. */
static const char *const elsewhere[] = { "netlink",      "log_on",      "suspend_asked",
                                         "half_resumed", "shell_begun", "shell_done" };

/* ---- the play -------------------------------------------------------------------------------- */

static int up_to_the_strike(struct cell *c, struct err *e)
{
    int rc = 0;

    if (c->plan.row->scene != BY_ITSELF) {
        rc = await(c, is_protected, e);
        c->is_strike_near = true;
    }
    if (rc == 0 && c->plan.row->scene == PEER_FROZEN)
        rc = kill(peer_pid(c), SIGSTOP) < 0 ? err_set(e, errno, "freezing the peer: %m") : 0;
    else if (rc == 0 && c->plan.row->scene == DETACHING)
        rc = ask(c, PRIMARY, "detach", NULL, e);
    if (rc == 0)
        rc = await(c, is_struck, e);
    if (rc < 0)
        return rc;
    c->is_strike_near = true;
    if (c->plan.row->scene == PEER_FROZEN)
        kill(peer_pid(c), SIGCONT);
    c->payloads_then = payloads(c);
    c->logs[PRIMARY].mark = c->logs[PRIMARY].bytes; /* what it said before no longer counts */
    return 0;
}

/* Wakes what was stopped by the strike. */
static int wake(struct cell *c)
{
    if (c->plan.action != STOP)
        return 0;
    kill(c->struck, SIGCONT);
    return 1;
}

static int taken_over(struct cell *c, struct err *e)
{
    int rc = 0;

    if (c->plan.row->side == BACKUP) {
        rc = await(c, is_fenced, e);
        wake(c);
    }
    if (rc == 0)
        rc = await(c, is_active, e);
    if (rc == 0)
        rc = await(c, is_heard_from_the_backup, e);
    if (rc == 0 && c->plan.row->side == PRIMARY && wake(c))
        rc = await(c, is_fenced, e);
    return rc < 0 ? rc : check_guest(c, e);
}

static int gone_on(struct cell *c, struct err *e)
{
    int rc = 0;

    if (c->plan.row->side == PRIMARY) {
        rc = await(c, is_stale, e);
        wake(c);
    }
    if (rc == 0)
        rc = await(c, goes_on, e);
    if (rc < 0)
        return rc;
    if (c->plan.row->side == BACKUP)
        wake(c);
    return await(c, is_protected, e); /* again */
}

static int not_yet(struct cell *c, struct err *e)
{
    int rc = await(c, is_given_up, e);

    if (rc < 0 || !wake(c))
        return rc;
    rc = await(c, goes_on, e);
    if (rc == 0)
        rc = await(c, is_protected, e);
    return rc;
}

static enum outcome expected(const struct cell *c)
{
    return c->plan.is_early         ? c->plan.row->early
           : c->plan.action == STOP ? c->plan.row->stopped
                                    : c->plan.row->killed;
}

/* On a busy machine they may lose each other in the seed: its chunks then come twice before there is a replica. */
static bool is_too_soon(struct cell *c)
{
    return !c->plan.is_early && expected(c) == TAKES_OVER && !has_said(c, BACKUP, "ready=true");
}

static int after_the_strike(struct cell *c, struct err *e)
{
    int rc = 0;

    if (is_too_soon(c))
        return err_set(e, EAGAIN, "struck before there was a replica");
    switch (expected(c)) {
    case TAKES_OVER:
        rc = taken_over(c, e);
        break;
    case GOES_ON:
        rc = gone_on(c, e);
        break;
    case NOBODY:
        return await(c, c->plan.row->side == PRIMARY ? is_stale : is_fenced, e);
    case NOT_YET:
        rc = not_yet(c, e);
        if (c->plan.action != STOP)
            return rc;
        break;
    }
    c->payloads_then = payloads(c); /* and a while longer, for whoever should be silent */
    return rc < 0 ? rc : await(c, goes_on, e);
}

/* Nothing is lost of a guest that lives: of a dead one nobody knows what it would have said again.
 */
static bool is_kept(const struct cell *c, enum observer_promise promise)
{
    bool is_dead = expected(c) == NOBODY || (expected(c) == NOT_YET && c->plan.action != STOP);

    if (promise == OBSERVER_LOST && is_dead)
        return c->observer.faults[OBSERVER_GAP] == 0;
    return observer_keeps(&c->observer, promise);
}

static int judge(struct cell *c, struct err *e)
{
    static const char *const promises[OBSERVER_PROMISES] = { "P1", "P2", "P3", "nothing lost" };
    bool is_active_when_struck = strcmp(c->plan.row->place, "after_activate") == 0;
    bool may_run_there = expected(c) == TAKES_OVER || is_active_when_struck;

    hear(c);
    for (unsigned p = 0; p < OBSERVER_PROMISES; p++)
        if (!is_kept(c, (enum observer_promise)p))
            return err_set(e, EBADMSG, "%s is broken: %s", promises[p], c->observer.words);
    if (c->observer.sources > (may_run_there ? 2 : 1))
        return err_set(e, EAGAIN, "nothing is broken, but they lost each other once more");
    return 0;
}

static int play(struct cell *c, struct err *e)
{
    static int (*const acts[])(struct cell *, struct err *) = { set_stage,        start_backup,
                                                                start_primary,    up_to_the_strike,
                                                                after_the_strike, judge };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(acts); i++)
        rc = acts[i](c, e);
    return rc;
}

static int remove_one(const char *path, const struct stat *s UNUSED, int flag UNUSED,
                      struct FTW *at UNUSED)
{
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

static void clear_stage(struct cell *c)
{
    pid_t replica = replica_pid(c);

    for (unsigned side = PRIMARY; side <= BACKUP; side++)
        actor_close(&c->actors[side]);
    if (replica)
        kill(replica, SIGKILL);
    if (c->struck && c->plan.row->side == BACKUP && c->struck != replica && c->plan.action == STOP)
        kill(c->struck, SIGKILL);
    if (c->folder[0])
        nftw(c->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The last lines of what a side said. */
static void show_log(const struct cell *c, enum side side)
{
    const struct log *l = &c->logs[side];
    const char *at = l->text + l->bytes;

    for (unsigned lines = 0; at > l->text && lines <= 12; at--)
        lines += at[-1] == '\n';
    printf("%s", at + (at > l->text));
}

enum { CELL_GOOD = 0, CELL_BAD = 1, CELL_ASTRAY = 2 };

/* On a busy machine both sides may lose each other without a strike: no promise is broken by that, but
 * the cell shows nothing about its place. */
static bool is_astray(const struct cell *c, int rc)
{
    return rc == -EAGAIN || (rc == -ETIMEDOUT && !c->is_strike_near);
}

/* In its own process. */
static int run_cell(struct cell *c)
{
    struct err e = { 0 };
    struct rng r;
    int rc;

    rng_seed(&r, c->plan.seed);
    snprintf(c->order, sizeof(c->order), "%s:%s:%u", c->plan.row->place, actions[c->plan.action],
             c->plan.is_early        ? 1
             : c->plan.row->nth == 1 ? 1
                                     : c->plan.row->nth + (unsigned)rng_below(&r, 10));
    c->socket = c->logs[PRIMARY].fd = c->logs[BACKUP].fd = -1;
    c->actors[PRIMARY].pid_fd = c->actors[BACKUP].pid_fd = -1;
    c->actors[PRIMARY].out.fd = c->actors[BACKUP].out.fd = -1;
    rc = play(c, &e);
    if (rc < 0) {
        printf("%s %s over %s, seed %" PRIu64 ": %s\n",
               is_astray(c, rc) ? "astray" : "FAIL", c->order,
               transports[c->plan.transport], c->plan.seed, e.text);
        show_log(c, PRIMARY);
        show_log(c, BACKUP);
        fflush(stdout);
    }
    clear_stage(c);
    return rc == 0 ? CELL_GOOD : is_astray(c, rc) ? CELL_ASTRAY : CELL_BAD;
}

/* ---- the grid -------------------------------------------------------------------------------- */

struct grid {
    unsigned jobs, running;
    uint64_t seed;
    const char *only;
    unsigned done, failed, astray;
    size_t n;
    struct {
        struct plan plan;
        unsigned tries;
        bool is_due;
        pid_t pid; /* 0: it does not run */
    } cells[CELLS_MAX];
};

static void reap_one(struct grid *g)
{
    int status;
    pid_t pid = wait(&status);

    for (size_t i = 0; i < g->n; i++) {
        if (g->cells[i].pid != pid)
            continue;
        g->cells[i].pid = 0;
        g->running--;
        if (WIFEXITED(status) && WEXITSTATUS(status) == CELL_ASTRAY &&
            ++g->cells[i].tries < TRIES) {
            g->astray++;
            g->cells[i].plan.seed++;
            g->cells[i].is_due = true;
        } else {
            g->done++;
            g->failed += !WIFEXITED(status) || WEXITSTATUS(status) != CELL_GOOD;
        }
    }
}

static void start_one(struct grid *g, size_t i)
{
    while (g->running >= g->jobs)
        reap_one(g);
    fflush(stdout);
    g->cells[i].is_due = false;
    g->cells[i].pid = fork();
    must(g->cells[i].pid >= 0);
    if (g->cells[i].pid == 0) {
        struct cell *c = calloc(1, sizeof(*c));

        must(c);
        c->plan = g->cells[i].plan;
        _exit(run_cell(c));
    }
    g->running++;
}

static void run_grid(struct grid *g)
{
    bool is_any_due = true;

    while (is_any_due) {
        is_any_due = false;
        for (size_t i = 0; i < g->n; i++)
            if (g->cells[i].is_due)
                start_one(g, i);
        while (g->running > 0)
            reap_one(g);
        for (size_t i = 0; i < g->n; i++)
            is_any_due = is_any_due || g->cells[i].is_due;
    }
}

static void plan_row(struct grid *g, const struct row *row)
{
    for (unsigned early = 0; early <= row->has_early; early++)
        for (unsigned action = 0; action < ACTIONS; action++)
            for (unsigned transport = 0; transport < TRANSPORTS; transport++) {
                must(g->n < CELLS_MAX);
                g->cells[g->n].plan = (struct plan){ row, action, transport, early,
                                                     rng_mix(g->seed + g->n) >> 16 };
                g->cells[g->n++].is_due = true;
            }
}

static bool is_elsewhere(const char *place)
{
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
        if (strcmp(place, elsewhere[i]) == 0)
            return true;
    return false;
}

/* Every place of the build has a row, or is known to be another test's. */
static int plan_all(struct grid *g)
{
    int rc = 0;

    for (unsigned f = 0; f < FAILPOINT_COUNT; f++) {
        const char *place = failpoint_name((enum failpoint)f);
        const struct row *row = NULL;

        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            row = strcmp(rows[i].place, place) == 0 ? &rows[i] : row;
        if (row && strstr(place, g->only))
            plan_row(g, row);
        if (!row && !is_elsewhere(place)) {
            printf("FAIL failpoint %s: no row says what follows from it\n", place);
            rc = -1;
        }
    }
    return rc;
}

static int read_options(struct grid *g, int argc, char **argv)
{
    static const struct option options[] = {
        { "jobs", required_argument, NULL, 'j' },
        { "seed", required_argument, NULL, 's' },
        { "only", required_argument, NULL, 'o' },
        { NULL, 0, NULL, 0 },
    };

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (o == 'j')
            g->jobs = (unsigned)strtoul(optarg, NULL, 10);
        else if (o == 's')
            g->seed = strtoull(optarg, NULL, 10);
        else if (o == 'o')
            g->only = optarg;
        else
            return -1;
    }
    return optind == argc && g->jobs > 0 && getenv("REPLICATOR_TEST") ? 0 : -1;
}

int main(int argc, char **argv)
{
    static struct grid g = { .jobs = 4, .only = "" };
    const struct rlimit no_core = { 0, 0 };
    uint64_t from = clock_now_ns();
    int rc;

    g.seed = rng_system_seed() >> 32;
    if (read_options(&g, argc, argv) < 0) {
        fprintf(
            stderr,
            "usage: REPLICATOR_TEST=PROGRAM failpoint_grid [--jobs N] [--seed N] [--only WORD]\n");
        return 2;
    }
    setrlimit(RLIMIT_CORE, &no_core); /* those that abort are meant to */
    rc = plan_all(&g);
    run_grid(&g);
    printf(
        "# %u failovers and losses at failpoints x {kill, abort, stop} x {tcp, unix}, seed %" PRIu64
        ": %u violations or hangs, %u tried again, %.0f s\n",
        g.done, g.seed, g.failed, g.astray, (double)(clock_now_ns() - from) / 1e9);
    return rc < 0 || g.failed > 0 || g.done == 0;
}

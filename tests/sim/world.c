/* world — see world.h. Time, the schedule, steps that may be cut short, processes that come and go. */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/faults.h"
#include "tests/sim/observer.h"

#define STEPS_MAX   400000u
#define VIRTUAL_MAX (200 * NS_PER_S)

struct world *the_world;

void trace(struct world *w, const char *format, ...)
{
    va_list args;

    if (!w->traces)
        return;
    printf("%12.6f ms  ", (double)w->now / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

bool coin(struct world *w, uint32_t per_million)
{
    return rng_chance(&w->rng, per_million);
}

uint64_t pick(struct world *w, uint64_t least, uint64_t most)
{
    return least + rng_below(&w->rng, most - least + 1);
}

bool world_fails(struct world *w, enum fake_call call)
{
    if (w->fail_in[call] == 0 || --w->fail_in[call] > 0)
        return false;
    if (w->fail_forever[call])
        w->fail_in[call] = 1;
    trace(w, "fault   %u fails", call);
    return true;
}

/* ---- clocks --------------------------------------------------------------------------------------------- */

uint64_t world_local(const struct node *n, uint64_t now)
{
    return n->clock_offset + now + (uint64_t)((int64_t)(now / 1000) * n->clock_ppm / 1000);
}

/* The first instant at which the node's clock shows `local` or more. */
uint64_t world_global(const struct node *n, uint64_t local)
{
    uint64_t t;

    if (local == TIME_NEVER)
        return TIME_NEVER;
    if (local <= n->clock_offset)
        return 0;
    t = (uint64_t)((double)(local - n->clock_offset) * 1e6 / (double)(1000000 + n->clock_ppm));
    while (world_local(n, t) < local)
        t += 100;
    return t;
}

static uint64_t primary_now(void *context)
{
    struct world *w = context;

    return world_local(&w->nodes[PRIMARY], w->now);
}

static uint64_t backup_now(void *context)
{
    struct world *w = context;

    return world_local(&w->nodes[BACKUP], w->now);
}

/* ---- steps that may be cut short ------------------------------------------------------------------------ */

static void bury(struct world *w, enum side side)
{
    w->nodes[side].is_doomed = false;
    w->nodes[side].strike = STRIKE_NONE;
    if (side == PRIMARY) {
        primary_engine_close(w->primary); /* gives memory back; every fake is deaf by now */
        w->primary = NULL;
    } else {
        backup_engine_close(w->backup);
        w->backup = NULL;
        w->has_replica = false;
    }
}

void world_kill(struct world *w, enum side side, bool with_host)
{
    struct node *n = &w->nodes[side];

    if (with_host)
        n->is_host_alive = false;
    if (with_host && side == PRIMARY) {
        w->machines[PRIMARY].exists = false;
        w->plug.n = 0;
        if (!w->observer->is_host_dead) {
            if (n->is_alive)
                primary_engine_status(w->primary, &w->seen);
            w->observer->was_protected_at_death = n->is_alive && w->seen.is_protected &&
                                                  w->machines[PRIMARY].life == GUEST_RUNS;
            w->observer->dead_at = w->now;
            w->operator_at = w->now + pick(w, 1, 3 * w->config.timing.timeout_ns);
        }
        w->observer->is_host_dead = true;
    }
    if (side == BACKUP) {
        w->observer->backup_died_too = true;
        acceptor_clear(w);
    }
    if (!n->is_alive)
        return;
    trace(w, "%s %s is killed", side == PRIMARY ? "primary" : "backup ",
          with_host ? "host" : "daemon");
    n->is_alive = false;
    n->restart_at = n->restart_after_ns ? w->now + n->restart_after_ns : TIME_NEVER;
    connections_lose_process(w, side, with_host);
    if (n->in_step)
        n->is_doomed = true;
    else
        bury(w, side);
}

void world_guarded(struct world *w, enum side side, void (*act)(struct world *))
{
    struct node *n = &w->nodes[side];
    const enum side before = w->stepping;

    w->stepping = side;
    n->in_step = true;
    if (setjmp(n->crash) == 0)
        act(w);
    w->stepping = before;
    n->in_step = false;
    if (n->is_doomed)
        bury(w, side);
}

void world_point(struct world *w, enum side side, int place)
{
    struct node *n = &w->nodes[side];
    enum strike strike = n->strike;

    if (!n->in_step || n->is_doomed || strike == STRIKE_NONE || w->is_over ||
        (n->strike_place >= 0 && n->strike_place != place) || --n->strike_countdown > 0)
        return;
    n->strike = STRIKE_NONE;
    w->struck[side] |= 1u << (side == PRIMARY ? (unsigned)w->seen.state : (unsigned)w->held.state);
    if (strike == STRIKE_FREEZE) {
        trace(w, "%s stands still", side == PRIMARY ? "primary" : "backup ");
        n->frozen++;
        world_run(w, w->now + n->freeze_ns);
        n->frozen--;
        if (!n->is_doomed)
            trace(w, "%s goes on", side == PRIMARY ? "primary" : "backup ");
        if (side == PRIMARY) { /* what it says and does is judged from now on */
            w->machines[PRIMARY].paused_at = w->now;
            w->observer->unsound_since = w->observer->unsound_since ? w->now : 0;
        }
    } else {
        world_kill(w, side, strike == STRIKE_HOST);
    }
    if (n->is_doomed)
        longjmp(n->crash, 1);
}

static void at_failpoint(enum failpoint place)
{
    world_point(the_world, the_world->stepping, (int)place);
}

/* ---- what the engines are given ------------------------------------------------------------------------- */

static int primary_connect(void *context, struct link **ret, struct err *e)
{
    return connection_try(context, ret, e);
}

static int primary_remember(void *context, uint64_t lineage, uint32_t term, struct err *e)
{
    struct world *w = context;

    world_point(w, PRIMARY, -1);
    if (world_fails(w, CALL_remember))
        return err_set(e, 5, "no room for the state file");
    w->past.lineage = lineage;
    w->past.term = term;
    world_point(w, PRIMARY, -1);
    return 0;
}

static void primary_says(void *context, int level, const char *text)
{
    (void)level;
    trace(context, "primary says %s", text);
}

static void nothing(void *context)
{
    (void)context;
}

static int backup_makes_replica(void *context, const struct hello *h, struct replica **ret,
                                struct err *e)
{
    struct world *w = context;

    world_point(w, BACKUP, -1);
    if (world_fails(w, CALL_make_replica))
        return err_set(e, 12, "no memory for the replica");
    if (h->pages != w->config.pages)
        return err_set(e, 22, "another shape");
    machine_start(w, &w->machines[BACKUP], h->pages);
    w->replica.ops = &fake_replica_ops;
    w->replica_serial = 0;
    w->has_replica = true;
    *ret = &w->replica;
    return 0;
}

static int backup_runs_guest(void *context, struct guest *g, struct err *e)
{
    struct world *w = context;

    world_point(w, BACKUP, -1);
    (void)g->ops->resume(g, e);
    w->backup_runs = true;
    observe_takeover(w);
    world_point(w, BACKUP, -1);
    return 0;
}

static void backup_says(void *context, int level, const char *text)
{
    (void)level;
    trace(context, "backup  says %s", text);
}

static void backup_committed(void *context, uint64_t epoch)
{
    trace(context, "backup  committed epoch %" PRIu64, epoch);
}

const struct primary_world *world_for_primary(void)
{
    static struct primary_world table = { .now = primary_now, .connect = primary_connect,
                                          .remember = primary_remember, .say = primary_says,
                                          .epoch_done = nothing };

    table.context = the_world;
    return &table;
}

const struct backup_world *world_for_backup(void)
{
    static struct backup_world table = { .now = backup_now, .make_replica = backup_makes_replica,
                                         .run_guest = backup_runs_guest, .say = backup_says,
                                         .committed = backup_committed };

    table.context = the_world;
    return &table;
}

/* ---- processes -------------------------------------------------------------------------------------------- */

static void start_node(struct world *w, enum side side)
{
    struct node *n = &w->nodes[side];

    n->is_alive = n->is_host_alive = n->is_busy = true;
    n->is_stopping = false;
    n->restart_at = TIME_NEVER;
    n->ready_at = w->now + 1;
}

void world_start_primary(struct world *w)
{
    struct primary_parts parts = {
        .guest = &w->guest[PRIMARY],
        .netbuf = &w->netbuf,
        .fence = &w->fence[PRIMARY],
        .world = world_for_primary(),
        .timing = w->config.timing,
        .epoch = w->config.epoch,
        .lineage = rng_next(&w->rng) | 1,
        .past = w->past.lineage ? &w->past : NULL,
        .wire_bytes = record_wire_bytes(PAGES_BODY_MAX) + 2 * WIRE_RESERVE,
    };
    struct err e;

    /* A new process lets a guest run that its predecessor left suspended: its output is held still. */
    w->machines[PRIMARY].paused = false;
    w->past.armed = w->plug.holds;
    start_node(w, PRIMARY);
    must(primary_engine_open(&w->primary, &parts, &e) == 0);
    trace(w, "primary daemon starts%s", parts.past ? " after another" : "");
}

void world_start_backup(struct world *w)
{
    struct backup_parts parts = { &w->fence[BACKUP], world_for_backup(), w->config.stage_bytes };
    struct err e;

    start_node(w, BACKUP);
    w->backup_over = false;
    must(backup_engine_open(&w->backup, &parts, &e) == 0);
    trace(w, "backup  daemon starts");
}

static void step_primary(struct world *w)
{
    w->nodes[PRIMARY].is_busy = primary_engine_step(w->primary);
}

static void step_backup(struct world *w)
{
    w->nodes[BACKUP].is_busy = acceptor_step(w) || backup_engine_step(w->backup);
}

/* The engine's work is done: its process ends by itself. */
static void leave_primary(struct world *w)
{
    uint64_t seen = w->observer->frames[PRIMARY];

    trace(w, "primary is over: %s", primary_state_name(w->seen.state));
    w->observer->clean_end = w->seen.state == P_ENDED;
    w->nodes[PRIMARY].is_alive = false;
    w->nodes[PRIMARY].restart_at = TIME_NEVER;
    connections_lose_process(w, PRIMARY, false);
    bury(w, PRIMARY);
    if (w->observer->frames[PRIMARY] != seen)
        violation(w, "P5", "closing the engine let frames out");
}

static void run_primary(struct world *w)
{
    struct node *n = &w->nodes[PRIMARY];
    uint64_t epochs = w->seen.epochs_acked;

    world_guarded(w, PRIMARY, step_primary);
    n->ready_at = w->now + pick(w, 1, 4000);
    if (!n->is_alive)
        return;
    primary_engine_status(w->primary, &w->seen);
    observe_primary(w, epochs);
    if (primary_engine_is_over(w->primary))
        leave_primary(w);
}

static void run_backup(struct world *w)
{
    struct node *n = &w->nodes[BACKUP];

    world_guarded(w, BACKUP, step_backup);
    n->ready_at = w->now + pick(w, 1, 4000);
    if (!n->is_alive)
        return;
    backup_engine_status(w->backup, &w->held);
    w->backup_over = backup_engine_is_over(w->backup);
    if (w->backup_over && n->is_stopping) {
        trace(w, "backup  daemon ends: %s", backup_end_words(w->held.end_reason));
        n->is_alive = false;
        connections_lose_process(w, BACKUP, false);
        bury(w, BACKUP);
    }
}

static void run_node(struct world *w, enum side side)
{
    struct node *n = &w->nodes[side];

    w->steps++;
    if (!n->is_alive && side == PRIMARY) {
        memset(&w->seen, 0, sizeof(w->seen));
        world_start_primary(w);
    } else if (!n->is_alive) {
        if (!n->is_host_alive)
            connections_reset(w, w->now);
        world_start_backup(w);
    } else if (side == PRIMARY) {
        run_primary(w);
    } else {
        run_backup(w);
    }
}

/* ---- the schedule ------------------------------------------------------------------------------------------- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t node_wake(struct world *w, enum side side)
{
    struct node *n = &w->nodes[side];
    struct engine_fds fds;
    struct connection *c;
    uint64_t at;

    if (n->in_step)
        return TIME_NEVER;
    if (!n->is_alive)
        return n->restart_at;
    if (n->is_busy)
        return n->ready_at;
    if (side == PRIMARY) {
        primary_engine_fds(w->primary, &fds);
        at = world_global(n, primary_engine_deadline(w->primary));
        if (fds.guest >= 0 && w->machines[PRIMARY].life != GUEST_RUNS)
            at = 0;
    } else {
        backup_engine_fds(w->backup, &fds);
        at = sooner(world_global(n, backup_engine_deadline(w->backup)), acceptor_wake(w));
    }
    c = connection_by_fd(w, fds.receive);
    if (c)
        at = sooner(at, connection_wake(w, c, side));
    c = fds.wants_send ? connection_by_fd(w, fds.send) : NULL;
    if (c && !c->is_established)
        at = sooner(at, c->established_at);
    else if (c && c->ways[side].head - c->ways[side].tail < c->ways[side].capacity)
        at = 0;
    if (fds.fence >= 0)
        at = sooner(at, arbiter_answer_at(w, side));
    return at > n->ready_at ? at : n->ready_at;
}

static uint64_t machine_wake(const struct world *w, enum side side)
{
    const struct machine *m = &w->machines[side];

    if (!m->exists || m->paused || m->life != GUEST_RUNS || (side == BACKUP && !w->backup_runs))
        return TIME_NEVER;
    return m->next_at;
}

enum actor { NODE_PRIMARY, NODE_BACKUP, GUEST_PRIMARY, GUEST_BACKUP, ARBITER, HARM, ACTORS };

static uint64_t wakes(struct world *w, uint64_t *at)
{
    uint64_t soonest = TIME_NEVER;

    at[NODE_PRIMARY] = node_wake(w, PRIMARY);
    at[NODE_BACKUP] = node_wake(w, BACKUP);
    at[GUEST_PRIMARY] = machine_wake(w, PRIMARY);
    at[GUEST_BACKUP] = machine_wake(w, BACKUP);
    at[ARBITER] = arbiter_wake(w);
    at[HARM] = faults_wake(w);
    for (unsigned a = 0; a < ACTORS; a++)
        soonest = sooner(soonest, at[a]);
    return soonest;
}

static void run_actor(struct world *w, unsigned actor)
{
    switch (actor) {
    case NODE_PRIMARY:
        run_node(w, PRIMARY);
        break;
    case NODE_BACKUP:
        run_node(w, BACKUP);
        break;
    case GUEST_PRIMARY:
        machine_run(w, PRIMARY);
        break;
    case GUEST_BACKUP:
        machine_run(w, BACKUP);
        break;
    case ARBITER:
        arbiter_run(w);
        break;
    default:
        faults_run(w);
        break;
    }
}

void world_run(struct world *w, uint64_t until)
{
    uint64_t at[ACTORS], soonest;
    unsigned due[ACTORS], n;

    while (!w->is_over) {
        soonest = wakes(w, at);
        if (soonest == TIME_NEVER && until == TIME_NEVER)
            soonest = w->now + w->config.timing.timeout_ns; /* nothing will happen: judge that too */
        if (soonest > until) {
            w->now = until > w->now ? until : w->now;
            return;
        }
        if (soonest > w->now)
            w->now = soonest;
        n = 0;
        for (unsigned a = 0; a < ACTORS; a++)
            if (at[a] <= w->now)
                due[n++] = a;
        if (n > 0)
            run_actor(w, due[n == 1 ? 0 : rng_below(&w->rng, n)]);
        if (observe_settled(w))
            w->is_over = true;
        if (w->steps > STEPS_MAX || w->now > VIRTUAL_MAX) {
            observe_end(w, false);
            w->is_over = true;
        }
    }
}

/* ---- from seed to end ------------------------------------------------------------------------------------------ */

void world_reserve(struct world *w)
{
    w->snapshots = malloc(SNAPSHOTS_MAX * sizeof(*w->snapshots));
    w->plug.frames = malloc(FRAMES_MAX * sizeof(*w->plug.frames));
    w->connections = calloc(CONNECTIONS_MAX, sizeof(*w->connections));
    w->observer = malloc(sizeof(*w->observer));
    must(w->snapshots && w->plug.frames && w->connections && w->observer);
    for (unsigned s = 0; s < SIDES; s++)
        must((w->machines[s].memory = malloc(MEMORY_PAGES * PAGE_BYTES)));
    for (unsigned c = 0; c < CONNECTIONS_MAX; c++)
        for (unsigned s = 0; s < SIDES; s++)
            must((w->connections[c].ways[s].octets = malloc(PIPE_BYTES)));
}

void world_build(struct world *w, uint64_t seed, void (*replan)(struct world *))
{
    struct world fresh = { .seed = seed, .traces = w->traces, .snapshots = w->snapshots,
                           .connections = w->connections, .observer = w->observer };

    fresh.plug.frames = w->plug.frames;
    for (unsigned s = 0; s < SIDES; s++)
        fresh.machines[s].memory = w->machines[s].memory;
    *w = fresh;
    the_world = w;
    failpoint_hook = at_failpoint;
    memset(w->observer, 0, sizeof(*w->observer));
    w->observer->dead_at = TIME_NEVER;
    for (unsigned c = 0; c < CONNECTIONS_MAX; c++)
        w->connections[c].is_used = false;
    rng_seed(&w->rng, seed);
    faults_configure(w);
    faults_plan(w);
    if (replan)
        replan(w);
    machine_start(w, &w->machines[PRIMARY], w->config.pages);
    w->guest[PRIMARY].ops = w->guest[BACKUP].ops = &fake_guest_ops;
    w->netbuf.ops = &fake_netbuf_ops;
    for (unsigned s = 0; s < SIDES; s++)
        w->fence[s].ops = w->config.is_manual ? &fake_manual_ops : &fake_exec_ops;
    world_start_primary(w);
    world_start_backup(w);
}

void world_end(struct world *w)
{
    uint64_t seen = w->observer->frames[PRIMARY];

    for (unsigned s = 0; s < SIDES; s++)
        if (w->nodes[s].is_alive) {
            w->nodes[s].is_alive = false;
            bury(w, s);
        }
    if (w->observer->frames[PRIMARY] != seen)
        violation(w, "P5", "closing the engine let frames out");
}

/* world — see world.h. Chance, the schedule, building. */
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
        if (fds.guest >= 0 && (w->replica_is_slow || w->replica_is_lost))
            at = 0;
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
        world_run_node(w, PRIMARY);
        break;
    case NODE_BACKUP:
        world_run_node(w, BACKUP);
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
    world_arm();
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

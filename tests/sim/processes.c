/* processes — the two daemons of a world: what their engines are given, steps that a strike may cut
 * short anywhere, how they die, come back and end. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/observer.h"
#include "tests/sim/world.h"

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
        if (n->strike_resets)
            connections_reset_one(w, side == PRIMARY ? BACKUP : PRIMARY);
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

void world_arm(void)
{
    failpoint_hook = at_failpoint;
}

/* ---- what the engines are given ------------------------------------------------------------------------- */

static int primary_connect(void *context, struct link **ret, struct err *e)
{
    return connection_try(context, ret, e);
}

static int primary_remember(void *context, const struct primary_past *past, struct err *e)
{
    struct world *w = context;

    world_point(w, PRIMARY, PLACE_ANY);
    if (world_fails(w, CALL_remember)) {
        w->gift_stays |= w->past.given && !past->given;
        return err_set(e, 5, "no room for the state file");
    }
    w->past = *past;
    world_point(w, PRIMARY, PLACE_ANY);
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

    world_point(w, BACKUP, PLACE_ANY);
    if (world_fails(w, CALL_make_replica))
        return err_set(e, 12, "no memory for the replica");
    if (h->pages != w->config.pages)
        return err_set(e, 22, "another shape");
    machine_start(w, &w->machines[BACKUP], h->pages);
    w->replica.ops = &fake_replica_ops;
    w->replica_serial = 0;
    w->replica_is_slow = false;
    w->replica_waits = h->lineage & 2;
    w->replica_is_lost = false;
    w->has_replica = true;
    *ret = &w->replica;
    return 0;
}

static int backup_runs_guest(void *context, struct guest *g, struct err *e)
{
    struct world *w = context;

    world_point(w, BACKUP, PLACE_ANY);
    (void)!guest_go_on(g, e);
    w->backup_runs = true;
    observe_takeover(w);
    world_point(w, BACKUP, PLACE_ANY);
    return 0;
}

static void backup_says(void *context, int level, const char *text)
{
    struct world *w = context;

    (void)level;
    trace(w, "backup  says %s", text);
    if (strncmp(text, "event=mismatch", 14) == 0 && !w->has_flipped && !w->has_spoiled)
        violation(w, "P2", "a delta missed its base, though no octet was changed on its way");
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

    /* A guest that its predecessor left suspended runs on, its output held still, unless it may be the other
     * side's: then the token says first whose it is. */
    w->left_asleep = w->past.given || (w->past.lineage && w->plug.holds && !w->config.is_manual);
    if (!w->left_asleep)
        w->machines[PRIMARY].paused = false;
    w->past.armed = w->plug.holds;
    w->is_stopped = false; /* an order to the process before is not known to this one */
    w->machines[PRIMARY].is_unsettled = false; /* what a dead process owed nobody owes */
    start_node(w, PRIMARY);
    must(primary_engine_open(&w->primary, &parts, &e) == 0);
    trace(w, "primary daemon starts%s", parts.past ? " after another" : "");
}

void world_start_backup(struct world *w)
{
    struct backup_parts parts = { &w->fence[BACKUP], world_for_backup(), w->config.stage_bytes, 0 };
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
    w->observer->clean_end = w->seen.state == P_ENDED && !w->seen.is_given;
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
    if (w->seen.is_protected && !plug_is_whole(w))
        violation(w, "P8", "status says protected, an interface's output is not held");
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

void world_run_node(struct world *w, enum side side)
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

void world_close(struct world *w)
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

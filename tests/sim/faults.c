/* faults — see faults.h. */
#include "tests/sim/faults.h"

#include <string.h>

#include "tests/sim/observer.h"

#define POINTS_MAX 40u

const char *const fault_names[FAULT_KINDS_COUNT] = {
#define X(name) [FAULT_##name] = #name,
    FAULT_KINDS(X)
#undef X
};

/* ---- the world's shape ------------------------------------------------------------------------------------- */

static void configure_clocks(struct world *w)
{
    for (unsigned s = 0; s < SIDES; s++) {
        struct node *n = &w->nodes[s];

        n->side = s;
        n->clock_offset = pick(w, 1, 1000) * NS_PER_S;
        n->clock_ppm = coin(w, 500000) ? 0 : (int64_t)pick(w, 0, 200000) - 100000;
        n->restart_at = TIME_NEVER;
    }
}

void faults_configure(struct world *w)
{
    static const unsigned timeouts[] = { 20, 30, 50, 100, 200 };
    static const unsigned intervals[] = { 0, 0, 1, 2, 5, 10, 25, 50 };
    struct config *c = &w->config;
    uint64_t period;

    c->timing.timeout_ns = timeouts[rng_below(&w->rng, 5)] * NS_PER_MS;
    c->timing.interval_ns = intervals[rng_below(&w->rng, 8)] * NS_PER_MS;
    if (c->timing.interval_ns <= 2 * NS_PER_MS) /* or a run would be thousands of epochs */
        c->timing.timeout_ns = timeouts[rng_below(&w->rng, 2)] * NS_PER_MS;
    c->timing.heartbeat_ns = c->timing.timeout_ns / pick(w, 4, 8);
    c->latency_ns = pick(w, 10000, c->timing.timeout_ns / (coin(w, 850000) ? 400 : 5));
    c->pages = pick(w, 8, MEMORY_PAGES);
    c->epoch.buffer_pages = coin(w, 500000) ? pick(w, 2, 8) : 64;
    c->epoch.cache_bytes = coin(w, 250000) ? 0 : coin(w, 500000) ? 40u << 10 : 256u << 10;
    c->epoch.allowed = (struct codec_choice){ .delta = coin(w, 800000), .lz4 = coin(w, 500000) };
    c->epoch.plain = coin(w, 100000);
    c->pipe_capacity = coin(w, 800000) ? PIPE_BYTES : (size_t)pick(w, 4096, PIPE_BYTES);
    c->fragments = coin(w, 500000);
    period = c->timing.interval_ns < NS_PER_MS ? NS_PER_MS : c->timing.interval_ns;
    c->guest_period_ns = period / pick(w, 1, 5);
    c->write_pages = coin(w, 950000) ? (uint32_t)pick(w, 1, 4) : (uint32_t)c->pages;
    c->frame_chance = (uint32_t)pick(w, 300000, 1000000);
    c->unmappable_chance = coin(w, 350000) ? (uint32_t)pick(w, 50000, 400000) : 0;
    c->slow_pause_chance = coin(w, 300000) ? (uint32_t)pick(w, 100000, 800000) : 0;
    c->is_manual = coin(w, 350000);
    c->arbiter_ns = coin(w, 850000) ? c->timing.timeout_ns / pick(w, 8, 100) : 2 * c->timing.timeout_ns;
    c->arbiter_silence = coin(w, 200000) ? 300000 : 0;
    c->epoch.verify_every = coin(w, 300000) ? pick(w, 1, 2) : 0;
    configure_clocks(w);
}

void faults_plan(struct world *w)
{
    w->n_faults = 1 + (coin(w, 550000) ? 1u + (unsigned)rng_below(&w->rng, FAULTS_MAX - 1) : 0u);
    w->after_epochs = coin(w, 120000) ? 0 : (unsigned)pick(w, 1, 10);
    for (unsigned i = 0; i < w->n_faults; i++) {
        struct fault *f = &w->faults[i];

        f->kind = coin(w, 300000)   ? FAULT_kill_primary_host
                  : coin(w, 80000) ? FAULT_freeze_releasing
                  : coin(w, 50000) ? FAULT_guest_call_fails
                  : coin(w, 60000) ? FAULT_switchover
                                   : (unsigned)rng_below(&w->rng, FAULT_KINDS_COUNT);
        f->after_ns = rng_below(&w->rng, w->config.timing.timeout_ns * (coin(w, 500000) ? 1 : 4));
    }
    for (unsigned i = 1; i < w->n_faults; i++)
        if (w->faults[i - 1].kind == FAULT_switchover && coin(w, 400000))
            w->faults[i].kind = FAULT_kill_primary_daemon; /* what it gave away it must not forget */
    if (w->n_faults > 1 && w->faults[0].kind != FAULT_switchover && coin(w, 500000)) /* memory is judged when it is activated */
        w->faults[w->n_faults - 1].kind = FAULT_kill_primary_host;
    w->fault_at = w->after_epochs ? 10 * w->config.timing.timeout_ns + NS_PER_S
                                  : rng_below(&w->rng, 3 * NS_PER_MS);
    w->heal_calls_at = w->operator_at = w->survivor_dies_at = TIME_NEVER;
    if (w->config.epoch.verify_every == 1 && coin(w, 300000))
        w->fail_in[CALL_replica_flip] = (unsigned)pick(w, 1, 10);
    w->survivor_dies = coin(w, 150000);
}

/* ---- when ---------------------------------------------------------------------------------------------------- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t faults_wake(const struct world *w)
{
    uint64_t at = sooner(sooner(w->heal_calls_at, w->operator_at), w->survivor_dies_at);

    if (w->next_fault < w->n_faults)
        at = sooner(at, w->fault_at);
    for (unsigned s = 0; s < SIDES; s++) {
        if (w->is_cut[s])
            at = sooner(at, w->cut_until[s]);
        if (w->nodes[s].strike != STRIKE_NONE)
            at = sooner(at, w->nodes[s].strike_until);
    }
    return at;
}

bool faults_are_over(const struct world *w)
{
    if (w->next_fault < w->n_faults || w->heal_calls_at != TIME_NEVER ||
        w->operator_at != TIME_NEVER || w->survivor_dies_at != TIME_NEVER || w->now < w->refuse_until || w->now < w->slow_until ||
        w->now < w->arbiter_down_until)
        return false;
    for (unsigned s = 0; s < SIDES; s++)
        if (w->is_cut[s] || w->nodes[s].strike != STRIKE_NONE || w->nodes[s].frozen ||
            w->nodes[s].in_step || (!w->nodes[s].is_alive && w->nodes[s].restart_at != TIME_NEVER))
            return false;
    return true;
}

/* ---- what ---------------------------------------------------------------------------------------------------- */

static void touch_primary(struct world *w)
{
    world_point(w, PRIMARY, PLACE_ANY);
}

static void touch_backup(struct world *w)
{
    world_point(w, BACKUP, PLACE_ANY);
}

/* A third of the strikes fall between two steps, the others somewhere within one that comes. */
static void strike(struct world *w, enum side side, enum strike what)
{
    struct node *n = &w->nodes[side];

    if (!n->is_alive && what != STRIKE_HOST)
        return;
    n->freeze_ns = rng_below(&w->rng, w->config.timing.timeout_ns * (coin(w, 500000) ? 1 : 6));
    n->restart_after_ns =
        (side == PRIMARY && what == STRIKE_HOST) || coin(w, 200000)
            ? 0
            : 1 + rng_below(&w->rng, w->config.timing.timeout_ns * (coin(w, 700000) ? 1 : 5));
    if (!n->is_alive) {
        n->restart_at = TIME_NEVER;
        world_kill(w, side, true);
        return;
    }
    n->strike = what;
    n->strike_place = PLACE_ANY;
    n->strike_resets = coin(w, 100000);
    n->strike_countdown = coin(w, 330000) ? 1 : (unsigned)pick(w, 1, POINTS_MAX);
    n->strike_until = w->now + 3 * w->config.timing.timeout_ns;
    if (n->strike_countdown == 1 && !n->in_step)
        world_guarded(w, side, side == PRIMARY ? touch_primary : touch_backup);
}

static void cut(struct world *w, enum side from, uint64_t ns)
{
    w->is_cut[from] = true;
    connections_cut(w, from, w->now + ns);
}

/* The worst instants to stand still at: an ack is read, and what it allows is not yet done. */
static void freeze_releasing(struct world *w)
{
    static const int places[] = { FAILPOINT_lease_check, FAILPOINT_recv_ack, PLACE_RECEIVE };
    struct node *n = &w->nodes[PRIMARY];

    if (!n->is_alive)
        return;
    n->strike = STRIKE_FREEZE;
    n->strike_place = places[rng_below(&w->rng, ARRAY_LEN(places))];
    n->strike_countdown = 1;
    n->strike_resets = coin(w, 600000);
    n->strike_until = w->now + 3 * w->config.timing.timeout_ns;
    if (coin(w, 500000)) { /* the backup hears no more, and its ack comes just before our timeout */
        cut(w, PRIMARY, 3 * w->config.timing.timeout_ns);
        cut(w, BACKUP, pick(w, w->config.timing.timeout_ns / 2, w->config.timing.timeout_ns));
    }
    n->freeze_ns = rng_below(&w->rng, w->config.timing.timeout_ns * (coin(w, 500000) ? 1 : 4));
}

static void calls_fail(struct world *w, unsigned from, unsigned to)
{
    unsigned call = (unsigned)pick(w, from, to);

    w->fail_in[call] = (unsigned)pick(w, 1, 4);
    if (call == CALL_netbuf_open) { /* which is called when the backup is lost */
        w->fail_in[call] = 1;
        connections_reset(w, w->now);
    }
    w->fail_forever[call] = coin(w, 300000);
    w->heal_calls_at = w->now + pick(w, 1, 3 * w->config.timing.timeout_ns);
}

static void stranger(struct world *w, bool replays)
{
    struct connection *c;
    uint8_t noise[200];

    if (!w->nodes[BACKUP].is_alive || w->n_pending == CONNECTIONS_MAX)
        return;
    c = connection_make(w, true);
    if (!c)
        return;
    c->is_established = true;
    c->ends[PRIMARY].is_held = false;
    c->ends[PRIMARY].is_closed = coin(w, 500000);
    c->ends[BACKUP].is_held = true;
    w->pending[w->n_pending++] = c;
    rng_fill(&w->rng, noise, sizeof(noise));
    if (replays)
        connection_push(w, c, PRIMARY, w->old_greeting, w->old_greeting_bytes);
    if (!replays || coin(w, 500000))
        connection_push(w, c, PRIMARY, noise, sizeof(noise));
    if (c->ends[PRIMARY].is_closed)
        c->fin_at[PRIMARY] = w->now + 1;
}

static void stop_primary(struct world *w)
{
    primary_engine_stop(w->primary, DETACH_STOPPED);
    w->nodes[PRIMARY].is_busy = true;
}

static void stop_backup(struct world *w)
{
    backup_engine_stop(w->backup);
    w->nodes[BACKUP].is_busy = true;
}

static void switchover(struct world *w)
{
    struct err e;

    if (primary_engine_switchover(w->primary, &e) < 0)
        trace(w, "primary refuses a switchover: %s", e.text);
    w->nodes[PRIMARY].is_busy = true;
}

static void take_back(struct world *w)
{
    w->machines[PRIMARY].paused_at = w->now; /* until now by right */
    primary_engine_take_back(w->primary);
    w->nodes[PRIMARY].is_busy = true;
}

static void activate(struct world *w)
{
    backup_engine_activate(w->backup, w->config.is_manual && w->observer->is_host_dead);
    w->nodes[BACKUP].is_busy = true;
}

static void command(struct world *w, enum side side, void (*act)(struct world *))
{
    if (w->nodes[side].is_alive && !w->nodes[side].in_step)
        world_guarded(w, side, act);
}

static void network_fault(struct world *w, unsigned kind, uint64_t ns)
{
    if (w->config.unmappable_chance && !w->machines[PRIMARY].paused) /* what is sent next is not what was sent last */
        w->machines[PRIMARY].unmappable |= rng_next(&w->rng) & rng_next(&w->rng) & ~UINT64_C(1);
    switch (kind) {
    case FAULT_reset_link:
        connections_reset(w, w->now);
        break;
    case FAULT_cut_both:
        cut(w, PRIMARY, ns);
        cut(w, BACKUP, ns);
        break;
    case FAULT_cut_to_backup:
        cut(w, PRIMARY, ns);
        break;
    case FAULT_cut_to_primary:
        cut(w, BACKUP, ns);
        break;
    case FAULT_flap:
        connections_reset(w, w->now);
        if (coin(w, 800000)) { /* and again soon */
            w->next_fault--;
            w->fault_at = w->now + ns / 8 + 1;
        }
        break;
    case FAULT_refuse_connections:
        w->refuse_until = w->now + ns;
        connections_reset(w, w->now);
        break;
    case FAULT_slow_link:
        w->slow_until = w->now + ns;
        break;
    case FAULT_flip_bit:
        if (connections_flip(w)) {
            w->has_flipped = true;
        } else if (w->flip_tries++ < 200) { /* nothing is on its way just now */
            w->next_fault--;
            w->fault_at = w->now + w->config.latency_ns / 2 + 1;
        }
        break;
    default:
        w->has_spoiled = true;
        connections_spoil(w, kind == FAULT_spoil_to_backup ? PRIMARY : BACKUP);
        break;
    }
}

static void other_fault(struct world *w, unsigned kind, uint64_t ns)
{
    struct machine *m = &w->machines[PRIMARY];

    switch (kind) {
    case FAULT_guest_call_fails:
        calls_fail(w, CALL_guest_pause, CALL_guest_resume - 1);
        break;
    case FAULT_netbuf_call_fails:
        calls_fail(w, CALL_netbuf_mark, CALL_netbuf_open);
        break;
    case FAULT_other_call_fails:
        calls_fail(w, CALL_remember, FAKE_CALLS_COUNT - 1);
        break;
    case FAULT_guest_ends:
        if (m->exists && !m->paused)
            m->life = (enum guest_life)pick(w, GUEST_SHUT_DOWN, GUEST_CRASHED);
        if (m->life != GUEST_RUNS && ns % 4 == 0) /* destroyed: nothing of it can be read any more */
            w->fail_in[CALL_guest_dirty] = w->fail_forever[CALL_guest_dirty] = 1;
        if (coin(w, 400000)) { /* and its host soon after: does it come back to life? */
            strike(w, PRIMARY, STRIKE_HOST);
            w->nodes[PRIMARY].strike_countdown = (unsigned)pick(w, 1, 2 * POINTS_MAX);
        }
        break;
    case FAULT_stop_primary:
        w->is_stopped |= w->nodes[PRIMARY].is_alive && !w->nodes[PRIMARY].in_step;
        command(w, PRIMARY, stop_primary);
        break;
    case FAULT_stop_backup:
        w->backup_was_stopped = w->observer->backup_died_too = true;
        w->nodes[BACKUP].is_stopping = !w->nodes[BACKUP].in_step;
        command(w, BACKUP, stop_backup);
        break;
    case FAULT_switchover:
        if (w->config.is_manual && w->operator_at == TIME_NEVER)
            w->operator_at = w->now + 30 * w->config.timing.timeout_ns; /* somebody looks after it */
        command(w, PRIMARY, switchover);
        if (w->next_fault < w->n_faults && coin(w, 600000)) /* it takes a few trips, and then the next falls */
            w->fault_at = w->now + rng_below(&w->rng, 8 * w->config.latency_ns + 2 * NS_PER_MS);
        break;
    case FAULT_activate_unfenced:
        command(w, BACKUP, activate);
        break;
    default:
        w->arbiter_down_until = w->now + ns;
        break;
    }
}

static void do_fault(struct world *w, unsigned kind)
{
    uint64_t timeout = w->config.timing.timeout_ns;
    uint64_t ns = rng_below(&w->rng, timeout * (coin(w, 500000) ? 1 : 5));

    trace(w, "FAULT   %s", fault_names[kind]);
    w->struck[PRIMARY] |= 1u << w->seen.state;
    w->struck[BACKUP] |= 1u << w->held.state;
    switch (kind) {
    case FAULT_kill_primary_host:
        strike(w, PRIMARY, STRIKE_HOST);
        break;
    case FAULT_kill_primary_daemon:
        strike(w, PRIMARY, STRIKE_DAEMON);
        break;
    case FAULT_kill_backup_daemon:
        strike(w, BACKUP, STRIKE_DAEMON);
        break;
    case FAULT_kill_backup_host:
        strike(w, BACKUP, STRIKE_HOST);
        break;
    case FAULT_freeze_primary:
    case FAULT_freeze_backup:
        strike(w, kind == FAULT_freeze_primary ? PRIMARY : BACKUP, STRIKE_FREEZE);
        break;
    case FAULT_freeze_releasing:
        freeze_releasing(w);
        break;
    case FAULT_stranger_noise:
    case FAULT_stranger_replay:
        stranger(w, kind == FAULT_stranger_replay);
        break;
    default:
        if ((kind >= FAULT_reset_link && kind <= FAULT_spoil_to_primary) || kind == FAULT_slow_link ||
            kind == FAULT_flip_bit)
            network_fault(w, kind, ns);
        else
            other_fault(w, kind, ns);
        break;
    }
}

/* A guest was given to a backup that did not take it: a person makes sure that it is off, and says so.
 * False when there is nothing of the kind. */
static bool give_back(struct world *w)
{
    struct node *n = &w->nodes[PRIMARY];

    if (!w->config.is_manual || !w->seen.is_given || !n->is_alive || w->backup_runs)
        return false;
    w->operator_at = w->now + w->config.timing.timeout_ns;
    if (n->in_step || w->nodes[BACKUP].in_step)
        return true;
    trace(w, "FAULT   a person ends the backup and takes the guest back");
    w->nodes[BACKUP].restart_after_ns = 0;
    w->nodes[BACKUP].restart_at = TIME_NEVER;
    world_kill(w, BACKUP, true);
    command(w, PRIMARY, take_back);
    return true;
}

/* Under a manual arbiter a person gives the word, and only when the primary's host is really dead. */
static void operate(struct world *w)
{
    w->operator_at = TIME_NEVER;
    if (give_back(w) || !w->observer->is_host_dead)
        return;
    if (!w->config.is_manual || !w->nodes[BACKUP].is_alive || w->backup_runs ||
        w->operator_tries >= 8)
        return;
    w->operator_tries += w->nodes[BACKUP].in_step ? 0 : 1; /* nobody hears while it stands still */
    command(w, BACKUP, activate);
    w->operator_at = w->now + w->config.timing.timeout_ns;
}

void faults_run(struct world *w)
{
    if (w->now >= w->heal_calls_at) {
        memset(w->fail_in, 0, sizeof(w->fail_in));
        w->heal_calls_at = TIME_NEVER;
    }
    for (unsigned s = 0; s < SIDES; s++) {
        if (w->is_cut[s] && w->now >= w->cut_until[s]) {
            w->is_cut[s] = false;
            connections_healed(w, s);
        }
        if (w->now >= w->nodes[s].strike_until)
            w->nodes[s].strike = STRIKE_NONE;
    }
    if (w->now >= w->operator_at)
        operate(w);
    if (w->now >= w->survivor_dies_at) {
        w->survivor_dies_at = TIME_NEVER;
        w->machines[BACKUP].exists = false;
        strike(w, BACKUP, STRIKE_DAEMON);
    }
    if (w->next_fault < w->n_faults && w->now >= w->fault_at) {
        unsigned kind = w->faults[w->next_fault++].kind;

        if (w->next_fault < w->n_faults)
            w->fault_at = w->now + w->faults[w->next_fault].after_ns + 1;
        do_fault(w, kind);
    }
}

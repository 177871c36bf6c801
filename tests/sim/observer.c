/* observer — see observer.h. */
#include "tests/sim/observer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "tests/sim/faults.h"

#define EPOCHS_TO_RECOVER 3u

void violation(struct world *w, const char *promise, const char *format, ...)
{
    struct observer *o = w->observer;
    va_list args;

    if (o->promise[0])
        return;
    snprintf(o->promise, sizeof(o->promise), "%s", promise);
    va_start(args, format);
    vsnprintf(o->text, sizeof(o->text), format, args);
    va_end(args);
    trace(w, "VIOLATION of %s: %s", o->promise, o->text);
    w->is_over = true;
}

/* ---- P1, P3: frames ----------------------------------------------------------------------------------------- */

void observe_mark(struct world *w, uint64_t epoch)
{
    struct machine *m = &w->machines[PRIMARY];
    struct snapshot *s;

    if (m->exists && !m->paused && m->life == GUEST_RUNS)
        violation(w, "P1", "epoch %" PRIu64 " is marked while the guest runs", epoch);
    if (w->serial + 1 >= SNAPSHOTS_MAX) {
        w->is_over = true;
        return;
    }
    machine_hash(m);
    s = &w->snapshots[++w->serial];
    s->epoch = epoch;
    s->counter = m->counter;
    s->unmappable = m->unmappable;
    memcpy(s->hash, m->hash, sizeof(s->hash));
    w->observer->final_mark = m->life != GUEST_RUNS;
    trace(w, "netbuf  mark of epoch %" PRIu64 ", snapshot %u, counter %" PRIu64, epoch, w->serial,
          m->counter);
}

void observe_frame(struct world *w, const struct frame *f, enum frame_way way)
{
    struct observer *o = w->observer;

    trace(w, "frame   %" PRIu64 " from the %s", f->value, way == FROM_BACKUP ? "backup" : "primary");
    if (way == FROM_BACKUP) {
        o->frames[BACKUP]++;
        return;
    }
    o->frames[PRIMARY]++;
    if (w->backup_runs)
        violation(w, "P3", "frame %" PRIu64 " leaves the primary after the backup took over", f->value);
    if (way == BY_RELEASE && (f->serial == 0 || f->serial > o->committed))
        violation(w, "P1", "frame %" PRIu64 " needs snapshot %u, but only %u is committed", f->value,
                  f->serial, o->committed);
    if (way == BY_RELEASE && f->value > o->newest_protected)
        o->newest_protected = f->value;
    if (f->value <= o->newest_outside)
        violation(w, "P1", "frame %" PRIu64 " leaves after %" PRIu64, f->value, o->newest_outside);
    o->newest_outside = f->value;
}

void observe_open(struct world *w)
{
    if (w->backup_runs)
        violation(w, "P3", "the primary's output is opened after the backup took over");
}

void observe_takeover(struct world *w)
{
    const struct machine *m = &w->machines[PRIMARY];

    w->observer->takeover_at = w->now;
    if (w->survivor_dies) {
        w->survivor_dies_at = w->now + rng_below(&w->rng, w->config.timing.timeout_ns);
        w->survivor_dies = false;
    }
    trace(w, "backup  runs the guest");
    if (m->exists && m->life == GUEST_RUNS && !w->plug.holds && !w->plug.dropped)
        violation(w, "P3", "the backup runs the guest while the primary's output is open");
}

/* ---- P2: memory --------------------------------------------------------------------------------------------- */

void observe_commit(struct world *w, uint32_t serial)
{
    if (serial > w->observer->committed)
        w->observer->committed = serial;
    w->observer->unsound_since = 0;
}

static void compare_memory(struct world *w, const struct machine *m, const struct snapshot *s)
{
    const struct machine *origin = &w->machines[PRIMARY];

    for (uint64_t p = 0; p < m->pages; p++) {
        if (origin->types[p] >= PAGE_TYPE_BROKEN || (s->unmappable >> p & 1))
            continue; /* has no content */
        if (!(m->populated >> p & 1))
            violation(w, "P2", "page %" PRIu64 " was never sent", p);
        else if (digest_of(m->memory[p], PAGE_BYTES) != s->hash[p])
            violation(w, "P2", "page %" PRIu64 " differs from epoch %" PRIu64, p, s->epoch);
    }
}

void observe_activation(struct world *w, const struct machine *m, uint32_t serial)
{
    struct observer *o = w->observer;
    const struct snapshot *s = &w->snapshots[serial];
    uint64_t seen = w->config.is_manual ? o->newest_protected : o->newest_outside;

    trace(w, "backup  activates snapshot %u", serial);
    if (serial == 0 || serial > w->serial) {
        violation(w, "P2", "nothing committed is activated");
        return;
    }
    if (serial != o->committed)
        violation(w, "P2", "snapshot %u is activated, %u was committed", serial, o->committed);
    if (o->clean_end && !w->config.is_manual) /* a person's word may still bring back an old commit */
        violation(w, "P3", "activated after protection had ended cleanly");
    if (o->final_mark && serial == w->serial)
        violation(w, "P3", "a guest that had ended is brought back");
    if (seen > s->counter)
        violation(w, "P1", "frame %" PRIu64 " was seen, the activated guest has %" PRIu64, seen,
                  s->counter);
    if (m->counter != s->counter)
        violation(w, "P2", "registers are of another epoch");
    compare_memory(w, m, s);
}

/* ---- P6, P8: what the primary shows -------------------------------------------------------------------------- */

static bool is_sound(const struct world *w)
{
    return w->nodes[BACKUP].is_alive && w->replica_serial > 0 && !w->backup_runs && w->held.is_ready;
}

static void judge_status(struct world *w)
{
    struct observer *o = w->observer;
    /* One timeout of silence, and one that octets held up on their way may feign. */
    uint64_t allowed = w->config.timing.timeout_ns * 9 / 4 + 60 * w->config.latency_ns;

    if (is_sound(w) || w->machines[PRIMARY].life != GUEST_RUNS)
        o->unsound_since = 0;
    else if (o->unsound_since == 0)
        o->unsound_since = w->now;
    if (!w->seen.is_protected)
        return;
    if (!w->plug.holds)
        violation(w, "P8", "status says protected, output is not held");
    if (o->unsound_since && w->now > o->unsound_since + allowed)
        violation(w, "P8", "status says protected, nothing stands behind it");
    if (o->committed == 0)
        violation(w, "P8", "status says protected before the first commit");
}

void observe_paused(struct world *w)
{
    struct machine *m = &w->machines[PRIMARY];
    /* A full buffer waits for the link, and the link for silence; each fault may feign life once. */
    uint64_t allowed = w->config.timing.timeout_ns * (2 + FAULTS_MAX) + 60 * w->config.latency_ns;

    if (w->seen.is_given && !w->gift_stays && w->plug.n > 0 && !w->plug.dropped)
        violation(w, "P1", "the guest is given away, and %u of its frames are not out", w->plug.n);
    w->left_asleep &= m->paused;
    if (w->seen.is_given || (w->left_asleep && w->seen.is_armed))
        m->paused_at = w->now; /* by right: counted from when it is ours again */
    if (m->exists && m->paused && m->life == GUEST_RUNS && w->now > m->paused_at + allowed)
        violation(w, "P6", "the guest is left paused");
}

void observe_primary(struct world *w, uint64_t epochs_before)
{
    struct observer *o = w->observer;

    if (w->seen.epochs_acked > epochs_before) {
        o->epochs += w->seen.epochs_acked - epochs_before;
        o->recovered_epochs += o->healed_at ? 1 : 0;
        if (w->next_fault == 0 && o->epochs == w->after_epochs)
            w->fault_at = w->now + pick(w, 0, w->config.timing.interval_ns + 2 * NS_PER_MS);
    }
    judge_status(w);
    observe_paused(w);
}

/* ---- T5: it comes to rest ------------------------------------------------------------------------------------ */

static uint64_t patience(const struct world *w)
{
    uint64_t trips = 2 + w->config.pages * PAGE_BYTES / w->config.pipe_capacity; /* of a full copy */

    return 15 * NS_PER_S + 20 * w->config.timing.timeout_ns + 100 * w->config.timing.interval_ns +
           8 * EPOCHS_TO_RECOVER * trips * w->config.latency_ns;
}

/* Without a primary daemon: must the backup come up, and has it? */
static bool settled_alone(const struct world *w)
{
    const struct observer *o = w->observer;
    bool is_fenced = w->seen.state == P_FENCED;

    if (o->clean_end)
        return true;
    if ((o->is_host_dead ? o->was_protected_at_death : is_fenced) && !o->backup_died_too &&
        !w->backup_was_stopped)
        return false; /* a takeover is owed */
    return w->now > o->healed_at + 3 * w->config.timing.timeout_ns;
}

static bool settled_together(const struct world *w)
{
    if (w->is_stopped || w->machines[PRIMARY].life != GUEST_RUNS)
        return false; /* the primary has to end */
    if (!w->nodes[BACKUP].is_alive)
        return !w->plug.holds;
    return w->seen.is_protected && w->observer->recovered_epochs >= EPOCHS_TO_RECOVER;
}

bool observe_settled(struct world *w)
{
    struct observer *o = w->observer;

    if (w->is_over || !faults_are_over(w))
        return false;
    if (o->healed_at == 0)
        o->healed_at = w->now;
    if (w->now > o->healed_at + patience(w)) {
        observe_end(w, false);
        return true;
    }
    if (w->backup_runs)
        return w->now > (o->healed_at > o->takeover_at ? o->healed_at : o->takeover_at) +
                        (w->nodes[PRIMARY].is_host_alive
                                              ? 2 * w->config.timing.timeout_ns
                                              : w->config.guest_period_ns);
    return w->nodes[PRIMARY].is_alive ? settled_together(w) : settled_alone(w);
}

void observe_end(struct world *w, bool is_in_time)
{
    if (is_in_time)
        return;
    violation(w, "T5", "no rest after %u steps: primary %s%s, backup %s%s", (unsigned)w->steps,
              primary_state_name(w->seen.state), w->nodes[PRIMARY].is_alive ? "" : " (gone)",
              backup_state_name(w->held.state), w->nodes[BACKUP].is_alive ? "" : " (gone)");
}

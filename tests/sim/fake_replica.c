/* fake_replica — the backup's memory: pages come into being when asked for, and after a commit none
 * may be needed any more (P4). Half of them take their time to begin and to activate; any may be lost. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "checkpoint/record.h"
#include "tests/sim/observer.h"
#include "tests/sim/world.h"

static uint64_t fake_pages(const struct replica *r)
{
    (void)r;
    return the_world->machines[BACKUP].pages;
}

static uint8_t *fake_page(struct replica *r, uint64_t pfn, struct err *e)
{
    struct world *w = the_world;
    struct machine *m = &w->machines[BACKUP];
    struct backup_status status;

    (void)r;
    if (w->replica_is_slow)
        violation(w, "P4", "page %u is asked of a replica that is not made yet", (unsigned)pfn);
    if (m->populated >> pfn & 1)
        return m->memory[pfn];
    backup_engine_status(w->backup, &status);
    if (status.state == B_APPLYING)
        violation(w, "P4", "page %u is populated after its epoch was acknowledged", (unsigned)pfn);
    if (world_fails(w, CALL_replica_page)) {
        err_set(e, ENOMEM, "no memory for a page");
        return NULL;
    }
    memset(m->memory[pfn], 0, PAGE_BYTES);
    m->populated |= UINT64_C(1) << pfn;
    return m->memory[pfn];
}

static int fake_preamble(struct replica *r, const uint8_t *records, size_t bytes, struct err *e)
{
    (void)r;
    (void)records;
    the_world->replica_is_slow = the_world->replica_waits > 0;
    if (the_world->replica_is_slow) {
        the_world->replica_waits--;
        return -EAGAIN;
    }
    return bytes == record_wire_bytes(24) ? 0 : err_set(e, EPROTO, "odd preamble");
}

static bool read_state(const uint8_t *records, size_t bytes, struct record *ret)
{
    struct view in = { records, bytes };
    struct err e;

    return record_take(&in, bytes, ret, &e) == 1 && in.left == 0 &&
           ret->type == RECORD_HVM_CONTEXT && ret->bytes == 24 &&
           load_u64(ret->body + 16) == rng_mix(load_u64(ret->body) ^ load_u64(ret->body + 8));
}

static int fake_check_state(struct replica *r, const uint8_t *records, size_t bytes, struct err *e)
{
    struct record state;

    (void)r;
    if (world_fails(the_world, CALL_check_state))
        return err_set(e, EINVAL, "a register that this host does not have");
    return read_state(records, bytes, &state) ? 0 : err_set(e, EPROTO, "odd state");
}

/* A bit of a page that this epoch may or may not have: it is found or overwritten before it could run. */
static void flip(struct world *w, uint32_t serial)
{
    struct machine *m = &w->machines[BACKUP];
    uint64_t p = rng_below(&w->rng, m->pages);

    if (!(m->populated >> p & 1) || w->machines[PRIMARY].types[p] >= PAGE_TYPE_BROKEN ||
        (w->snapshots[serial].unmappable >> p & 1))
        return; /* nothing is said of it */
    trace(w, "fault   page %u of the replica flips", (unsigned)p);
    m->memory[p][rng_below(&w->rng, PAGE_BYTES)] ^= 1;
    w->observer->backup_died_too = true; /* no takeover is owed any more */
}

static void fake_commit_state(struct replica *r, const uint8_t *records, size_t bytes)
{
    struct world *w = the_world;
    struct record state;

    (void)r;
    if (!w->nodes[BACKUP].is_alive)
        return;
    if (!read_state(records, bytes, &state)) {
        violation(w, "P2", "a state is committed that was never sent so");
        return;
    }
    if (world_fails(w, CALL_replica_lost)) /* then no takeover is owed any more */
        w->replica_is_lost = w->observer->backup_died_too = true;
    w->replica_serial = (uint32_t)load_u64(state.body);
    if (w->config.epoch.verify_every == 1 && world_fails(w, CALL_replica_flip))
        flip(w, w->replica_serial);
    w->machines[BACKUP].counter = load_u64(state.body + 8);
    observe_commit(w, w->replica_serial);
}

static int fake_activate(struct replica *r, struct guest **ret, struct err *e)
{
    struct world *w = the_world;

    (void)r;
    if (w->replica_is_lost)
        return err_set(e, ENOTRECOVERABLE, "its memory is gone");
    w->replica_is_slow = (rng_next(&w->rng) & 1) && !w->replica_is_slow;
    if (w->replica_is_slow)
        return -EAGAIN;
    world_point(w, BACKUP, PLACE_ANY);
    observe_activation(w, &w->machines[BACKUP], w->replica_serial);
    w->machines[BACKUP].paused = true;
    *ret = &w->guest[BACKUP];
    return 0;
}

/* Readable whenever it is there. */
static int fake_event_fd(const struct replica *r)
{
    static int always = -1;

    (void)r;
    if (always < 0)
        always = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    return the_world->replica_is_slow || the_world->replica_is_lost ? always : -1;
}

static int fake_health(struct replica *r, struct err *e)
{
    (void)r;
    return the_world->replica_is_lost ? err_set(e, ENOTRECOVERABLE, "its memory is gone") : 0;
}

static void fake_close(struct replica *r)
{
    struct world *w = the_world;

    (void)r;
    if (!w->backup_runs) {
        w->has_replica = false;
        w->replica_serial = 0;
    }
}

const struct replica_ops fake_replica_ops = {
    .kind = "fake", .pages = fake_pages, .page = fake_page, .preamble = fake_preamble,
    .check_state = fake_check_state, .commit_state = fake_commit_state,
    .activate = fake_activate, .event_fd = fake_event_fd, .health = fake_health,
    .close = fake_close,
};

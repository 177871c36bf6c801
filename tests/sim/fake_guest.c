/* fake_guest — a guest of a few pages: writes at random, and every frame it sends names a counter
 * that its memory holds too, so that memory and outside can be compared. */
#include <errno.h>
#include <string.h>

#include "base/digest.h"
#include "checkpoint/record.h"
#include "tests/sim/observer.h"
#include "tests/sim/world.h"

#define STATE_BYTES 24u

static enum side side_of(const struct guest *g)
{
    return g == &the_world->guest[PRIMARY] ? PRIMARY : BACKUP;
}

static struct machine *machine_of(const struct guest *g)
{
    return &the_world->machines[side_of(g)];
}

static bool is_gone(const struct guest *g)
{
    enum side side = side_of(g);

    return !the_world->nodes[side].is_alive || !the_world->machines[side].exists;
}

/* ---- the machine -------------------------------------------------------------------------------------------- */

void machine_start(struct world *w, struct machine *m, uint64_t pages)
{
    *m = (struct machine){ .exists = true, .pages = pages, .memory = m->memory };
    m->next_at = w->now + 1;
    m->dirty = m->touched = ~UINT64_C(0);
    if (m == &w->machines[BACKUP])
        return; /* its pages come into being when they are asked for */
    memset(m->memory, 0, pages * PAGE_BYTES);
    for (uint64_t p = 1; p < pages; p++) {
        if (coin(w, 300000))
            rng_fill(&w->rng, m->memory[p], coin(w, 200000) ? PAGE_BYTES : 40);
        if (coin(w, 40000))
            m->types[p] = coin(w, 500000) ? PAGE_TYPE_XTAB : 1;
    }
}

void machine_hash(struct machine *m)
{
    for (uint64_t p = 0; p < m->pages; p++)
        if (m->touched >> p & 1)
            m->hash[p] = digest_of(m->memory[p], PAGE_BYTES);
    m->touched = 0;
}

static void written(struct machine *m, uint64_t pfn)
{
    m->dirty |= UINT64_C(1) << pfn;
    m->touched |= UINT64_C(1) << pfn;
}

static void write_page(struct world *w, struct machine *m, uint64_t pfn)
{
    uint64_t how = rng_below(&w->rng, 100);
    size_t at = rng_below(&w->rng, PAGE_BYTES - 16);

    if (pfn == 0 || (m->unmappable >> pfn & 1) || m->types[pfn] >= PAGE_TYPE_BROKEN)
        return;
    if (how < 75) {
        rng_fill(&w->rng, m->memory[pfn] + at, 1 + rng_below(&w->rng, 16));
    } else if (how < 83) {
        memset(m->memory[pfn], 0, PAGE_BYTES);
    } else if (how < 88) {
        rng_fill(&w->rng, m->memory[pfn], PAGE_BYTES);
    } else if (how < 93) {
        m->types[pfn] = (uint8_t)rng_below(&w->rng, 5);
        m->memory[pfn][at]++;
    } /* else: the same value is written again */
    written(m, pfn);
}

static void ballooning(struct world *w, struct machine *m)
{
    uint64_t pfn = pick(w, 1, m->pages - 1);

    if (m->unmappable)
        m->unmappable &= rng_next(&w->rng); /* some come back, unwritten: no log names them */
    else if (m->dirty >> pfn & 1)
        m->unmappable |= UINT64_C(1) << pfn;
}

void machine_run(struct world *w, enum side side)
{
    struct machine *m = &w->machines[side];
    uint64_t writes = rng_below(&w->rng, w->config.write_pages + 1);

    if (m->paused)
        violation(w, "sim", "a paused guest runs");
    if (side == PRIMARY && w->seen.is_given && !w->gift_stays)
        violation(w, "P3", "the guest runs on after it was given away");
    m->next_at = w->now + pick(w, 1, 2 * w->config.guest_period_ns);
    for (uint64_t i = 0; i < writes; i++)
        write_page(w, m, rng_below(&w->rng, m->pages));
    if (side == PRIMARY && coin(w, w->config.unmappable_chance))
        ballooning(w, m);
    if (!coin(w, w->config.frame_chance))
        return;
    m->counter++;
    store_u64(m->memory[0], m->counter);
    written(m, 0);
    if (side == PRIMARY)
        plug_take(w, m->counter);
    else
        observe_frame(w, &(struct frame){ .value = m->counter }, FROM_BACKUP);
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

static void fake_info(const struct guest *g, struct guest_info *ret)
{
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->name, "guest", 6);
    memcpy(ret->spec, "fake", 5);
    ret->pages = machine_of(g)->pages;
}

static int fake_preamble(struct guest *g, struct sink *to, struct err *e)
{
    uint8_t policy[24] = { 1 };

    (void)g;
    return record_put(to, RECORD_X86_CPUID_POLICY, policy, sizeof(policy)) < 0
               ? err_set(e, ENOBUFS, "no room for a preamble")
               : 0;
}

static int fake_pause(struct guest *g, struct err *e)
{
    struct world *w = the_world;
    struct machine *m = machine_of(g);

    world_point(w, side_of(g), PLACE_ANY);
    if (is_gone(g))
        return err_set(e, ESRCH, "no such guest");
    if (m->is_unsettled)
        violation(w, "sim", "a guest was resumed and not settled");
    if (m->life != GUEST_RUNS)
        return err_set(e, ECANCELED, "the guest has ended");
    if (world_fails(w, CALL_guest_pause)) {
        m->paused = coin(w, 500000);
        m->paused_at = w->now;
        return err_set(e, ETIMEDOUT, "the guest does not suspend");
    }
    if (!m->paused && coin(w, w->config.slow_pause_chance))
        return err_set(e, EAGAIN, "the guest suspends by itself");
    if (!m->paused)
        m->paused_at = w->now;
    m->paused = true;
    trace(w, "guest   paused");
    world_point(w, side_of(g), PLACE_ANY);
    return 0;
}

static int fake_dirty(struct guest *g, struct dirty *into, struct err *e)
{
    struct world *w = the_world;
    struct machine *m = machine_of(g);
    uint64_t log;

    world_point(w, side_of(g), PLACE_ANY);
    if (is_gone(g))
        return err_set(e, ESRCH, "no such guest");
    log = m->dirty & ((UINT64_C(1) << m->pages) - 1); /* at once with clearing it */
    m->dirty = 0;
    if (world_fails(w, CALL_guest_dirty))
        return err_set(e, EIO, "the log is lost");
    into->words[0] |= log;
    world_point(w, side_of(g), PLACE_ANY);
    return 0;
}

static int fake_copy(struct guest *g, const uint64_t *pfns, size_t n, uint8_t *const *to,
                     uint8_t *types, struct err *e)
{
    struct world *w = the_world;
    struct machine *m = machine_of(g);

    world_point(w, side_of(g), PLACE_ANY);
    if (is_gone(g))
        return err_set(e, ESRCH, "no such guest");
    if (n > w->config.epoch.buffer_pages)
        violation(w, "P6", "%zu pages for a buffer of %zu", n, w->config.epoch.buffer_pages);
    if (world_fails(w, CALL_guest_copy))
        return err_set(e, EFAULT, "a page can't be mapped");
    for (size_t i = 0; i < n; i++) {
        types[i] = m->unmappable >> pfns[i] & 1 ? PAGE_TYPE_DEFERRED : m->types[pfns[i]];
        memcpy(to[i], m->memory[pfns[i]], PAGE_BYTES);
    }
    return 0;
}

static int fake_state(struct guest *g, struct sink *to, struct err *e)
{
    struct world *w = the_world;
    struct machine *m = machine_of(g);
    uint8_t registers[STATE_BYTES];

    world_point(w, side_of(g), PLACE_ANY);
    if (is_gone(g))
        return err_set(e, ESRCH, "no such guest");
    if (!m->paused && m->life == GUEST_RUNS)
        violation(w, "P2", "state is read while the guest runs");
    if (world_fails(w, CALL_guest_state))
        return err_set(e, EIO, "no context");
    store_u64(registers, w->serial);
    store_u64(registers + 8, m->counter);
    store_u64(registers + 16, rng_mix(m->counter ^ w->serial));
    return record_put(to, RECORD_HVM_CONTEXT, registers, sizeof(registers)) < 0
               ? err_set(e, ENOBUFS, "no room for the state")
               : 0;
}

static int fake_resume(struct guest *g, struct err *e)
{
    struct world *w = the_world;
    struct machine *m = machine_of(g);

    world_point(w, side_of(g), PLACE_ANY);
    if (is_gone(g))
        return err_set(e, ESRCH, "no such guest");
    if (m->paused)
        trace(w, "guest   resumed");
    m->paused = false;
    m->is_unsettled = true;
    m->next_at = w->now + rng_below(&w->rng, w->config.guest_period_ns + 1);
    world_point(w, side_of(g), PLACE_ANY);
    return 0;
}

static void fake_settle(struct guest *g)
{
    struct world *w = the_world;

    world_point(w, side_of(g), PLACE_ANY);
    machine_of(g)->is_unsettled = false;
}

static enum guest_life fake_life(struct guest *g)
{
    return machine_of(g)->life;
}

static int fake_event_fd(struct guest *g)
{
    (void)g;
    return 3000;
}

static void fake_destroy(struct guest *g)
{
    if (is_gone(g))
        return;
    trace(the_world, "guest   destroyed");
    machine_of(g)->exists = false;
}

static void fake_close(struct guest *g)
{
    (void)g;
}

const struct guest_ops fake_guest_ops = {
    .kind = "fake", .info = fake_info, .preamble = fake_preamble, .pause = fake_pause,
    .dirty = fake_dirty, .copy = fake_copy, .state = fake_state, .resume = fake_resume,
    .settle = fake_settle, .life = fake_life, .event_fd = fake_event_fd, .destroy = fake_destroy, .close = fake_close,
};

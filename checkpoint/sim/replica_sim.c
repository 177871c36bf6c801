/* replica_sim — see replica_sim.h. Memory is backed in stretches of 2 MiB, the huge page's size. */
#include "checkpoint/sim/replica_sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/dirty.h"
#include "checkpoint/sim/guest_sim.h"
#include "checkpoint/sim/guest_sim_memory.h"
#include "checkpoint/record.h"

#define STRETCH_PAGES 512u

struct replica_of_sim {
    struct replica base;
    struct guest_sim_spec spec;
    uint8_t *memory;      /* NULL: moved into the activated guest */
    struct dirty backed;  /* a bit a stretch */
    size_t state_bytes;   /* 0: nothing committed yet */
    uint8_t state[REPLICA_SIM_STATE_MAX];
};

static const struct replica_ops replica_sim_ops;

static struct replica_of_sim *sim_of(struct replica *r)
{
    must(r->ops == &replica_sim_ops);
    return (struct replica_of_sim *)(void *)r;
}

static uint64_t replica_pages(const struct replica *r)
{
    must(r->ops == &replica_sim_ops);
    return guest_sim_spec_pages(&((const struct replica_of_sim *)(const void *)r)->spec);
}

static uint8_t *replica_page(struct replica *r, uint64_t pfn, struct err *e)
{
    struct replica_of_sim *s = sim_of(r);
    uint64_t stretch = pfn / STRETCH_PAGES;

    if (!s->memory || pfn >= guest_sim_spec_pages(&s->spec)) {
        err_set(e, EINVAL, "pfn 0x%" PRIx64 " is not the replica's", pfn);
        return NULL;
    }
    if (!dirty_has(&s->backed, stretch)) {
        /* a guest is whole MiB: its last stretch may be half of one */
        uint64_t left = guest_sim_spec_pages(&s->spec) - stretch * STRETCH_PAGES;
        size_t n = left < STRETCH_PAGES ? (size_t)left : STRETCH_PAGES;

        if (guest_sim_memory_populate(s->memory + stretch * STRETCH_PAGES * PAGE_BYTES,
                                      n * PAGE_BYTES, e) < 0)
            return NULL;
        dirty_set(&s->backed, stretch);
    }
    return s->memory + pfn * PAGE_BYTES;
}

/* Nothing of the preamble concerns a simulated guest; it must still be one. */
static int replica_preamble(struct replica *r, const uint8_t *records, size_t bytes, struct err *e)
{
    struct view in = { records, bytes };
    struct record record;
    int rc;

    (void)r;
    while (in.left > 0) {
        rc = record_take(&in, RECORD_BODY_MAX, &record, e);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return err_set(e, EPROTO, "the preamble ends within a record");
        if (record.type != (uint32_t)RECORD_X86_CPUID_POLICY &&
            record.type != (uint32_t)RECORD_X86_MSR_POLICY &&
            record.type != (uint32_t)RECORD_STATIC_DATA_END && !(record.type & RECORD_OPTIONAL))
            return err_set(e, EPROTO, "record 0x%" PRIx32 " in the preamble", record.type);
    }
    return 0;
}

static int replica_check_state(struct replica *r, const uint8_t *records, size_t bytes,
                               struct err *e)
{
    struct guest_sim_registers unused;

    if (bytes > REPLICA_SIM_STATE_MAX)
        return err_set(e, EPROTO, "a simulated guest's state of %zu octets: at most %u are possible",
                       bytes, REPLICA_SIM_STATE_MAX);
    return guest_sim_state_get(records, bytes, &sim_of(r)->spec, &unused, e);
}

static void replica_commit_state(struct replica *r, const uint8_t *records, size_t bytes)
{
    struct replica_of_sim *s = sim_of(r);

    must(bytes > 0 && bytes <= REPLICA_SIM_STATE_MAX);
    memcpy(s->state, records, bytes);
    s->state_bytes = bytes;
}

static int replica_activate(struct replica *r, struct guest **ret, struct err *e)
{
    struct replica_of_sim *s = sim_of(r);
    struct guest_sim_registers registers;
    int rc;

    if (!s->memory)
        return err_set(e, EALREADY, "the replica of %s is active already", s->spec.name);
    if (s->state_bytes == 0)
        return err_set(e, ENOENT, "no epoch of %s was ever committed here", s->spec.name);
    rc = guest_sim_state_get(s->state, s->state_bytes, &s->spec, &registers, e);
    if (rc == 0)
        rc = guest_sim_from_memory(ret, &s->spec, s->memory, &registers, e);
    if (rc == 0)
        s->memory = NULL;
    return rc;
}

static int replica_event_fd(UNUSED const struct replica *r)
{
    return -1;
}

/* Its memory is this process's own. */
static int replica_health(UNUSED struct replica *r, UNUSED struct err *e)
{
    return 0;
}

static void replica_close(struct replica *r)
{
    struct replica_of_sim *s = sim_of(r);

    guest_sim_memory_unmap(s->memory, guest_sim_spec_pages(&s->spec));
    dirty_close(&s->backed);
    free(s);
}

static const struct replica_ops replica_sim_ops = {
    .kind = "sim",
    .pages = replica_pages,
    .page = replica_page,
    .preamble = replica_preamble,
    .check_state = replica_check_state,
    .commit_state = replica_commit_state,
    .activate = replica_activate,
    .event_fd = replica_event_fd,
    .health = replica_health,
    .close = replica_close,
};

int replica_sim_open(struct replica **ret, const char *text, uint64_t pages, struct err *e)
{
    struct replica_of_sim *s = malloc(sizeof(*s));
    int rc;

    if (!s)
        return err_set(e, ENOMEM, "no memory for a replica");
    memset(s, 0xff, sizeof(*s)); /* touched: a commit must need no memory */
    s->base.ops = &replica_sim_ops;
    s->memory = NULL;
    s->backed = (struct dirty){ 0 };
    s->state_bytes = 0;
    rc = guest_sim_spec_parse(text, &s->spec, e);
    if (rc < 0) {
        free(s);
        return rc;
    }
    if (pages != guest_sim_spec_pages(&s->spec))
        rc = err_set(e, EINVAL, "%s of %" PRIu64 " pages was told to have %" PRIu64, s->spec.name,
                     guest_sim_spec_pages(&s->spec), pages);
    if (rc == 0)
        rc = dirty_open(&s->backed, (pages + STRETCH_PAGES - 1) / STRETCH_PAGES, e);
    if (rc == 0)
        rc = guest_sim_memory_map(pages, &s->memory, e);
    if (rc < 0) {
        replica_close(&s->base);
        return rc;
    }
    *ret = &s->base;
    return 0;
}

/* guest_sim_state — see guest_sim_state.h.
 * HVM_CONTEXT: u64 magic · u32 version · u32 vCPUs · u64 shape · u64 run_ns · u32 boot · u32 ended ·
 * per vCPU u64 steps · u64 memory_sum · u64 step_due_ns · u64 frame_due_ns */
#include "checkpoint/sim/guest_sim_state.h"

#include <errno.h>
#include <inttypes.h>

#include "base/digest.h"
#include "checkpoint/record.h"

#define MAGIC          UINT64_C(0x534745524d495352) /* "RSIMREGS" */
#define VERSION        1u
#define FIXED_BYTES    40u
#define CPU_BYTES      32u
#define CONTEXT_MAX    (FIXED_BYTES + GUEST_SIM_VCPUS_MAX * CPU_BYTES)
#define TSC_BYTES      24u
#define TSC_NEVER_TRAP 2u      /* libxc's tsc_mode */
#define TSC_KHZ        1000000u
#define CONSOLE_PFN    17u     /* HVM_PARAM_CONSOLE_PFN */
#define TIME_MOST_NS   (UINT64_C(1) << 62) /* keeps sums of times from a peer below 2^63 */

uint64_t guest_sim_state_shape(const struct guest_sim_spec *spec)
{
    char text[GUEST_SPEC_MAX + 1];

    guest_sim_spec_format(spec, text);
    return digest_of(text, strlen(text));
}

static size_t context_put(uint8_t *to, const struct guest_sim_registers *from)
{
    store_u64(to, MAGIC);
    store_u32(to + 8, VERSION);
    store_u32(to + 12, from->vcpus);
    store_u64(to + 16, from->shape);
    store_u64(to + 24, from->run_ns);
    store_u32(to + 32, from->boot);
    store_u32(to + 36, from->is_ended);
    to += FIXED_BYTES;
    for (uint32_t i = 0; i < from->vcpus; i++, to += CPU_BYTES) {
        store_u64(to, from->cpus[i].steps);
        store_u64(to + 8, from->cpus[i].memory_sum);
        store_u64(to + 16, from->cpus[i].step_due_ns);
        store_u64(to + 24, from->cpus[i].frame_due_ns);
    }
    return FIXED_BYTES + from->vcpus * CPU_BYTES;
}

static int cpu_get(struct view *in, struct guest_sim_cpu_registers *ret)
{
    if (view_u64(in, &ret->steps) < 0 || view_u64(in, &ret->memory_sum) < 0 ||
        view_u64(in, &ret->step_due_ns) < 0 || view_u64(in, &ret->frame_due_ns) < 0 ||
        ret->step_due_ns > TIME_MOST_NS || ret->frame_due_ns > TIME_MOST_NS)
        return -1;
    return 0;
}

static int context_get(const struct record *from, const struct guest_sim_spec *spec,
                       struct guest_sim_registers *ret, struct err *e)
{
    struct view in = { from->body, from->bytes };
    uint32_t version, ended;
    uint64_t magic;

    *ret = (struct guest_sim_registers){ 0 };
    if (view_u64(&in, &magic) < 0 || magic != MAGIC)
        return err_set(e, EPROTO, "HVM_CONTEXT is not a simulated guest's");
    if (view_u32(&in, &version) < 0 || version != VERSION)
        return err_set(e, EPROTO, "registers of another version than %u", VERSION);
    if (view_u32(&in, &ret->vcpus) < 0 || view_u64(&in, &ret->shape) < 0 ||
        ret->vcpus != spec->vcpus || ret->shape != guest_sim_state_shape(spec))
        return err_set(e, EPROTO, "registers of a guest of another shape");
    if (view_u64(&in, &ret->run_ns) < 0 || ret->run_ns > TIME_MOST_NS ||
        view_u32(&in, &ret->boot) < 0 || view_u32(&in, &ended) < 0 || ended > 1)
        return err_set(e, EPROTO, "registers out of range");
    ret->is_ended = ended;
    for (uint32_t i = 0; i < ret->vcpus; i++)
        if (cpu_get(&in, &ret->cpus[i]) < 0)
            return err_set(e, EPROTO, "registers of vCPU %u out of range", i);
    if (in.left != 0)
        return err_set(e, EPROTO, "registers with %zu octets too many", in.left);
    return 0;
}

static int tsc_put(struct sink *to, const struct guest_sim_registers *from)
{
    uint8_t body[TSC_BYTES];

    store_u32(body, TSC_NEVER_TRAP);
    store_u32(body + 4, TSC_KHZ);
    store_u64(body + 8, from->run_ns);
    store_u32(body + 16, from->boot);
    store_u32(body + 20, 0);
    return record_put(to, (uint32_t)RECORD_X86_TSC_INFO, body, sizeof(body));
}

static int params_put(struct sink *to)
{
    uint8_t body[8 + 16];

    store_u32(body, 1);
    store_u32(body + 4, 0);
    store_u64(body + 8, CONSOLE_PFN);
    store_u64(body + 16, 0);
    return record_put(to, (uint32_t)RECORD_HVM_PARAMS, body, sizeof(body));
}

int guest_sim_state_put(struct sink *to, const struct guest_sim_registers *from, struct err *e)
{
    uint8_t context[CONTEXT_MAX];
    struct sink at = *to;
    size_t n = context_put(context, from);

    if (tsc_put(&at, from) < 0 ||
        record_put(&at, (uint32_t)RECORD_HVM_CONTEXT, context, n) < 0 || params_put(&at) < 0)
        return err_set(e, ENOBUFS, "no room for a guest's state");
    *to = at;
    return 0;
}

/* 0 when a record of this type may stand among a simulated guest's state. */
static int check_type(const struct record *r, bool has_context, struct err *e)
{
    const char *name = record_name(r->type);

    if (r->type == (uint32_t)RECORD_X86_TSC_INFO || r->type == (uint32_t)RECORD_HVM_PARAMS ||
        (r->type == (uint32_t)RECORD_HVM_CONTEXT && !has_context) ||
        (!name && (r->type & RECORD_OPTIONAL)))
        return 0;
    return err_set(e, EPROTO, "record %s (0x%x) among a guest's state", name ? name : "unknown",
                   r->type);
}

int guest_sim_state_get(const uint8_t *records, size_t bytes, const struct guest_sim_spec *spec,
                        struct guest_sim_registers *ret, struct err *e)
{
    struct view in = { records, bytes };
    struct guest_sim_registers got;
    bool has_context = false;
    struct record r;
    int rc;

    while (in.left > 0) {
        rc = record_take(&in, GUEST_STATE_MAX, &r, e);
        if (rc == 0)
            return err_set(e, EPROTO, "a guest's state ends within a record");
        if (rc < 0 || (rc = check_type(&r, has_context, e)) < 0)
            return rc;
        if (r.type != (uint32_t)RECORD_HVM_CONTEXT)
            continue;
        rc = context_get(&r, spec, &got, e);
        if (rc < 0)
            return rc;
        has_context = true;
    }
    if (!has_context)
        return err_set(e, EPROTO, "a guest's state without HVM_CONTEXT");
    *ret = got;
    return 0;
}

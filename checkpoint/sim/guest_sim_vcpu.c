/* guest_sim_vcpu — see guest_sim_vcpu.h. A page is stored to first and logged after: whoever clears
 * the log and then copies either sees the new words or finds the page in the log again. */
#include "checkpoint/sim/guest_sim_vcpu.h"

#include "base/clock.h"
#include "base/rng.h"
#include "checkpoint/sim/guest_sim_memory.h"
#include "checkpoint/sim/guest_sim_work.h"

#define STEPS_PER_LOOK 16u               /* at the clock */
#define BEHIND_NS_MAX  (10 * NS_PER_MS)  /* what is missed beyond this is not made up for */
#define BURSTS_OWED_MAX  4u              /* resumes that came and went before the vCPU woke up */
#define GATHER_NS      NS_PER_MS         /* sleep long enough for steps to come in batches */

static void send_nowhere(void *context, const uint8_t *frame, size_t bytes)
{
    (void)context, (void)frame, (void)bytes;
}

static bool has_stream(const struct guest_sim_spec *spec)
{
    return guest_sim_spec_has_nic(spec) && !guest_sim_spec_speaks_ethernet(spec);
}

static uint64_t frame_period_ns(const struct guest_sim_spec *spec)
{
    if (!has_stream(spec) || spec->frames == 0)
        return TIME_NEVER;
    return NS_PER_S * spec->vcpus / spec->frames;
}

void guest_sim_vcpu_init(struct guest_sim_vcpu *c, const struct guest_sim_spec *spec, uint8_t id,
                         uint8_t *memory, struct dirty *log,
                         const struct guest_sim_registers *from, struct guest_sim_tcp *tcp)
{
    uint64_t share = guest_sim_spec_pages(spec) / spec->vcpus;
    uint8_t uuid[16];

    guest_sim_spec_uuid(spec, uuid);
    c->spec = spec;
    c->memory = memory;
    c->log = log;
    c->id = id;
    c->first_pfn = id * share;
    c->pages = id + 1u < spec->vcpus ? share : guest_sim_spec_pages(spec) - c->first_pfn;
    c->work_pfn = c->first_pfn + 1;
    c->registers = from->cpus[id];
    c->stream = (struct guest_sim_nic){
        .page = memory + c->first_pfn * PAGE_BYTES,
        .key = guest_sim_page_key(spec->seed, c->first_pfn),
        .domain = frame_domain(uuid),
        .boot = from->boot,
        .vcpu = id,
    };
    c->nic = (struct guest_nic){ .send = send_nowhere };
    atomic_init(&c->acked, 0);
    c->again_due_ns = c->tcp_due_ns = 0; /* the first look finds out */
    if (guest_sim_spec_speaks_ethernet(spec) && id == 0) {
        c->tcp = tcp;
        guest_sim_tcp_init(tcp, spec, memory, log, c->work_pfn);
        c->work_pfn += GUEST_SIM_TCP_PAGES;
    }
    c->burst_left = 0;
    c->step_period_ns = guest_sim_work_period_ns(spec);
    c->frame_period_ns = frame_period_ns(spec);
}

void guest_sim_vcpu_resumed(struct guest_sim_vcpu *c)
{
    uint64_t share = (c->spec->burst + c->spec->vcpus - 1) / c->spec->vcpus;

    c->burst_left += share;
    if (c->burst_left > BURSTS_OWED_MAX * share)
        c->burst_left = BURSTS_OWED_MAX * share;
}

static void log_page(struct guest_sim_vcpu *c, uint64_t pfn)
{
    __atomic_fetch_or(&c->log->words[pfn / 64], UINT64_C(1) << (pfn % 64), __ATOMIC_RELEASE);
}

static void make_step(struct guest_sim_vcpu *c)
{
    uint64_t step = c->registers.steps;
    uint64_t pfn = c->work_pfn + guest_sim_work_pick(c->spec, c->id, step, guest_sim_vcpu_work_pages(c));
    struct guest_sim_edit edit;

    guest_sim_edit_begin(&edit, c->memory + pfn * PAGE_BYTES,
                         guest_sim_page_key(c->spec->seed, pfn));
    guest_sim_work_write(c->spec, c->id, step, &edit);
    c->registers.memory_sum += guest_sim_edit_end(&edit, step + 1);
    c->registers.steps = step + 1;
    log_page(c, pfn);
}

/* The payload hangs on the instant it was made at: a guest that is set back and runs again says
 * something else, and whoever heard the first version knows. */
static void turn_nic(struct guest_sim_vcpu *c, uint64_t run_ns, bool wants_new)
{
    const struct guest_sim_nic_round round = {
        .run_ns = run_ns,
        .steps = c->registers.steps,
        .acked = atomic_load_explicit(&c->acked, memory_order_relaxed),
        .payload = rng_mix(c->registers.memory_sum ^ rng_mix(clock_now_ns())),
        .wants_new = wants_new,
    };
    struct guest_sim_nic_sent sent;
    uint8_t octets[FRAME_BYTES];

    guest_sim_nic_turn(&c->stream, &round, &sent);
    c->again_due_ns = sent.again_due_ns;
    if (sent.changed) {
        c->registers.memory_sum += sent.sum_delta;
        log_page(c, c->first_pfn);
    }
    for (unsigned i = 0; i < sent.count; i++) {
        frame_put(octets, &sent.frames[i]);
        c->nic.send(c->nic.context, octets, sizeof(octets));
    }
}

/* Frames that came and timers that ran out; true when there were any. */
static bool turn_tcp(struct guest_sim_vcpu *c, uint64_t run_ns)
{
    const struct guest_sim_tcp_turn turn = { c->nic, run_ns, c->registers.steps };
    bool has_frames = c->tcp && guest_sim_tcp_take(c->tcp, &turn);

    if (!has_frames && (!c->tcp || c->tcp_due_ns > run_ns))
        return false;
    c->tcp_due_ns = guest_sim_tcp_tick(c->tcp, &turn);
    c->registers.memory_sum += guest_sim_tcp_flush(c->tcp, c->registers.steps);
    return true;
}

bool guest_sim_vcpu_input(struct guest_sim_vcpu *c, const uint8_t *frame, size_t bytes)
{
    struct frame_ack ack;

    if (c->tcp)
        return frame_ring_put(&c->tcp->in, frame, bytes);
    if (frame_ack_get(frame, bytes, &ack) == 0 && ack.vcpu == c->id && ack.domain == c->stream.domain)
        atomic_store_explicit(&c->acked, ack.seq, memory_order_relaxed);
    return false; /* it looks when it sends */
}

bool guest_sim_vcpu_has_input(const struct guest_sim_vcpu *c)
{
    return c->tcp && !frame_ring_is_empty(&c->tcp->in);
}

static void catch_up(uint64_t *due_ns, uint64_t run_ns)
{
    if (run_ns > BEHIND_NS_MAX && *due_ns < run_ns - BEHIND_NS_MAX)
        *due_ns = run_ns - BEHIND_NS_MAX;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_due_ns(const struct guest_sim_vcpu *c)
{
    uint64_t due = TIME_NEVER;

    if (c->step_period_ns != TIME_NEVER && c->spec->burst == 0)
        due = c->registers.step_due_ns + GATHER_NS;
    if (c->frame_period_ns != TIME_NEVER)
        due = least(due, c->registers.frame_due_ns);
    if (has_stream(c->spec))
        due = least(due, c->again_due_ns);
    if (c->tcp)
        due = least(due, c->tcp_due_ns);
    return due;
}

/* What is due at run_ns of one step and one look at the NIC; false when nothing was. */
static bool run_once(struct guest_sim_vcpu *c, uint64_t run_ns)
{
    struct guest_sim_cpu_registers *r = &c->registers;
    bool has_nic = has_stream(c->spec);
    bool frame_due = c->frame_period_ns != TIME_NEVER && r->frame_due_ns <= run_ns;
    bool step_due = c->spec->burst ? c->burst_left > 0
                                   : c->step_period_ns != TIME_NEVER && r->step_due_ns <= run_ns;

    if (frame_due)
        r->frame_due_ns += c->frame_period_ns;
    if (frame_due || (has_nic && c->again_due_ns <= run_ns))
        turn_nic(c, run_ns, frame_due);
    if (step_due) {
        make_step(c);
        if (c->spec->burst)
            c->burst_left--;
        else
            r->step_due_ns += c->step_period_ns;
        if (has_nic && c->spec->workload == GUEST_SIM_web)
            turn_nic(c, run_ns, true);
    }
    return turn_tcp(c, run_ns) || frame_due || step_due;
}

bool guest_sim_vcpu_is_done(const struct guest_sim_vcpu *c)
{
    return c->id == 0 && c->spec->steps != 0 && c->registers.steps >= c->spec->steps;
}

uint64_t guest_sim_vcpu_run(struct guest_sim_vcpu *c, uint64_t base_ns, const atomic_bool *stop)
{
    uint64_t run_ns = 0;

    for (unsigned n = 0;; n++) {
        if ((c->burst_left == 0 && atomic_load_explicit(stop, memory_order_relaxed)) ||
            guest_sim_vcpu_is_done(c))
            return 0;
        if (n % STEPS_PER_LOOK == 0) {
            run_ns = clock_now_ns() - base_ns;
            catch_up(&c->registers.step_due_ns, run_ns);
            catch_up(&c->registers.frame_due_ns, run_ns);
        }
        if (!run_once(c, run_ns))
            return next_due_ns(c);
    }
}

/* guest_sim — see guest_sim.h. One lock, held only around going to sleep and waking up: vCPUs run
 * without it. A sleeping vCPU counts as paused without being woken, because it looks at `stop` under
 * the lock before it runs again; so a pause waits for at most one step of each running one. */
#include "checkpoint/sim/guest_sim.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "checkpoint/pagecopy.h"
#include "checkpoint/sim/guest_sim_check.h"
#include "checkpoint/sim/guest_sim_memory.h"

#define STACK_BYTES (256u << 10)

struct thread {
    struct sim *sim;
    struct guest_sim_vcpu cpu;
    pthread_t id;
    pthread_cond_t wake;
    bool started;
};

struct sim {
    struct guest base;
    struct guest_sim_spec spec;
    uint8_t *memory;
    struct dirty log;
    int event_fd;
    uint32_t boot;
    pthread_mutex_t lock;      /* everything below, and the vCPUs' registers while none runs */
    pthread_cond_t parked;     /* running has become 0 */
    atomic_bool stop;          /* written under the lock, read without it between steps */
    bool is_ended, is_destroyed, is_closing;
    unsigned running;          /* vCPUs that are between the lock's two sides */
    uint64_t base_ns;          /* clock minus guest time, while it runs */
    uint64_t stopped_ns;       /* clock when it was stopped, while it is */
    struct thread threads[GUEST_SIM_VCPUS_MAX];
    struct guest_sim_tcp tcp;  /* vCPU 0's, if the workload has one */
};

static const struct guest_ops sim_ops;

static struct sim *sim_of(struct guest *g)
{
    must(g->ops == &sim_ops);
    return (struct sim *)(void *)g;
}

static const struct sim *sim_of_const(const struct guest *g)
{
    must(g->ops == &sim_ops);
    return (const struct sim *)(const void *)g;
}

/* ---- threads: all of these with the lock held -------------------------------------------------- */

static void stop_all(struct sim *s)
{
    if (atomic_load(&s->stop))
        return;
    s->stopped_ns = clock_now_ns();
    atomic_store(&s->stop, true);
}

static void wake_all(struct sim *s)
{
    for (unsigned i = 0; i < s->spec.vcpus; i++)
        pthread_cond_signal(&s->threads[i].wake);
}

static void announce_end(struct sim *s)
{
    const uint64_t one = 1;

    s->is_ended = true;
    stop_all(s);
    must(write(s->event_fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
}

static void sleep_until(struct thread *t, uint64_t due_ns)
{
    struct sim *s = t->sim;
    struct timespec at = { .tv_sec = (time_t)((s->base_ns + due_ns) / NS_PER_S),
                           .tv_nsec = (long)((s->base_ns + due_ns) % NS_PER_S) };

    if (due_ns == TIME_NEVER)
        pthread_cond_wait(&t->wake, &s->lock);
    else
        pthread_cond_clockwait(&t->wake, &s->lock, CLOCK_MONOTONIC, &at);
}

/* Runs the vCPU outside the lock until nothing is due; returns when something is again. */
static uint64_t run_unlocked(struct thread *t)
{
    struct sim *s = t->sim;
    uint64_t base_ns = s->base_ns, due_ns;

    s->running++;
    pthread_mutex_unlock(&s->lock);
    due_ns = guest_sim_vcpu_run(&t->cpu, base_ns, &s->stop);
    pthread_mutex_lock(&s->lock);
    if (--s->running == 0)
        pthread_cond_broadcast(&s->parked);
    return due_ns;
}

static void *vcpu_main(void *context)
{
    struct thread *t = context;
    struct sim *s = t->sim;
    uint64_t due_ns;

    pthread_mutex_lock(&s->lock);
    while (!s->is_closing) {
        if (atomic_load(&s->stop)) {
            pthread_cond_wait(&t->wake, &s->lock);
            continue;
        }
        due_ns = run_unlocked(t);
        if (guest_sim_vcpu_is_done(&t->cpu) && !s->is_ended)
            announce_end(s);
        if (!atomic_load(&s->stop) && !s->is_closing && !guest_sim_vcpu_has_input(&t->cpu))
            sleep_until(t, due_ns);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void wait_parked(struct sim *s)
{
    while (s->running > 0)
        pthread_cond_wait(&s->parked, &s->lock);
}

/* A burst that a vCPU has not even woken up for is owed: an epoch has it whole. */
static void wait_for_bursts(struct sim *s)
{
    unsigned vcpus = s->spec.burst > 0 && !atomic_load(&s->stop) ? (unsigned)s->spec.vcpus : 0;

    for (unsigned i = 0; i < vcpus; i++)
        while (!s->is_ended && (s->running > 0 || s->threads[i].cpu.burst_left > 0))
            pthread_cond_wait(&s->parked, &s->lock);
}

static bool is_still(const struct sim *s)
{
    return atomic_load(&s->stop) && s->running == 0;
}

static void sim_info(const struct guest *g, struct guest_info *ret)
{
    const struct sim *s = sim_of_const(g);

    *ret = (struct guest_info){ .pages = guest_sim_spec_pages(&s->spec) };
    strcpy(ret->name, s->spec.name);
    guest_sim_spec_uuid(&s->spec, ret->uuid);
    guest_sim_spec_format(&s->spec, ret->spec);
}

static int sim_preamble(struct guest *g, struct sink *to, struct err *e)
{
    (void)g, (void)to, (void)e; /* no policy: its processor has no features */
    return 0;
}

static int sim_pause(struct guest *g, struct err *e)
{
    struct sim *s = sim_of(g);
    bool is_ended;

    pthread_mutex_lock(&s->lock);
    wait_for_bursts(s);
    stop_all(s);
    wait_parked(s);
    is_ended = s->is_ended;
    pthread_mutex_unlock(&s->lock);
    return is_ended ? err_set(e, ECANCELED, "%s has shut down", s->spec.name) : 0;
}

static int sim_dirty(struct guest *g, struct dirty *into, struct err *e)
{
    struct sim *s = sim_of(g);

    (void)e;
    must(into->pages == s->log.pages);
    for (size_t i = 0; i < (s->log.pages + 63) / 64; i++)
        if (__atomic_load_n(&s->log.words[i], __ATOMIC_RELAXED) != 0)
            into->words[i] |= __atomic_exchange_n(&s->log.words[i], 0, __ATOMIC_ACQUIRE);
    return 0;
}

/* A page may change while it is copied: then it is in the log again. The thread sanitizer can't know
 * that; it gets a copy that it does not look into. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

#ifdef UNDER_TSAN
__attribute__((no_sanitize("thread"), noinline)) static void copy_pages(uint8_t *const *to,
                                                                        const uint8_t *memory,
                                                                        const uint64_t *pfns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < PAGE_BYTES; k++)
            ((volatile uint8_t *)to[i])[k] =
                ((const volatile uint8_t *)memory)[pfns[i] * PAGE_BYTES + k];
}
#else
static void copy_pages(uint8_t *const *to, const uint8_t *memory, const uint64_t *pfns, size_t n)
{
    pagecopy(to, memory, pfns, n);
}
#endif

static int sim_copy(struct guest *g, const uint64_t *pfns, size_t n, uint8_t *const *to,
                    uint8_t *types, struct err *e)
{
    struct sim *s = sim_of(g);

    (void)e;
    for (size_t i = 0; i < n; i++)
        must(pfns[i] < s->log.pages);
    copy_pages(to, s->memory, pfns, n);
    memset(types, PAGE_TYPE_NORMAL, n);
    return 0;
}

void guest_sim_registers(struct guest *g, struct guest_sim_registers *ret)
{
    struct sim *s = sim_of(g);

    pthread_mutex_lock(&s->lock);
    must(is_still(s));
    *ret = (struct guest_sim_registers){
        .shape = guest_sim_state_shape(&s->spec), .run_ns = s->stopped_ns - s->base_ns,
        .vcpus = (uint32_t)s->spec.vcpus, .boot = s->boot, .is_ended = s->is_ended,
    };
    for (unsigned i = 0; i < s->spec.vcpus; i++)
        ret->cpus[i] = s->threads[i].cpu.registers;
    pthread_mutex_unlock(&s->lock);
}

static int sim_state(struct guest *g, struct sink *to, struct err *e)
{
    struct guest_sim_registers registers;

    guest_sim_registers(g, &registers);
    return guest_sim_state_put(to, &registers, e);
}

static int sim_resume(struct guest *g, struct err *e)
{
    struct sim *s = sim_of(g);
    bool is_destroyed;

    pthread_mutex_lock(&s->lock);
    is_destroyed = s->is_destroyed;
    if (!s->is_ended && !is_destroyed && atomic_load(&s->stop)) {
        s->base_ns += clock_now_ns() - s->stopped_ns; /* a pause is no guest time */
        for (unsigned i = 0; i < s->spec.vcpus; i++)
            guest_sim_vcpu_resumed(&s->threads[i].cpu);
        atomic_store(&s->stop, false);
        wake_all(s);
    }
    pthread_mutex_unlock(&s->lock);
    return is_destroyed ? err_set(e, EPERM, "%s was ended for good", s->spec.name) : 0;
}

static enum guest_life sim_life(struct guest *g)
{
    struct sim *s = sim_of(g);
    bool is_ended;

    pthread_mutex_lock(&s->lock);
    is_ended = s->is_ended;
    pthread_mutex_unlock(&s->lock);
    return is_ended ? GUEST_SHUT_DOWN : GUEST_RUNS;
}

static int sim_event_fd(struct guest *g)
{
    return sim_of(g)->event_fd;
}

/* Its life stays what it was: being fenced is no end that the guest chose. */
static void sim_destroy(struct guest *g)
{
    struct sim *s = sim_of(g);

    pthread_mutex_lock(&s->lock);
    s->is_destroyed = true;
    stop_all(s);
    wait_parked(s);
    pthread_mutex_unlock(&s->lock);
}

static void end_threads(struct sim *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_closing = true;
    stop_all(s);
    wake_all(s);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->spec.vcpus; i++)
        if (s->threads[i].started)
            pthread_join(s->threads[i].id, NULL);
}

/* Frees all but the memory. */
static void sim_free(struct sim *s)
{
    end_threads(s);
    for (unsigned i = 0; i < s->spec.vcpus; i++)
        pthread_cond_destroy(&s->threads[i].wake);
    pthread_cond_destroy(&s->parked);
    pthread_mutex_destroy(&s->lock);
    dirty_close(&s->log);
    if (s->event_fd >= 0)
        close(s->event_fd);
    free(s);
}

static void sim_close(struct guest *g)
{
    struct sim *s = sim_of(g);
    uint8_t *memory = s->memory;
    uint64_t pages = guest_sim_spec_pages(&s->spec);

    sim_free(s);
    guest_sim_memory_unmap(memory, pages);
}

static const struct guest_ops sim_ops = {
    .kind = "sim",
    .info = sim_info,
    .preamble = sim_preamble,
    .pause = sim_pause,
    .dirty = sim_dirty,
    .copy = sim_copy,
    .state = sim_state,
    .resume = sim_resume,
    .settle = guest_settle_nothing,
    .life = sim_life,
    .event_fd = sim_event_fd,
    .destroy = sim_destroy,
    .close = sim_close,
};

/* ---- making one -------------------------------------------------------------------------------- */

static int start_threads(struct sim *s, struct err *e)
{
    pthread_attr_t attr;
    sigset_t all;
    int rc = 0;

    sigfillset(&all); /* signals are the program's business, not the guest's */
    pthread_attr_init(&attr);
    pthread_attr_setsigmask_np(&attr, &all);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    for (unsigned i = 0; i < s->spec.vcpus && rc == 0; i++) {
        rc = pthread_create(&s->threads[i].id, &attr, vcpu_main, &s->threads[i]);
        s->threads[i].started = rc == 0;
    }
    pthread_attr_destroy(&attr);
    return rc ? err_set(e, rc, "no thread for a vCPU of %s: %m", s->spec.name) : 0;
}

static struct sim *sim_new(const struct guest_sim_spec *spec, uint8_t *memory,
                           const struct guest_sim_registers *from)
{
    struct sim *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->base.ops = &sim_ops;
    s->spec = *spec;
    s->memory = memory;
    s->boot = from->boot;
    s->event_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->parked, NULL);
    s->stopped_ns = clock_now_ns();
    s->base_ns = s->stopped_ns - from->run_ns; /* may wrap: only differences count */
    atomic_init(&s->stop, true);
    for (unsigned i = 0; i < spec->vcpus; i++) {
        s->threads[i].sim = s;
        pthread_cond_init(&s->threads[i].wake, NULL);
        guest_sim_vcpu_init(&s->threads[i].cpu, &s->spec, (uint8_t)i, memory, &s->log, from, &s->tcp);
    }
    return s;
}

static int sim_make(struct guest **ret, const struct guest_sim_spec *spec, uint8_t *memory,
                    const struct guest_sim_registers *from, struct err *e)
{
    struct sim *s = sim_new(spec, memory, from);
    int rc;

    if (!s)
        return err_set(e, ENOMEM, "no memory for guest %s", spec->name);
    rc = dirty_open(&s->log, guest_sim_spec_pages(spec), e);
    if (rc == 0 && (s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        rc = err_set(e, errno, "no event descriptor for guest %s: %m", spec->name);
    if (rc == 0)
        rc = start_threads(s, e);
    if (rc < 0) {
        sim_free(s);
        return rc;
    }
    if (from->is_ended)
        announce_end(s); /* its threads are parked and stay so */
    *ret = &s->base;
    return 0;
}

int guest_sim_open(struct guest **ret, const char *text, struct err *e)
{
    const struct guest_sim_registers first = { .boot = 1 };
    struct guest_sim_spec spec;
    uint8_t *memory;
    int rc = guest_sim_spec_parse(text, &spec, e);

    if (rc == 0)
        rc = guest_sim_memory_map(guest_sim_spec_pages(&spec), &memory, e);
    if (rc < 0)
        return rc;
    rc = sim_make(ret, &spec, memory, &first, e);
    if (rc < 0)
        guest_sim_memory_unmap(memory, guest_sim_spec_pages(&spec));
    return rc;
}

int guest_sim_from_memory(struct guest **ret, const struct guest_sim_spec *spec, uint8_t *memory,
                          const struct guest_sim_registers *from, struct err *e)
{
    struct guest_sim_registers next = *from;

    next.boot++;
    return sim_make(ret, spec, memory, &next, e);
}

/* ---- from outside ------------------------------------------------------------------------------ */

void guest_sim_connect(struct guest *g, struct guest_nic nic)
{
    struct sim *s = sim_of(g);

    pthread_mutex_lock(&s->lock);
    must(is_still(s));
    for (unsigned i = 0; i < s->spec.vcpus; i++)
        s->threads[i].cpu.nic = nic;
    pthread_mutex_unlock(&s->lock);
}

void guest_sim_input(struct guest *g, const uint8_t *frame, size_t bytes)
{
    struct sim *s = sim_of(g);

    for (unsigned i = 0; i < s->spec.vcpus; i++)
        if (guest_sim_vcpu_input(&s->threads[i].cpu, frame, bytes)) {
            pthread_mutex_lock(&s->lock);
            pthread_cond_signal(&s->threads[i].wake);
            pthread_mutex_unlock(&s->lock);
        }
}

int guest_sim_check(struct guest *g, struct err *e)
{
    struct sim *s = sim_of(g);
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    must(is_still(s));
    for (unsigned i = 0; i < s->spec.vcpus && rc == 0; i++)
        rc = guest_sim_check_vcpu(&s->threads[i].cpu, e);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

const struct guest_sim_spec *guest_sim_spec_of(const struct guest *g)
{
    return &sim_of_const(g)->spec;
}

const uint8_t *guest_sim_memory(const struct guest *g)
{
    return sim_of_const(g)->memory;
}

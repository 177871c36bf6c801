/* guest_xen — see guest_xen.h. The parts of a pause are each a file of their own (xen_suspend, xen_log,
 * xen_memory, xen_state, xen_absent, xen_grants); here they become the table's calls. */
#include "checkpoint/guest_xen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>

#include "base/clock.h"
#include "checkpoint/xen_absent.h"
#include "checkpoint/xen_emulator.h"
#include "checkpoint/xen_grants.h"
#include "checkpoint/xen_log.h"
#include "checkpoint/xen_memory.h"
#include "checkpoint/xen_state.h"
#include "checkpoint/xen_suspend.h"
#include "checkpoint/xen_way.h"
#include "checkpoint/xen_xl.h"

#define DESTROY_NS (60 * NS_PER_S) /* for xl to undo the domain's devices */

struct guest_xen {
    struct guest base;
    struct xen_host host;
    struct xen_domain domain;
    struct xen_suspend suspend;
    struct xen_log log;
    struct xen_memory memory;
    struct xen_absent absent;
    struct xen_emulator emulator;
    enum guest_life life;
    bool is_still;     /* suspended by us, or found so */
    bool is_held;      /* paused by its toolstack until the first resume */
    bool is_destroyed;
    uint64_t asked_ns; /* when the pause began */
    struct guest_xen_times times;
    struct xen_shape shape;
    char spec[GUEST_SPEC_MAX + 1];
};

static const struct guest_ops guest_xen_ops;

static struct guest_xen *xen_of(struct guest *g)
{
    must(g->ops == &guest_xen_ops);
    return (struct guest_xen *)(void *)g;
}

static const struct guest_xen *xen_of_const(const struct guest *g)
{
    must(g->ops == &guest_xen_ops);
    return (const struct guest_xen *)(const void *)g;
}

uint32_t guest_xen_domid(const struct guest *g)
{
    return xen_of_const(g)->domain.domid;
}

struct guest_xen_times guest_xen_last_pause(const struct guest *g)
{
    return xen_of_const(g)->times;
}

static void xen_info(const struct guest *g, struct guest_info *ret)
{
    const struct guest_xen *x = xen_of_const(g);

    *ret = (struct guest_info){ .pages = x->shape.pages };
    strcpy(ret->name, x->shape.name);
    memcpy(ret->uuid, x->shape.uuid, sizeof(ret->uuid));
    strcpy(ret->spec, x->spec);
}

static int xen_preamble(struct guest *g, struct sink *to, struct err *e)
{
    struct guest_xen *x = xen_of(g);

    return xen_state_policies(&x->host, &x->domain, to, e);
}

/* ---- life -------------------------------------------------------------------------------------- */

/* A domain that is gone: a new one with its UUID or its name was booted in its place. */
static enum guest_life life_of_gone(const struct guest_xen *x)
{
    uint32_t unused;

    return xen_domain_has_uuid(&x->host, x->domain.uuid, &unused) ||
                   xen_domain_has_name(&x->host, x->shape.name, &unused)
               ? GUEST_REBOOTED
               : GUEST_SHUT_DOWN;
}

static void look(struct guest_xen *x)
{
    struct xen_look now;
    struct err unused;

    if (x->life != GUEST_RUNS || x->is_destroyed || xen_domain_look(&x->host, &x->domain, &now, &unused) < 0)
        return;
    x->life = now.is_there ? now.life : life_of_gone(x);
}

static enum guest_life xen_life(struct guest *g)
{
    struct guest_xen *x = xen_of(g);

    if (xen_suspend_events(&x->suspend))
        look(x);
    return x->life;
}

static int xen_event_fd(struct guest *g)
{
    return xen_suspend_fd(&xen_of(g)->suspend);
}

/* ---- the blackout ------------------------------------------------------------------------------ */

static int ask_pause(struct guest_xen *x, struct err *e)
{
    int rc;

    x->asked_ns = clock_now_ns();
    x->times = (struct guest_xen_times){ 0 };
    x->memory.types_ns = x->memory.map_ns = 0;
    look(x);
    if (x->life != GUEST_RUNS) /* nobody is there to ask, and what is left is to stay as it is */
        return err_set(e, ECANCELED, "domain %" PRIu32 " has ended", x->domain.domid);
    rc = xen_emulator_meet(&x->emulator, e);
    return rc < 0 ? rc : xen_suspend_ask(&x->suspend, GUEST_XEN_SUSPEND_NS, e);
}

static int xen_pause(struct guest *g, struct err *e)
{
    struct guest_xen *x = xen_of(g);
    uint64_t asleep_ns;
    int rc = x->suspend.is_asked ? 0 : ask_pause(x, e);

    if (rc == 0)
        rc = xen_suspend_poll(&x->suspend, e);
    if (rc == 0)
        return err_set(e, EAGAIN, "%s is suspending", x->shape.name);
    if (rc == -ECANCELED)
        look(x);
    x->is_still = rc > 0 || rc == -ECANCELED;
    asleep_ns = clock_now_ns();
    if (rc > 0)
        rc = xen_emulator_stop(&x->emulator, e);
    x->times.suspend_ns = clock_now_ns() - x->asked_ns;
    x->times.emulator_stop_ns = clock_now_ns() - asleep_ns;
    return rc < 0 ? err_wrap(e, "%s", x->shape.name) : 0;
}

static int xen_resume(struct guest *g, struct err *e)
{
    struct guest_xen *x = xen_of(g);
    uint64_t began_ns = clock_now_ns();
    int rc;

    if (x->is_destroyed)
        return err_set(e, EPERM, "%s was ended for good", x->shape.name);
    if (x->is_held && xc_domain_unpause(x->host.xc, x->domain.domid) < 0)
        return xen_host_failed(&x->host, e, "%s can't be unpaused", x->shape.name);
    x->is_held = false;
    rc = xen_emulator_go_on(&x->emulator, e);
    x->times.emulator_cont_ns = clock_now_ns() - began_ns;
    if (rc == 0)
        rc = xen_suspend_resume(&x->suspend, e);
    x->times.resume_ns = clock_now_ns() - began_ns;
    if (rc < 0)
        return err_wrap(e, "%s", x->shape.name);
    x->is_still = false;
    return 0;
}

static void make_way(struct guest_xen *x)
{
    struct xen_way way = { 0 };
    struct xen_look now;
    struct err unused;
    uint64_t wait_ns;

    if (xen_domain_look(&x->host, &x->domain, &now, &unused) == 0)
        way = xen_way_begin(&now, clock_now_ns(), x->times.suspend_ns);
    while (xen_domain_look(&x->host, &x->domain, &now, &unused) == 0 &&
           (wait_ns = xen_way_wait_ns(&way, &now, clock_now_ns())) > 0)
        clock_sleep_ns(wait_ns);
}

static void xen_settle(struct guest *g)
{
    struct guest_xen *x = xen_of(g);
    uint64_t began_ns = clock_now_ns(), way_ns, told_ns;
    struct err unused;

    if (x->suspend.is_untold)
        make_way(x);
    way_ns = clock_now_ns();
    (void)!xen_suspend_tell(&x->suspend, &unused);
    told_ns = clock_now_ns();
    xen_memory_settle(&x->memory);
    x->times.way_ns = way_ns - began_ns;
    x->times.tell_ns = told_ns - way_ns;
    x->times.unmap_ns = clock_now_ns() - told_ns;
    look(x); /* it may have ended while the store was not yet told to watch it again */
}

static int ask_types(void *context, const uint64_t *pfns, size_t n, uint8_t *ret, struct err *e)
{
    return xen_memory_types(context, pfns, n, ret, e);
}

/* What the log can't know, in the pause: pages that this host writes, pages that came back. */
static int add_unlogged(struct guest_xen *x, struct dirty *into, struct err *e)
{
    uint64_t special[XEN_SPECIAL_MAX];
    size_t n = xen_state_special_pages(&x->host, &x->domain, special);
    struct xen_look now;
    int rc = xen_domain_look(&x->host, &x->domain, &now, e);
    struct err unused;

    (void)!xen_grants_look(&x->host, &x->domain, into, &unused); /* a table that can't be read says nothing */
    for (size_t i = 0; i < n; i++)
        if (special[i] < into->pages)
            dirty_set(into, special[i]);
    return rc < 0 || !now.is_there
               ? rc
               : xen_absent_look(&x->absent, now.pages, ask_types, &x->memory, into, e);
}

static int xen_dirty(struct guest *g, struct dirty *into, struct err *e)
{
    struct guest_xen *x = xen_of(g);
    uint64_t began_ns = clock_now_ns();
    int rc = xen_emulator_log(&x->emulator, true, e);

    if (rc == 0)
        rc = xen_log_read(&x->log, x->is_still, into, e);
    if (rc == 0 && x->is_still)
        rc = add_unlogged(x, into, e);
    x->times.log_ns += clock_now_ns() - began_ns;
    return rc < 0 ? err_wrap(e, "%s", x->shape.name) : 0;
}

static int xen_copy(struct guest *g, const uint64_t *pfns, size_t n, uint8_t *const *to, uint8_t *types,
                    struct err *e)
{
    struct guest_xen *x = xen_of(g);
    uint64_t began_ns = clock_now_ns();
    int rc = xen_memory_copy(&x->memory, pfns, n, to, types, x->is_still, e);

    if (rc < 0)
        return err_wrap(e, "%s", x->shape.name);
    xen_absent_note(&x->absent, pfns, types, n);
    x->times.copy_ns += clock_now_ns() - began_ns;
    x->times.types_ns = x->memory.types_ns;
    x->times.map_ns = x->memory.map_ns;
    return 0;
}

static int xen_state(struct guest *g, struct sink *to, struct err *e)
{
    struct guest_xen *x = xen_of(g);
    uint64_t began_ns = clock_now_ns(), records_ns;
    int rc = xen_state_put(&x->host, &x->domain, to, e);

    records_ns = clock_now_ns();
    if (rc == 0)
        rc = xen_emulator_put(&x->emulator, to, e);
    x->times.emulator_state_ns += clock_now_ns() - records_ns;
    x->times.state_ns += clock_now_ns() - began_ns;
    return rc < 0 ? err_wrap(e, "%s", x->shape.name) : 0;
}

/* ---- ends -------------------------------------------------------------------------------------- */

/* Stopped at once by the hypervisor; then undone by its toolstack, which knows its devices. xl takes no
 * UUID here; the number is this domain's as long as it is there, which was just seen. */
static void xen_destroy(struct guest *g)
{
    struct guest_xen *x = xen_of(g);
    char number[16];
    const char *const arguments[] = { "xl", "destroy", number, NULL };
    struct xen_look now;
    struct err unused;

    if (xen_domain_look(&x->host, &x->domain, &now, &unused) < 0 || !now.is_there || x->is_destroyed)
        return;
    x->is_destroyed = true;
    (void)xc_domain_pause(x->host.xc, x->domain.domid);
    snprintf(number, sizeof(number), "%" PRIu32, x->domain.domid);
    if (xen_xl_run(arguments, DESTROY_NS, NULL, &unused) < 0)
        (void)xc_domain_destroy(x->host.xc, x->domain.domid);
}

static void xen_close(struct guest *g)
{
    struct guest_xen *x = xen_of(g);
    struct err unused;

    if (x->life == GUEST_RUNS && !x->is_destroyed)
        xen_emulator_close(&x->emulator);
    xen_qmp_close(&x->emulator.qmp);
    if (x->is_still && !x->is_destroyed && x->life == GUEST_RUNS &&
        xen_suspend_resume(&x->suspend, &unused) == 0)
        x->is_still = false;
    xen_log_close(&x->log);
    xen_memory_close(&x->memory);
    xen_absent_close(&x->absent);
    xen_suspend_close(&x->suspend);
    xen_host_close(&x->host);
    free(x);
}

static const struct guest_ops guest_xen_ops = {
    .kind = "xen",
    .info = xen_info,
    .preamble = xen_preamble,
    .pause = xen_pause,
    .dirty = xen_dirty,
    .copy = xen_copy,
    .state = xen_state,
    .resume = xen_resume,
    .settle = xen_settle,
    .life = xen_life,
    .event_fd = xen_event_fd,
    .destroy = xen_destroy,
    .close = xen_close,
};

/* ---- making one -------------------------------------------------------------------------------- */

static struct guest_xen *xen_new(struct err *e)
{
    struct guest_xen *x = calloc(1, sizeof(*x));

    if (!x)
        err_set(e, ENOMEM, "no memory for a guest");
    else
        x->base.ops = &guest_xen_ops;
    if (x)
        x->emulator.qmp.fd = -1;
    return x;
}

/* All but host, domain and shape, which are there. */
static int open_parts(struct guest_xen *x, struct err *e)
{
    const struct xen_shape *s = &x->shape;
    struct xen_look now;
    int rc;

    xen_emulator_init(&x->emulator, &x->host, &x->domain, xen_type_has_emulator(s->type));
    if ((rc = xen_shape_format(s, x->spec, e)) < 0 ||
        (rc = xen_memory_open(&x->memory, &x->host, &x->domain, s->max_memkb / 4, e)) < 0 ||
        (rc = xen_absent_open(&x->absent, s->pages, s->max_memkb / 4, e)) < 0 ||
        (rc = xen_log_open(&x->log, &x->host, &x->domain, s->pages, xen_type_has_emulator(s->type), e)) < 0 ||
        (rc = xen_suspend_open(&x->suspend, &x->host, &x->domain, e)) < 0 ||
        (rc = xen_domain_look(&x->host, &x->domain, &now, e)) < 0)
        return rc;
    x->is_still = x->emulator.is_stopped = now.is_suspended; /* by a process that is dead */
    x->life = now.life;
    return 0;
}

int guest_xen_open(const char *which, struct guest **ret, struct err *e)
{
    struct guest_xen *x = xen_new(e);
    int rc;

    if (!x)
        return -ENOMEM;
    if ((rc = xen_host_open(&x->host, e)) < 0 ||
        (rc = xen_domain_find(&x->host, which, &x->domain, e)) < 0 ||
        (rc = xen_domain_shape(&x->host, &x->domain, &x->shape, e)) < 0 ||
        (rc = xen_xl_config(x->domain.domid, x->shape.config, GUEST_SPEC_MAX, e)) < 0 ||
        (rc = xen_xl_check_devices(x->shape.config, e)) < 0 ||
        (rc = open_parts(x, e)) < 0) {
        xen_close(&x->base);
        return rc;
    }
    *ret = &x->base;
    return 0;
}

int guest_xen_adopt(const struct xen_shape *shape, uint32_t domid, struct guest **ret, struct err *e)
{
    struct guest_xen *x = xen_new(e);
    char number[16];
    int rc;

    if (!x)
        return -ENOMEM;
    x->shape = *shape;
    x->is_held = true;
    snprintf(number, sizeof(number), "%" PRIu32, domid);
    if ((rc = xen_host_open(&x->host, e)) == 0) {
        x->shape.xen_major = x->host.major; /* states that it saves from now on are this one's */
        x->shape.xen_minor = x->host.minor;
        rc = xen_domain_find(&x->host, number, &x->domain, e);
    }
    if (rc < 0 || (rc = open_parts(x, e)) < 0) {
        xen_close(&x->base);
        return rc;
    }
    *ret = &x->base;
    return 0;
}

/* ---- without one ------------------------------------------------------------------------------- */

static int recover(const struct xen_host *h, const char *which, bool resume, bool foreign,
                   struct guest_xen_left *ret, struct err *e)
{
    struct xen_domain d;
    struct xen_look now;
    struct xen_suspend s = { .host = h };
    struct xen_emulator emulator;
    AUTO_CLOSE int claim_fd = -1;
    bool was_left;
    int rc;

    if ((rc = xen_domain_find(h, which, &d, e)) < 0 || (rc = xen_log_claim(&d, &claim_fd, e)) < 0 ||
        (rc = xen_domain_look(h, &d, &now, e)) < 0)
        return rc;
    was_left = xen_log_was_left(h, &d);
    xen_emulator_init(&emulator, h, &d, xen_domain_has_emulator(h, d.domid));
    emulator.is_logging = was_left;
    emulator.is_stopped = resume && now.is_suspended;
    s.domain = d;
    ret->was_suspended = now.is_suspended;
    ret->has_foreign_log = !xen_domain_has_emulator(h, d.domid) && xen_log_is_foreign(h, &d);
    if (was_left || (foreign && ret->has_foreign_log))
        xen_log_end_left(h, &d);
    xen_emulator_close(&emulator);
    if (resume && now.is_suspended && (rc = xen_suspend_resume(&s, e)) == 0)
        rc = xen_suspend_tell(&s, e);
    return rc;
}

int guest_xen_recover(const char *which, bool resume, bool foreign, struct guest_xen_left *ret,
                      struct err *e)
{
    struct xen_host h;
    int rc = xen_host_open(&h, e);

    if (rc < 0)
        return rc;
    rc = recover(&h, which, resume, foreign, ret, e);
    xen_host_close(&h);
    return rc;
}

int guest_xen_name(const char *which, char ret[GUEST_NAME_MAX + 1], struct err *e)
{
    struct xen_domain d;
    struct xen_host h;
    int rc = xen_host_open(&h, e);

    if (rc < 0)
        return rc;
    rc = xen_domain_find(&h, which, &d, e);
    if (rc == 0)
        rc = xen_domain_name(&h, d.domid, ret, e);
    xen_host_close(&h);
    return rc;
}

/* replica_xen — see replica_xen.h. The parts are files of their own: replica_xen_host (pre-flight),
 * replica_xen_shell (xl), replica_xen_stream (what xl is fed), replica_xen_memory. */
#include "checkpoint/replica_xen.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenstore.h>

#include "base/digest.h"
#include "base/failpoint.h"
#include "checkpoint/guest_xen.h"
#include "checkpoint/replica_xen_host.h"
#include "checkpoint/replica_xen_memory.h"
#include "checkpoint/replica_xen_shell.h"
#include "checkpoint/replica_xen_stream.h"
#include "checkpoint/xen_domain.h"
#include "checkpoint/xen_xl.h"

#define XL_LOCK      "/var/lock/xl"
#define OCTETS_BYTES (GUEST_STATE_MAX + GUEST_SPEC_MAX + REPLICA_XEN_HEAD_EXTRA + REPLICA_XEN_TAIL_EXTRA)
#define VAIN_KB      8192u /* populated with a stretch, and not the guest's: given back at activation */
#define LOOK_NS      500000000 /* from one look at the shell to the next: a loss shows within a second */
#define NS_IN_S      UINT64_C(1000000000)

/* Only forwards; LOST from any. */
enum phase {
    PHASE_NEW,       /* no shell */
    PHASE_BEGINNING, /* xl makes it */
    PHASE_READY,     /* it has memory; epochs are committed */
    PHASE_ENDING,    /* xl takes the state and makes devices */
    PHASE_GONE,      /* it is a guest */
    PHASE_LOST,
};

struct replica_of_xen {
    struct replica base;
    enum phase phase;
    struct xen_shape shape;
    struct xen_config config;
    const char *xl;
    struct xen_host host;
    struct xen_domain domain;         /* from READY on */
    struct replica_xen_shell shell;
    struct replica_xen_memory memory;
    uint64_t limit_kb;                /* of its memory, once it is activated */
    int timer;                        /* once there is a shell */
    uint64_t ticks;                   /* of it, while BEGINNING */
    uint64_t preamble_digest;
    size_t state_bytes;               /* 0: nothing committed yet */
    uint8_t *state;                   /* GUEST_STATE_MAX */
    uint8_t *octets;                  /* OCTETS_BYTES: what xl is being fed */
};

static const struct replica_ops replica_xen_ops;

static struct replica_of_xen *xen_of(struct replica *r)
{
    must(r->ops == &replica_xen_ops);
    return (struct replica_of_xen *)(void *)r;
}

static const struct replica_of_xen *xen_of_const(const struct replica *r)
{
    must(r->ops == &replica_xen_ops);
    return (const struct replica_of_xen *)(const void *)r;
}

const struct xen_config *replica_xen_config(const struct replica *r)
{
    return &xen_of_const(r)->config;
}

static uint64_t replica_pages(const struct replica *r)
{
    return xen_of_const(r)->shape.pages;
}

static uint8_t *replica_page(struct replica *r, uint64_t pfn, struct err *e)
{
    struct replica_of_xen *x = xen_of(r);

    if (x->phase != PHASE_READY) {
        err_set(e, EINVAL, "the replica of %s has no memory now", x->shape.name);
        return NULL;
    }
    return replica_xen_memory_page(&x->memory, pfn, e);
}

static int lost(struct replica_of_xen *x, const struct err *e)
{
    x->phase = PHASE_LOST;
    return -e->code;
}

/* ---- making the shell ---------------------------------------------------------------------------- */

/* The death of a shell is no event to the store, to which it is not introduced before its activation: it
 * has to be looked at. */
static int start_timer(struct replica_of_xen *x, struct err *e)
{
    const struct timespec period = { .tv_nsec = LOOK_NS };
    const struct itimerspec times = { .it_interval = period, .it_value = period };

    x->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (x->timer < 0 || timerfd_settime(x->timer, 0, &times, NULL) < 0)
        return err_set(e, errno, "no timer for xl: %m");
    return replica_xen_shell_watch(&x->shell, x->timer, e);
}

/* How often it has struck since the last look. */
static uint64_t take_ticks(const struct replica_of_xen *x)
{
    uint64_t times;

    return read(x->timer, &times, sizeof(times)) == sizeof(times) ? times : 0;
}

static int begin(struct replica_of_xen *x, struct view records, struct err *e)
{
    struct sink to = { x->octets, OCTETS_BYTES };
    char name[GUEST_NAME_MAX + sizeof(REPLICA_XEN_SUFFIX)], config[GUEST_SPEC_MAX + 1];
    int rc;

    snprintf(name, sizeof(name), "%s" REPLICA_XEN_SUFFIX, x->shape.name);
    if ((rc = replica_xen_check_preamble(records, e)) < 0 ||
        (rc = xen_config_rename(x->shape.config, name, config, sizeof(config), e)) < 0 ||
        (rc = replica_xen_head(&to, &x->shape, config, records, e)) < 0)
        return rc;
    x->preamble_digest = digest_of(records.at, records.left);
    x->phase = PHASE_BEGINNING;
    if ((rc = replica_xen_shell_start(&x->shell, x->xl, e)) < 0 || (rc = start_timer(x, e)) < 0)
        return lost(x, e);
    replica_xen_shell_feed(&x->shell, (struct view){ x->octets, OCTETS_BYTES - to.left });
    FAILPOINT(shell_begun);
    return err_set(e, EAGAIN, "xl makes the domain of the replica");
}

/* An xl that balloons domain 0 holds its lock for as long as it restores: here, as long as the replica
 * lives. No other domain could be created on this host. */
static int check_lock(const struct replica_of_xen *x, struct err *e)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    AUTO_CLOSE int fd = open(XL_LOCK, O_RDWR | O_CLOEXEC);

    if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK || lock.l_pid != x->shell.pid)
        return 0;
    return err_set(e, EBUSY, "xl on this host balloons domain 0 and would keep every other xl waiting "
                   "while it holds a replica: write autoballoon=\"off\" into /etc/xen/xl.conf, or boot Xen "
                   "with dom0_mem=");
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* xl has worked off all that comes before memory, so the domain is there. */
static int take_shell(struct replica_of_xen *x, struct err *e)
{
    struct xen_look now;
    int rc = check_lock(x, e);

    if (rc < 0)
        return rc;
    memcpy(x->domain.uuid, x->shape.uuid, sizeof(x->domain.uuid));
    if (!xen_domain_has_uuid(&x->host, x->shape.uuid, &x->domain.domid))
        return err_set(e, ENOENT, "xl has made no domain for the replica of %s", x->shape.name);
    if ((rc = xen_domain_look(&x->host, &x->domain, &now, e)) < 0)
        return rc;
    x->limit_kb = larger(now.max_memkb, x->shape.max_memkb);
    if (xc_domain_setmaxmem(x->host.xc, x->domain.domid, larger(x->limit_kb, x->config.ram_kb) + VAIN_KB) < 0)
        return xen_host_failed(&x->host, e, "the replica can't have %" PRIu64 " KiB", x->limit_kb);
    return replica_xen_memory_open(&x->memory, &x->host, &x->domain, x->shape.pages,
                                   x->config.ram_kb / 4, e);
}

static int go_on_beginning(struct replica_of_xen *x, struct err *e)
{
    int rc = replica_xen_shell_pump(&x->shell, e);

    x->ticks += take_ticks(x);
    if (rc == 0 && x->ticks >= REPLICA_XEN_BEGIN_NS / LOOK_NS)
        rc = err_set(e, ETIMEDOUT, "xl has not made the replica's domain within %u s: does another xl hold "
                     XL_LOCK "?", (unsigned)(REPLICA_XEN_BEGIN_NS / NS_IN_S));
    if (rc == 0)
        return err_set(e, EAGAIN, "xl makes the domain of the replica");
    if (rc < 0 || (rc = take_shell(x, e)) < 0)
        return lost(x, e);
    x->phase = PHASE_READY;
    return 0;
}

/* Of a later session: the same processors, or the committed state would not fit them. */
static int compare_preamble(const struct replica_of_xen *x, struct view records, struct err *e)
{
    return digest_of(records.at, records.left) == x->preamble_digest
               ? 0
               : err_set(e, EPROTO, "the processors' policy of %s has changed: stop this replica and "
                         "begin anew", x->shape.name);
}

static int replica_preamble(struct replica *r, const uint8_t *records, size_t bytes, struct err *e)
{
    struct replica_of_xen *x = xen_of(r);
    struct view in = { records, bytes };

    switch (x->phase) {
    case PHASE_NEW:
        return begin(x, in, e);
    case PHASE_BEGINNING:
        return go_on_beginning(x, e);
    case PHASE_READY:
        return compare_preamble(x, in, e);
    default:
        return err_set(e, ENOTRECOVERABLE, "the replica of %s is no more", x->shape.name);
    }
}

/* ---- state --------------------------------------------------------------------------------------- */

static int replica_check_state(struct replica *r, const uint8_t *records, size_t bytes, struct err *e)
{
    if (bytes > GUEST_STATE_MAX)
        return err_set(e, EPROTO, "a state of %zu octets: at most %" PRIu64 " are possible", bytes,
                       GUEST_STATE_MAX);
    return replica_xen_check_state((struct view){ records, bytes }, xen_of(r)->shape.type, e);
}

static void replica_commit_state(struct replica *r, const uint8_t *records, size_t bytes)
{
    struct replica_of_xen *x = xen_of(r);

    must(bytes > 0 && bytes <= GUEST_STATE_MAX);
    memcpy(x->state, records, bytes);
    x->state_bytes = bytes;
}

/* ---- whether it is whole ------------------------------------------------------------------------- */

static int check_domain(struct replica_of_xen *x, struct err *e)
{
    struct xen_look now;
    int rc;

    (void)take_ticks(x);
    rc = xen_domain_look(&x->host, &x->domain, &now, e);
    if (rc < 0 || (now.is_there && !now.is_dying && !now.is_shut_down))
        return rc;
    return err_set(e, ENOTRECOVERABLE, "the replica's domain %" PRIu32 " was %s", x->domain.domid,
                   now.is_shut_down ? "run by somebody, and has ended" : "destroyed");
}

static int replica_health(struct replica *r, struct err *e)
{
    struct replica_of_xen *x = xen_of(r);
    int rc;

    if (x->phase == PHASE_LOST)
        return err_set(e, ENOTRECOVERABLE, "the replica of %s is no more", x->shape.name);
    if (x->phase != PHASE_READY)
        return 0;
    rc = replica_xen_shell_pump(&x->shell, e);
    if (rc >= 0)
        rc = check_domain(x, e);
    return rc == -ENOTRECOVERABLE ? lost(x, e) : 0; /* a look that failed is no news */
}

static int replica_event_fd(const struct replica *r)
{
    return xen_of_const(r)->shell.events;
}

/* ---- activation ---------------------------------------------------------------------------------- */

static int write_name(struct replica_of_xen *x, xs_transaction_t t, const char *path)
{
    return xs_write(x->host.store, t, path, x->shape.name, (unsigned)strlen(x->shape.name)) ? 0 : -1;
}

/* As xl rename does. Before xl sees the end of the stream: a domain that still has the shell's name was
 * never more than that, and may be removed by anybody. */
static int rename_domain(struct replica_of_xen *x, struct err *e)
{
    char domain_path[64], vm_path[64], uuid[XEN_UUID_TEXT];
    bool is_written;

    xen_uuid_format(x->shape.uuid, uuid);
    snprintf(domain_path, sizeof(domain_path), "/local/domain/%" PRIu32 "/name", x->domain.domid);
    snprintf(vm_path, sizeof(vm_path), "/vm/%s/name", uuid);
    do {
        xs_transaction_t t = xs_transaction_start(x->host.store);

        errno = t == XBT_NULL ? EIO : 0;
        is_written = t != XBT_NULL && write_name(x, t, domain_path) == 0 && write_name(x, t, vm_path) == 0;
        if (t != XBT_NULL && !xs_transaction_end(x->host.store, t, !is_written))
            is_written = false;
    } while (!is_written && errno == EAGAIN);
    return is_written ? 0 : xen_host_failed(&x->host, e, "the replica's domain can't be named %s",
                                            x->shape.name);
}

static int begin_activation(struct replica_of_xen *x, struct err *e)
{
    struct sink to = { x->octets, OCTETS_BYTES };
    struct err unused;
    int rc;

    if (x->state_bytes == 0)
        return err_set(e, ENOENT, "no epoch of %s was ever committed here", x->shape.name);
    /* Before xl finds out, for whom there is no second try: what went since the start may come back. */
    if ((rc = replica_xen_check_devices(&x->config, e)) < 0 ||
        (rc = replica_xen_tail(&to, (struct view){ x->state, x->state_bytes }, e)) < 0 ||
        (rc = rename_domain(x, e)) < 0)
        return rc;
    if (replica_xen_memory_trim(&x->memory, &unused) == 0) /* else it has a few more: it may run */
        (void)xc_domain_setmaxmem(x->host.xc, x->domain.domid, x->limit_kb);
    replica_xen_shell_feed(&x->shell, (struct view){ x->octets, OCTETS_BYTES - to.left });
    x->phase = PHASE_ENDING;
    return 0;
}

/* 1: xl is done; 0: not yet. */
static int go_on_activating(struct replica_of_xen *x, struct err *e)
{
    int rc;

    (void)take_ticks(x);
    rc = replica_xen_shell_finish(&x->shell, e);
    return rc < 0 ? lost(x, e) : rc;
}

static int replica_activate(struct replica *r, struct guest **ret, struct err *e)
{
    struct replica_of_xen *x = xen_of(r);
    int rc;

    if (x->phase == PHASE_GONE)
        return err_set(e, EALREADY, "the replica of %s is active already", x->shape.name);
    if (x->phase == PHASE_LOST)
        return err_set(e, ENOTRECOVERABLE, "the replica of %s is no more", x->shape.name);
    if (x->phase == PHASE_READY && (rc = begin_activation(x, e)) < 0)
        return rc;
    if (x->phase < PHASE_READY)
        return err_set(e, ENOENT, "the replica of %s was never made", x->shape.name);
    rc = go_on_activating(x, e);
    if (rc == 0)
        return err_set(e, EAGAIN, "xl makes the replica's devices");
    if (rc == 1)
        FAILPOINT(shell_done);
    if (rc == 1 && (rc = guest_xen_adopt(&x->shape, x->domain.domid, ret, e)) == 0)
        x->phase = PHASE_GONE;
    return rc;
}

/* ---- making and ending one ----------------------------------------------------------------------- */

/* xl destroys the shell when its input ends, unless xl itself is gone. */
static void discard(struct replica_of_xen *x)
{
    bool is_orphaned = x->shell.is_over && x->phase != PHASE_GONE;
    uint32_t domid;

    replica_xen_shell_close(&x->shell);
    if (is_orphaned && xen_domain_has_uuid(&x->host, x->shape.uuid, &domid))
        replica_xen_destroy(x->xl, domid);
}

static void replica_close(struct replica *r)
{
    struct replica_of_xen *x = xen_of(r);

    replica_xen_memory_close(&x->memory); /* first: what is mapped is not freed */
    if (x->host.xc)
        discard(x);
    auto_close(&x->timer);
    xen_host_close(&x->host);
    free(x->state);
    free(x->octets);
    free(x);
}

static const struct replica_ops replica_xen_ops = {
    .kind = "xen",
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

/* Touched: neither a commit nor an activation may need memory. */
static uint8_t *reserve(size_t bytes)
{
    uint8_t *at = malloc(bytes);

    if (at)
        memset(at, 0xff, bytes);
    return at;
}

static int check_all(struct replica_of_xen *x, struct err *e)
{
    int rc;

    if (strlen(x->shape.name) > GUEST_NAME_MAX - strlen(REPLICA_XEN_SUFFIX))
        return err_set(e, ENAMETOOLONG, "%s: a name of more than %zu octets", x->shape.name,
                       GUEST_NAME_MAX - strlen(REPLICA_XEN_SUFFIX));
    if ((rc = xen_config_read(x->shape.config, &x->config, e)) < 0)
        return rc;
    if (x->config.memory_kb < x->shape.max_memkb)
        x->config.memory_kb = x->shape.max_memkb;
    x->xl = xen_xl_path();
    if (!x->xl)
        return err_set(e, ENOENT, "this host has no xl: install Xen's tools (xen-utils)");
    if ((rc = xen_host_open(&x->host, e)) < 0 ||
        (rc = replica_xen_check_devices(&x->config, e)) < 0)
        return rc;
    return replica_xen_check_host(&x->host, &x->shape, &x->config, x->xl, e);
}

int replica_xen_open(const struct xen_shape *shape, struct replica **ret, struct err *e)
{
    struct replica_of_xen *x = calloc(1, sizeof(*x));
    int rc;

    if (!x)
        return err_set(e, ENOMEM, "no memory for a replica");
    x->base.ops = &replica_xen_ops;
    x->shape = *shape;
    x->timer = -1;
    replica_xen_shell_init(&x->shell);
    x->state = reserve(GUEST_STATE_MAX);
    x->octets = reserve(OCTETS_BYTES);
    rc = x->state && x->octets ? check_all(x, e) : err_set(e, ENOMEM, "no memory for a replica's state");
    if (rc < 0) {
        replica_close(&x->base);
        return rc;
    }
    *ret = &x->base;
    return 0;
}

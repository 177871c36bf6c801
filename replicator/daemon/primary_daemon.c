/* primary_daemon — see primary_daemon.h. Opened in order, closed in reverse; the loop in between. */
#include "replicator/daemon/primary_daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "checkpoint/pages.h"
#include "replicator/commands.h"
#include "replicator/engine/primary_engine.h"
#include "replicator/daemon/output.h"
#include "replicator/daemon/past.h"
#include "replicator/stats/status_json.h"
#include "replicator/control/told.h"
#include "replicator/domain/domain.h"
#include "replicator/domain/domain_plug.h"

#define STEPS_A_TURN     64u             /* of the engine, before anybody else is looked at */
#define FENCE_TIMEOUT_NS (60 * NS_PER_S) /* STONITH devices take their time */
#define WIRE_BYTES       (4u << 20)

struct primary_daemon {
    const struct primary_options *options;
    struct guest_info about;
    struct domain *domain;
    struct output output;
    struct fence *fence;
    struct primary_engine *engine;
    struct loop loop;
    struct told told;
    struct primary_past past;
    int lock_fd;
    char past_path[RUN_PATH_MAX];
    unsigned signals;         /* of those that end us */
    struct announcing announcing; /* of a guest that was activated in this process */
};

/* ---- the engine's world ----------------------------------------------------------------------------- */

static uint64_t world_now(UNUSED void *context)
{
    return clock_now_ns();
}

static int world_connect(void *context, struct link **ret, struct err *e)
{
    const struct primary_options *o = ((struct primary_daemon *)context)->options;

    return link_connect(ret, o->to, o->timing.timeout_ns, e);
}

static int world_remember(void *context, const struct primary_past *past, struct err *e)
{
    struct primary_daemon *d = context;

    d->past = *past;
    /* From here on the other side may come to own the guest while this one sleeps: nothing is said any more
     * that no lease holds back. */
    d->announcing = (struct announcing){ .failure = { .code = 0 } };
    return past_store(d->past_path, &d->past, e);
}

static void world_say(void *context, int level, const char *text)
{
    told_say(&((struct primary_daemon *)context)->told, level, text);
}

static void world_epoch_done(void *context)
{
    struct primary_daemon *d = context;
    struct primary_status s;

    if (!d->told.control || !control_has_followers(d->told.control, true))
        return;
    primary_engine_status(d->engine, &s);
    told_object(&d->told, status_json_primary_epoch(&s, d->about.name), true);
}

/* ---- the control socket's world --------------------------------------------------------------------- */

static json_t *control_status(void *context)
{
    const struct primary_daemon *d = context;
    struct netbuf_port ports[NETBUF_PORTS_MAX];
    struct histogram hold;
    struct primary_facts facts = {
        .guest = &d->about,
        .holds_output = d->domain->netbuf->ops->holds,
        .hold_ns = &hold,
        .last_loss = d->told.last_reason,
        .degraded = d->output.degraded,
        .ports = ports,
    };
    struct primary_status s;

    facts.port_count = d->domain->netbuf->ops->ports(d->domain->netbuf, ports);
    d->domain->ops->holds(d->domain, &hold);
    primary_engine_status(d->engine, &s);
    return status_json_primary(&s, &facts);
}

static json_t *control_settle(void *context, const struct control_request *r,
                              UNUSED uint64_t since_ns)
{
    const struct primary_daemon *d = context;
    struct primary_status s;

    primary_engine_status(d->engine, &s);
    if (r->op == CONTROL_SWITCHOVER && !s.is_switching && !s.is_given && s.state != P_ENDED)
        return control_refusal(EXIT_FAILED, "the backup was lost before the guest was given to it: it goes on here");
    if (r->op == CONTROL_ACTIVATE && !s.is_given && s.state != P_FENCED)
        return control_done("primary");
    if (!primary_engine_is_over(d->engine))
        return NULL;
    if (s.is_given)
        return s.end_reason == DETACH_SWITCHOVER ? control_done("switched") : control_done("given");
    return s.state == P_FENCED ? control_refusal(EXIT_FAILED, "fenced: the other side owns the guest")
                               : control_done("ended");
}

/* Activation where the guest runs already is done; where it lies still, given to the backup by a
 * switchover that nobody confirmed, it takes a person's word that it does not run there. */
static json_t *ask_back(struct primary_daemon *d, const struct control_request *r)
{
    struct primary_status s;

    primary_engine_status(d->engine, &s);
    if (!s.is_given)
        return control_done("primary");
    if (!d->fence->ops->primary_owns)
        return NULL; /* the arbiter is asked anyway, and decides */
    if (!r->fenced_by[0])
        return control_refusal(EXIT_REFUSED_FENCING, "given to the backup by a switchover that it has not "
                               "confirmed: make sure that it does not run there, then say who did: "
                               "--fenced-by WHO");
    primary_engine_take_back(d->engine);
    return NULL;
}

static json_t *control_ask(void *context, const struct control_request *r)
{
    struct primary_daemon *d = context;
    struct err e;

    if (r->op == CONTROL_ACTIVATE)
        return ask_back(d, r);
    if (r->op == CONTROL_SWITCHOVER)
        return primary_engine_switchover(d->engine, &e) < 0 ? control_refusal(EXIT_FAILED, e.text) : NULL;
    if (r->op == CONTROL_CHECK)
        return control_refusal(EXIT_UNIMPLEMENTED, "a guest is checked where it was activated");
    primary_engine_stop(d->engine, DETACH_STOPPED);
    return NULL;
}

/* ---- opening ---------------------------------------------------------------------------------------- */

static int open_lock(struct primary_daemon *d, struct err *e)
{
    const struct primary_options *o = d->options;
    char name[GUEST_NAME_MAX + 1];
    pid_t holder = 0;
    int rc = domain_kind(o->spec)->name(o->spec, name, e);

    if (rc < 0 || (rc = run_dir_make(&o->run, e)) < 0 ||
        (rc = run_dir_file(&o->run, RUN_PRIMARY, name, "past", d->past_path, e)) < 0)
        return rc;
    rc = run_dir_lock(&o->run, RUN_PRIMARY, name, &d->lock_fd, &holder, e);
    if (rc == -EBUSY)
        return err_set(e, EBUSY, "%s is protected already, by process %ld: look with "
                       "replicator status %s", name, (long)holder, name);
    return rc < 0 ? rc : past_load(d->past_path, &d->past, e);
}

/* The guest and what holds its output; nothing runs yet, but for a guest that ran here already. */
static int open_domain(struct primary_daemon *d, struct domain *running, struct err *e)
{
    const struct primary_options *o = d->options;
    char folder[RUN_PATH_MAX];
    const bool is_auto = o->netbuf_bytes == 0;
    const struct domain_options wanted = {
        .spec = o->spec,
        .netbuf_folder = folder,
        .queue_bytes = is_auto ? OUTPUT_LIMIT_QUEUE : o->netbuf_bytes,
        .plug_bytes = is_auto ? output_limit(o->timing.interval_ns, 0) : o->netbuf_bytes,
        .vifs = o->vifs.all,
        .vif_count = o->vifs.count,
        .unsafe_netbuf = o->unsafe_netbuf,
        .takes_over = d->past.lineage != 0,
    };
    int rc = run_dir_netbuf(&o->run, folder, e);

    d->domain = running;
    if (rc == 0)
        rc = running ? running->ops->hold(running, &wanted, e) : domain_kind(o->spec)->open(&d->domain, &wanted, e);
    if (rc < 0)
        return rc;
    d->domain->guest->ops->info(d->domain->guest, &d->about);
    output_open(&d->output, d->domain, is_auto, o->timing.interval_ns, clock_now_ns());
    return 0;
}

static const struct primary_world primary_world = {
    .now = world_now,
    .connect = world_connect,
    .remember = world_remember,
    .say = world_say,
    .epoch_done = world_epoch_done,
};

static int open_engine(struct primary_daemon *d, struct primary_world *world, struct err *e)
{
    const struct primary_options *o = d->options;
    struct primary_parts parts = {
        .guest = d->domain->guest,
        .netbuf = d->domain->netbuf,
        .world = world,
        .timing = o->timing,
        .epoch = { .buffer_pages = o->buffer_pages,
                   .cache_bytes = o->cache_bytes,
                   .allowed = { .delta = o->delta }, .packing = o->packing,
                   .encoders = o->encoders,
                   .verify_every = o->verify_every },
        .lineage = rng_system_seed() | 1, /* never 0 */
        .past = &d->past,
        .wire_bytes = WIRE_BYTES,
    };
    int rc = fence_open(&d->fence, o->arbiter, FENCE_TIMEOUT_NS, e);

    *world = primary_world;
    world->context = d;
    if (rc < 0)
        return rc;
    parts.fence = d->fence;
    /* An earlier process may have been replaced by the backup: nothing leaves until the token says. */
    if (d->past.given || (d->past.armed && !d->fence->ops->primary_owns))
        rc = d->domain->netbuf->ops->mark(d->domain->netbuf, 0, e);
    return rc < 0 ? rc : primary_engine_open(&d->engine, &parts, e);
}

static int open_control(struct primary_daemon *d, struct err *e)
{
    const struct control_world world = { d, control_status, control_ask, control_settle };
    char path[RUN_PATH_MAX];
    int rc = run_dir_file(&d->options->run, RUN_PRIMARY, d->about.name, "sock", path, e);

    return rc < 0 ? rc : control_open(&d->told.control, path, &world, e);
}

/* ---- the loop --------------------------------------------------------------------------------------- */

static void take_signals(struct primary_daemon *d)
{
    for (int s; (s = loop_signal(&d->loop)) != 0;)
        if (s == SIGTERM || s == SIGINT) {
            if (d->signals++ == 0)
                primary_engine_stop(d->engine, DETACH_STOPPED);
        }
}

static bool work(struct primary_daemon *d)
{
    for (unsigned i = 0; i < STEPS_A_TURN; i++)
        if (primary_engine_is_over(d->engine) || !primary_engine_step(d->engine))
            return false;
    return true;
}

static void watch_engine(struct primary_daemon *d)
{
    struct engine_fds fds;

    primary_engine_fds(d->engine, &fds);
    loop_watch(&d->loop, fds.receive, POLLIN);
    loop_watch(&d->loop, fds.wants_send ? fds.send : -1, POLLOUT);
    loop_watch(&d->loop, fds.fence, POLLIN);
    loop_watch(&d->loop, fds.guest, POLLIN);
    loop_watch(&d->loop, fds.encoders, POLLIN);
}

static uint64_t wake_at(const struct primary_daemon *d, bool is_busy)
{
    uint64_t until = primary_engine_deadline(d->engine);

    if (is_busy || primary_engine_is_over(d->engine))
        return 0;
    if (until > announcing_deadline(&d->announcing))
        until = announcing_deadline(&d->announcing);
    return until < output_deadline(&d->output) ? until : output_deadline(&d->output);
}

static void turn(struct primary_daemon *d)
{
    bool is_busy = work(d);
    unsigned input, output;

    loop_begin(&d->loop);
    input = loop_watch(&d->loop, d->domain->ops->input_fd(d->domain), POLLIN);
    output = output_watch(&d->output, &d->loop);
    control_watch(d->told.control, &d->loop);
    watch_engine(d);
    loop_wait(&d->loop, wake_at(d, is_busy));
    take_signals(d);
    if (loop_ready(&d->loop, input))
        d->domain->ops->input(d->domain);
    announcing_turn(&d->announcing, &d->told, d->about.name, clock_now_ns());
    output_turn(&d->output, loop_ready(&d->loop, output) != 0, d->engine, &d->told, d->about.name,
                clock_now_ns());
    if (!primary_engine_is_over(d->engine)) /* else whoever asked hears it when nothing is left to do */
        control_serve(d->told.control, &d->loop, clock_now_ns());
}

/* The guest runs on the backup, its copy here has been ended: no leftover of it is anybody's concern. */
static void leave_interfaces(struct primary_daemon *d)
{
    char folder[RUN_PATH_MAX], text[sizeof(((struct err *)NULL)->text) + GUEST_NAME_MAX + 64];
    struct err e;
    int rc = run_dir_netbuf(&d->options->run, folder, &e);

    if (rc == 0)
        rc = domain_plug_leave(folder, d->about.name, &e);
    if (rc == 0)
        return;
    snprintf(text, sizeof(text), "event=netbuf domain=%s role=primary output=degraded reason=\"%s\"",
             d->about.name, e.text);
    told_say(&d->told, LOG_LEVEL_WARNING, text);
}

/* What it came to; the exit code. */
static int finish(struct primary_daemon *d)
{
    struct primary_status s;
    char text[RUN_PATH_MAX + 256];

    primary_engine_status(d->engine, &s);
    if (d->signals > 1) {
        log_warning("%s: ended at once by a second signal; the backup was not told", d->about.name);
        return EXIT_FAILED;
    }
    if (s.state == P_FENCED) {
        snprintf(text, sizeof(text), "event=ended domain=%s role=primary exit=1 reason=\"fenced: the "
                 "other side owns the guest (for another one here: end it there, remove %s)\"",
                 d->about.name, d->past_path);
        told_say(&d->told, LOG_LEVEL_ERR, text);
        return EXIT_FAILED;
    }
    if (s.is_given && s.end_reason != DETACH_SWITCHOVER) {
        snprintf(text, sizeof(text), "event=ended domain=%s role=primary exit=1 reason=\"stopped after the guest "
                 "was given to the backup, which has not confirmed it: look there; %s remembers\"",
                 d->about.name, d->past_path);
        told_say(&d->told, LOG_LEVEL_ERR, text);
        return EXIT_FAILED;
    }
    if (s.is_given)
        leave_interfaces(d);
    past_forget(d->past_path);
    snprintf(text, sizeof(text), "event=ended domain=%s role=primary exit=0 reason=\"%s\"", d->about.name,
             detach_reason_words(s.end_reason));
    told_say(&d->told, LOG_LEVEL_NOTICE, text);
    return EXIT_OK;
}

/* All but the guest and what holds its output. */
static int open_rest(struct primary_daemon *d, struct primary_world *world, struct err *e)
{
    int rc = open_engine(d, world, e);

    if (rc < 0 || (rc = loop_open(&d->loop, e)) < 0)
        return rc;
    return open_control(d, e);
}

static int open_all(struct primary_daemon *d, struct primary_world *world, struct err *e)
{
    int rc;

    if ((rc = open_lock(d, e)) < 0 || (rc = open_domain(d, NULL, e)) < 0 || (rc = open_rest(d, world, e)) < 0)
        return rc;
    if (d->past.given || (d->past.armed && !d->fence->ops->primary_owns))
        return 0; /* it lies still here, until the backup or a person says whose it is */
    return guest_go_on(d->domain->guest, e);
}

/* The engine first: it never opens the plug, and the guest must not outlive what holds its output. */
static void close_all(struct primary_daemon *d)
{
    control_close(d->told.control);
    primary_engine_close(d->engine);
    if (d->domain)
        d->domain->ops->close(d->domain);
    if (d->fence)
        d->fence->ops->close(d->fence);
    loop_close(&d->loop);
    auto_close(&d->lock_fd);
}

static int exit_code_of(int rc)
{
    return rc == -EINVAL || rc == -ERANGE    ? EXIT_USAGE
           : rc == -EACCES || rc == -EPERM   ? EXIT_PERMISSION
           : rc == -ENODEV || rc == -ENOPROTOOPT ? EXIT_NOT_INSTALLED
                                             : EXIT_FAILED;
}

/* To the end; the exit code. */
static int serve(struct primary_daemon *d)
{
    int code;

    if (d->options->unsafe_netbuf)
        log_warning("%s: --unsafe no-netbuf: output is not held, a failover may take words back",
                    d->about.name);
    told_object(&d->told, json_pack("{s:i, s:s, s:o}", "schema", 1, "event", "hello", "status",
                                    control_status(d)), false);
    while (!primary_engine_is_over(d->engine) && d->signals < 2)
        turn(d);
    code = finish(d);
    control_settle_all(d->told.control, &d->loop, clock_now_ns());
    return code;
}

int primary_daemon_adopt(const struct primary_options *o, const struct primary_adoption *a, int *ret_exit,
                         struct err *e)
{
    struct primary_daemon d = { .options = o, .lock_fd = -1, .loop = { .signal_fd = -1 },
                                .announcing = a->announcing };
    struct primary_world world;
    int rc = open_lock(&d, e);

    if (rc == 0) {
        past_forget(d.past_path); /* of another life: the token of this one was granted here */
        d.past = (struct primary_past){ .armed = false };
        rc = open_domain(&d, a->domain, e);
    }
    if (rc == 0)
        rc = open_rest(&d, &world, e);
    if (rc == 0) {
        a->taken(a->context);
        d.domain->owns_guest = true;
        *ret_exit = serve(&d);
    } else {
        d.domain = NULL;
    }
    close_all(&d);
    return rc;
}

int primary_daemon_run(const struct primary_options *o)
{
    struct primary_daemon d = { .options = o, .lock_fd = -1, .loop = { .signal_fd = -1 } };
    struct primary_world world;
    struct err e;
    int rc;

    d.told.to_stdout = o->json;
    log_open("protect", LOG_LEVEL_INFO);
    rc = open_all(&d, &world, &e);
    if (rc < 0) {
        log_err("%s", e.text);
        rc = exit_code_of(rc);
    } else {
        rc = serve(&d);
    }
    close_all(&d);
    return rc;
}

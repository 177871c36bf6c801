/* backup_daemon — see backup_daemon.h. */
#include "replicator/daemon/backup_daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "replicator/daemon/adoption.h"
#include "replicator/daemon/announcing.h"
#include "replicator/commands.h"
#include "replicator/engine/backup_engine.h"
#include "replicator/daemon/greeting.h"
#include "replicator/daemon/onward.h"
#include "replicator/stats/status_json.h"
#include "replicator/control/told.h"
#include "replicator/domain/domain.h"
#include "replicator/domain/domain_plug.h"

#define STEPS_A_TURN      64u
#define FENCE_TIMEOUT_NS  (60 * NS_PER_S)
#define LAST_WORDS_NS_MAX (2 * NS_PER_S)   /* for a peer that does not read the answer to its DETACH */
#define ASK_AGAIN_NS      (20 * NS_PER_MS) /* while somebody waits for an activation */
#define SILENCE_SLACK_NS  (100 * NS_PER_MS)

struct backup_daemon {
    const struct backup_options *options;
    char name[GUEST_NAME_MAX + 1];
    uint64_t activation_tried_ns;
    struct fence *fence;
    struct backup_engine *engine;
    struct domain *domain;         /* once there is a replica; its guest is the engine's */
    struct announcing announcing;
    struct adoption adoption;
    struct loop loop;
    struct told told;
    int lock_fd, report_fd;
    bool was_ready, was_active, guest_ended, went_onward;
    uint64_t ended_at_ns;
    struct onward onward;
    unsigned signals;
};

/* A line to the acceptor; one that is gone needs none. */
static void report(const struct backup_daemon *d, const char *word, const char *words)
{
    if (d->report_fd >= 0 && dprintf(d->report_fd, "%s %s\n", word, words) < 0)
        return;
}

static struct backup_status status_of(const struct backup_daemon *d)
{
    struct backup_status s;

    backup_engine_status(d->engine, &s);
    return s;
}

/* ---- the engine's world ----------------------------------------------------------------------------- */

static uint64_t world_now(UNUSED void *context)
{
    return clock_now_ns();
}

static void close_domain(struct backup_daemon *d)
{
    if (d->domain)
        d->domain->ops->close(d->domain);
    d->domain = NULL;
}

static int world_make_replica(void *context, const struct hello *h, struct replica **ret, struct err *e)
{
    struct backup_daemon *d = context;
    const struct domain_ops *kind = domain_kind(h->spec);

    if (!kind)
        return err_set(e, EOPNOTSUPP, "this backup knows no kind of guest \"%.40s\"", h->spec);
    close_domain(d); /* of a replica that was given up */
    return kind->await(&d->domain, h, ret, e);
}

/* Nothing that fails here keeps the guest from running: there is no way back, and a person is told. */
static void drop_earlier(struct backup_daemon *d, const struct guest *g)
{
    char folder[RUN_PATH_MAX], text[sizeof(((struct err *)NULL)->text) + GUEST_NAME_MAX + 64];
    struct guest_info about;
    struct err e;
    int rc = run_dir_netbuf(&d->options->run, folder, &e);

    g->ops->info(g, &about);
    if (rc == 0)
        rc = domain_plug_drop_earlier(folder, d->name, about.uuid, &e);
    if (rc == 0)
        return;
    snprintf(text, sizeof(text), "event=netbuf domain=%s role=backup output=%s reason=\"%s\"", d->name,
             rc > 0 ? "dropped" : "degraded", rc > 0 ? "an earlier life of the guest held it here" : e.text);
    told_say(&d->told, rc > 0 ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING, text);
}

static int world_run_guest(void *context, struct guest *g, struct err *e)
{
    struct backup_daemon *d = context;
    int rc;

    drop_earlier(d, g);
    rc = d->domain->ops->run(d->domain, g, e);
    if (rc == 0)
        announcing_begin(&d->announcing, d->domain, &d->options->announce, d->name, clock_now_ns());
    return rc;
}

static struct guest *guest_of(const struct backup_daemon *d)
{
    return d->domain ? d->domain->guest : NULL;
}

static void world_say(void *context, int level, const char *text)
{
    told_say(&((struct backup_daemon *)context)->told, level, text);
}

static void world_committed(void *context, UNUSED uint64_t epoch)
{
    struct backup_daemon *d = context;
    struct backup_status s;

    if (!d->told.control || !control_has_followers(d->told.control, true))
        return;
    s = status_of(d);
    told_object(&d->told, status_json_backup_epoch(&s), true);
}

/* ---- the control socket's world --------------------------------------------------------------------- */

static json_t *control_status(void *context)
{
    const struct backup_daemon *d = context;
    struct backup_status s = status_of(d);
    json_t *o = status_json_backup(&s);

    json_object_set_new(o, "announced", announcing_json(&d->announcing));
    return o;
}

static json_t *refuse_fencing(const struct backup_daemon *d, const struct control_request *r,
                              const struct backup_status *s)
{
    if (d->fence->ops->primary_owns && !r->fenced_by[0])
        return control_refusal(EXIT_REFUSED_FENCING, "the arbiter is manual: make sure that the primary is "
                               "off, then say who did: --fenced-by WHO");
    if (s->state == B_STALE || s->state == B_ASKING)
        return control_refusal(EXIT_REFUSED_FENCING, "the arbiter gave the guest to the primary");
    return control_refusal(EXIT_REFUSED_FENCING, "the primary is alive: it was heard within the timeout");
}

/* The word that the primary is fenced may come before its silence is long enough to be believed: then
 * it is given to the engine again until it is. */
static json_t *settle_activation(struct backup_daemon *d, const struct control_request *r,
                                 uint64_t since_ns)
{
    struct backup_status s = status_of(d);

    if (s.state == B_ACTIVE)
        return control_done("active");
    if (s.state == B_ENDED && s.end_reason == BACKUP_END_LOST)
        return control_refusal(EXIT_FAILED, "the replica was lost while it was made to run, and can't be tried "
                               "again: the log of receive says why (event=lost)");
    if (s.state == B_ENDED || s.refusal == REFUSED_NO_CHECKPOINT)
        return control_refusal(EXIT_REFUSED_NO_CHECKPOINT, "no complete checkpoint is held that may run");
    if (s.refusal != REFUSED_FENCING)
        return NULL;
    if (r->fenced_by[0] && d->activation_tried_ns < since_ns + s.timing.timeout_ns + SILENCE_SLACK_NS) {
        d->activation_tried_ns = clock_now_ns(); /* once when that is over, however late this is called */
        backup_engine_activate(d->engine, true);
        return NULL;
    }
    return refuse_fencing(d, r, &s);
}

static json_t *control_settle(void *context, const struct control_request *r, uint64_t since_ns)
{
    struct backup_daemon *d = context;
    struct backup_status s = status_of(d);

    if (r->op == CONTROL_ACTIVATE)
        return settle_activation(d, r, since_ns);
    return s.state == B_ENDED && backup_engine_is_over(d->engine) ? control_done("ended") : NULL;
}

/* For proofs: the guest answers for its own memory. */
static json_t *check_guest(const struct backup_daemon *d)
{
    struct guest *g = guest_of(d);
    struct err e;
    int rc, resumed;

    if (!g)
        return control_refusal(EXIT_NOT_RUNNING, "no guest runs here");
    rc = g->ops->pause(g, &e);
    if (rc == 0)
        rc = d->domain->ops->check(d->domain, &e);
    if (rc == -ECANCELED)
        return control_refusal(EXIT_FAILED, e.text);
    resumed = guest_go_on(g, rc < 0 ? &(struct err){ 0 } : &e);
    return rc < 0 || resumed < 0 ? control_refusal(EXIT_FAILED, e.text) : control_done("whole");
}

static json_t *control_ask(void *context, const struct control_request *r)
{
    struct backup_daemon *d = context;
    struct backup_status s = status_of(d);
    char text[256];

    if (r->op == CONTROL_ACTIVATE) {
        snprintf(text, sizeof(text), "event=activate domain=%s role=backup fenced_by=\"%s\"", d->name,
                 r->fenced_by);
        told_say(&d->told, LOG_LEVEL_NOTICE, text);
        backup_engine_activate(d->engine, r->fenced_by[0] != '\0');
    } else if (r->op == CONTROL_SWITCHOVER) {
        return control_refusal(EXIT_NOT_RUNNING, "a switchover is asked for on the host where the guest runs");
    } else if (r->op == CONTROL_CHECK) {
        return check_guest(d);
    } else if (r->op == CONTROL_DETACH && (s.state == B_ACTIVE || s.state == B_ACTIVATING)) {
        return control_done("active"); /* nothing is replicated any more, and the guest runs here */
    } else {
        backup_engine_stop(d->engine);
    }
    return NULL;
}

/* ---- opening ---------------------------------------------------------------------------------------- */

static const struct backup_world backup_world = {
    .now = world_now,
    .make_replica = world_make_replica,
    .run_guest = world_run_guest,
    .say = world_say,
    .committed = world_committed,
};

static int open_sockets(struct backup_daemon *d, struct err *e)
{
    const struct control_world world = { d, control_status, control_ask, control_settle };
    const struct run_dir *run = &d->options->run;
    char control[RUN_PATH_MAX], adopt[RUN_PATH_MAX];
    int rc;

    if ((rc = run_dir_file(run, RUN_BACKUP, d->name, "sock", control, e)) < 0 ||
        (rc = run_dir_file(run, RUN_BACKUP, d->name, "adopt", adopt, e)) < 0 ||
        (rc = adoption_open(&d->adoption, adopt, e)) < 0)
        return rc;
    return control_open(&d->told.control, control, &world, e);
}

static int open_all(struct backup_daemon *d, struct backup_world *world, struct err *e)
{
    struct backup_parts parts = { .world = world, .stage_bytes = d->options->stage_bytes,
                                  .decoders = d->options->decoders };
    int rc;

    *world = backup_world;
    world->context = d;
    rc = fence_open(&d->fence, d->options->arbiter, FENCE_TIMEOUT_NS, e);
    parts.fence = d->fence;
    if (rc < 0 || (rc = backup_engine_open(&d->engine, &parts, e)) < 0 ||
        (rc = loop_open(&d->loop, e)) < 0)
        return rc;
    return open_sockets(d, e);
}

static void close_all(struct backup_daemon *d)
{
    control_close(d->told.control);
    adoption_close(&d->adoption);
    backup_engine_close(d->engine); /* and the guest with it */
    close_domain(d);
    if (d->fence)
        d->fence->ops->close(d->fence);
    loop_close(&d->loop);
    auto_close(&d->lock_fd);
    auto_close(&d->report_fd);
}

/* ---- the loop --------------------------------------------------------------------------------------- */

static bool is_running_guest(const struct backup_status *s)
{
    return s->state == B_ACTIVE || s->state == B_ACTIVATING;
}

static void take_signals(struct backup_daemon *d)
{
    for (int s; (s = loop_signal(&d->loop)) != 0;) {
        struct backup_status now = status_of(d);

        if (s == SIGUSR1 && is_running_guest(&now)) {
            report(d, "active", d->name);
            log_notice("%s runs here and goes on without the acceptor", d->name);
        } else if ((s == SIGUSR1 || s == SIGTERM || s == SIGINT) && d->signals++ == 0) {
            backup_engine_stop(d->engine);
        }
    }
}

static void tell_changes(struct backup_daemon *d)
{
    struct backup_status s = status_of(d);
    char text[160];

    if (s.is_ready != d->was_ready && s.state != B_ENDED) {
        snprintf(text, sizeof(text), "event=ready domain=%s role=backup ready=%s epoch=%llu", d->name,
                 s.is_ready ? "true" : "false", (unsigned long long)s.committed);
        told_say(&d->told, LOG_LEVEL_NOTICE, text);
    }
    d->was_ready = s.is_ready;
    if (s.state == B_ACTIVE && !d->was_active) {
        report(d, "active", d->name);
        d->was_active = true;
    }
    if (s.state == B_ENDED && d->ended_at_ns == 0)
        d->ended_at_ns = clock_now_ns();
    d->guest_ended = guest_of(d) && guest_of(d)->ops->life(guest_of(d)) != GUEST_RUNS;
}

static bool work(struct backup_daemon *d)
{
    for (unsigned i = 0; i < STEPS_A_TURN; i++)
        if (!backup_engine_step(d->engine))
            return false;
    return true;
}

static bool is_over(const struct backup_daemon *d, bool is_busy)
{
    struct backup_status s = status_of(d);

    return d->signals > 1 || d->guest_ended || backup_engine_is_over(d->engine) ||
           (d->ended_at_ns != 0 && clock_now_ns() > d->ended_at_ns + LAST_WORDS_NS_MAX) ||
           (!is_busy && s.state == B_EMPTY); /* its only connection was refused */
}

static uint64_t wake_at(const struct backup_daemon *d, bool is_busy)
{
    uint64_t until = is_busy ? 0 : backup_engine_deadline(d->engine), now = clock_now_ns();

    if (control_has_pending(d->told.control) && until > now + ASK_AGAIN_NS)
        until = now + ASK_AGAIN_NS;
    if (d->options->onward && status_of(d).state == B_ACTIVE && until > d->onward.due_ns)
        until = d->onward.due_ns;
    if (until > announcing_deadline(&d->announcing))
        until = announcing_deadline(&d->announcing);
    if (d->ended_at_ns != 0 && until > d->ended_at_ns + LAST_WORDS_NS_MAX)
        until = d->ended_at_ns + LAST_WORDS_NS_MAX + 1;
    return until;
}

static void turn(struct backup_daemon *d, bool is_busy)
{
    struct engine_fds fds;
    struct hello hello;
    struct link *link;
    unsigned input;

    loop_begin(&d->loop);
    input = loop_watch(&d->loop, d->domain ? d->domain->ops->input_fd(d->domain) : -1, POLLIN);
    control_watch(d->told.control, &d->loop);
    adoption_watch(&d->adoption, &d->loop);
    backup_engine_fds(d->engine, &fds);
    loop_watch(&d->loop, fds.receive, POLLIN);
    loop_watch(&d->loop, fds.wants_send ? fds.send : -1, POLLOUT);
    loop_watch(&d->loop, fds.fence, POLLIN);
    loop_watch(&d->loop, fds.guest, POLLIN);
    loop_wait(&d->loop, wake_at(d, is_busy));
    take_signals(d);
    if (loop_ready(&d->loop, input))
        d->domain->ops->input(d->domain);
    if (adoption_serve(&d->adoption, &d->loop, d->name, &link, &hello))
        backup_engine_adopt(d->engine, link, &hello);
    announcing_turn(&d->announcing, &d->told, d->name, clock_now_ns());
    control_serve(d->told.control, &d->loop, clock_now_ns());
}

/* ---- onward ------------------------------------------------------------------------------------------ */

/* The guest is a primary's now: from here on that answers for it. */
static void guest_taken(void *context)
{
    struct backup_daemon *d = context;

    d->went_onward = true;
    (void)backup_engine_let_go(d->engine);
    d->domain = NULL;
    control_settle_all(d->told.control, &d->loop, clock_now_ns());
    control_close(d->told.control);
    d->told.control = NULL;
    adoption_close(&d->adoption);
    loop_close(&d->loop);
}

/* True when the guest's protection here has come to its end. */
static bool go_onward(struct backup_daemon *d)
{
    const struct primary_adoption guest = { .domain = d->domain, .announcing = d->announcing,
                                            .taken = guest_taken, .context = d };
    struct backup_status s = status_of(d);

    if (!d->options->onward || s.state != B_ACTIVE || control_has_pending(d->told.control))
        return false;
    return onward_try(&d->onward, d->options, &s.timing, &guest, &d->told, clock_now_ns());
}

static const char *end_words(const struct backup_daemon *d)
{
    struct backup_status s = status_of(d);

    if (d->went_onward)
        return "the guest, which ran here, or its protection has ended";
    if (d->guest_ended)
        return "the guest, which ran here, has ended";
    if (s.state == B_ENDED && d->was_active)
        return "the guest, which ran here, was stopped";
    if (s.state == B_ENDED)
        return backup_end_words(s.end_reason);
    return s.state == B_EMPTY ? "its only connection was refused" : "it was ended at once by a signal";
}

static void finish(struct backup_daemon *d)
{
    char text[256];

    if (!d->went_onward) { /* else it was said by the primary that this has become */
        snprintf(text, sizeof(text), "event=ended domain=%s role=backup reason=\"%s\"", d->name, end_words(d));
        told_say(&d->told, LOG_LEVEL_NOTICE, text);
        control_settle_all(d->told.control, &d->loop, clock_now_ns());
    }
    report(d, "ended", end_words(d));
}

static void run(struct backup_daemon *d)
{
    bool is_busy;

    report(d, "replica", d->name);
    for (;;) {
        is_busy = work(d);
        tell_changes(d);
        if (is_over(d, is_busy) || go_onward(d))
            break;
        turn(d, is_busy);
    }
    finish(d);
}

int backup_daemon_run(const struct backup_options *o, const struct backup_start *start)
{
    struct backup_daemon d = { .options = o, .lock_fd = start->lock_fd, .report_fd = start->report_fd,
                               .loop = { .signal_fd = -1 } };
    struct backup_world world;
    struct link *link = NULL;
    char who[GUEST_NAME_MAX + 16];
    struct err e;
    int rc;

    run_dir_sign(d.lock_fd);
    adoption_init(&d.adoption);
    memcpy(d.name, start->hello->name, sizeof(d.name));
    snprintf(who, sizeof(who), "receive %s", d.name);
    log_open(who, LOG_LEVEL_INFO);
    rc = handover_link(start->connection, start->tether, &link, &e);
    if (rc == 0)
        rc = open_all(&d, &world, &e);
    if (rc == 0) {
        backup_engine_adopt(d.engine, link, start->hello);
        run(&d);
    } else {
        log_err("%s", e.text);
        report(&d, "ended", e.text);
        if (link)
            link->ops->close(link);
    }
    close_all(&d);
    return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

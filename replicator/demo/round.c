/* round — see round.h. Every wait is for an event and has a deadline; a deadline that passes fails the
 * round with the words of who was waited for. */
#include "replicator/demo/round.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "checkpoint/sim/frame.h"
#include "checkpoint/sim/guest_sim_spec.h"

#define DOMAIN          "demo"
#define PROGRAM         "/proc/self/exe" /* this one */
#define PATIENCE_NS     (20 * NS_PER_S)  /* for a process to do what takes it milliseconds */
#define COPY_NS_A_MIB   (50 * NS_PER_MS) /* at worst */
#define LOOK_NS         (100 * NS_PER_MS)
#define FRAMES_A_SECOND 500u
#define GUEST_LIFE_S    600u             /* a guest whose demo was killed ends by itself */

void round_open(struct round *r, const struct demo_options *o, uint64_t seed, struct table *t)
{
    memset(r, 0, sizeof(*r));
    r->options = o;
    r->seed = seed;
    r->table = t;
    r->replica_fd = r->witness.lines.fd = -1;
    r->to_primary.fd = r->to_backup.fd = r->backup_events.fd = -1;
    r->backup.pid_fd = r->primary.pid_fd = r->backup.out.fd = r->primary.out.fd = -1;
    rng_seed(&r->rng, seed);
}

static uint64_t in(uint64_t ns)
{
    return clock_now_ns() + ns;
}

static const char *word_of(const json_t *line, const char *key)
{
    const char *word = json_string_value(json_object_get(line, key));

    return word ? word : "";
}

/* ---- before the kill ------------------------------------------------------------------------------ */

static int make_folder(struct round *r, struct err *e)
{
    const char *root = getenv("TMPDIR");

    snprintf(r->folder, sizeof(r->folder), "%s/replicator-demo.XXXXXX",
             root && strlen(root) < 32 ? root : "/tmp");
    if (!mkdtemp(r->folder)) {
        r->folder[0] = '\0';
        return err_set(e, errno, "no folder for the demo: %m");
    }
    snprintf(r->arbiter, sizeof(r->arbiter), "file:%s/arbiter", r->folder);
    return mkdir(r->arbiter + strlen("file:"), 0700) < 0 ? err_set(e, errno, "%s: %m", r->arbiter) : 0;
}

/* The guest's specification but for its NIC, whose port the witness gives. */
static void make_spec(struct round *r, unsigned port)
{
    const struct demo_options *o = r->options;

    snprintf(r->spec, sizeof(r->spec),
             "sim:" DOMAIN "?mib=%" PRIu64 "&workload=%s&dirty=%" PRIu64 "&vcpus=%" PRIu64
             "&seed=%" PRIu64 "&steps=%" PRIu64 "&frames=%u&nic=udp:127.0.0.1:%u",
             o->mib, o->workload, o->dirty, o->vcpus, r->seed, GUEST_LIFE_S * (o->dirty / o->vcpus + 10),
             FRAMES_A_SECOND, port);
}

static int start_witness(struct round *r, struct err *e)
{
    struct guest_sim_spec spec;
    uint8_t uuid[16];
    int rc;

    make_spec(r, 1);
    rc = guest_sim_spec_parse(r->spec, &spec, e);
    if (rc < 0)
        return rc;
    guest_sim_spec_uuid(&spec, uuid);
    rc = witness_start(&r->witness, frame_domain(uuid), e);
    if (rc == 0)
        make_spec(r, r->witness.port);
    return rc;
}

/* The address that it really listens at, from its first word. */
static int start_backup(struct round *r, struct err *e)
{
    char listen[128], run[80];
    const char *const arguments[] = { "receive", "--listen", listen, "--arbiter", r->arbiter,
                                      "--run-dir", run, "--json", NULL };
    json_t *line;
    int rc;

    snprintf(run, sizeof(run), "%s/backup", r->folder);
    if (strcmp(r->options->transport, "unix") == 0)
        snprintf(listen, sizeof(listen), "unix:%s/link", r->folder);
    else
        snprintf(listen, sizeof(listen), "tcp:127.0.0.1:0");
    rc = actor_start(&r->backup, PROGRAM, "backup", r->folder, arguments, e);
    if (rc == 0)
        rc = lines_wait(&r->backup.out, in(PATIENCE_NS), &line, e);
    if (rc < 0)
        return err_wrap(e, "the backup's first word");
    snprintf(r->address, sizeof(r->address), "%s", word_of(line, "address"));
    json_decref(line);
    return r->address[0] ? 0 : err_set(e, EPROTO, "the backup does not say where it listens");
}

static int start_primary(struct round *r, struct err *e)
{
    char run[80], interval[UNITS_TEXT_MAX], timeout[UNITS_TEXT_MAX];
    const char *const arguments[] = { "protect", r->spec, "--to", r->address, "--arbiter", r->arbiter,
                                      "--run-dir", run, "--interval", interval, "--timeout", timeout,
                                      "--json", r->options->unsafe ? "--unsafe" : NULL,
                                      r->options->unsafe, NULL };
    int rc;

    snprintf(run, sizeof(run), "%s/primary", r->folder);
    units_put_time(interval, r->options->interval_ns);
    units_put_time(timeout, r->options->timeout_ns);
    rc = actor_start(&r->primary, PROGRAM, "primary", r->folder, arguments, e);
    if (rc == 0)
        rc = actor_connect(&r->primary, false, DOMAIN, in(PATIENCE_NS), &r->to_primary, e);
    return rc;
}

static int ask_primary(struct round *r, struct err *e)
{
    json_t *status;
    int rc = lines_ask(&r->to_primary, json_pack("{s:s}", "op", "status"), in(PATIENCE_NS), &status, e);

    if (rc < 0)
        return err_wrap(e, "the primary's status");
    json_decref(r->status);
    r->status = status;
    r->was_protected = json_is_true(json_object_get(status, "protected")) ||
                       (r->options->unsafe && table_number(status, "epochs", NULL) > 0);
    return 0;
}

/* Looks at the primary ten times a second; -ECHILD when it ends. */
static int look_again(struct round *r, uint64_t until_ns, struct err *e)
{
    uint64_t next = in(LOOK_NS);
    int rc = lines_poll(r->primary.pid_fd, r->backup.pid_fd, next < until_ns ? next : until_ns);

    if (rc < 0)
        return err_set(e, -rc, "interrupted");
    if (rc > 0)
        return err_set(e, ECHILD, "a daemon has ended before its time");
    return clock_now_ns() < until_ns ? ask_primary(r, e) : 0;
}

static int await_protection(struct round *r, struct err *e)
{
    uint64_t until = in(PATIENCE_NS + r->options->mib * COPY_NS_A_MIB);
    int rc = ask_primary(r, e);

    while (rc == 0 && !r->was_protected) {
        table_copy(r->table, r->status, clock_now_ns());
        if (clock_now_ns() >= until)
            return err_set(e, ETIMEDOUT, "the guest is not protected in time: %s",
                           word_of(r->status, "reason"));
        rc = look_again(r, until, e);
    }
    return rc;
}

/* The replica's process: what it does from now on is heard, and it can be ended. */
static int meet_replica(struct round *r, struct err *e)
{
    json_t *line;
    int rc = actor_connect(&r->backup, true, DOMAIN, in(PATIENCE_NS), &r->to_backup, e);

    if (rc == 0)
        rc = actor_connect(&r->backup, true, DOMAIN, in(PATIENCE_NS), &r->backup_events, e);
    if (rc == 0)
        rc = lines_ask(&r->backup_events, json_pack("{s:s}", "op", "events"), in(PATIENCE_NS), &line, e);
    if (rc < 0)
        return err_wrap(e, "the replica's control socket");
    r->replica_fd =
        pidfd_open((pid_t)table_number(json_object_get(line, "status"), "pid", NULL), 0);
    json_decref(line);
    return r->replica_fd < 0 ? err_set(e, errno, "the replica's process: %m") : 0;
}

/* A random instant, so that it is a random place of an epoch. */
static uint64_t protected_time(struct round *r)
{
    uint64_t most = r->options->seconds  ? r->options->seconds * NS_PER_S
                    : r->options->kills > 1 ? 900 * NS_PER_MS
                                            : 3 * NS_PER_S;

    return most / 3 + rng_below(&r->rng, most - most / 3);
}

static int run_protected(struct round *r, struct err *e)
{
    uint64_t from = clock_now_ns(), until = from + protected_time(r), last = until + PATIENCE_NS;
    int rc = 0;

    while (rc == 0 && clock_now_ns() < until) {
        table_epoch(r->table, r->status, clock_now_ns());
        rc = look_again(r, until, e);
        /* A machine that stalls for longer than the timeout loses protection, and says so: what is
         * to be shown is the death of a primary that has it. */
        if (rc == 0 && !r->was_protected && until < last)
            until = in(2 * LOOK_NS);
    }
    if (rc < 0)
        return rc;
    actor_kill(&r->primary);
    r->killed_at_ns = clock_now_ns();
    r->times.protected_for = r->killed_at_ns - from;
    table_say(r->table, "  primary   killed by SIGKILL after %.2f s of protection",
              (double)r->times.protected_for / 1e9);
    return r->was_protected ? 0 : err_set(e, EPROTO, "the guest was not protected when its primary died");
}

/* ---- after the kill ------------------------------------------------------------------------------- */

/* Hears the replica's states until it runs the guest; when each came is its time. */
static int await_activation(struct round *r, struct err *e)
{
    uint64_t until = in(PATIENCE_NS + 4 * r->options->timeout_ns);
    json_t *line;

    while (r->times.active == 0) {
        int rc = lines_wait(&r->backup_events, until, &line, e);
        uint64_t after = clock_now_ns() - r->killed_at_ns;

        if (rc < 0)
            return err_wrap(e, "the backup after the kill");
        if (strcmp(word_of(line, "event"), "state") == 0) {
            if (strcmp(word_of(line, "to"), "asking") == 0 && r->times.lost == 0)
                r->times.lost = after;
            else if (strcmp(word_of(line, "to"), "activating") == 0)
                r->times.token = after;
            else if (strcmp(word_of(line, "to"), "active") == 0)
                r->times.active = after;
        }
        json_decref(line);
    }
    return 0;
}

static int await_outside(struct round *r, struct err *e)
{
    uint64_t at;
    int rc = witness_await(&r->witness, "successor", in(PATIENCE_NS), &at, e);

    if (rc < 0)
        return rc;
    r->times.outside = at - r->killed_at_ns;
    rc = witness_await(&r->witness, "well", in(PATIENCE_NS), &at, e);
    if (rc == 0)
        r->times.well = at - r->killed_at_ns;
    return rc;
}

static int check_guest(struct round *r, struct err *e)
{
    uint64_t until = in(PATIENCE_NS + r->options->mib * COPY_NS_A_MIB);
    json_t *answer;
    int rc = lines_ask(&r->to_backup, json_pack("{s:s}", "op", "check"), until, &answer, e);

    if (rc < 0)
        return err_wrap(e, "the check of the activated guest");
    if (!json_is_true(json_object_get(answer, "ok")))
        snprintf(r->check, sizeof(r->check), "%s", word_of(answer, "error"));
    json_decref(answer);
    return 0;
}

int round_play(struct round *r, struct err *e)
{
    static int (*const acts[])(struct round *, struct err *) = {
        make_folder, start_witness, start_backup, start_primary, await_protection, meet_replica,
        run_protected, await_activation, await_outside, check_guest,
    };
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(acts); i++)
        rc = acts[i](r, e);
    if (r->witness.pid > 0) { /* also about a round that failed */
        struct err unheard;
        int judged = witness_judgement(&r->witness, in(PATIENCE_NS), &r->judgement,
                                       rc < 0 ? &unheard : e);

        rc = rc < 0 ? rc : judged;
    }
    return rc;
}

bool round_is_good(const struct round *r)
{
    static const char *const promises[] = { "p1", "p2", "p3", "nothing_lost" };

    for (unsigned i = 0; i < ARRAY_LEN(promises); i++)
        if (!json_is_true(json_object_get(r->judgement, promises[i])))
            return false;
    return table_number(r->judgement, "sources", NULL) == 2 && r->was_protected && r->check[0] == '\0' &&
           r->times.well > 0;
}

/* ---- the end -------------------------------------------------------------------------------------- */

static void show_log(const struct actor *a)
{
    char text[4096];
    FILE *file = a->name ? fopen(a->log, "re") : NULL;
    size_t got;

    if (!file)
        return;
    fprintf(stderr, "---- the %s said:\n", a->name);
    while ((got = fread(text, 1, sizeof(text), file)) > 0)
        fwrite(text, 1, got, stderr);
    fclose(file);
}

void round_show_logs(const struct round *r)
{
    show_log(&r->backup);
    show_log(&r->primary);
}

static int remove_one(const char *path, const struct stat *s, int flag, struct FTW *at)
{
    (void)s, (void)flag, (void)at;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* A replica is its own session's: when the round failed before it was met, its lock names it. */
static void meet_unmet_replica(struct round *r)
{
    char path[128];
    FILE *file;
    int pid;

    snprintf(path, sizeof(path), "%s/backup/backup/" DOMAIN ".lock", r->folder);
    file = r->folder[0] ? fopen(path, "re") : NULL;
    if (file && fscanf(file, "%d", &pid) == 1 && pid > 1)
        r->replica_fd = pidfd_open(pid, 0);
    if (file)
        fclose(file);
}

void round_close(struct round *r)
{
    if (r->replica_fd < 0)
        meet_unmet_replica(r);
    if (r->replica_fd >= 0)
        pidfd_send_signal(r->replica_fd, SIGKILL, NULL, 0);
    auto_close(&r->replica_fd);
    actor_close(&r->primary);
    actor_close(&r->backup);
    witness_close(&r->witness);
    lines_close(&r->to_primary);
    lines_close(&r->to_backup);
    lines_close(&r->backup_events);
    json_decref(r->status);
    json_decref(r->judgement);
    r->status = r->judgement = NULL;
    if (r->folder[0])
        nftw(r->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    r->folder[0] = '\0';
}

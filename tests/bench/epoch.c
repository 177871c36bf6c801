/* epoch — how fast checkpoints go and what they cost: primary, backup and a witness as processes over
 * loopback TCP, judged against the figures that the project promises. One line a figure; exit 1 when
 * one is missed.   usage: epoch REPLICATOR SECONDS [JSON-FILE] */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/rng.h"
#include "checkpoint/sim/frame.h"
#include "checkpoint/sim/guest_sim_memory.h"
#include "checkpoint/sim/guest_sim_spec.h"
#include "replicator/demo/actor.h"
#include "replicator/demo/table.h"
#include "replicator/demo/witness.h"

#define DOMAIN       "bench"
#define GUEST_MIB    UINT64_C(1024)
#define PAGES        1000u             /* dirty an epoch, about */
#define AT_PACE      "dirty=41500"     /* a second: some pages are written twice an epoch */
#define AT_CEILING   "burst=1030"
#define BUFFER_MIB   16.0              /* protect's defaults */
#define CACHE_MIB    64.0
#define SLACK_MIB    32.0
#define PATIENCE_NS  (120 * NS_PER_S)
#define LOOK_NS      (200 * NS_PER_MS)

struct result {
    double epochs_a_second, dirty, seconds;
    double pause_p50, pause_p99, hold_p50, hold_p99, commit_p50, commit_p99; /* us */
    double ratio, primary_mib, backup_mib, stage_mib;
    double primary_cpu, backup_cpu; /* cores */
};

struct stage {
    const char *program;
    char folder[64];
    struct actor primary, backup;
    struct lines to_primary, to_backup;
    struct witness witness;
    pid_t replica;
};

static struct histogram copy_ns;  /* the plain memcpy, measured all along */
static uint8_t *field, *target;   /* as large as the guest; as large as the epoch */
static struct rng rng;

NORETURN static void fail(const struct stage *s, const struct err *e)
{
    char command[256];

    fprintf(stderr, "bench: %s\n", e->text);
    /* The replica is in a session of its own and named by its lock; the others end with us. */
    snprintf(command, sizeof(command),
             "cd %s && cat ./*.log >&2; kill -9 $(cat backup/backup/" DOMAIN ".lock); rm -rf %s", s->folder,
             s->folder);
    if (system(command) != 0)
        fprintf(stderr, "bench: %s stays behind\n", s->folder);
    exit(1);
}

static void check(const struct stage *s, int rc, const struct err *e)
{
    if (rc < 0)
        fail(s, e);
}

/* The reference: as many scattered pages as an epoch has, out of as large a memory. */
static void copy_plainly(void)
{
    uint64_t from[PAGES], before;

    for (unsigned i = 0; i < PAGES; i++)
        from[i] = rng_below(&rng, GUEST_MIB * GUEST_SIM_MIB_PAGES) * PAGE_BYTES;
    before = clock_now_ns();
    for (unsigned i = 0; i < PAGES; i++)
        memcpy(target + (size_t)i * PAGE_BYTES, field + from[i], PAGE_BYTES);
    histogram_add(&copy_ns, clock_now_ns() - before);
}

static double mib_of(pid_t pid)
{
    char path[64], line[256];
    double kib = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", (long)pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "Rss:", 4) == 0)
            kib = strtod(line + 4, NULL);
    if (file)
        fclose(file);
    return kib / 1024;
}

static double cpu_seconds_of(pid_t pid)
{
    char path[64];
    unsigned long user = 0, system_time = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (!file || fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                        &system_time) != 2)
        user = system_time = 0;
    if (file)
        fclose(file);
    return (double)(user + system_time) / (double)sysconf(_SC_CLK_TCK);
}

static json_t *ask(const struct stage *s, struct lines *of)
{
    struct err e;
    json_t *status;

    check(s, lines_ask(of, json_pack("{s:s}", "op", "status"), clock_now_ns() + PATIENCE_NS, &status,
                       &e), &e);
    return status;
}

static void start(struct stage *s, const char *writes, const char *interval)
{
    char spec[512], run[2][80], address[128];
    const char *const receive[] = { "receive", "--listen", "tcp:127.0.0.1:0", "--run-dir", run[0],
                                    "--json", NULL };
    const char *const protect[] = { "protect", spec, "--to", address, "--run-dir", run[1],
                                    "--interval", interval, "--json", NULL };
    struct guest_sim_spec parsed;
    uint64_t until = clock_now_ns() + PATIENCE_NS;
    json_t *line;
    uint8_t uuid[16];
    struct err e;

    strcpy(s->folder, "/tmp/replicator-bench.XXXXXX");
    if (!mkdtemp(s->folder))
        exit(1);
    snprintf(spec, sizeof(spec), "sim:" DOMAIN);
    check(s, guest_sim_spec_parse(spec, &parsed, &e), &e);
    guest_sim_spec_uuid(&parsed, uuid);
    check(s, witness_start(&s->witness, frame_domain(uuid), &e), &e);
    snprintf(spec, sizeof(spec), "sim:" DOMAIN "?mib=%" PRIu64 "&workload=kv&%s&frames=1000&nic=udp:127.0.0.1:%u", GUEST_MIB, writes,
             s->witness.port);
    snprintf(run[0], sizeof(run[0]), "%s/backup", s->folder);
    snprintf(run[1], sizeof(run[1]), "%s/primary", s->folder);
    check(s, actor_start(&s->backup, s->program, "backup", s->folder, receive, &e), &e);
    check(s, lines_wait(&s->backup.out, until, &line, &e), &e);
    snprintf(address, sizeof(address), "%s", json_string_value(json_object_get(line, "address")));
    json_decref(line);
    check(s, actor_start(&s->primary, s->program, "primary", s->folder, protect, &e), &e);
    check(s, actor_connect(&s->primary, false, DOMAIN, until, &s->to_primary, &e), &e);
}

static void stop(struct stage *s)
{
    char command[128];

    if (s->replica > 0)
        kill(s->replica, SIGKILL);
    s->replica = 0;
    actor_close(&s->primary);
    actor_close(&s->backup);
    witness_close(&s->witness);
    lines_close(&s->to_primary);
    lines_close(&s->to_backup);
    snprintf(command, sizeof(command), "rm -rf %s", s->folder);
    if (system(command) != 0)
        fprintf(stderr, "bench: %s stays behind\n", s->folder);
}

/* Waits, and measures the plain copy meanwhile. */
static void pass_time(const struct stage *s, uint64_t until_ns)
{
    for (uint64_t now; (now = clock_now_ns()) < until_ns;) {
        uint64_t next = now + LOOK_NS;
        struct err e;

        if (lines_poll(s->primary.pid_fd, s->backup.pid_fd, next < until_ns ? next : until_ns) != 0)
            check(s, err_set(&e, ECHILD, "a daemon has ended"), &e);
        copy_plainly();
    }
}

static void await_protection(struct stage *s)
{
    uint64_t until = clock_now_ns() + PATIENCE_NS;
    json_t *backup;
    struct err e;

    for (;;) {
        json_t *status = ask(s, &s->to_primary);
        bool is_protected = json_is_true(json_object_get(status, "protected"));

        json_decref(status);
        if (is_protected)
            break;
        if (clock_now_ns() > until)
            check(s, err_set(&e, ETIMEDOUT, "not protected in time"), &e);
        pass_time(s, clock_now_ns() + LOOK_NS / 4);
    }
    check(s, actor_connect(&s->backup, true, DOMAIN, until, &s->to_backup, &e), &e);
    backup = ask(s, &s->to_backup);
    s->replica = (pid_t)table_number(backup, "pid", NULL);
    json_decref(backup);
}

static struct result measure(const char *program, const char *writes, const char *interval,
                             uint64_t ns)
{
    static struct stage s;
    json_t *from, *to, *backup;
    uint64_t began;
    double cpu[2], epochs, raw;
    struct result r;

    s.program = program;
    start(&s, writes, interval);
    await_protection(&s);
    from = ask(&s, &s.to_primary);
    cpu[0] = cpu_seconds_of(s.primary.pid);
    cpu[1] = cpu_seconds_of(s.replica);
    began = clock_now_ns();
    pass_time(&s, began + ns);
    to = ask(&s, &s.to_primary);
    r.seconds = (double)(clock_now_ns() - began) / 1e9;
    backup = ask(&s, &s.to_backup);
    epochs = table_number(to, "epochs", NULL) - table_number(from, "epochs", NULL);
    raw = table_number(to, "raw_bytes", NULL) - table_number(from, "raw_bytes", NULL);
    r.epochs_a_second = epochs / r.seconds;
    r.dirty = epochs > 0 ? raw / PAGE_BYTES / epochs : 0;
    r.ratio = raw / (table_number(to, "wire_bytes", NULL) - table_number(from, "wire_bytes", NULL));
    r.pause_p50 = table_number(to, "pause_us", "p50");
    r.pause_p99 = table_number(to, "pause_us", "p99");
    r.commit_p50 = table_number(to, "commit_us", "p50");
    r.commit_p99 = table_number(to, "commit_us", "p99");
    r.hold_p50 = table_number(to, "hold_us", "p50");
    r.hold_p99 = table_number(to, "hold_us", "p99");
    r.primary_cpu = (cpu_seconds_of(s.primary.pid) - cpu[0]) / r.seconds;
    r.backup_cpu = (cpu_seconds_of(s.replica) - cpu[1]) / r.seconds;
    r.primary_mib = mib_of(s.primary.pid);
    r.backup_mib = mib_of(s.replica);
    r.stage_mib = table_number(backup, "stage_high_water", NULL) / (1 << 20);
    json_decref(from);
    json_decref(to);
    json_decref(backup);
    stop(&s);
    return r;
}

/* ---- the report ----------------------------------------------------------------------------------- */

static json_t *figures;
static bool is_missed;

/* A figure with a bound: `least` or `most` (0: none, it is only told). */
static void figure(const char *name, double value, const char *unit, double least, double most)
{
    bool is_good = value >= least && (most <= 0 || value <= most);
    char goal[64] = "";

    if (least > 0)
        snprintf(goal, sizeof(goal), "at least %.0f", least);
    else if (most > 0)
        snprintf(goal, sizeof(goal), "at most %.0f", most);
    printf("  %-44s %10.1f %-9s %-16s %s\n", name, value, unit, goal,
           !goal[0] ? "" : is_good ? "met" : "MISSED");
    fflush(stdout);
    is_missed |= !is_good;
    json_array_append_new(figures, json_pack("{s:s, s:f, s:s, s:f, s:f, s:b}", "name", name, "value",
                                             value, "unit", unit, "least", least, "most", most, "met",
                                             is_good));
}

static void report_pace(const struct result *r)
{
    double copy = (double)histogram_quantile(&copy_ns, 0.5) / 1e3;

    printf("pace: interval 25ms, %.0f s\n", r->seconds);
    figure("epochs", r->epochs_a_second, "/s", 38, 0);
    figure("dirty pages an epoch", r->dirty, "pages", 0, 0);
    figure("plain memcpy of 1000 scattered pages, p50", copy, "us", 0, 0);
    figure("pause p50", r->pause_p50, "us", 0, 0);
    figure("pause p99", r->pause_p99, "us", 0, 3 * copy + 100);
    figure("commit p50", r->commit_p50, "us", 0, 0);
    figure("commit p99", r->commit_p99, "us", 0, 0);
    figure("output hold p50", r->hold_p50 / 1e3, "ms", 0, 0);
    figure("output hold p99", r->hold_p99 / 1e3, "ms", 0, 0);
    figure("ratio", r->ratio, "", 0, 0);
    figure("cores, primary with its guest", r->primary_cpu, "", 0, 0);
    figure("cores, backup", r->backup_cpu, "", 0, 0);
    figure("memory of the primary", r->primary_mib, "MiB", 0,
           (double)GUEST_MIB + BUFFER_MIB + CACHE_MIB + SLACK_MIB);
    figure("memory of the backup", r->backup_mib, "MiB", 0,
           (double)GUEST_MIB + r->stage_mib + SLACK_MIB);
    figure("stage high water", r->stage_mib, "MiB", 0, 0);
}

static void report_ceiling(const struct result *r)
{
    printf("ceiling: interval 0, %.0f s\n", r->seconds);
    figure("epochs", r->epochs_a_second, "/s", 150, 0);
    figure("dirty pages an epoch", r->dirty, "pages", 0.9 * PAGES, 0);
    figure("pause p50", r->pause_p50, "us", 0, 0);
    figure("pause p99", r->pause_p99, "us", 0, 0);
    figure("commit p50", r->commit_p50, "us", 0, 0);
    figure("commit p99", r->commit_p99, "us", 0, 0);
    figure("added output latency p50", r->hold_p50 / 1e3, "ms", 0, 0);
    figure("added output latency p99", r->hold_p99 / 1e3, "ms", 0, 0);
    figure("cores, primary with its guest", r->primary_cpu, "", 0, 0);
    figure("cores, backup", r->backup_cpu, "", 0, 0);
}

int main(int argc, char **argv)
{
    size_t bytes = GUEST_MIB << 20;
    uint64_t ns;
    struct err e;
    struct result r;

    if (argc < 3 || guest_sim_memory_map(GUEST_MIB * GUEST_SIM_MIB_PAGES, &field, &e) < 0)
        return 2;
    ns = strtoull(argv[2], NULL, 10) * NS_PER_S;
    memset(field, 1, bytes);
    target = malloc((size_t)PAGES * PAGE_BYTES);
    figures = json_array();
    rng_seed(&rng, 1);
    if (!target)
        return 2;
    r = measure(argv[1], AT_PACE, "25ms", ns);
    report_pace(&r);
    r = measure(argv[1], AT_CEILING, "0", ns);
    report_ceiling(&r);
    if (argc > 3 && json_dump_file(figures, argv[3], JSON_INDENT(1)) < 0)
        is_missed = true;
    json_decref(figures);
    free(target);
    printf("%s\n", is_missed ? "a figure was missed" : "every figure met");
    return is_missed;
}

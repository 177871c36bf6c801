/* cmd_protect — options of `replicator protect`, their limits, and what is refused. */
#include "base/clock.h"
#include "replicator/commands.h"
#include "replicator/options.h"
#include "replicator/daemon/primary_daemon.h"
#include "replicator/engine/encoders.h"
#include "replicator/domain/domain.h"
#include "replicator/preflight/preflight.h"

#include <stdio.h>
#include <string.h>

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    const char *to, *arbiter, *compression, *lz4, *unsafe, *run_dir;
    uint64_t interval_ns, heartbeat_ns, timeout_ns, buffer_pages, cache_bytes, netbuf_bytes, encoders, verify_every;
    struct option_list vifs;
    bool json;
};

#define HEARTBEAT_UNSET UINT64_MAX

static const struct option_row rows[] = {
    { "to", "ADDRESS", "where the backup listens: tcp:HOST:PORT,\nunix:PATH or exec:COMMAND",
      option_text, OPTION(to), { 0, 0 } },
    { "interval", "TIME", "from pause to pause (25ms); 0: as fast as it goes", option_time,
      OPTION(interval_ns), { 0, INTERVAL_NS_MAX } },
    { "heartbeat", "TIME", "between signs of life (100ms, or timeout/4)", option_time,
      OPTION(heartbeat_ns), { NS_PER_MS, TIMEOUT_NS_MAX } },
    { "timeout", "TIME", "silence after which the backup is lost (1s)", option_time, OPTION(timeout_ns),
      { TIMEOUT_NS_MIN, TIMEOUT_NS_MAX } },
    { "arbiter", "HOW", "who decides when both lose each other: manual,\nexec:PATH or file:DIR (manual)",
      option_text, OPTION(arbiter), { 0, 0 } },
    { "page-buffer", "PAGES", "copied at most while the guest is paused (4096)", option_count,
      OPTION(buffer_pages), { 256, 1u << 24 } },
    { "page-cache", "SIZE", "of prior versions, for deltas (64M)", option_size, OPTION(cache_bytes),
      { 0, UINT64_C(1) << 40 } },
    { "encoders", "N", "threads that encode pages, 0: none but the main one\n(all processors but one, at most 4)",
      option_count, OPTION(encoders), { 0, ENCODERS_CHUNKS } },
    { "compression", "HOW", "auto, delta, xor-rle or none (auto)", option_text, OPTION(compression), { 0, 0 } },
    { "lz4", "HOW", "over chunks of pages besides: on, off, or auto:\nwhile the link is behind, and it pays (auto)",
      option_text, OPTION(lz4), { 0, 0 } },
    { "netbuf-limit", "SIZE", "of output held back, each interface; auto: as much\nas the time it is held asks for (auto)",
      option_size_or_auto, OPTION(netbuf_bytes), { 1u << 20, UINT64_C(4095) << 20 } },
    { "vif", "INTERFACE", "hold the output of this one, name or pattern\n(repeatable; all that the guest has)",
      option_texts, OPTION(vifs), { 0, 0 } },
    { "verify-every", "N", "compare every page with the backup's each N epochs;\nthe guest is paused for that long (0: never)",
      option_count, OPTION(verify_every), { 0, 1u << 30 } },
    { "unsafe", "WHAT", "no-netbuf: let output out before its commit", option_text, OPTION(unsafe),
      { 0, 0 } },
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "events on stdout, one object a line", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "protect",
    .rows = rows,
    .words = "SPEC is a Xen domain's name, number or UUID; or, for trying out, a guest of its\n"
             "own: sim:NAME?mib=256&workload=kv&dirty=2000&seed=7&nic=udp:HOST:PORT or\n"
             "nic=tap:NAME, whose output the kernel holds (all but the name may be left out).\n"
             "workload=tcp&ip=10.0.0.7 on a TAP echoes TCP on port 7.\n"
             "Runs until the guest ends, detach, or SIGTERM.\n",
    .least = 1,
    .most = 1,
};

/* What tables of rows can't say. Returns an exit code. */
static int judge(struct chosen *c, struct primary_options *o)
{
    if (!c->to)
        return options_refuse(&usage, "--to is missing: where does the backup listen?");
    if (strncmp(c->to, "tcp:", 4) != 0 && strncmp(c->to, "unix:", 5) != 0 && strncmp(c->to, "exec:", 5) != 0)
        return options_refuse(&usage, "--to %.80s: want tcp:HOST:PORT, unix:PATH or exec:COMMAND", c->to);
    if (c->unsafe && strcmp(c->unsafe, "no-netbuf") != 0)
        return options_refuse(&usage, "--unsafe %.40s: the only one is no-netbuf", c->unsafe);
    if (c->heartbeat_ns == HEARTBEAT_UNSET) {
        uint64_t most = c->timeout_ns / 4;

        c->heartbeat_ns = HEARTBEAT_NS_DEFAULT < most ? HEARTBEAT_NS_DEFAULT : most;
    } else if (c->heartbeat_ns > c->timeout_ns / 4) {
        return options_refuse(&usage, "--heartbeat must be at most a quarter of --timeout: one late sign "
                                      "of life must not look like a death");
    }
    if (strcmp(c->compression, "auto") == 0 || strcmp(c->compression, "delta") == 0)
        o->delta = CODEC_BY_DELTA;
    else if (strcmp(c->compression, "xor-rle") == 0)
        o->delta = CODEC_BY_XOR_RLE;
    else if (strcmp(c->compression, "none") != 0)
        return options_refuse(&usage, "--compression %.40s: want auto, delta, xor-rle or none", c->compression);
    if (strcmp(c->lz4, "auto") == 0)
        o->packing = strcmp(c->compression, "auto") == 0 ? PAGES_PACK_AUTO : PAGES_PACK_OFF;
    else if (strcmp(c->lz4, "on") == 0)
        o->packing = PAGES_PACK_ON;
    else if (strcmp(c->lz4, "off") == 0)
        o->packing = PAGES_PACK_OFF;
    else
        return options_refuse(&usage, "--lz4 %.40s: want auto, on or off", c->lz4);
    return EXIT_OK;
}

int cmd_protect(int argc, char **argv)
{
    struct chosen c = {
        .arbiter = "manual",
        .compression = "auto",
        .lz4 = "auto",
        .interval_ns = INTERVAL_NS_DEFAULT,
        .heartbeat_ns = HEARTBEAT_UNSET,
        .timeout_ns = TIMEOUT_NS_DEFAULT,
        .buffer_pages = PRIMARY_BUFFER_PAGES,
        .cache_bytes = PRIMARY_CACHE_BYTES,
        .encoders = workers_sensible(ENCODERS_SENSIBLE_MAX),
    };
    struct primary_options o = { 0 };
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    rc = judge(&c, &o);
    if (rc != EXIT_OK)
        return rc;
    o.spec = argv[first];
    if (!domain_kind(o.spec))
        return preflight_no_kind("protect", o.spec);
    if (run_dir_open(&o.run, c.run_dir, &e) < 0)
        return options_refuse(&usage, "%s", e.text);
    o.to = c.to;
    o.arbiter = c.arbiter;
    o.timing = (struct timing){ c.interval_ns, c.heartbeat_ns, c.timeout_ns };
    o.buffer_pages = c.buffer_pages;
    o.cache_bytes = c.cache_bytes;
    o.netbuf_bytes = c.netbuf_bytes;
    o.encoders = (unsigned)c.encoders;
    o.verify_every = c.verify_every;
    o.vifs = c.vifs;
    o.unsafe_netbuf = c.unsafe != NULL;
    o.json = c.json;
    return primary_daemon_run(&o);
}

/* cmd_check — all that protect would find out when it begins, in words, before it is needed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "replicator/commands.h"
#include "replicator/control/asking.h"
#include "replicator/domain/domain.h"
#include "replicator/options.h"
#include "replicator/preflight/preflight.h"

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    const char *to, *run_dir;
    uint64_t timeout_ns;
    bool json;
};

static const struct option_row rows[] = {
    { "to", "ADDRESS", "ask the backup there, too: tcp:HOST:PORT,\nunix:PATH or exec:COMMAND", option_text,
      OPTION(to), { 0, 0 } },
    { "timeout", "TIME", "wait at most so long for the backup (30s)", option_time, OPTION(timeout_ns),
      { NS_PER_MS, 86400 * NS_PER_S } },
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "the findings as an object", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "check",
    .rows = rows,
    .words = "DOMAIN is what protect takes. Looks whether it can be protected, whether its\n"
             "dirty log and its state can be read, and with --to whether the backup would\n"
             "hold its replica (bridges, disks, memory, names). The guest is not paused.\n"
             "Exit status 1 when something is wrong.\n",
    .least = 1,
    .most = 1,
};

struct findings {
    json_t *all;
    bool json, is_bad;
};

static void find(struct findings *f, const char *what, int rc, const char *words)
{
    f->is_bad |= rc < 0;
    json_array_append_new(f->all, json_pack("{s:s, s:b, s:o}", "what", what, "ok", rc >= 0, "words",
                                             control_text(words, strlen(words))));
    if (!f->json)
        printf("%-4s %-10s %s\n", rc < 0 ? "BAD" : "ok", what, words);
}

static void find_err(struct findings *f, const char *what, int rc, const char *good, const struct err *e)
{
    find(f, what, rc, rc < 0 ? e->text : good);
}

static void check_guest(struct findings *f, struct guest *g, const struct guest_info *about)
{
    static uint8_t policies[256u << 10];
    struct sink to = { policies, sizeof(policies) };
    struct dirty log = { 0 };
    struct err e;
    int rc = g->ops->preamble(g, &to, &e);

    find_err(f, "processor", rc, "its policy can be read", &e);
    rc = dirty_open(&log, about->pages, &e);
    if (rc == 0)
        rc = g->ops->dirty(g, &log, &e);
    find_err(f, "dirty log", rc, "it can be read", &e);
    dirty_close(&log);
}

static void check(struct findings *f, const struct chosen *c, const char *spec)
{
    const struct domain_options o = { .spec = spec, .unsafe_netbuf = true };
    static struct guest_info about;
    AUTO_CLOSE int lock_fd = -1;
    struct domain *d = NULL;
    char words[160];
    struct err e;
    int rc = preflight_lock(spec, c->run_dir, &lock_fd, &e);

    if (rc == 0)
        rc = domain_kind(spec)->open(&d, &o, &e);
    if (rc == 0) {
        d->guest->ops->info(d->guest, &about);
        snprintf(words, sizeof(words), "%s can be protected: %" PRIu64 " pages of physical map", about.name,
                 about.pages);
    }
    find_err(f, "domain", rc, words, &e);
    if (rc < 0 || !d)
        return;
    check_guest(f, d->guest, &about);
    if (c->to) {
        rc = preflight_ask(&about, c->to, c->timeout_ns, &e);
        find_err(f, "backup", rc, "it would hold the replica", &e);
    }
    d->ops->close(d);
}

int cmd_check(int argc, char **argv)
{
    struct chosen c = { .timeout_ns = 30 * NS_PER_S };
    struct findings f = { 0 };
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (!domain_kind(argv[first]))
        return preflight_no_kind("check", argv[first]);
    f = (struct findings){ .all = json_array(), .json = c.json };
    check(&f, &c, argv[first]);
    if (c.json) {
        json_t *object = json_pack("{s:i, s:b, s:O}", "schema", 1, "ok", !f.is_bad, "findings", f.all);

        asking_print(object);
        json_decref(object);
    }
    json_decref(f.all);
    return f.is_bad ? EXIT_FAILED : EXIT_OK;
}

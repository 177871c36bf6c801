/* cmd_estimate — what protecting a guest would cost. */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "replicator/commands.h"
#include "replicator/control/asking.h"
#include "replicator/domain/domain.h"
#include "replicator/estimate/estimate.h"
#include "replicator/options.h"
#include "replicator/preflight/preflight.h"

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    const char *run_dir;
    uint64_t for_ns, pauses, cache_bytes;
    bool json;
};

static const struct option_row rows[] = {
    { "for", "TIME", "measure so long, all intervals together (30s)", option_time, OPTION(for_ns),
      { NS_PER_MS, 86400 * NS_PER_S } },
    { "pauses", "N", "also pause the guest N times, to see how long\nsuspend and resume take (0)", option_count,
      OPTION(pauses), { 0, ESTIMATE_PAUSES_MAX } },
    { "page-cache", "SIZE", "of prior versions, for deltas (64M)", option_size, OPTION(cache_bytes),
      { 0, UINT64_C(1) << 40 } },
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "the figures as an object", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "estimate",
    .rows = rows,
    .words = "DOMAIN is what protect takes. For each interval epochs are made as protect makes\n"
             "them and thrown away: nothing is sent, nothing is held. The guest is slowed a\n"
             "little, by its dirty log; it is not paused unless --pauses asks for that.\n",
    .least = 1,
    .most = 1,
};

static int run(const struct chosen *c, const char *spec, struct estimate *ret, struct err *e)
{
    const struct domain_options o = { .spec = spec, .unsafe_netbuf = true };
    const struct estimate_config config = { c->for_ns, c->pauses, c->cache_bytes };
    AUTO_CLOSE int lock_fd = -1;
    struct domain *d;
    int rc = preflight_lock(spec, c->run_dir, &lock_fd, e);

    if (rc < 0 || (rc = domain_kind(spec)->open(&d, &o, e)) < 0)
        return rc;
    rc = guest_go_on(d->guest, e);
    if (rc == 0)
        rc = estimate_run(d->guest, &config, ret, e);
    d->ops->close(d);
    return rc;
}

static int exit_code_of(int rc)
{
    return rc == -EINVAL || rc == -ERANGE ? EXIT_USAGE
           : rc == -EACCES                ? EXIT_PERMISSION
           : rc == -ENODEV                ? EXIT_NOT_INSTALLED
                                          : EXIT_FAILED;
}

int cmd_estimate(int argc, char **argv)
{
    struct chosen c = { .for_ns = 30 * NS_PER_S, .cache_bytes = 64u << 20 };
    static struct estimate s;
    struct err e;
    json_t *object;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (!domain_kind(argv[first]))
        return preflight_no_kind("estimate", argv[first]);
    rc = run(&c, argv[first], &s, &e);
    if (rc < 0) {
        fprintf(stderr, "replicator estimate: %s\n", e.text);
        return exit_code_of(rc);
    }
    if (!c.json) {
        estimate_print(&s);
        return EXIT_OK;
    }
    object = estimate_json(&s);
    asking_print(object);
    json_decref(object);
    return EXIT_OK;
}

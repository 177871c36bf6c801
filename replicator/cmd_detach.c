/* cmd_detach — ends protection cleanly: the backup lets go first, nobody fails over. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "replicator/control/asking.h"
#include "replicator/commands.h"
#include "replicator/options.h"

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    const char *run_dir;
    uint64_t timeout_ns;
    bool json;
};

static const struct option_row rows[] = {
    { "timeout", "TIME", "wait at most so long for the end (30s)", option_time, OPTION(timeout_ns),
      { NS_PER_MS, 86400 * NS_PER_S } },
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "the answer as an object", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "detach",
    .rows = rows,
    .words = "On the primary's host it ends protection, on the backup's it gives the replica\n"
             "up. A domain that is neither is detached already: that is success, too.\n",
    .least = 1,
    .most = 1,
};

static int detach(const struct run_dir *run, const char *domain, uint64_t timeout_ns, json_t **ret)
{
    int rc = asking_once(run, RUN_PRIMARY, domain, json_pack("{s:s}", "op", "detach"), timeout_ns, ret);

    if (rc == EXIT_NOT_RUNNING)
        rc = asking_once(run, RUN_BACKUP, domain, json_pack("{s:s}", "op", "detach"), timeout_ns, ret);
    if (rc != EXIT_NOT_RUNNING)
        return rc;
    *ret = control_done("absent");
    return EXIT_OK;
}

static int judge(const char *domain, const json_t *answer)
{
    const char *words = json_string_value(json_object_get(answer, "error"));
    const char *state = json_string_value(json_object_get(answer, "state"));

    if (!json_is_true(json_object_get(answer, "ok"))) {
        fprintf(stderr, "replicator detach: %s: %s\n", domain, words ? words : "refused");
        return EXIT_FAILED;
    }
    if (state && strcmp(state, "absent") == 0)
        fprintf(stderr, "replicator detach: %s is neither protected nor held here: nothing to do\n", domain);
    else if (state && strcmp(state, "active") == 0)
        fprintf(stderr, "replicator detach: %s runs here and is not replicated: nothing to do\n", domain);
    else
        fprintf(stderr, "replicator detach: %s is detached\n", domain);
    return EXIT_OK;
}

int cmd_detach(int argc, char **argv)
{
    struct chosen c = { .timeout_ns = 30 * NS_PER_S };
    struct run_dir run;
    json_t *answer;
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (run_dir_open(&run, c.run_dir, &e) < 0)
        return options_refuse(&usage, "%s", e.text);
    rc = detach(&run, argv[first], c.timeout_ns, &answer);
    if (rc != EXIT_OK)
        return rc;
    if (c.json)
        asking_print(answer);
    rc = judge(argv[first], answer);
    json_decref(answer);
    return rc;
}

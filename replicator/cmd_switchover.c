/* cmd_switchover — moves a guest to its backup by plan: nothing it said is lost, and nobody needs to be
 * fenced, because the primary itself lets go. */
#include <stdio.h>

#include "base/clock.h"
#include "replicator/commands.h"
#include "replicator/control/asking.h"
#include "replicator/options.h"

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    const char *run_dir;
    uint64_t timeout_ns;
    bool json;
};

static const struct option_row rows[] = {
    { "timeout", "TIME", "wait at most so long for the outcome (30s)", option_time, OPTION(timeout_ns),
      { NS_PER_MS, 86400 * NS_PER_S } },
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "the answer as an object", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "switchover",
    .rows = rows,
    .words = "Asked on the primary's host, while it is protected. Exit status 0: the guest runs\n"
             "on the backup. 1: it goes on here. 7: not protected here. 12: not known in time;\n"
             "then look with replicator status on both hosts.\n",
    .least = 1,
    .most = 1,
};

static int judge(const char *domain, const json_t *answer)
{
    const json_t *code = json_object_get(answer, "exit");
    const char *words = json_string_value(json_object_get(answer, "error"));

    if (json_is_true(json_object_get(answer, "ok"))) {
        fprintf(stderr, "replicator switchover: %s runs on the backup\n", domain);
        return EXIT_OK;
    }
    fprintf(stderr, "replicator switchover: %s: %s\n", domain, words ? words : "refused");
    return json_is_integer(code) ? (int)json_integer_value(code) : EXIT_FAILED;
}

int cmd_switchover(int argc, char **argv)
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
    rc = asking_once(&run, RUN_PRIMARY, argv[first], json_pack("{s:s}", "op", "switchover"), c.timeout_ns,
                     &answer);
    if (rc == EXIT_NOT_RUNNING)
        return asking_nobody("switchover", argv[first], &run);
    if (rc != EXIT_OK)
        return rc;
    if (c.json)
        asking_print(answer);
    rc = judge(argv[first], answer);
    json_decref(answer);
    return rc;
}

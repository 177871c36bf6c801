/* cmd_activate — asks a replica to go on as the guest, and waits for the outcome. */
#include <stdio.h>

#include "base/clock.h"
#include "replicator/control/asking.h"
#include "replicator/commands.h"
#include "replicator/options.h"

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    const char *fenced_by, *run_dir;
    uint64_t timeout_ns;
    bool json;
};

static const struct option_row rows[] = {
    { "fenced-by", "WHO", "who made sure that the primary is off; not needed\nwhen an arbiter decides",
      option_text, OPTION(fenced_by), { 0, 0 } },
    { "timeout", "TIME", "wait at most so long for the outcome (30s)", option_time, OPTION(timeout_ns),
      { NS_PER_MS, 86400 * NS_PER_S } },
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "the answer as an object", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "activate",
    .rows = rows,
    .words = "Exit status 0: the guest runs here (also when it did before). 7: no replica.\n"
             "10: refused, the primary may be alive. 11: no complete checkpoint. 12: late.\n",
    .least = 1,
    .most = 1,
};

/* What the answer says, in words and as an exit code. */
static int judge(const char *domain, const json_t *answer)
{
    const json_t *code = json_object_get(answer, "exit");
    const char *words = json_string_value(json_object_get(answer, "error"));

    if (json_is_true(json_object_get(answer, "ok"))) {
        fprintf(stderr, "replicator activate: %s runs here\n", domain);
        return EXIT_OK;
    }
    fprintf(stderr, "replicator activate: %s: %s\n", domain, words ? words : "refused");
    return json_is_integer(code) ? (int)json_integer_value(code) : EXIT_FAILED;
}

/* Where it is no replica it may be the guest itself, which a switchover gave away to no avail. */
static int ask(const struct run_dir *run, const char *domain, const struct chosen *c, json_t **ret)
{
    static const enum run_side sides[] = { RUN_BACKUP, RUN_PRIMARY };
    int rc = EXIT_NOT_RUNNING;

    for (size_t i = 0; i < ARRAY_LEN(sides) && rc == EXIT_NOT_RUNNING; i++) {
        json_t *request = json_pack("{s:s, s:s?}", "op", "activate", "fenced_by", c->fenced_by);

        if (!request)
            return options_refuse(&usage, "--fenced-by is not valid UTF-8");
        rc = asking_once(run, sides[i], domain, request, c->timeout_ns, ret);
    }
    return rc;
}

int cmd_activate(int argc, char **argv)
{
    struct chosen c = { .timeout_ns = 30 * NS_PER_S };
    json_t *answer;
    struct run_dir run;
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (run_dir_open(&run, c.run_dir, &e) < 0)
        return options_refuse(&usage, "%s", e.text);
    rc = ask(&run, argv[first], &c, &answer);
    if (rc == EXIT_NOT_RUNNING)
        return asking_nobody("activate", argv[first], &run);
    if (rc != EXIT_OK)
        return rc;
    if (c.json)
        asking_print(answer);
    rc = judge(argv[first], answer);
    json_decref(answer);
    return rc;
}

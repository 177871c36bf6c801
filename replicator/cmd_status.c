/* cmd_status — one domain's state, or that of all on this host: for people, scripts and agents. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "replicator/control/asking.h"
#include "replicator/commands.h"
#include "replicator/options.h"
#include "replicator/stats/openmetrics.h"
#include "replicator/stats/status_json.h"
#include "replicator/stats/status_words.h"

#define OPTION(field)  offsetof(struct chosen, field)
#define DOMAINS_MAX    1024u
#define ANSWER_NS_MAX  (5 * NS_PER_S)

struct chosen {
    const char *field, *role, *run_dir;
    bool exit_code, json, metrics;
};

static const struct option_row rows[] = {
    { "field", "NAME", "one field of the object, like netbuf.held_bytes", option_text, OPTION(field), { 0, 0 } },
    { "exit-code", NULL, "tell by the exit status: 0 backup,\n8 runs here and is protected, 9 runs here and\nis not",
      option_flag, OPTION(exit_code), { 0, 0 } },
    { "role", "ROLE", "primary or backup, where one host is both", option_text, OPTION(role), { 0, 0 } },
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "the object as it is; a list without DOMAIN", option_flag, OPTION(json), { 0, 0 } },
    { "metrics", NULL, "OpenMetrics text, of DOMAIN or of all", option_flag, OPTION(metrics), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "status",
    .rows = rows,
    .words = "Without DOMAIN: all that is protected or held on this host. Exit status 7: no\n"
             "such domain.\n",
    .most = 1,
};

static bool wants(const struct chosen *c, enum run_side side)
{
    return !c->role || (strcmp(c->role, "primary") == 0) == (side == RUN_PRIMARY);
}

static int ask(const struct run_dir *run, enum run_side side, const char *domain, json_t **ret)
{
    return asking_once(run, side, domain, json_pack("{s:s}", "op", "status"), ANSWER_NS_MAX, ret);
}

/* Also null and false are values: they print as nothing and "false". */
static int print_field(const json_t *status, const char *path)
{
    const json_t *at = status_json_find(status, path);

    if (!at)
        return options_refuse(&usage, "a %s's status has no field \"%.60s\"; --json shows them all",
                              json_string_value(json_object_get(status, "role")), path);
    if (json_is_string(at))
        puts(json_string_value(at));
    else if (json_is_null(at))
        putchar('\n');
    else {
        json_dumpf(at, stdout, CONTROL_FORMAT | JSON_ENCODE_ANY);
        putchar('\n');
    }
    return EXIT_OK;
}

static int role_code(const json_t *status)
{
    const char *role = json_string_value(json_object_get(status, "role"));
    const char *state = json_string_value(json_object_get(status, "state"));

    if (role && strcmp(role, "primary") == 0)
        return json_is_true(json_object_get(status, "protected")) ? EXIT_PRIMARY : EXIT_PRIMARY_UNHEALTHY;
    return state && strcmp(state, "active") == 0 ? EXIT_PRIMARY_UNHEALTHY : EXIT_OK;
}

/* Takes the reference. */
static void print_metrics(json_t *list)
{
    openmetrics_print(stdout, list);
    json_decref(list);
}

static int one(const struct run_dir *run, const struct chosen *c, const char *domain)
{
    json_t *status = NULL;
    int rc = EXIT_NOT_RUNNING;

    for (int side = RUN_PRIMARY; rc == EXIT_NOT_RUNNING && side <= RUN_BACKUP; side++)
        if (wants(c, (enum run_side)side))
            rc = ask(run, (enum run_side)side, domain, &status);
    if (rc == EXIT_NOT_RUNNING)
        return asking_nobody("status", domain, run);
    if (rc != EXIT_OK)
        return rc;
    if (c->metrics)
        print_metrics(json_pack("[O]", status));
    else if (c->field)
        rc = print_field(status, c->field);
    else if (c->json)
        asking_print(status);
    else
        status_words(stdout, status);
    if (rc == EXIT_OK && c->exit_code)
        rc = role_code(status);
    json_decref(status);
    return rc;
}

/* Those that a killed process left a socket of are not running: they are left out. */
static int all(const struct run_dir *run, const struct chosen *c)
{
    static char names[DOMAINS_MAX][GUEST_NAME_MAX + 1];
    json_t *list = json_array(), *status;
    struct err e;
    size_t i;

    for (int side = RUN_PRIMARY; side <= RUN_BACKUP; side++) {
        int n = wants(c, (enum run_side)side)
                    ? run_dir_list(run, (enum run_side)side, names, DOMAINS_MAX, &e)
                    : 0;

        if (n < 0) {
            fprintf(stderr, "replicator status: %s\n", e.text);
            json_decref(list);
            return e.code == EACCES ? EXIT_PERMISSION : EXIT_FAILED;
        }
        for (int k = 0; k < n; k++)
            if (ask(run, (enum run_side)side, names[k], &status) == EXIT_OK)
                json_array_append_new(list, status);
    }
    if (c->metrics)
        print_metrics(json_incref(list));
    else if (c->json)
        asking_print(list);
    else
        json_array_foreach(list, i, status)
            status_words(stdout, status);
    if (!c->json && !c->metrics && json_array_size(list) == 0)
        fprintf(stderr, "replicator status: nothing is protected or held here (looked in %s)\n", run->path);
    json_decref(list);
    return EXIT_OK;
}

int cmd_status(int argc, char **argv)
{
    struct chosen c = { .json = false };
    struct run_dir run;
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (c.role && strcmp(c.role, "primary") != 0 && strcmp(c.role, "backup") != 0)
        return options_refuse(&usage, "--role %.40s: want primary or backup", c.role);
    if (c.metrics && (c.field || c.json))
        return options_refuse(&usage, "--metrics, --field and --json: one of them");
    if ((c.field || c.exit_code) && first >= argc)
        return options_refuse(&usage, "--field and --exit-code want a DOMAIN");
    if (run_dir_open(&run, c.run_dir, &e) < 0)
        return options_refuse(&usage, "%s", e.text);
    return first < argc ? one(&run, &c, argv[first]) : all(&run, &c);
}

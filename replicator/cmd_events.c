/* cmd_events — follows a domain's process: its state now, then every change, until it ends. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "replicator/control/asking.h"
#include "replicator/commands.h"
#include "replicator/options.h"

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    const char *role, *run_dir;
    bool epochs, json;
};

static const struct option_row rows[] = {
    { "epochs", NULL, "also one event an epoch", option_flag, OPTION(epochs), { 0, 0 } },
    { "role", "ROLE", "primary or backup, where one host is both", option_text, OPTION(role), { 0, 0 } },
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "one object a line", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "events",
    .rows = rows,
    .words = "The first event is the state now. Ends when the domain's process does.\n",
    .least = 1,
    .most = 1,
};

static void print_words(const json_t *event)
{
    const json_t *status = json_object_get(event, "status"), *value;
    const char *key;

    if (status)
        printf("event=hello domain=%s role=%s state=%s", json_string_value(json_object_get(status, "domain")),
               json_string_value(json_object_get(status, "role")),
               json_string_value(json_object_get(status, "state")));
    json_object_foreach((json_t *)(uintptr_t)event, key, value) {
        bool is_last = strcmp(key, "reason") == 0;

        if (status)
            break;
        if (json_is_integer(value))
            printf("%s=%" JSON_INTEGER_FORMAT " ", key, json_integer_value(value));
        else if (json_is_string(value))
            printf(is_last ? "%s=\"%s\" " : "%s=%s ", key, json_string_value(value));
    }
    putchar('\n');
    fflush(stdout);
}

/* The roles to try, in order. */
static int open_any(struct asking *a, const struct run_dir *run, const struct chosen *c, const char *domain)
{
    int rc = EXIT_NOT_RUNNING;

    for (int side = RUN_PRIMARY; rc == EXIT_NOT_RUNNING && side <= RUN_BACKUP; side++)
        if (!c->role || (strcmp(c->role, "primary") == 0) == (side == RUN_PRIMARY))
            rc = asking_open(a, run, (enum run_side)side, domain,
                             json_pack("{s:s, s:b}", "op", "events", "epochs", c->epochs));
    return rc;
}

int cmd_events(int argc, char **argv)
{
    static struct asking a;
    struct chosen c = { .json = false };
    struct run_dir run;
    json_t *event;
    struct err e;
    bool is_late;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (c.role && strcmp(c.role, "primary") != 0 && strcmp(c.role, "backup") != 0)
        return options_refuse(&usage, "--role %.40s: want primary or backup", c.role);
    if (run_dir_open(&run, c.run_dir, &e) < 0)
        return options_refuse(&usage, "%s", e.text);
    rc = open_any(&a, &run, &c, argv[first]);
    if (rc == EXIT_NOT_RUNNING)
        return asking_nobody("events", argv[first], &run);
    if (rc != EXIT_OK)
        return rc;
    while (!ferror(stdout) && (event = asking_next(&a, TIME_NEVER, &is_late))) {
        if (c.json)
            asking_print(event);
        else
            print_words(event);
        json_decref(event);
    }
    asking_close(&a);
    return EXIT_OK;
}

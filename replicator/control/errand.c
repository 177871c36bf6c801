/* errand — see errand.h. */
#include "replicator/control/errand.h"

#include <stdio.h>

#include "replicator/commands.h"

/* What the answer says, in words and as an exit code. */
static int judge(const struct errand *errand, const char *domain, const json_t *answer)
{
    const json_t *code = json_object_get(answer, "exit");
    const char *words = json_string_value(json_object_get(answer, "error"));
    bool is_ok = json_is_true(json_object_get(answer, "ok"));

    if (is_ok)
        fprintf(stderr, "replicator %s: %s %s\n", errand->usage->command, domain, errand->outcome(answer));
    else
        fprintf(stderr, "replicator %s: %s: %s\n", errand->usage->command, domain, words ? words : "refused");
    return is_ok ? EXIT_OK : json_is_integer(code) ? (int)json_integer_value(code) : EXIT_FAILED;
}

int errand_run(const struct errand *errand, int argc, char **argv, struct errand_options *options)
{
    struct run_dir run;
    json_t *answer;
    struct err e;
    int first, rc = options_parse(errand->usage, argc, argv, options, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (run_dir_open(&run, options->run_dir, &e) < 0)
        return options_refuse(errand->usage, "%s", e.text);
    rc = errand->ask(&run, argv[first], options, &answer);
    if (rc == EXIT_NOT_RUNNING)
        return asking_nobody(errand->usage->command, argv[first], &run);
    if (rc != EXIT_OK)
        return rc;
    if (options->json)
        asking_print(answer);
    rc = judge(errand, argv[first], answer);
    json_decref(answer);
    return rc;
}

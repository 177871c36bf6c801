/* cmd_detach — ends protection cleanly: the backup lets go first, nobody fails over. */
#include <string.h>

#include "replicator/commands.h"
#include "replicator/control/errand.h"

static const struct option_row rows[] = { ERRAND_ROWS, { .name = NULL } };

static const struct usage usage = {
    .command = "detach",
    .rows = rows,
    .words = "On the primary's host it ends protection, on the backup's it gives the replica\n"
             "up. A domain that is neither is detached already: that is success, too.\n",
    .least = 1,
    .most = 1,
};

static int ask(const struct run_dir *run, const char *domain, const struct errand_options *o, json_t **ret)
{
    int rc = asking_once(run, RUN_PRIMARY, domain, json_pack("{s:s}", "op", "detach"), o->timeout_ns, ret);

    if (rc == EXIT_NOT_RUNNING)
        rc = asking_once(run, RUN_BACKUP, domain, json_pack("{s:s}", "op", "detach"), o->timeout_ns, ret);
    if (rc != EXIT_NOT_RUNNING)
        return rc;
    *ret = control_done("absent");
    return EXIT_OK;
}

static const char *outcome(const json_t *answer)
{
    const char *state = json_string_value(json_object_get(answer, "state"));

    if (state && strcmp(state, "absent") == 0)
        return "is neither protected nor held here: nothing to do";
    if (state && strcmp(state, "active") == 0)
        return "runs here and is not replicated: nothing to do";
    return "is detached";
}

int cmd_detach(int argc, char **argv)
{
    static const struct errand detach = { &usage, ask, outcome };
    struct errand_options o = { .timeout_ns = ERRAND_TIMEOUT_NS };

    return errand_run(&detach, argc, argv, &o);
}

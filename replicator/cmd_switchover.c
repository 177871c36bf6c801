/* cmd_switchover — moves a guest to its backup by plan: nothing it said is lost, and nobody needs to be
 * fenced, because the primary itself lets go. */
#include "replicator/commands.h"
#include "replicator/control/errand.h"

static const struct option_row rows[] = { ERRAND_ROWS, { .name = NULL } };

static const struct usage usage = {
    .command = "switchover",
    .rows = rows,
    .words = "Asked on the primary's host, while it is protected. Exit status 0: the guest\n"
             "runs on the backup. 1: it goes on here. 7: not protected here. 12: not known in\n"
             "time; then look with replicator status on both hosts.\n",
    .least = 1,
    .most = 1,
};

static int ask(const struct run_dir *run, const char *domain, const struct errand_options *o, json_t **ret)
{
    return asking_once(run, RUN_PRIMARY, domain, json_pack("{s:s}", "op", "switchover"), o->timeout_ns, ret);
}

static const char *outcome(UNUSED const json_t *answer)
{
    return "runs on the backup";
}

int cmd_switchover(int argc, char **argv)
{
    static const struct errand switchover = { &usage, ask, outcome };
    struct errand_options o = { .timeout_ns = ERRAND_TIMEOUT_NS };

    return errand_run(&switchover, argc, argv, &o);
}

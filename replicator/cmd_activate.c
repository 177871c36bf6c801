/* cmd_activate — asks a replica to go on as the guest, and waits for the outcome. */
#include "replicator/commands.h"
#include "replicator/control/errand.h"

struct chosen {
    struct errand_options errand;
    const char *fenced_by;
};
_Static_assert(offsetof(struct chosen, errand) == 0, "the rows of an errand count from its options");

static const struct option_row rows[] = {
    { "fenced-by", "WHO", "who made sure that the primary is off; not needed\nwhen an arbiter decides",
      option_text, offsetof(struct chosen, fenced_by), { 0, 0 } },
    ERRAND_ROWS,
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

/* Where it is no replica it may be the guest itself, which a switchover gave away to no avail. */
static int ask(const struct run_dir *run, const char *domain, const struct errand_options *o, json_t **ret)
{
    static const enum run_side sides[] = { RUN_BACKUP, RUN_PRIMARY };
    const struct chosen *c = (const struct chosen *)o;
    int rc = EXIT_NOT_RUNNING;

    for (size_t i = 0; i < ARRAY_LEN(sides) && rc == EXIT_NOT_RUNNING; i++) {
        json_t *request = json_pack("{s:s, s:s?}", "op", "activate", "fenced_by", c->fenced_by);

        if (!request)
            return options_refuse(&usage, "--fenced-by is not valid UTF-8");
        rc = asking_once(run, sides[i], domain, request, o->timeout_ns, ret);
    }
    return rc;
}

static const char *outcome(UNUSED const json_t *answer)
{
    return "runs here";
}

int cmd_activate(int argc, char **argv)
{
    static const struct errand activate = { &usage, ask, outcome };
    struct chosen c = { .errand = { .timeout_ns = ERRAND_TIMEOUT_NS } };

    return errand_run(&activate, argc, argv, &c.errand);
}

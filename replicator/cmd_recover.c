/* cmd_recover — undoes what a killed protect left of its hold on a Xen domain. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/guest_xen.h"
#include "replicator/commands.h"
#include "replicator/control/asking.h"
#include "replicator/control/run_dir.h"
#include "replicator/daemon/past.h"
#include "replicator/options.h"

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    const char *run_dir, *fenced_by, *log_left_by;
    bool resume, json;
};

static const struct option_row rows[] = {
    { "resume", NULL, "let a domain go on that was left suspended", option_flag, OPTION(resume), { 0, 0 } },
    { "fenced-by", "WHO", "who has made sure that the backup does not run it\n(needed where the backup may have taken over)",
      option_text, OPTION(fenced_by), { 0, 0 } },
    { "log-left-by", "WHO", "which other tool left the dirty log on and does not\nread it any more: that log is turned off, too",
      option_text, OPTION(log_left_by), { 0, 0 } },
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "what was found, as an object", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "recover",
    .rows = rows,
    .words = "A process that is killed leaves the domain's dirty log on and, if that happened\n"
             "in a pause, the domain suspended. To go on protecting it, start protect again:\n"
             "that recovers by itself. Output that is held: replicator netbuf cleanup.\n",
    .least = 1,
    .most = 1,
};

/* "xen:web1" or just "web1", as for protect. */
static const char *which_of(const char *spec)
{
    return strncmp(spec, XEN_SHAPE_PREFIX, strlen(XEN_SHAPE_PREFIX)) == 0 ? spec + strlen(XEN_SHAPE_PREFIX)
                                                                          : spec;
}

struct found {
    char name[GUEST_NAME_MAX + 1];
    struct guest_xen_left left;
    bool is_suspended, log_is_on;
};

/* Whether the other side may run the guest by now: then only a person's word lets it go on here. */
static int may_resume(const struct run_dir *run, const struct chosen *c, const char *name, struct err *e)
{
    char path[RUN_PATH_MAX];
    struct primary_past past;
    int rc = run_dir_file(run, RUN_PRIMARY, name, "past", path, e);

    if (rc < 0 || (rc = past_load(path, &past, e)) < 0)
        return rc;
    if (past.armed && !c->fenced_by)
        return err_set(e, EPERM, "%s: the backup may run it by now. Start protect again, which asks; or make "
                       "sure that it does not, and say so: --fenced-by WHO", name);
    return 0;
}

static int recover(const struct chosen *c, const char *spec, struct found *ret, struct err *e)
{
    AUTO_CLOSE int lock_fd = -1;
    struct run_dir run;
    pid_t holder;
    int rc;

    if ((rc = guest_xen_name(which_of(spec), ret->name, e)) < 0 ||
        (rc = run_dir_open(&run, c->run_dir, e)) < 0 || (rc = run_dir_make(&run, e)) < 0)
        return rc;
    rc = run_dir_lock(&run, RUN_PRIMARY, ret->name, &lock_fd, &holder, e);
    if (rc == -EBUSY)
        return err_set(e, EBUSY, "%s is protected, by process %ld: there is nothing to recover", ret->name,
                       (long)holder);
    if (rc < 0 || (c->resume && (rc = may_resume(&run, c, ret->name, e)) < 0) ||
        (rc = guest_xen_recover(which_of(spec), c->resume, c->log_left_by != NULL, &ret->left, e)) < 0)
        return rc;
    ret->is_suspended = ret->left.was_suspended && !c->resume;
    ret->log_is_on = ret->left.has_foreign_log && !c->log_left_by;
    return 0;
}

static void say(const struct found *f, bool json)
{
    if (json) {
        json_t *object = json_pack("{s:i, s:s, s:b, s:b, s:b}", "schema", 1, "domain", f->name, "was_suspended",
                                   f->left.was_suspended, "is_suspended", f->is_suspended, "log_is_on",
                                   f->log_is_on);

        asking_print(object);
        json_decref(object);
    }
    fprintf(stderr, "replicator recover: %s: its dirty log is %s; it %s\n", f->name,
            f->log_is_on ? "on, by another tool (--log-left-by WHO turns it off once nobody reads it)" : "off",
            !f->left.was_suspended ? "was not suspended"
            : f->is_suspended ? "is still suspended: --resume lets it go on"
                              : "was suspended and goes on");
}

static int exit_code_of(int rc)
{
    return rc == -EACCES   ? EXIT_PERMISSION
           : rc == -ENODEV ? EXIT_NOT_INSTALLED
           : rc == -EPERM  ? EXIT_REFUSED_FENCING
                           : EXIT_FAILED;
}

int cmd_recover(int argc, char **argv)
{
    struct chosen c = { 0 };
    struct found f = { 0 };
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    rc = recover(&c, argv[first], &f, &e);
    if (rc < 0) {
        fprintf(stderr, "replicator recover: %s\n", e.text);
        return exit_code_of(rc);
    }
    say(&f, c.json);
    return EXIT_OK;
}

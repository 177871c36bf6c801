/* cmd_netbuf — options of `replicator netbuf`: what output is held here, for whom, and the end of what a
 * dead process left behind. What is held is let out or thrown away only on a person's word. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netbuf/leftover.h"
#include "netbuf/netbuf_plug.h"
#include "replicator/commands.h"
#include "replicator/netbuf_selftest.h"
#include "replicator/options.h"
#include "replicator/control/run_dir.h"

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    const char *run_dir;
    bool release, drop, json;
};

static const struct option_row rows[] = {
    { "release", NULL, "cleanup: let out what is held", option_flag, OPTION(release), { 0, 0 } },
    { "drop", NULL, "cleanup: throw away what is held", option_flag, OPTION(drop), { 0, 0 } },
    { "run-dir", "DIR", "where the records are (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "one object on stdout", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "netbuf",
    .rows = rows,
    .words = "list      what is held here, and by which process\n"
             "cleanup   gives back the interfaces of processes that are gone, of all domains\n"
             "          or of one; asks for --release or --drop where output was held\n"
             "selftest  what this kernel can hold, tried in a network namespace of its own\n\n"
             "Release only what the backup has not taken over. When in doubt, drop: networks\n"
             "lose frames, but nobody may hear two guests.\n",
    .least = 1,
    .most = 2,
};

static const char *owner_words(const struct leftover *l)
{
    return !l->is_recorded ? "unknown" : l->is_owned ? "runs" : "gone";
}

static json_t *json_of(const struct leftover *l)
{
    json_t *vifs = json_array();

    for (unsigned i = 0; i < l->record.count; i++)
        (void)json_array_append_new(vifs, json_pack("{s:s, s:s}", "vif", l->record.vifs[i].name, "ifb",
                                                    l->record.vifs[i].ifb));
    return json_pack("{s:s, s:s, s:i, s:s, s:I, s:I, s:o}", "domain", l->record.domain, "mode",
                     vif_record_mode_name(l->record.mode), "pid", (int)l->record.pid, "process",
                     owner_words(l), "held_frames", (json_int_t)l->held_frames, "held_bytes",
                     (json_int_t)l->held_bytes, "vifs", vifs);
}

static void print_json(const struct leftover *all, int count, const char *outcome)
{
    json_t *list = json_array(), *whole;

    for (int i = 0; i < count; i++)
        (void)json_array_append_new(list, json_of(&all[i]));
    whole = json_pack("{s:i, s:s, s:o}", "schema", 1, "outcome", outcome, "netbufs", list);
    (void)json_dumpf(whole, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(whole);
}

static void print_one(const struct leftover *l)
{
    printf("%-16s %-9s process %ld (%s)  held %llu frames, %llu octets  ",
           l->record.domain[0] ? l->record.domain : "(no record)", vif_record_mode_name(l->record.mode),
           (long)l->record.pid, owner_words(l), (unsigned long long)l->held_frames,
           (unsigned long long)l->held_bytes);
    for (unsigned i = 0; i < l->record.count; i++)
        printf("%s%s", i ? "," : "", l->record.vifs[i].name[0] ? l->record.vifs[i].name : l->record.vifs[i].ifb);
    putchar('\n');
}

static int failed(const struct err *e)
{
    fprintf(stderr, "replicator netbuf: %s\n", e->text);
    return e->code == EPERM || e->code == EACCES ? EXIT_PERMISSION
           : e->code == ENOPROTOOPT              ? EXIT_NOT_INSTALLED
                                                 : EXIT_FAILED;
}

static int list(const struct chosen *c, const char *folder)
{
    struct leftover *all;
    struct err e;
    int count = leftover_find(folder, &all, &e);

    if (count < 0)
        return failed(&e);
    if (c->json)
        print_json(all, count, "listed");
    else
        for (int i = 0; i < count; i++)
            print_one(&all[i]);
    free(all);
    return EXIT_OK;
}

/* One leftover; an exit code. */
static int clean(const struct chosen *c, const char *folder, const struct leftover *l)
{
    struct err e;

    if (!c->release && !c->drop && !leftover_is_harmless(l)) {
        fprintf(stderr, "replicator netbuf: output of %s was being held (%llu frames now): say --release "
                        "or --drop\n", l->record.domain[0] ? l->record.domain : l->record.vifs[0].ifb,
                (unsigned long long)l->held_frames);
        return EXIT_USAGE;
    }
    /* What may not be asked for is not let out: a dropped domain's frames never are. */
    if (netbuf_plug_cleanup(folder, &l->record, !c->drop && l->record.mode != PLUG_DROPPING, &e) < 0)
        return failed(&e);
    return EXIT_OK;
}

static int cleanup(const struct chosen *c, const char *folder, const char *domain)
{
    struct leftover *all;
    struct err e;
    int count = leftover_find(folder, &all, &e), cleaned = 0, rc = EXIT_OK;

    if (count < 0)
        return failed(&e);
    for (int i = 0; i < count; i++) {
        int one;

        if (domain && strcmp(all[i].record.domain, domain) != 0)
            continue;
        if (all[i].is_owned) {
            if (domain)
                fprintf(stderr, "replicator netbuf: process %ld holds the output of %s, and runs\n",
                        (long)all[i].record.pid, domain);
            rc = domain ? EXIT_FAILED : rc;
            continue;
        }
        one = clean(c, folder, &all[i]);
        rc = one != EXIT_OK ? one : rc;
        if (one == EXIT_OK)
            all[cleaned++] = all[i];
    }
    if (c->json)
        print_json(all, cleaned, rc == EXIT_OK ? "cleaned" : "refused");
    free(all);
    return rc;
}

int cmd_netbuf(int argc, char **argv)
{
    struct chosen c = { .json = false };
    char folder[RUN_PATH_MAX];
    struct run_dir run;
    struct err e;
    const char *what, *domain;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    what = argv[first];
    domain = first + 1 < argc ? argv[first + 1] : NULL;
    if (c.release && c.drop)
        return options_refuse(&usage, "--release and --drop: one of them");
    if (domain && strcmp(what, "cleanup") != 0)
        return options_refuse(&usage, "%s takes no \"%.40s\"", what, domain);
    if (run_dir_open(&run, c.run_dir, &e) < 0 || run_dir_netbuf(&run, folder, &e) < 0)
        return options_refuse(&usage, "%s", e.text);
    if (strcmp(what, "list") == 0)
        return list(&c, folder);
    if (strcmp(what, "cleanup") == 0)
        return cleanup(&c, folder, domain);
    if (strcmp(what, "selftest") == 0)
        return netbuf_selftest_run(c.json);
    return options_refuse(&usage, "\"%.40s\": want list, cleanup or selftest", what);
}

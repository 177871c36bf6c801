/* cmd_receive — options of `replicator receive`: a listener, or one connection on stdin and stdout. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "replicator/daemon/acceptor.h"
#include "replicator/daemon/announcing.h"
#include "replicator/commands.h"
#include "replicator/fence/fence.h"
#include "replicator/apply/decoders.h"
#include "replicator/options.h"
#include "replicator/daemon/reception.h"

#define OPTION(field) offsetof(struct chosen, field)

struct chosen {
    const char *listen, *arbiter, *onward, *run_dir;
    uint64_t stage_bytes, max_replicas, decoders;
    struct option_list announce;
    bool stdio, json;
};

static const struct option_row rows[] = {
    { "listen", "ADDRESS", "tcp:HOST:PORT (no HOST: all, 0: any port)\nor unix:PATH", option_text,
      OPTION(listen), { 0, 0 } },
    { "stdio", NULL, "one connection on stdin and stdout (for exec:)", option_flag, OPTION(stdio), { 0, 0 } },
    { "arbiter", "HOW", "who decides when both lose each other: manual,\nexec:PATH or file:DIR (manual)",
      option_text, OPTION(arbiter), { 0, 0 } },
    { "stage", "SIZE", "of one epoch at most (the guest's and an eighth)", option_size, OPTION(stage_bytes),
      { 4u << 20, UINT64_C(32) << 40 } },
    { "decoders", "N", "threads of a replica that verify pages, 0: none but\nthe main one (all processors but one, at most 4)",
      option_count, OPTION(decoders), { 0, DECODERS_CHUNKS } },
    { "max-replicas", "N", "held at once by this listener (64)", option_count, OPTION(max_replicas),
      { 1, ACCEPTOR_REPLICAS_MAX } },
    { "onward", "ADDRESS", "protect a guest that was activated here in turn,\nwith the backup that listens there", option_text,
      OPTION(onward), { 0, 0 } },
    { "announce", "WHAT", "also, when a guest starts here (repeatable):\nDOMAIN:INTERFACE=MAC or =MAC=IP,IP…",
      option_texts, OPTION(announce), { 0, 0 } },
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text, OPTION(run_dir), { 0, 0 } },
    { "json", NULL, "events on stdout, one object a line", option_flag, OPTION(json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    .command = "receive",
    .rows = rows,
    .words = "Replicas live in processes of their own and outlive a lost connection. SIGTERM\n"
             "ends the listener and its replicas cleanly; a guest that runs here goes on.\n",
};

/* stdout is the stream: nothing else may be printed there from now on. */
static int receive_stdio(const struct backup_options *o)
{
    struct reception r = { .report_fd = -1, .peer = "stdio", .stays = true };
    int none = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct err e;

    log_open("receive", LOG_LEVEL_INFO);
    signal(SIGPIPE, SIG_IGN);
    r.receive_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    r.send_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (none < 0 || r.receive_fd < 0 || r.send_fd < 0 || dup2(none, STDIN_FILENO) < 0 ||
        dup2(none, STDOUT_FILENO) < 0) {
        log_err("--stdio: %s", strerror(errno));
        return EXIT_FAILED;
    }
    close(none);
    if (run_dir_make(&o->run, &e) < 0) {
        log_err("%s", e.text);
        return EXIT_FAILED;
    }
    return reception_run(o, &r);
}

int cmd_receive(int argc, char **argv)
{
    struct chosen c = { .arbiter = "manual", .max_replicas = 64,
                        .decoders = workers_sensible(DECODERS_SENSIBLE_MAX) };
    struct acceptor_options o = { .json = false };
    struct fence *probe;
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (c.stdio == (c.listen != NULL))
        return options_refuse(&usage, "want either --listen ADDRESS or --stdio");
    if (c.stdio && c.json)
        return options_refuse(&usage, "--stdio uses stdout for the stream, --json can't have it: follow "
                                      "replicator events instead");
    if (announcing_check(&c.announce, &e) < 0)
        return options_refuse(&usage, "--announce %s", e.text);
    if (run_dir_open(&o.backup.run, c.run_dir, &e) < 0 ||
        fence_open(&probe, c.arbiter, NS_PER_S, &e) < 0) /* now, not when the first connection comes */
        return options_refuse(&usage, "%s", e.text);
    probe->ops->close(probe);
    o.backup.arbiter = c.arbiter;
    o.backup.onward = c.onward;
    o.backup.stage_bytes = c.stage_bytes;
    o.backup.decoders = (unsigned)c.decoders;
    o.backup.announce = c.announce;
    o.listen = c.listen;
    o.max_replicas = c.max_replicas;
    o.json = c.json;
    return c.stdio ? receive_stdio(&o.backup) : acceptor_run(&o);
}

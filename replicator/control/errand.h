/* errand — a command that asks a domain's process for one thing and tells what came of it: activate,
 * detach, switchover. Says on stderr what is wrong, with what to do next; never exits. */
#ifndef REPLICATOR_ERRAND_H
#define REPLICATOR_ERRAND_H

#include "base/clock.h"
#include "replicator/control/asking.h"
#include "replicator/options.h"

#define ERRAND_TIMEOUT_NS (30 * NS_PER_S)

/* What each can be told. First member of the command's own struct, which starts with the timeout above. */
struct errand_options {
    const char *run_dir;
    uint64_t timeout_ns;
    bool json;
};

/* The rows that fill it in. */
#define ERRAND_ROWS                                                                                        \
    { "timeout", "TIME", "wait at most so long for the outcome (30s)", option_time,                         \
      offsetof(struct errand_options, timeout_ns), { NS_PER_MS, 86400 * NS_PER_S } },                       \
    { "run-dir", "DIR", "sockets and locks (/run/replicator)", option_text,                                 \
      offsetof(struct errand_options, run_dir), { 0, 0 } },                                                 \
    { "json", NULL, "the answer as an object", option_flag, offsetof(struct errand_options, json), { 0, 0 } }

struct errand {
    const struct usage *usage;
    /* Asks; as asking_once, with which it does it. */
    int (*ask)(const struct run_dir *run, const char *domain, const struct errand_options *o, json_t **ret);
    /* How a good answer ends the sentence that begins with the domain's name. */
    const char *(*outcome)(const json_t *answer);
};

/* The whole command, its line included; returns the exit code. `options`: as they are without a line. */
int errand_run(const struct errand *errand, int argc, char **argv, struct errand_options *options);

#endif

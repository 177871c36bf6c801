/* primary_daemon — `replicator protect`: one domain's process, from its lock to its clean end.
 * Connects an engine with a guest, its network, the arbiter, the control socket and signals. */
#ifndef REPLICATOR_PRIMARY_DAEMON_H
#define REPLICATOR_PRIMARY_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/pages_pack.h"
#include "replicator/proto/timing.h"
#include "replicator/control/run_dir.h"

struct primary_options {
    const char *spec, *to, *arbiter;
    struct run_dir run;
    struct timing timing;
    uint64_t buffer_pages, cache_bytes, netbuf_bytes;
    enum codec_changes delta; /* which compression may be used */
    enum pages_packing packing;
    unsigned encoders;    /* threads */
    bool unsafe_netbuf;   /* output is not held */
    bool json;
};

/* Runs until the end and returns an exit code. Says everything on stderr. */
int primary_daemon_run(const struct primary_options *o);

#endif

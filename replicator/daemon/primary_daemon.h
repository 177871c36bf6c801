/* primary_daemon — `replicator protect`: one domain's process, from its lock to its clean end.
 * Connects an engine with a guest, its network, the arbiter, the control socket and signals. */
#ifndef REPLICATOR_PRIMARY_DAEMON_H
#define REPLICATOR_PRIMARY_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/pages_pack.h"
#include "replicator/daemon/announcing.h"
#include "replicator/proto/timing.h"
#include "replicator/control/run_dir.h"
#include "replicator/options.h"

/* Where nothing else was asked for. */
#define PRIMARY_BUFFER_PAGES 4096u
#define PRIMARY_CACHE_BYTES  (UINT64_C(64) << 20)

struct primary_options {
    const char *spec, *to, *arbiter;
    struct run_dir run;
    struct timing timing;
    uint64_t buffer_pages, cache_bytes;
    uint64_t netbuf_bytes; /* 0: by how long output is held */
    struct option_list vifs;
    enum codec_changes delta; /* which compression may be used */
    enum pages_packing packing;
    unsigned encoders;    /* threads */
    uint64_t verify_every; /* epochs; 0: never */
    bool unsafe_netbuf;   /* output is not held */
    bool json;
};

/* Runs until the end and returns an exit code. Says everything on stderr. */
int primary_daemon_run(const struct primary_options *o);

/* A guest that was activated in this process and runs. */
struct primary_adoption {
    struct domain *domain;
    struct announcing announcing;  /* goes on */
    void (*taken)(void *context);  /* everything is open: nobody else answers for the guest any more */
    void *context;
};

/* The same for such a guest, which is protected under options->spec, its name as that of a new lineage.
 * -errno: nothing could be done, the guest runs on and is the caller's still, with or without a netbuf
 * that passes. Else *ret_exit is the exit code after the end of the guest or its protection. */
MUST_CHECK int primary_daemon_adopt(const struct primary_options *o, const struct primary_adoption *a,
                                    int *ret_exit, struct err *e);

#endif

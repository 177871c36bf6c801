/* backup_daemon — one replica's process: holds the copy, hands it on or lets it run, and tells why it
 * ended. Lives in a session of its own, so that it survives whatever brought its first connection. */
#ifndef REPLICATOR_BACKUP_DAEMON_H
#define REPLICATOR_BACKUP_DAEMON_H

#include <stdint.h>

#include "checkpoint/record.h"
#include "replicator/daemon/handover.h"
#include "replicator/control/run_dir.h"
#include "replicator/options.h"

struct backup_options {
    const char *arbiter;
    const char *onward;   /* where a guest that was activated here has its next backup; NULL: nowhere */
    struct run_dir run;
    uint64_t stage_bytes; /* 0: by the guest's size */
    unsigned decoders;    /* threads of a replica */
    struct option_list announce; /* "DOMAIN:INTERFACE=MAC…": besides what a guest says of itself */
};

/* How a replica's process begins: with its domain's lock and a connection that greeted. All taken. */
struct backup_start {
    int lock_fd;
    struct handover *connection;
    int tether;           /* closed with that connection's link; -1: none */
    int report_fd;        /* lines to who started it: "replica NAME", "active", "ended WHY"; -1: none */
    const struct hello *hello;
};

/* Runs until the replica, or the guest that it became, has ended; returns an exit code. */
int backup_daemon_run(const struct backup_options *o, const struct backup_start *start);

#endif

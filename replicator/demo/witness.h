/* witness — the observer in a process of its own: one UDP socket that the guest talks to. It tells
 * the demo what it sees as lines, and its whole judgement when it is asked to end:
 *   {"saw":"frame"|"successor"|"well"|"fault","at_ns":N,…}  each at most once
 *   {"saw":"all",…}                                         the judgement, the last line
 * well: the guest has said WITNESS_WELL new things since the change of source, none is missing. */
#ifndef REPLICATOR_DEMO_WITNESS_H
#define REPLICATOR_DEMO_WITNESS_H

#include <sys/types.h>

#include "replicator/demo/lines.h"

#define WITNESS_WELL 200u

struct witness {
    pid_t pid;          /* 0: none */
    unsigned port;      /* of 127.0.0.1 */
    struct lines lines; /* what it says */
};

/* Starts it for a guest of this name (frame_domain). The process ends with its parent. */
MUST_CHECK int witness_start(struct witness *w, uint64_t domain, struct err *e);

/* Waits until it says that it saw `what`; *ret_at_ns (base/clock): when. A fault that comes first
 * is the answer: -EBADMSG with its words. */
MUST_CHECK int witness_await(struct witness *w, const char *what, uint64_t until_ns,
                             uint64_t *ret_at_ns, struct err *e);

/* Asks for the judgement (a new reference). */
MUST_CHECK int witness_judgement(struct witness *w, uint64_t until_ns, json_t **ret, struct err *e);

void witness_close(struct witness *w); /* any state, twice */

#endif

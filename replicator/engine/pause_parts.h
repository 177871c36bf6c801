/* pause_parts — what the guest's pauses are made of: one histogram a part. Time that the parts leave of
 * a whole pause is the engine's own (encoding when the page buffer is full, the protocol's steps).
 * Plain storage: zeroed is empty; not thread-safe. */
#ifndef REPLICATOR_ENGINE_PAUSE_PARTS_H
#define REPLICATOR_ENGINE_PAUSE_PARTS_H

#include <stdint.h>

#include "base/histogram.h"

#define PAUSE_PARTS_LIST(X)                                                                                \
    X(SUSPEND, "suspend") /* from the request until nothing of the guest runs */                           \
    X(MARK, "mark")       /* of the output's buffer */                                                     \
    X(LOG, "log")         /* of dirty pages: read, cleared, scanned */                                     \
    X(COPY, "copy")       /* of pages, with their mapping */                                               \
    X(STATE, "state")     /* of vCPUs and devices */                                                       \
    X(RESUME, "resume")

#define PAUSE_PART_ENUM(id, name) PAUSE_##id,
enum pause_part { PAUSE_PARTS_LIST(PAUSE_PART_ENUM) PAUSE_PARTS };
#undef PAUSE_PART_ENUM

struct pause_parts {
    struct histogram ns[PAUSE_PARTS];
    uint64_t open_ns[PAUSE_PARTS]; /* of the pause that is under way */
};

/* As status and tables call it. */
const char *pause_part_name(enum pause_part part);

/* One of possibly many pieces of a part of this pause. */
void pause_parts_add(struct pause_parts *p, enum pause_part part, uint64_t ns);

/* The pause is over: each of its parts is one value more. */
void pause_parts_end(struct pause_parts *p);

#endif

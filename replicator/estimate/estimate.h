/* estimate — what protecting a guest would cost, measured on the guest while it runs on: for each
 * interval the epochs of a real protection are made (dirty log, copy, encoding) and thrown away. Nothing
 * is sent, nothing is held, and the guest is not paused unless that is asked for. */
#ifndef REPLICATOR_ESTIMATE_H
#define REPLICATOR_ESTIMATE_H

#include <stdint.h>
#include <jansson.h>

#include "checkpoint/guest.h"

#define ESTIMATE_ROWS       6u
#define ESTIMATE_PAUSES_MAX 100u

struct estimate_config {
    uint64_t for_ns;      /* all intervals together */
    uint64_t pauses;      /* tried, to see how long suspend and resume take; 0: none */
    uint64_t cache_bytes; /* of prior versions, as in protect */
};

/* What one interval came to. */
struct estimate_row {
    uint64_t interval_ns, elapsed_ns;
    uint64_t epochs, pages, pages_most;
    uint64_t wire_bytes;
    uint64_t log_ns, copy_ns; /* sums: the parts of a pause that grow with the pages */
};

struct estimate {
    struct guest_info about;
    uint64_t seed_pages, seed_wire_bytes, seed_ns; /* the first whole copy */
    uint64_t working_pages;                        /* written at least once in all the time */
    uint64_t stop_ns;                              /* median of suspend and resume together; 0: not tried */
    unsigned row_count;
    struct estimate_row rows[ESTIMATE_ROWS];
};

/* -ECANCELED: the guest ended meanwhile. */
MUST_CHECK int estimate_run(struct guest *g, const struct estimate_config *config, struct estimate *ret,
                            struct err *e);

/* As a person reads it, on stdout; and as an object, to be freed by the caller. */
void estimate_print(const struct estimate *s);
json_t *estimate_json(const struct estimate *s);

#endif

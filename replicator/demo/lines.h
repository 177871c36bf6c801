/* lines — JSON objects, one a line, over a stream socket: how the demo hears daemons and its witness.
 * Every wait has an instant at which it fails. */
#ifndef REPLICATOR_DEMO_LINES_H
#define REPLICATOR_DEMO_LINES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LINES_MAX (64u << 10) /* octets of one line */

struct lines {
    int fd; /* -1: closed */
    size_t bytes;
    char text[LINES_MAX];
};

void lines_open(struct lines *l, int fd); /* takes the descriptor */
void lines_close(struct lines *l);        /* any state, twice */

/* Sends one; the reference is taken. -EPIPE, -ECONNRESET: nobody listens. */
MUST_CHECK int lines_say(struct lines *l, json_t *line, struct err *e);

/* The next line that is here already: 1 (a new reference), 0 none; -EPIPE the other end closed. */
MUST_CHECK int lines_take(struct lines *l, json_t **ret, struct err *e);

/* The next line, waited for until `until_ns`: 0, -ETIMEDOUT, -EPIPE, -EINTR after a signal. */
MUST_CHECK int lines_wait(struct lines *l, uint64_t until_ns, json_t **ret, struct err *e);

/* Says one and waits for the answer. */
MUST_CHECK int lines_ask(struct lines *l, json_t *question, uint64_t until_ns, json_t **ret,
                         struct err *e);

/* Waits for poll's `events` on up to two descriptors (-1: none) until an instant: 1 ready, 0 time is
 * over, -EINTR after a signal. */
MUST_CHECK int lines_poll(int fd, int other_fd, uint64_t until_ns);

#endif

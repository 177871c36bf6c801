/* stream_input — where a reader of a stream takes octets from: a descriptor or memory, one window at a
 * time, its place in the whole always known.
 * Never holds more than the window, never seeks; a regular file can be read again by offset. */
#ifndef REPLICATOR_CHECKPOINT_STREAM_INPUT_H
#define REPLICATOR_CHECKPOINT_STREAM_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define STREAM_INPUT_WINDOW (2u << 20) /* octets that one peek can ask for */

struct stream_input;

/* Reads from fd (its place is offset 0 here), which stays the caller's and open until close.
 * -ENOMEM. */
MUST_CHECK int stream_input_open(struct stream_input **ret, int fd, struct err *e);
/* Reads from memory that outlives the input. */
MUST_CHECK int stream_input_of(struct stream_input **ret, const void *octets, size_t bytes,
                               struct err *e);
void stream_input_close(struct stream_input *in); /* NULL is fine */

/* Makes the next n octets (STREAM_INPUT_WINDOW at most) readable at *ret, taking nothing; fewer than n
 * are *ret_left only when the input ends there. Good until the next peek. -errno of a failed read. */
MUST_CHECK int stream_input_peek(struct stream_input *in, size_t n, const uint8_t **ret,
                                 size_t *ret_left, struct err *e);

/* Takes n octets that a peek has shown. */
void stream_input_consume(struct stream_input *in, size_t n);

/* Takes n octets without reading them, where that can be done and they are there: false and nothing
 * taken otherwise (a pipe, or the input ends before). */
MUST_CHECK bool stream_input_pass(struct stream_input *in, uint64_t n);

/* How many were taken: the place of the next octet. */
uint64_t stream_input_offset(const struct stream_input *in);

/* The size of the whole, 0 when nobody knows (a pipe). */
uint64_t stream_input_size(const struct stream_input *in);

/* Octets that were taken before, again; only when can_reread. -EIO when they are gone. */
bool stream_input_can_reread(const struct stream_input *in);
MUST_CHECK int stream_input_reread(struct stream_input *in, uint64_t offset, void *to, size_t n,
                                   struct err *e);

#endif

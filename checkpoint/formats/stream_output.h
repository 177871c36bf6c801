/* stream_output — where a writer puts a stream: a file that can be cut back to where it was.
 * Buffered: nothing is sure to be there before a flush. Blocks of zeros become holes of the file, which
 * reads the same: most guests have many, and a hole costs neither memory nor a write. */

#ifndef REPLICATOR_CHECKPOINT_STREAM_OUTPUT_H
#define REPLICATOR_CHECKPOINT_STREAM_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/digest.h"
#include "base/err.h"

#define STREAM_OUTPUT_BUFFER (1u << 20)

struct stream_output {
    int fd;           /* a regular file, empty, the caller's; its place 0 is the stream's */
    uint64_t offset;  /* of the next octet, buffered ones included */
    uint8_t *buffer;  /* STREAM_OUTPUT_BUFFER */
    size_t used;
};

MUST_CHECK int stream_output_open(struct stream_output *o, int fd, struct err *e);
void stream_output_close(struct stream_output *o); /* does not flush; twice is fine */

MUST_CHECK int stream_output_put(struct stream_output *o, const void *octets, size_t n, struct err *e);
MUST_CHECK int stream_output_flush(struct stream_output *o, struct err *e);
/* Forgets everything from that offset on. */
MUST_CHECK int stream_output_cut(struct stream_output *o, uint64_t offset, struct err *e);
/* What was put there before, again. */
MUST_CHECK int stream_output_get(struct stream_output *o, uint64_t offset, void *to, size_t n,
                                 struct err *e);
/* XXH3-64 of what stands from `from` on, read back. */
MUST_CHECK int stream_output_digest(struct stream_output *o, uint64_t from, uint64_t *ret,
                                    struct err *e);

#endif

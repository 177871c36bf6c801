/* stream_open — a stream read to its end as an image: what diff and extract start from. */
#ifndef REPLICATOR_STREAM_STREAM_OPEN_H
#define REPLICATOR_STREAM_STREAM_OPEN_H

#include "checkpoint/formats/image.h"
#include "replicator/stream/stream_source.h"

struct opened {
    struct stream_source source;
    struct reading reading;
    struct image image;
};

/* EXIT_OK, EXIT_FAILED (refused), EXIT_USAGE; said on stderr. Close in any case. */
MUST_CHECK int opened_open(struct opened *o, const char *command, const char *path,
                           const struct stream_wishes *wishes, struct err *e);
void opened_close(struct opened *o);

#endif

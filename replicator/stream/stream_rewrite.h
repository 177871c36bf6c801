/* stream_rewrite — one stream read and written anew: what convert, pack and unpack have in common. */
#ifndef REPLICATOR_STREAM_STREAM_REWRITE_H
#define REPLICATOR_STREAM_STREAM_REWRITE_H

#include "checkpoint/formats/stream_writer.h"
#include "replicator/stream/stream_source.h"

#define CHECKPOINT_ALL  UINT64_MAX
#define CHECKPOINT_LAST 0u

struct rewrite {
    const char *command, *from, *to;
    struct stream_wishes wishes;
    struct writer_wishes writer;
    bool keeps_framing;  /* the target is framed as the source is (legacy: bare libxc) */
    bool wants_image;    /* refuse what is not packed */
    uint64_t checkpoint; /* only that one, as a plain stream; or ALL, or LAST */
    bool json, no_sync;
};

/* An exit code: EXIT_FAILED when the input was refused. */
int stream_rewrite(const struct rewrite *rw);

#endif

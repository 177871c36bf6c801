/* stream_target — where a tool's result goes: under its final name only when it is whole.
 * A file is written beside its final name and renamed; "-" is kept aside and copied to stdout at the
 * end. What is not kept leaves nothing behind. */
#ifndef REPLICATOR_STREAM_STREAM_TARGET_H
#define REPLICATOR_STREAM_STREAM_TARGET_H

#include "base/err.h"

#define STREAM_TARGET_PATH_MAX 4096u

struct stream_target {
    const char *path;
    int fd;
    char temporary[STREAM_TARGET_PATH_MAX]; /* empty: it has no name */
};

/* 0, or an exit code after saying why on stderr. */
MUST_CHECK int stream_target_open(struct stream_target *t, const char *command, const char *path);
/* Gives it its name, or copies it out. An exit code. */
MUST_CHECK int stream_target_keep(struct stream_target *t, const char *command);
/* Removes what was not kept; twice is fine. */
void stream_target_close(struct stream_target *t);

#endif

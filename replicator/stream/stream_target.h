/* stream_target — where a tool's result goes: under its final name only when it is whole and on the disk.
 * A file is written beside its final name, synced and renamed; "-" is kept aside and copied to stdout at
 * the end. What is not kept leaves nothing behind; what a kill leaves has another name (PATH.XXXXXX). */
#ifndef REPLICATOR_STREAM_STREAM_TARGET_H
#define REPLICATOR_STREAM_STREAM_TARGET_H

#include <stdbool.h>

#include "base/err.h"

#define STREAM_TARGET_PATH_MAX 4096u

struct stream_target {
    const char *path;
    int fd;
    char temporary[STREAM_TARGET_PATH_MAX]; /* empty: it has no name */
};

/* 0, or an exit code after saying why on stderr. */
MUST_CHECK int stream_target_open(struct stream_target *t, const char *command, const char *path);
/* A file that is worth something while it grows: PATH.part-XXXXXX until it is kept. */
MUST_CHECK int stream_target_open_part(struct stream_target *t, const char *command, const char *path);
/* Gives it its name, or copies it out. Not synced, a power cut may leave the name without its octets. An
 * exit code. */
MUST_CHECK int stream_target_keep(struct stream_target *t, const char *command, bool is_synced);

/* The option of every tool that writes a file: NO_SYNC_ROW(offset of a bool). */
#define NO_SYNC_ROW(offset)                                                                            \
    { "no-sync", NULL, "name the file without waiting for the disk", option_flag, offset, { 0, 0 } }
/* Removes what was not kept; twice is fine. */
void stream_target_close(struct stream_target *t);
/* As close, but what was not kept stays under the name it has. */
void stream_target_leave(struct stream_target *t);

#endif

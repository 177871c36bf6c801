/* stream_source — what every `replicator stream` command shares: its options about the stream, its input
 * (a file, or "-" for stdin) and the bar on a terminal while a long file is read. */
#ifndef REPLICATOR_STREAM_STREAM_SOURCE_H
#define REPLICATOR_STREAM_STREAM_SOURCE_H

#include <stdio.h>

#include <jansson.h>

#include "checkpoint/formats/reading.h"
#include "replicator/options.h"

/* First member of every command's options. */
struct stream_choice {
    const char *framing, *mode, *guest;
    uint64_t toolstack_width, guest_width;
    bool strict, json;
};

#define STREAM_ROWS                                                                                       \
    { "framing", "KIND", "auto, libxc, libxl, xl or legacy (auto)", option_text,                          \
      offsetof(struct stream_choice, framing), { 0, 0 } },                                                \
    { "mode", "MODE", "plain or remus (what the stream shows)", option_text,                              \
      offsetof(struct stream_choice, mode), { 0, 0 } },                                                   \
    { "guest", "KIND", "pv or hvm (what the stream shows)", option_text,                                  \
      offsetof(struct stream_choice, guest), { 0, 0 } },                                                  \
    { "toolstack-width", "BITS", "legacy: 32 or 64 (what the stream shows)", option_count,                \
      offsetof(struct stream_choice, toolstack_width), { 32, 64 } },                                      \
    { "guest-width", "OCTETS", "PV: 4 or 8 (what the stream shows)", option_count,                        \
      offsetof(struct stream_choice, guest_width), { 4, 8 } },                                            \
    { "strict", NULL, "also refuse what only should be zero", option_flag,                                \
      offsetof(struct stream_choice, strict), { 0, 0 } },                                                 \
    { "json", NULL, "one object on stdout", option_flag, offsetof(struct stream_choice, json), { 0, 0 } }

/* Wishes from the options; 0, or the exit code after saying what is wrong. */
MUST_CHECK int stream_choice_wishes(const struct usage *u, const struct stream_choice *c,
                                    struct stream_wishes *ret);

struct stream_source {
    const char *path;
    int fd;
    struct stream_input *in;
};

/* 0, or an exit code after saying why on stderr. */
MUST_CHECK int stream_source_open(struct stream_source *s, const char *command, const char *path);
void stream_source_close(struct stream_source *s);

/* A consumer that hears all that `to` hears and shows how far the input is, when stderr is a terminal
 * and the input long. */
struct stream_progress {
    struct consumer to;
    struct stream_input *in;
    unsigned shown; /* per cent; above 100: not wanted */
};
struct consumer stream_progress_over(struct stream_progress *p, struct stream_input *in,
                                     struct consumer to);
void stream_progress_end(struct stream_progress *p);

/* Runs and says on stderr why it was refused or failed. EXIT_OK, EXIT_FAILED (refused), EXIT_USAGE (the
 * machine failed: the stream is neither). */
MUST_CHECK int stream_source_run(struct stream_source *s, const char *command, struct reading *r,
                                 const struct stream_wishes *w, struct consumer to, struct err *e);

/* What was refused, and why, as one line of JSON: the fields of verify, null where nothing is known. */
void stream_print_refused(FILE *to, const struct reading *r, const struct err *e);

const char *stream_guest_name(unsigned guest); /* "pv", "hvm"; NULL for none */

#endif

/* told — one line for everybody who follows a daemon: the log on stderr, clients of its control
 * socket, and stdout as JSON where --json asked for it. */
#ifndef REPLICATOR_TOLD_H
#define REPLICATOR_TOLD_H

#include <jansson.h>
#include <stdbool.h>

#include "replicator/control/control.h"

struct told {
    struct control *control;  /* NULL: none */
    bool to_stdout;
    char last_reason[320];    /* of the newest event=state line that had one */
};

/* A line as engines say them ("event=state …" or plain words). */
void told_say(struct told *t, int level, const char *text);
/* An object for clients and stdout only; the reference is taken. */
void told_object(struct told *t, json_t *event, bool is_epoch);

#endif

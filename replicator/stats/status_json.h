/* status_json — what engines know about themselves as the objects that status and events carry.
 * Fields are only ever added; "schema" says since when their meaning holds. Every function returns a
 * new reference. */
#ifndef REPLICATOR_STATS_STATUS_JSON_H
#define REPLICATOR_STATS_STATUS_JSON_H

#include <jansson.h>

#include "base/histogram.h"
#include "replicator/engine/backup_engine.h"
#include "replicator/engine/primary_engine.h"

/* What the daemon knows besides its engine. */
struct primary_facts {
    const struct guest_info *guest;
    bool holds_output;           /* the netbuf does (not --unsafe=no-netbuf) */
    const struct histogram *hold_ns;
    const char *last_loss;       /* why the last session went, or "" */
    const char *degraded;        /* what is amiss with the output, or "" */
    const struct netbuf_port *ports;
    unsigned port_count;
};

json_t *status_json_primary(const struct primary_status *s, const struct primary_facts *f);
json_t *status_json_backup(const struct backup_status *s);

/* Objects of one epoch, for who follows. */
json_t *status_json_primary_epoch(const struct primary_status *s, const char *domain);
json_t *status_json_backup_epoch(const struct backup_status *s);

/* The value that a path like netbuf.held_bytes leads to, borrowed; NULL: none. */
const json_t *status_json_find(const json_t *status, const char *path);

/* "event=state domain=web1 … reason="…"" as an object of strings and numbers; a text of another form
 * becomes {"event":"message","text":…}. reason, when there, is the last key. */
json_t *status_json_event(int level, const char *text);

#endif

/* table — what the demo shows while it runs: a bar for the initial copy, then a row of figures,
 * renewed in place on a terminal and one a second elsewhere. Takes the primary's status objects. */
#ifndef REPLICATOR_DEMO_TABLE_H
#define REPLICATOR_DEMO_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct table {
    bool is_silent, is_terminal;
    bool has_head, is_open;      /* head: the columns' names; open: a line without its end */
    uint64_t next_ns;            /* when the next line is due where lines stay */
    uint64_t raw_bytes, wire_bytes;
};

void table_open(struct table *t, bool is_silent);
void table_copy(struct table *t, const json_t *status, uint64_t now_ns);
void table_epoch(struct table *t, const json_t *status, uint64_t now_ns);

/* One line of words, below whatever is there. */
void table_say(struct table *t, const char *format, ...) PRINTF_LIKE(2, 3);

/* A number of a status object by its key, or by key and inner key; 0 when it is not there. */
double table_number(const json_t *status, const char *key, const char *inner);

#endif

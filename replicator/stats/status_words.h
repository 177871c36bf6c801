/* status_words — a status object laid out for people. The layout may change; scripts take the object. */
#ifndef REPLICATOR_STATS_STATUS_WORDS_H
#define REPLICATOR_STATS_STATUS_WORDS_H

#include <jansson.h>
#include <stdio.h>

void status_words(FILE *to, const json_t *status);

#endif

/* summary — what rounds came to, for people and as JSON. */
#ifndef REPLICATOR_DEMO_SUMMARY_H
#define REPLICATOR_DEMO_SUMMARY_H

#include "base/histogram.h"
#include "replicator/demo/round.h"

struct summary {
    bool is_json;
    uint64_t rounds, good;
    struct histogram takeover_ns, detection_ns, silence_ns;
    uint64_t frames, epochs;
    json_t *list; /* one object a round */
};

void summary_open(struct summary *s, bool is_json);
void summary_close(struct summary *s);

/* Takes a round that has ended (rc of round_play, e when it failed). Returns whether it was good. */
bool summary_add(struct summary *s, const struct round *r, int rc, const struct err *e);

/* Prints one round in full, one round as a line, the totals. */
void summary_print_round(const struct round *r);
void summary_print_line(const struct summary *s, const struct round *r, const char *failure);
void summary_print(const struct summary *s);

#endif

/* plug_state — what one plug qdisc must hold at this moment and what to tell it next; pure.
 * The kernel's plug counts only two epochs: the one being filled and the one finished by the last
 * BUFFER. A second BUFFER would forget the count of the first, so a mark while one is unreleased is
 * not sent: its frames join the next release. BUFFER is never repeated, RELEASE_ONE may be, and when
 * it is not known whether an order was carried out, the answer that holds frames longer is taken. */
#ifndef REPLICATOR_NETBUF_PLUG_STATE_H
#define REPLICATOR_NETBUF_PLUG_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum plug_mode {
    PLUG_PASSING, /* nothing is held */
    PLUG_HOLDING,
    PLUG_DROPPING, /* for good */
};

enum plug_order { PLUG_ORDER_NONE, PLUG_ORDER_BUFFER, PLUG_ORDER_RELEASE_ONE };

struct plug_state {
    enum plug_mode mode;
    bool is_finished; /* there is a finished epoch in the plug that was not released */
    uint64_t newest;  /* epoch marked, sent or joined; 0: none */
};

/* What a mark or release asks the kernel for. */
enum plug_order plug_state_at_mark(const struct plug_state *s);
enum plug_order plug_state_at_release(const struct plug_state *s, uint64_t epoch);

/* An order (or none) for mark or release has been carried out, or may have been: is_sure says which.
 * True: repeat it now, the state can't be known otherwise. */
bool plug_state_marked(struct plug_state *s, uint64_t epoch, enum plug_order order, bool is_sure);
bool plug_state_released(struct plug_state *s, enum plug_order order, bool is_sure);

/* The qdisc was made anew: holding and empty when this one was holding, else as it was. */
void plug_state_renewed(struct plug_state *s);

#endif

/* observer — judges a guest by its frames alone: what was said must never be taken back.
 * Pure: frames, where they came from and the instant go in; acknowledgements and a judgement come out.
 * It asks neither side anything, so that no side can talk it round.
 *
 * Judged (docs/ARCHITECTURE.md), a vCPU's stream at a time:
 *   P1  a frame's number never comes again or goes back, a payload's number always has one content
 *   P2  each payload continues the chain of all before it, its steps don't go back
 *   P3  one source at a time: whoever was followed by another one is silent for good
 *   none lost: every payload arrives in the end; frame numbers have gaps at a change of source only
 *   (frames that were held and died with the primary: the outside never saw them) */
#ifndef REPLICATOR_DEMO_OBSERVER_H
#define REPLICATOR_DEMO_OBSERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/sim/frame.h"

#define OBSERVER_WINDOW      4096u /* payloads a vCPU that are remembered, by number */
#define OBSERVER_SOURCES_MAX 8u
#define OBSERVER_WORDS_MAX   200u

/* X(name, promise, words) */
#define OBSERVER_FAULTS(X)                                                      \
    X(NUMBER, P1, "a frame number came again or went back")                     \
    X(CONTENT, P1, "a payload came again with other content")                   \
    X(FORGOTTEN, P1, "a payload came again that was acknowledged long before")  \
    X(CHAIN, P2, "a payload contradicts the chain of those before it")          \
    X(STEPS, P2, "a vCPU went back in its work")                                \
    X(BOOT, P2, "a boot number that does not fit the source")                   \
    X(STALE, P3, "a frame from a source after that of its successor")           \
    X(SOURCES, P3, "more sources than can be")                                  \
    X(GAP, LOST, "frame numbers are missing and no failover explains it")

enum observer_promise { OBSERVER_P1, OBSERVER_P2, OBSERVER_P3, OBSERVER_LOST, OBSERVER_PROMISES };
enum observer_fault {
#define X(name, promise, words) OBSERVER_##name,
    OBSERVER_FAULTS(X)
#undef X
        OBSERVER_FAULT_COUNT
};

struct observer_payload {
    uint64_t seq; /* 0: never seen */
    uint64_t chain, payload, steps;
};

struct observer_vcpu {
    uint64_t number;        /* of the newest frame */
    uint64_t newest;        /* greatest payload number seen */
    uint64_t complete;      /* every payload up to it was seen */
    uint64_t newest_before; /* `newest` at the last change of source */
    unsigned source;        /* that the newest frame came from */
    struct observer_payload window[OBSERVER_WINDOW];
};

struct observer {
    /* set by observer_init */
    uint64_t domain;
    /* shared: for reports */
    uint64_t frames, again, strangers; /* strangers: no frame of this domain */
    uint64_t held_died;                /* frame numbers missing at changes of source */
    uint64_t faults[OBSERVER_FAULT_COUNT];
    char words[OBSERVER_WORDS_MAX];    /* about the first fault; "" none */
    unsigned sources;
    uint64_t first_ns, last_ns;
    uint64_t source_first_ns[OBSERVER_SOURCES_MAX], source_last_ns[OBSERVER_SOURCES_MAX];
    uint64_t source_frames[OBSERVER_SOURCES_MAX];
    /* private */
    uint64_t source_id[OBSERVER_SOURCES_MAX];
    uint32_t source_boot[OBSERVER_SOURCES_MAX];
    struct observer_vcpu vcpus[FRAME_VCPUS_MAX];
};

void observer_init(struct observer *o, uint64_t domain);

/* A datagram from `source` (any number that names an address). True: answer it with *ret_ack. */
bool observer_frame(struct observer *o, uint64_t source, const uint8_t *octets, size_t bytes,
                    uint64_t now_ns, struct frame_ack *ret_ack);

/* Payloads below the newest that have not arrived (yet). */
uint64_t observer_missing(const struct observer *o);
/* Payloads that were new since the last change of source (or the start). */
uint64_t observer_new_payloads(const struct observer *o);

/* Whether the promise was kept by all that was seen; LOST asks that nothing is missing now. */
bool observer_keeps(const struct observer *o, enum observer_promise promise);

#endif

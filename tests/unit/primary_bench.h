/* primary_bench — a primary on the bench of its unit tests: events in, the newest actions kept. */
#ifndef TESTS_UNIT_PRIMARY_BENCH_H
#define TESTS_UNIT_PRIMARY_BENCH_H

#include "replicator/proto/primary.h"

#define TIMEOUT_NS   (1000 * NS_PER_MS)
#define HEARTBEAT_NS (100 * NS_PER_MS)
#define INTERVAL_NS  (25 * NS_PER_MS)
#define LINEAGE      UINT64_C(0x1111)

extern const struct timing times;

struct bench {
    struct primary p;
    struct primary_actions out;
    uint64_t now;
};

/* One that starts with no past, its clock at some instant; `owns`: the arbiter is a person. */
void start(struct bench *b, bool owns);

void feed(struct bench *b, struct primary_event ev);
void plain(struct bench *b, enum primary_event_type type);

/* The first such action among the newest; whether there is one. */
const struct primary_action *find(const struct bench *b, enum primary_action_type type);
bool says(const struct bench *b, enum primary_action_type type);

/* What a backup says, in the present session unless told otherwise; what an arbiter does. */
void hello_ack(struct bench *b, uint32_t verdict, uint64_t committed);
void ack_of(struct bench *b, uint64_t session, uint64_t epoch, uint64_t echo_ns);
void heartbeat(struct bench *b, uint64_t echo_ns);
void detach(struct bench *b, bool is_answer);
void token(struct bench *b, enum fence_answer answer, uint32_t term);

/* Lets time pass to the deadline and ticks there. */
void tick_at_deadline(struct bench *b);

void connect_up_to_greeting(struct bench *b);
/* A session over which the backup says that it holds `committed`; the live copy has begun. */
void open_session(struct bench *b, uint64_t committed);
/* From wherever an epoch is open until it is sent whole; the same and its acknowledgement. */
void send_epoch(struct bench *b);
void commit_epoch(struct bench *b);
/* A primary under an arbiter whose first epoch is committed; that loses its backup for good. */
void start_protected(struct bench *b);
void lose_until_it_asks(struct bench *b);

#endif

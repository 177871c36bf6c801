/* primary_bench — a primary on the bench of its unit tests: events in, the newest actions kept. All
 * of it inline, so that its names stay its own. */
#ifndef TESTS_UNIT_PRIMARY_BENCH_H
#define TESTS_UNIT_PRIMARY_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replicator/proto/primary.h"

#define TIMEOUT_NS   (1000 * NS_PER_MS)
#define HEARTBEAT_NS (100 * NS_PER_MS)
#define INTERVAL_NS  (25 * NS_PER_MS)
#define LINEAGE      UINT64_C(0x1111)

static const struct timing times = { INTERVAL_NS, HEARTBEAT_NS, TIMEOUT_NS };

struct bench {
    struct primary p;
    struct primary_actions out;
    uint64_t now;
};

static inline void start(struct bench *b, bool owns)
{
    *b = (struct bench){ .now = 1000 * NS_PER_S };
    primary_init(&b->p, &times, owns, LINEAGE, NULL, b->now);
}

static inline void feed(struct bench *b, struct primary_event ev)
{
    ev.now_ns = b->now;
    primary_step(&b->p, &ev, &b->out);
}

static inline void plain(struct bench *b, enum primary_event_type type)
{
    feed(b, (struct primary_event){ .type = type });
}

static inline const struct primary_action *find(const struct bench *b,
                                                enum primary_action_type type)
{
    for (unsigned i = 0; i < b->out.n; i++)
        if (b->out.list[i].type == type)
            return &b->out.list[i];
    return NULL;
}

static inline bool says(const struct bench *b, enum primary_action_type type)
{
    return find(b, type) != NULL;
}

static inline void hello_ack(struct bench *b, uint32_t verdict, uint64_t committed)
{
    struct hello_ack m = { .session = b->p.session, .lineage = b->p.lineage, .committed = committed,
                           .verdict = verdict, .echo_ns = b->now, .term = b->p.term };

    feed(b, (struct primary_event){ .type = PE_HELLO_ACK, .hello_ack = &m });
}

static inline void ack_of(struct bench *b, uint64_t session, uint64_t epoch, uint64_t echo_ns)
{
    struct ack m = { session, epoch, echo_ns };

    feed(b, (struct primary_event){ .type = PE_ACK, .ack = &m });
}

static inline void heartbeat(struct bench *b, uint64_t echo_ns)
{
    struct heartbeat m = { b->p.session, b->now, echo_ns };

    feed(b, (struct primary_event){ .type = PE_HEARTBEAT, .heartbeat = &m });
}

static inline void detach(struct bench *b, bool is_answer)
{
    struct detach m = { b->p.session, DETACH_RECEIVER_STOPPED, is_answer };

    feed(b, (struct primary_event){ .type = PE_DETACH, .detach = &m });
}

static inline void token(struct bench *b, enum fence_answer answer, uint32_t term)
{
    feed(b, (struct primary_event){ .type = PE_TOKEN, .answer = answer, .term = term });
}

/* Lets time pass to the deadline and ticks there. */
static inline void tick_at_deadline(struct bench *b)
{
    uint64_t at = primary_deadline(&b->p);

    assert_true(at != TIME_NEVER);
    b->now = at > b->now ? at : b->now;
    plain(b, PE_TICK);
}

static inline void connect_up_to_greeting(struct bench *b)
{
    tick_at_deadline(b);
    assert_true(says(b, PA_CONNECT));
    plain(b, PE_LINK_UP);
    assert_true(says(b, PA_HELLO));
}

/* A session over which the backup says that it holds `committed`; the live copy has begun. */
static inline void open_session(struct bench *b, uint64_t committed)
{
    connect_up_to_greeting(b);
    hello_ack(b, HELLO_OK, committed);
    assert_true(says(b, PA_SESSION_UP));
}

/* From wherever an epoch is open until it is sent whole. */
static inline void send_epoch(struct bench *b)
{
    for (unsigned i = 0; b->p.state == P_READY; i++) {
        assert_true(i < 4);
        heartbeat(b, b->now);
        tick_at_deadline(b);
    }
    if (b->p.state == P_PRECOPY)
        plain(b, PE_PRECOPIED);
    assert_int_equal(b->p.state, P_CAPTURE);
    plain(b, PE_CAPTURED);
    assert_true(says(b, PA_RESUME) && says(b, PA_FLUSH));
    plain(b, PE_SENT);
    assert_int_equal(b->p.state, P_AWAIT);
}

static inline void commit_epoch(struct bench *b)
{
    send_epoch(b);
    ack_of(b, b->p.session, b->p.epoch, b->now);
    assert_true(says(b, PA_ACKED) && says(b, PA_RELEASE));
    plain(b, PE_RELEASED);
}

/* A primary under an arbiter whose first epoch is committed. */
static inline void start_protected(struct bench *b)
{
    start(b, false);
    open_session(b, 0);
    commit_epoch(b);
    assert_true(primary_is_protected(&b->p, b->now));
}

static inline void lose_until_it_asks(struct bench *b)
{
    plain(b, PE_LINK_DOWN);
    for (unsigned i = 0; b->p.state != P_ASKING; i++) {
        assert_true(i < 20);
        assert_false(says(b, PA_OPEN));
        if (b->p.state == P_CONNECTING)
            plain(b, PE_LINK_DOWN);
        tick_at_deadline(b);
    }
    assert_true(says(b, PA_ASK));
}

#endif

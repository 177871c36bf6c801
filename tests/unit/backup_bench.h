/* backup_bench — a backup on the bench of its unit tests: events in, the newest actions kept. All
 * of it inline, so that its names stay its own. */
#ifndef TESTS_UNIT_BACKUP_BENCH_H
#define TESTS_UNIT_BACKUP_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replicator/proto/backup.h"

#define TIMEOUT_NS   (1000 * NS_PER_MS)
#define HEARTBEAT_NS (100 * NS_PER_MS)
#define LINEAGE      UINT64_C(0x1111)

struct bench {
    struct backup b;
    struct backup_actions out;
    uint64_t now;
};

static inline void start(struct bench *b, bool primary_owns)
{
    *b = (struct bench){ .now = 1000 * NS_PER_S };
    backup_init(&b->b, primary_owns);
}

static inline void feed(struct bench *b, struct backup_event ev)
{
    ev.now_ns = b->now;
    backup_step(&b->b, &ev, &b->out);
}

static inline void plain(struct bench *b, enum backup_event_type type)
{
    feed(b, (struct backup_event){ .type = type });
}

static inline const struct backup_action *find(const struct bench *b, enum backup_action_type type)
{
    for (unsigned i = 0; i < b->out.n; i++)
        if (b->out.list[i].type == type)
            return &b->out.list[i];
    return NULL;
}

static inline bool says(const struct bench *b, enum backup_action_type type)
{
    return find(b, type) != NULL;
}

static inline struct hello hello_of(const struct bench *b, uint64_t lineage, uint64_t session,
                                    uint32_t term)
{
    return (struct hello){ .version = PROTOCOL_VERSION,
                           .lineage = lineage,
                           .session = session,
                           .term = term,
                           .interval_ns = INTERVAL_NS_DEFAULT,
                           .heartbeat_ns = HEARTBEAT_NS,
                           .timeout_ns = TIMEOUT_NS,
                           .sent_ns = b->now };
}

/* Returns the verdict that went out. */
static inline uint32_t hello(struct bench *b, uint64_t lineage, uint64_t session, uint32_t term)
{
    struct hello m = hello_of(b, lineage, session, term);

    feed(b, (struct backup_event){ .type = BE_HELLO, .hello = &m, .precheck = HELLO_OK });
    assert_true(says(b, BA_HELLO_ACK));
    return find(b, BA_HELLO_ACK)->verdict;
}

static inline void begin(struct bench *b, uint64_t session, uint64_t epoch, uint32_t term,
                         uint32_t flags)
{
    struct epoch_begin m = { session, epoch, term, flags };

    feed(b, (struct backup_event){ .type = BE_EPOCH_BEGIN, .epoch_begin = &m });
}

static inline void complete(struct bench *b, uint64_t epoch, uint32_t flags)
{
    feed(b, (struct backup_event){ .type = BE_COMPLETE, .epoch = epoch, .flags = flags });
}

static inline void heartbeat(struct bench *b, uint64_t session)
{
    struct heartbeat m = { session, b->now, 0 };

    feed(b, (struct backup_event){ .type = BE_HEARTBEAT, .heartbeat = &m });
}

static inline void detach(struct bench *b, bool is_answer)
{
    struct detach m = { b->b.session, DETACH_STOPPED, is_answer };

    feed(b, (struct backup_event){ .type = BE_DETACH, .detach = &m });
}

static inline void token(struct bench *b, enum fence_answer answer, uint32_t term)
{
    feed(b, (struct backup_event){ .type = BE_TOKEN, .answer = answer, .term = term });
}

static inline void activate(struct bench *b, bool fenced)
{
    feed(b, (struct backup_event){ .type = BE_ACTIVATE, .fenced = fenced });
}

static inline void commit(struct bench *b, uint64_t epoch, uint32_t flags)
{
    begin(b, b->b.session, epoch, b->b.term, flags);
    assert_true(says(b, BA_STAGE));
    complete(b, epoch, flags);
    assert_true(says(b, BA_COMMIT));
    plain(b, BE_APPLIED);
    assert_int_equal(b->b.state, B_LINKED);
}

/* Epoch 1, a seed, is committed. */
static inline void start_ready(struct bench *b, bool primary_owns)
{
    start(b, primary_owns);
    assert_int_equal(hello(b, LINEAGE, 1, 1), HELLO_OK);
    assert_true(says(b, BA_TAKE_LINK) && says(b, BA_RESET));
    commit(b, 1, EPOCH_SEED);
    assert_true(backup_is_ready(&b->b));
}

static inline void wait_for_the_question(struct bench *b)
{
    plain(b, BE_LINK_DOWN);
    assert_int_equal(b->b.state, B_ALONE);
    b->now = backup_deadline(&b->b);
    plain(b, BE_TICK);
    assert_true(says(b, BA_ASK));
}

#endif

/* The primary's engine with a guest that takes its time to suspend: the backup is a socket on which the
 * test answers, time stands still unless the test moves it. */
#include "replicator/engine/primary_engine.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "checkpoint/record.h"
#include "netbuf/netbuf_none.h"

#define LINEAGE     UINT64_C(0x77)
#define PAGES       4u
#define ENOUGH      100000u
#define PAUSES_MAX  1000u /* asked so often within one call: it would go on for as long as the guest takes */

struct slow_guest {
    struct guest base;
    unsigned asked;  /* how often */
    bool gives_up;
};

struct bench {
    struct slow_guest guest;
    struct netbuf *netbuf;
    struct fence *fence;
    struct primary_engine *engine;
    struct primary_world world;
    uint64_t now;
    int ends[2];
    unsigned refusals; /* said */
};

/* ---- the guest ----------------------------------------------------------------------------------- */

static void slow_info(UNUSED const struct guest *g, struct guest_info *ret)
{
    *ret = (struct guest_info){ .name = "slow", .pages = PAGES, .spec = "slow" };
}

static int slow_preamble(UNUSED struct guest *g, UNUSED struct sink *to, UNUSED struct err *e)
{
    return 0;
}

static int slow_pause(struct guest *g, struct err *e)
{
    struct slow_guest *s = (struct slow_guest *)(void *)g;

    s->asked++;
    return s->gives_up || s->asked > PAUSES_MAX ? err_set(e, ETIMEDOUT, "it does not suspend")
                                                : err_set(e, EAGAIN, "it is suspending");
}

static int slow_dirty(UNUSED struct guest *g, struct dirty *into, UNUSED struct err *e)
{
    dirty_set(into, 0);
    return 0;
}

static int slow_copy(UNUSED struct guest *g, UNUSED const uint64_t *pfns, size_t n, uint8_t *const *to,
                     uint8_t *types, UNUSED struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        memset(to[i], 0, PAGE_BYTES);
        types[i] = PAGE_TYPE_NORMAL;
    }
    return 0;
}

static int slow_state(UNUSED struct guest *g, UNUSED struct sink *to, struct err *e)
{
    return err_set(e, EINVAL, "it was never paused");
}

static int slow_resume(UNUSED struct guest *g, UNUSED struct err *e)
{
    return 0;
}

static enum guest_life slow_life(UNUSED struct guest *g)
{
    return GUEST_RUNS;
}

static int slow_event_fd(UNUSED struct guest *g)
{
    return -1;
}

static void slow_end(UNUSED struct guest *g)
{
}

static const struct guest_ops slow_ops = {
    .kind = "slow",       .info = slow_info,     .preamble = slow_preamble, .pause = slow_pause,
    .dirty = slow_dirty,  .copy = slow_copy,     .state = slow_state,       .resume = slow_resume,
    .settle = guest_settle_nothing, .life = slow_life, .event_fd = slow_event_fd, .destroy = slow_end,
    .close = slow_end,
};

/* ---- the world ----------------------------------------------------------------------------------- */

static uint64_t bench_now(void *context)
{
    return ((struct bench *)context)->now;
}

static int bench_connect(void *context, struct link **ret, struct err *e)
{
    struct bench *b = context;

    return link_from_fds(ret, dup(b->ends[0]), dup(b->ends[0]), e);
}

static int bench_remember(UNUSED void *context, UNUSED const struct primary_past *past, UNUSED struct err *e)
{
    return 0;
}

static void bench_say(void *context, UNUSED int level, const char *text)
{
    struct bench *b = context;

    if (strstr(text, "event=refused"))
        b->refusals++;
}

static void bench_epoch_done(UNUSED void *context)
{
}

static void send_nothing(UNUSED void *context, UNUSED const uint8_t *frame, UNUSED size_t bytes)
{
}

static void open_bench(struct bench *b)
{
    const struct netbuf_sink nowhere = { send_nothing, NULL };
    struct primary_parts parts = {
        .guest = &b->guest.base,
        .world = &b->world,
        .timing = { 25 * NS_PER_MS, 100 * NS_PER_MS, NS_PER_S },
        .epoch = { .buffer_pages = 256, .cache_bytes = 1u << 20 },
        .lineage = LINEAGE,
        .wire_bytes = 4u << 20,
    };
    struct err e;

    *b = (struct bench){ .guest = { .base = { &slow_ops } }, .now = 1000 * NS_PER_S };
    b->world = (struct primary_world){ b, bench_now, bench_connect, bench_remember, bench_say, bench_epoch_done };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b->ends), 0);
    assert_int_equal(netbuf_none_open(&b->netbuf, nowhere, &e), 0);
    assert_int_equal(fence_open(&b->fence, "manual", NS_PER_S, &e), 0);
    parts.netbuf = b->netbuf;
    parts.fence = b->fence;
    assert_int_equal(primary_engine_open(&b->engine, &parts, &e), 0);
}

static void close_bench(struct bench *b)
{
    primary_engine_close(b->engine);
    b->fence->ops->close(b->fence);
    b->netbuf->ops->close(b->netbuf);
    close(b->ends[0]);
    close(b->ends[1]);
}

static struct primary_status status_of(const struct bench *b)
{
    struct primary_status s;

    primary_engine_status(b->engine, &s);
    return s;
}

/* All that it can do now; what it says is read away. */
static void work(struct bench *b)
{
    char octets[65536];

    for (unsigned i = 0; i < ENOUGH && primary_engine_step(b->engine); i++)
        while (recv(b->ends[1], octets, sizeof(octets), MSG_DONTWAIT) > 0)
            ;
}

static void answer(struct bench *b, const struct hello_ack *hello, const struct heartbeat *beat)
{
    uint8_t octets[1024];
    struct sink to = { octets, sizeof(octets) };

    assert_int_equal(hello ? hello_ack_put(&to, hello) : heartbeat_put(&to, beat), 0);
    assert_int_equal(write(b->ends[1], octets, sizeof(octets) - to.left), (ssize_t)(sizeof(octets) - to.left));
}

/* A session whose first epoch is as far as the guest's pause. */
static void begin_a_pause(struct bench *b)
{
    struct hello_ack hello = { .lineage = LINEAGE, .session = 1, .echo_ns = b->now, .term = 1 };

    work(b);
    assert_int_equal(status_of(b).state, P_GREETING);
    answer(b, &hello, NULL);
    for (unsigned i = 0; b->guest.asked == 0; i++) {
        struct heartbeat beat = { 1, b->now, b->now };

        assert_true(i < 100);
        work(b);
        answer(b, NULL, &beat);
        b->now += NS_PER_MS;
    }
    assert_int_equal(status_of(b).state, P_CAPTURE);
}

/* ---- the tests ----------------------------------------------------------------------------------- */

static void a_stop_does_not_wait_for_a_guest_that_suspends(void **state UNUSED)
{
    struct bench b;
    unsigned asked;

    open_bench(&b);
    begin_a_pause(&b);
    asked = b.guest.asked;
    primary_engine_stop(b.engine, DETACH_STOPPED);
    assert_int_equal(b.guest.asked, asked);
    assert_false(primary_engine_is_over(b.engine));
    b.guest.gives_up = true;
    work(&b);
    assert_true(primary_engine_is_over(b.engine));
    assert_int_equal(status_of(&b).end_reason, DETACH_STOPPED);
    close_bench(&b);
}

static void the_end_is_wanted_more_than_a_switchover(void **state UNUSED)
{
    struct bench b;
    struct err e;

    open_bench(&b);
    begin_a_pause(&b);
    assert_int_equal(primary_engine_switchover(b.engine, &e), 0);
    assert_true(status_of(&b).is_switching);
    primary_engine_stop(b.engine, DETACH_STOPPED);
    assert_int_equal(primary_engine_switchover(b.engine, &e), 0);
    assert_false(status_of(&b).is_switching);
    b.guest.gives_up = true;
    work(&b);
    assert_true(primary_engine_is_over(b.engine));
    close_bench(&b);
}

/* It connects anew and hears the same verdict. */
static void refuse(struct bench *b, const char *words)
{
    struct hello_ack no = { .lineage = LINEAGE, .verdict = HELLO_RESOURCES, .term = 1 };

    b->now += 2 * NS_PER_S;
    work(b);
    assert_int_equal(status_of(b).state, P_GREETING);
    no.session = status_of(b).session;
    snprintf(no.text, sizeof(no.text), "%s", words);
    answer(b, &no, NULL);
    work(b);
    assert_int_equal(status_of(b).state, P_OFF);
}

static void a_refusal_is_said_once_as_long_as_it_is_the_same(void **state UNUSED)
{
    struct bench b;

    open_bench(&b);
    for (unsigned i = 0; i < 3; i++)
        refuse(&b, "no bridge");
    assert_int_equal(b.refusals, 1);
    refuse(&b, "no disk");
    assert_int_equal(b.refusals, 2);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_does_not_wait_for_a_guest_that_suspends),
        cmocka_unit_test(the_end_is_wanted_more_than_a_switchover),
        cmocka_unit_test(a_refusal_is_said_once_as_long_as_it_is_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* wire_test — records over a link that takes and gives octets as it likes: what goes in comes out,
 * in order and whole, within bounds. */
#include "replicator/engine/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

enum { PIPE_BYTES = 1 << 16, OUT_BYTES = 32 << 10, IN_BYTES = 16 << 10 };

/* A link whose two ends are one buffer: what is sent is received, in pieces of any size. */
struct loop {
    struct link base;
    struct rng r;
    uint8_t octets[PIPE_BYTES];
    size_t from, to;
    int send_fails, receive_fails;
    size_t piece_max;
    unsigned closed;
};

static ssize_t loop_send(struct link *l, const void *from, size_t bytes, struct err *e)
{
    struct loop *p = (struct loop *)l;
    size_t n = rng_below(&p->r, p->piece_max + 1);

    if (p->send_fails)
        return err_set(e, p->send_fails, "told to fail");
    n = n < bytes ? n : bytes;
    n = n < PIPE_BYTES - p->to ? n : PIPE_BYTES - p->to;
    memcpy(p->octets + p->to, from, n);
    p->to += n;
    return (ssize_t)n;
}

static ssize_t loop_receive(struct link *l, void *to, size_t bytes, struct err *e)
{
    struct loop *p = (struct loop *)l;
    size_t n = rng_below(&p->r, p->piece_max + 1);

    if (p->receive_fails)
        return err_set(e, p->receive_fails, "told to fail");
    n = n < bytes ? n : bytes;
    n = n < p->to - p->from ? n : p->to - p->from;
    memcpy(to, p->octets + p->from, n);
    p->from += n;
    if (p->from == p->to)
        p->from = p->to = 0;
    return (ssize_t)n;
}

static void loop_fds(const struct link *l UNUSED, int *ret_receive, int *ret_send)
{
    *ret_receive = *ret_send = -1;
}

static int loop_connected(struct link *l UNUSED, struct err *e UNUSED)
{
    return 1;
}

static void loop_close(struct link *l)
{
    ((struct loop *)l)->closed++;
}

static const struct link_ops loop_ops = { "loop",       loop_send, link_send_first_piece,
                                          loop_receive, loop_fds,  loop_connected,
                                          loop_close };

static struct loop loop;
static struct wire wire;

static int set_up(void **state UNUSED)
{
    struct err e;

    loop = (struct loop){ .base = { &loop_ops }, .piece_max = 4000 };
    rng_seed(&loop.r, 3);
    if (wire_open(&wire, OUT_BYTES, IN_BYTES, &e) < 0)
        return -1;
    wire_attach(&wire, &loop.base);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    wire_close(&wire);
    wire_close(&wire);
    return 0;
}

static void put_record(uint32_t type, const void *body, size_t bytes)
{
    struct sink out = wire_sink(&wire);

    assert_int_equal(record_put(&out, type, body, bytes), 0);
    wire_put(&wire, &out);
}

/* Until nothing more goes: 0 would block or done, else the error. */
static int flush_all(void)
{
    struct err e;
    int rc;

    for (unsigned i = 0; wire_waiting(&wire) > 0; i++) {
        assert_true(i < 100000);
        rc = wire_flush(&wire, &e);
        if (rc < 0)
            return rc;
        if (rc == 0 && loop.to == PIPE_BYTES)
            return 0;
    }
    return 0;
}

static int next_record(struct record *ret)
{
    struct err e;
    int rc;

    for (unsigned i = 0; (rc = wire_next(&wire, ret, &e)) == 0; i++) {
        assert_true(i < 100000);
        if ((rc = wire_fill(&wire, &e)) < 0)
            return rc;
    }
    return rc;
}

static void records_arrive_whole_and_in_order(void **state UNUSED)
{
    static uint8_t body[6000], want[6000];
    struct rng in, out;
    struct record rec;
    unsigned sent = 0, got = 0;

    rng_seed(&in, 7);
    rng_seed(&out, 7);
    while (got < 3000) {
        while (sent < 3000 && wire_has_room(&wire, record_wire_bytes(sizeof(body)))) {
            size_t bytes = 1 + rng_below(&in, sizeof(body) - 1);

            memset(body, (int)rng_next(&in), bytes);
            put_record(RECORD_HVM_CONTEXT, body, bytes);
            sent++;
        }
        assert_int_equal(flush_all(), 0);
        while (got < sent) {
            size_t bytes = 1 + rng_below(&out, sizeof(want) - 1);

            memset(want, (int)rng_next(&out), bytes);
            assert_int_equal(next_record(&rec), 1);
            assert_int_equal(rec.bytes, bytes);
            assert_memory_equal(rec.body, want, bytes);
            got++;
        }
    }
    assert_int_equal(wire.record_number, 3000);
    assert_int_equal(wire.sent_bytes, wire.received_bytes);
}

static void small_messages_find_room_whatever_is_queued(void **state UNUSED)
{
    const uint8_t body[1000] = { 0 };
    const struct heartbeat beat = { 1, 2, 3 };
    struct sink out;

    while (wire_has_room(&wire, record_wire_bytes(sizeof(body))))
        put_record(RECORD_HVM_CONTEXT, body, sizeof(body));
    assert_true(wire_waiting(&wire) <= OUT_BYTES - WIRE_RESERVE);
    for (unsigned i = 0; i < WIRE_RESERVE / record_wire_bytes(24); i++) {
        out = wire_sink(&wire);
        assert_int_equal(heartbeat_put(&out, &beat), 0);
        wire_put(&wire, &out);
    }
}

static void room_that_was_sent_is_room_again(void **state UNUSED)
{
    const uint8_t body[1000] = { 0 };
    struct err e;

    for (unsigned i = 0; i < 500; i++) { /* more than the buffer, with something always waiting */
        if (wire_has_room(&wire, record_wire_bytes(sizeof(body))))
            put_record(RECORD_HVM_CONTEXT, body, sizeof(body));
        assert_true(wire_flush(&wire, &e) >= 0);
        loop.from = loop.to = 0;
    }
    assert_true(wire.sent_bytes > 4 * OUT_BYTES);
}

static void a_record_longer_than_the_buffer_is_refused(void **state UNUSED)
{
    uint8_t head[RECORD_HEADER_BYTES];
    struct record rec;
    struct err e;

    store_u32(head, RECORD_HVM_CONTEXT);
    store_u32(head + 4, IN_BYTES);
    memcpy(loop.octets, head, sizeof(head));
    loop.to = sizeof(head);
    loop.piece_max = 100;
    assert_int_equal(next_record(&rec), -EPROTO);

    wire_attach(&wire, &loop.base); /* 0xFFFFFFFF neither */
    store_u32(head + 4, UINT32_MAX);
    memcpy(loop.octets, head, sizeof(head));
    loop.from = 0;
    loop.to = sizeof(head);
    assert_int_equal(next_record(&rec), -EPROTO);
    assert_int_equal(wire_next(&wire, &rec, &e), -EPROTO); /* and stays refused */
    assert_non_null(strstr(e.text, "record 0 "));
}

static void the_longest_record_that_fits_is_taken(void **state UNUSED)
{
    static uint8_t body[IN_BYTES - RECORD_HEADER_BYTES - 8];
    struct record rec;

    memset(body, 0x5a, sizeof(body));
    for (unsigned i = 0; i < 5; i++) {
        put_record(RECORD_HVM_CONTEXT, body, sizeof(body));
        put_record(RECORD_HVM_CONTEXT, body, 13); /* so that it does not start at the front */
        assert_int_equal(flush_all(), 0);
        assert_int_equal(next_record(&rec), 1);
        assert_int_equal(rec.bytes, sizeof(body));
        assert_int_equal(next_record(&rec), 1);
        assert_int_equal(rec.bytes, 13);
    }
}

static void unread_octets_come_first(void **state UNUSED)
{
    uint8_t octets[64];
    struct sink out = { octets, sizeof(octets) };
    const uint8_t body[8] = { 1 }, tsc[24] = { 2 };
    struct record rec;

    assert_int_equal(record_put(&out, RECORD_X86_TSC_INFO, tsc, sizeof(tsc)), 0);
    put_record(RECORD_HVM_CONTEXT, body, sizeof(body));
    assert_int_equal(flush_all(), 0);
    assert_int_equal(wire_unread(&wire, octets, sizeof(octets) - out.left), 0);
    assert_int_equal(next_record(&rec), 1);
    assert_int_equal(rec.type, RECORD_X86_TSC_INFO);
    assert_int_equal(next_record(&rec), 1);
    assert_int_equal(rec.type, RECORD_HVM_CONTEXT);
}

static void unread_octets_may_follow_one_another(void **state UNUSED)
{
    static uint8_t much[IN_BYTES + 1];
    uint8_t octets[16];
    struct sink out = { octets, sizeof(octets) };
    const uint8_t body[8] = { 9 };
    struct record rec;

    assert_int_equal(record_put(&out, RECORD_HVM_CONTEXT, body, sizeof(body)), 0);
    assert_int_equal(wire_unread(&wire, octets + 10, 6), 0);
    assert_int_equal(wire_unread(&wire, octets, 10), 0);
    assert_int_equal(wire_unread(&wire, much, sizeof(much)), -ENOBUFS);
    assert_int_equal(next_record(&rec), 1);
    assert_memory_equal(rec.body, body, sizeof(body));
}

static void headers_come_before_records(void **state UNUSED)
{
    const struct stream_headers sent = { STREAM_VERSION, STREAM_GUEST_HVM, 4, 17 };
    struct stream_headers got;
    const uint8_t body[8] = { 1 };
    struct record rec;
    struct sink out = wire_sink(&wire);
    struct err e;
    int rc;

    assert_int_equal(stream_headers_put(&out, &sent), 0);
    wire_put(&wire, &out);
    put_record(RECORD_HVM_CONTEXT, body, sizeof(body));
    assert_int_equal(flush_all(), 0);
    loop.piece_max = 7;
    while ((rc = wire_headers(&wire, &got, &e)) == 0)
        assert_true(wire_fill(&wire, &e) >= 0);
    assert_int_equal(rc, 1);
    assert_int_equal(got.guest, STREAM_GUEST_HVM);
    assert_int_equal(next_record(&rec), 1);
}

static void what_was_not_sent_is_forgotten_with_the_link(void **state UNUSED)
{
    static struct loop second;
    const uint8_t body[8] = { 1 };

    second = (struct loop){ .base = { &loop_ops }, .piece_max = 4000 };
    put_record(RECORD_HVM_CONTEXT, body, sizeof(body));
    wire_attach(&wire, &second.base);
    assert_int_equal(loop.closed, 1);
    assert_int_equal(wire_waiting(&wire), 0);
    assert_int_equal(flush_all(), 0);
    assert_int_equal(second.to, 0);
    wire_detach(&wire);
    wire_detach(&wire);
    assert_int_equal(second.closed, 1);
}

static void a_broken_link_is_told(void **state UNUSED)
{
    const uint8_t body[8] = { 1 };
    struct err e;

    put_record(RECORD_HVM_CONTEXT, body, sizeof(body));
    loop.send_fails = ECONNRESET;
    assert_int_equal(wire_flush(&wire, &e), -ECONNRESET);
    loop.receive_fails = EPIPE;
    assert_int_equal(wire_fill(&wire, &e), -EPIPE);
}

static void without_a_link_nothing_goes_and_nothing_breaks(void **state UNUSED)
{
    struct record rec;
    struct err e;

    wire_detach(&wire);
    assert_int_equal(wire_flush(&wire, &e), 0);
    assert_int_equal(wire_fill(&wire, &e), 0);
    assert_int_equal(wire_next(&wire, &rec, &e), 0);
}

/* ---- by reference -------------------------------------------------------------------------------- */

#define REFERRED ((size_t)20000)

/* Records whose bodies stay where they are, small messages between them, and now and then a change of mind:
 * the octets are those of copied ones. */
static void pieces_go_out_in_order_and_stay_the_callers(void **state UNUSED)
{
    static uint8_t body[REFERRED];
    uint8_t heads[40][RECORD_HEADER_BYTES];
    struct rng r;
    struct record rec;

    rng_seed(&r, 9);
    rng_fill(&r, body, sizeof(body));
    loop.piece_max = 700;
    for (unsigned round = 0; round < 300; round++) {
        size_t lengths[40];
        unsigned n = 0;

        for (; n < 40; n++) {
            size_t bytes = 16 + 8 * rng_below(&r, 500), half = 8 + 8 * rng_below(&r, bytes / 8 - 1);
            const struct view pieces[] = { { heads[n], RECORD_HEADER_BYTES }, { body, half },
                                           { body + half, bytes - half } };

            store_u32(heads[n], RECORD_HVM_CONTEXT);
            store_u32(heads[n] + 4, (uint32_t)bytes);
            lengths[n] = bytes;
            if (rng_chance(&r, 300000) && wire_has_room(&wire, record_wire_bytes(bytes)))
                put_record(RECORD_HVM_CONTEXT, body, bytes);
            else if (!wire_put_pieces(&wire, pieces, half < bytes ? 3 : 2))
                break;
            assert_true(wire_waiting(&wire) <= OUT_BYTES - WIRE_RESERVE);
        }
        if (rng_chance(&r, 300000))
            wire_own(&wire);
        assert_int_equal(flush_all(), 0);
        assert_true(wire.gone_bytes == wire.put_bytes);
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(next_record(&rec), 1);
            assert_int_equal(rec.bytes, lengths[i]);
            assert_memory_equal(rec.body, body, rec.bytes);
        }
    }
}

static void what_is_owned_may_be_overwritten_and_what_is_dropped_is_gone(void **state UNUSED)
{
    static uint8_t body[4096];
    uint8_t head[RECORD_HEADER_BYTES];
    const struct view pieces[] = { { head, sizeof(head) }, { body, sizeof(body) } };
    struct record rec;

    store_u32(head, RECORD_HVM_CONTEXT);
    store_u32(head + 4, sizeof(body));
    memset(body, 0x11, sizeof(body));
    assert_true(wire_put_pieces(&wire, pieces, 2));
    wire_own(&wire);
    memset(body, 0x22, sizeof(body));
    assert_int_equal(flush_all(), 0);
    assert_int_equal(next_record(&rec), 1);
    assert_int_equal(rec.body[17], 0x11);
    assert_true(wire_put_pieces(&wire, pieces, 2));
    assert_true(wire.gone_bytes < wire.put_bytes);
    wire_detach(&wire);
    assert_true(wire.gone_bytes == wire.put_bytes);
    assert_int_equal(wire_waiting(&wire), 0);
}

static void a_full_in_buffer_waits_to_be_read(void **state UNUSED)
{
    const uint8_t body[1000] = { 0 };
    struct record rec;
    struct err e;

    for (unsigned i = 0; i < 20; i++) {
        put_record(RECORD_HVM_CONTEXT, body, sizeof(body));
        assert_int_equal(flush_all(), 0);
    }
    for (unsigned i = 0; i < 1000; i++)
        assert_true(wire_fill(&wire, &e) >= 0);
    assert_int_equal(wire.in_to - wire.in_from, IN_BYTES);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(next_record(&rec), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_arrive_whole_and_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_messages_find_room_whatever_is_queued, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(room_that_was_sent_is_room_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_longer_than_the_buffer_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_longest_record_that_fits_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unread_octets_come_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unread_octets_may_follow_one_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(headers_come_before_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_not_sent_is_forgotten_with_the_link, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_broken_link_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_link_nothing_goes_and_nothing_breaks, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(pieces_go_out_in_order_and_stay_the_callers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_owned_may_be_overwritten_and_what_is_dropped_is_gone,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_in_buffer_waits_to_be_read, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

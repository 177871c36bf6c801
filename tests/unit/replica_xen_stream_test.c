/* replica_xen_stream_test — what xl is fed is a stream that the reader of saved files takes, and states
 * that could not be activated are refused before they are committed. */
#include "checkpoint/replica_xen_stream.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/formats/reading.h"
#include "checkpoint/record.h"

#define ROOM   65536u
#define CONFIG "{\"c_info\":{\"name\":\"web1--replica\"}}"

struct heard {
    char config[128];
    unsigned policies, contexts, clocks, emulators, params, pages;
    bool is_complete;
};

static struct xen_shape any_shape(enum xen_type type)
{
    struct xen_shape s = { .name = "web1", .type = type, .pages = 1044480, .vcpus = 1, .xen_major = 4,
                           .xen_minor = 17 };

    return s;
}

static int hear_state(void *c, const struct stream_state *piece, struct err *e)
{
    struct heard *h = c;

    (void)e;
    if (piece->at > 0)
        return 0;
    if (strcmp(piece->name, "XL_CONFIG") == 0)
        snprintf(h->config, sizeof(h->config), "%.*s", (int)piece->bytes, (const char *)piece->octets);
    h->policies += piece->type == RECORD_X86_CPUID_POLICY || piece->type == RECORD_X86_MSR_POLICY;
    h->contexts += piece->type == RECORD_HVM_CONTEXT;
    h->clocks += piece->type == RECORD_X86_TSC_INFO;
    if (strcmp(piece->name, "EMULATOR_CONTEXT") == 0) {
        assert_int_equal(piece->emulator, 2);
        assert_int_equal(piece->total, 5);
        assert_memory_equal(piece->octets, "QEVM!", 5);
        h->emulators++;
    }
    return 0;
}

static int hear_param(void *c, uint64_t index, uint64_t value, struct err *e)
{
    struct heard *h = c;

    (void)e;
    h->params += index == 1 && value == 0xfeff8;
    return 0;
}

static int hear_page(void *c, const struct stream_page *page, struct err *e)
{
    (void)page;
    (void)e;
    ((struct heard *)c)->pages++;
    return 0;
}

static int hear_end(void *c, const struct stream_facts *facts, bool is_complete, struct err *e)
{
    (void)e;
    assert_int_equal(facts->guest, STREAM_GUEST_HVM);
    assert_int_equal(facts->version, 3);
    ((struct heard *)c)->is_complete = is_complete;
    return 0;
}

static int read_back(const uint8_t *octets, size_t bytes, struct heard *ret, struct err *e)
{
    const struct stream_wishes strictly = { .framing = FRAMING_XL, .strict = true };
    struct consumer_ops ops = consumer_ignores;
    struct stream_input *in;
    struct reading r;
    int rc;

    *ret = (struct heard){ .pages = 0 };
    ops.state = hear_state;
    ops.param = hear_param;
    ops.page = hear_page;
    ops.end = hear_end;
    assert_int_equal(stream_input_of(&in, octets, bytes, e), 0);
    rc = reading_run(&r, in, &strictly, (struct consumer){ &ops, ret }, e);
    reading_close(&r);
    stream_input_close(in);
    return rc;
}

static void put(struct sink *to, uint32_t type, const void *body, size_t bytes)
{
    assert_int_equal(record_put(to, type, body, bytes), 0);
}

static struct view preamble(uint8_t *room)
{
    static const uint8_t body[48];
    struct sink to = { room, ROOM };

    put(&to, RECORD_X86_CPUID_POLICY, body, 24);
    put(&to, RECORD_X86_MSR_POLICY, body, 16);
    return (struct view){ room, ROOM - to.left };
}

static struct view state_of(uint8_t *room, bool has_emulator)
{
    static const uint8_t clock[24], context[100] = { 1 };
    uint8_t params[24] = { 1 }, emulator[21] = { 8 };
    struct sink to = { room, ROOM };

    store_u64(params + 8, 1);
    store_u64(params + 16, 0xfeff8);
    store_u32(emulator + 12, 2);
    memcpy(emulator + 16, "QEVM!", 5);
    put(&to, RECORD_X86_TSC_INFO, clock, sizeof(clock));
    put(&to, RECORD_HVM_CONTEXT, context, sizeof(context));
    put(&to, RECORD_HVM_PARAMS, params, sizeof(params));
    if (has_emulator)
        put(&to, (uint32_t)RECORD_FOREIGN_STATE, emulator, sizeof(emulator));
    return (struct view){ room, ROOM - to.left };
}

static void head_and_tail_are_a_stream_that_the_reader_takes(void **state)
{
    static uint8_t octets[ROOM], before[ROOM], after[ROOM];
    struct heard heard;
    struct err e = { 0 };

    (void)state;
    for (unsigned has_emulator = 0; has_emulator < 2; has_emulator++) {
        struct xen_shape shape = any_shape(has_emulator ? XEN_hvm : XEN_pvh);
        struct sink to = { octets, ROOM };
        struct view s = state_of(after, has_emulator);

        assert_int_equal(replica_xen_check_preamble(preamble(before), &e), 0);
        assert_int_equal(replica_xen_check_state(s, shape.type, &e), 0);
        assert_int_equal(replica_xen_head(&to, &shape, CONFIG, preamble(before), &e), 0);
        assert_int_equal(replica_xen_tail(&to, s, &e), 0);
        if (read_back(octets, ROOM - to.left, &heard, &e) < 0)
            fail_msg("%s", e.text);
        assert_true(heard.is_complete);
        assert_string_equal(heard.config, CONFIG);
        assert_int_equal(heard.policies, 2);
        assert_int_equal(heard.clocks + heard.contexts + heard.params, 3);
        assert_int_equal(heard.emulators, has_emulator);
        assert_int_equal(heard.pages, 0);
    }
}

/* What xl makes of it: nothing but the domain it may destroy again. */
static void head_alone_is_a_stream_that_breaks_off(void **state)
{
    static uint8_t octets[ROOM], before[ROOM];
    struct xen_shape shape = any_shape(XEN_pvh);
    struct sink to = { octets, ROOM };
    struct heard heard;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(replica_xen_head(&to, &shape, CONFIG, preamble(before), &e), 0);
    assert_int_equal(read_back(octets, ROOM - to.left, &heard, &e), -EPROTO);
    assert_false(heard.is_complete);
}

static void what_framings_add_fits_their_bounds(void **state)
{
    static uint8_t octets[ROOM], before[ROOM], after[ROOM];
    struct xen_shape shape = any_shape(XEN_hvm);
    struct view p = preamble(before), s = state_of(after, true);
    size_t room = p.left + sizeof(CONFIG) + REPLICA_XEN_HEAD_EXTRA;
    struct sink to = { octets, room };
    struct err e;

    (void)state;
    assert_int_equal(replica_xen_head(&to, &shape, CONFIG, p, &e), 0);
    room = s.left + REPLICA_XEN_TAIL_EXTRA;
    to = (struct sink){ octets, room };
    assert_int_equal(replica_xen_tail(&to, s, &e), 0);
    for (size_t n = 0; n < room; n += 7) {
        to = (struct sink){ octets, n };
        if (replica_xen_tail(&to, s, &e) < 0) {
            assert_int_equal(e.code, ENOBUFS);
            assert_int_equal(to.left, n);
        }
    }
}

static void a_state_that_could_not_be_activated_is_refused(void **state)
{
    static uint8_t octets[ROOM];
    struct view whole = state_of(octets, false), in = whole;
    struct record first;
    struct err e;

    (void)state;
    assert_int_equal(replica_xen_check_state(whole, XEN_hvm, &e), -EPROTO); /* its emulator's is missing */
    assert_int_equal(replica_xen_check_state(state_of(octets, true), XEN_pvh, &e), -EPROTO);
    whole = state_of(octets, false);
    assert_int_equal(record_take(&in, ROOM, &first, &e), 1);
    assert_int_equal(replica_xen_check_state(in, XEN_pvh, &e), -EPROTO); /* no clock */
    for (size_t n = 0; n < whole.left; n++)
        assert_int_equal(replica_xen_check_state((struct view){ whole.at, n }, XEN_pvh, &e), -EPROTO);
    store_u32(octets, RECORD_PAGE_DATA);
    assert_int_equal(replica_xen_check_state(whole, XEN_pvh, &e), -EPROTO);
}

static void parameters_that_do_not_fill_their_record_are_refused(void **state)
{
    static uint8_t octets[ROOM];
    struct view whole = state_of(octets, false);
    struct err e;

    (void)state;
    store_u32(octets + whole.left - 24, 2);
    assert_int_equal(replica_xen_check_state(whole, XEN_pvh, &e), -EPROTO);
    store_u32(octets + whole.left - 24, UINT32_MAX);
    assert_int_equal(replica_xen_check_state(whole, XEN_pvh, &e), -EPROTO);
}

static void memory_or_state_in_the_preamble_is_refused(void **state)
{
    static uint8_t octets[ROOM];
    struct err e;

    (void)state;
    assert_int_equal(replica_xen_check_preamble(state_of(octets, false), &e), -EPROTO);
    assert_int_equal(replica_xen_check_preamble((struct view){ octets, 3 }, &e), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_and_tail_are_a_stream_that_the_reader_takes),
        cmocka_unit_test(head_alone_is_a_stream_that_breaks_off),
        cmocka_unit_test(what_framings_add_fits_their_bounds),
        cmocka_unit_test(a_state_that_could_not_be_activated_is_refused),
        cmocka_unit_test(parameters_that_do_not_fill_their_record_are_refused),
        cmocka_unit_test(memory_or_state_in_the_preamble_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

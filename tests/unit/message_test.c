/* message_test — bodies of session and epoch records: the twins agree, and nothing but what the
 * encoder makes is accepted. Every message runs through the same tests, by the table below. */
#include "checkpoint/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

#define ROUNDS    10000u
#define BODY_MAX  (112u + GUEST_NAME_MAX + GUEST_SPEC_MAX)
#define WIRE_MAX  (RECORD_HEADER_BYTES + BODY_MAX + 8u)

union any {
    struct hello hello;
    struct hello_ack hello_ack;
    struct epoch_begin epoch_begin;
    struct epoch_end epoch_end;
    struct ack ack;
    struct need_pages need_pages;
    struct verified verified;
    struct detach detach;
    struct heartbeat heartbeat;
};

/* ---- random messages ----------------------------------------------------------------------------- */

/* Small, large and in between: the edges of a field matter most. */
static uint64_t any_u64(struct rng *r)
{
    uint64_t value = rng_next(r) >> rng_below(r, 64);

    return rng_chance(r, 50000) ? UINT64_MAX : rng_chance(r, 50000) ? 0 : value;
}

static uint32_t any_u32(struct rng *r)
{
    return (uint32_t)any_u64(r);
}

static uint64_t not_zero(uint64_t value)
{
    return value ? value : 1;
}

static void any_text(struct rng *r, char *to, size_t least, size_t most, const char *of, size_t kinds)
{
    size_t n = least + rng_below(r, most - least + 1);

    if (rng_chance(r, 50000))
        n = most;
    for (size_t i = 0; i < n; i++)
        to[i] = of[rng_below(r, kinds)];
    to[n] = '\0';
}

static void hello_any(struct rng *r, union any *m)
{
    static const char name[] = "abcxyzABCXYZ0189._-";
    char printable[95];
    struct hello *h = &m->hello;

    for (size_t i = 0; i < sizeof(printable); i++)
        printable[i] = (char)(' ' + i);
    h->version = any_u32(r);
    h->term = any_u32(r);
    h->lineage = not_zero(any_u64(r));
    h->replaces = any_u64(r);
    h->session = not_zero(any_u64(r));
    h->acked = any_u64(r);
    h->pages = 1 + rng_below(r, GUEST_PAGES_MAX);
    h->interval_ns = any_u64(r);
    h->heartbeat_ns = not_zero(any_u64(r));
    h->timeout_ns = not_zero(any_u64(r));
    h->sent_ns = any_u64(r);
    rng_fill(r, h->uuid, sizeof(h->uuid));
    any_text(r, h->name, 1, GUEST_NAME_MAX, name, sizeof(name) - 1);
    any_text(r, h->spec, 0, GUEST_SPEC_MAX, printable, sizeof(printable));
}

static void hello_ack_any(struct rng *r, union any *m)
{
    m->hello_ack = (struct hello_ack){
        .session = any_u64(r), .lineage = any_u64(r), .committed = any_u64(r),
        .stage_bytes = any_u64(r), .echo_ns = any_u64(r),
        .verdict = (uint32_t)rng_below(r, HELLO_DECIDING + 1), .term = any_u32(r),
    };
    any_text(r, m->hello_ack.text, 0, HELLO_TEXT_MAX, "held: 42 ~", 10);
}

static void epoch_begin_any(struct rng *r, union any *m)
{
    m->epoch_begin = (struct epoch_begin){ any_u64(r), any_u64(r), any_u32(r),
                                           (uint32_t)rng_below(r, 4) };
}

static void epoch_end_any(struct rng *r, union any *m)
{
    m->epoch_end = (struct epoch_end){ any_u64(r), any_u64(r), any_u64(r), any_u32(r),
                                       any_u32(r), any_u32(r), (uint32_t)rng_below(r, 4) };
}

static void ack_any(struct rng *r, union any *m)
{
    m->ack = (struct ack){ any_u64(r), any_u64(r), any_u64(r) };
}

static void need_pages_any(struct rng *r, union any *m)
{
    m->need_pages = (struct need_pages){ any_u64(r), any_u64(r) };
}

static void verified_any(struct rng *r, union any *m)
{
    uint64_t pages = any_u64(r) >> 1, differing = rng_below(r, 2) && pages > 0 ? 1 + rng_below(r, pages) : 0;

    m->verified = (struct verified){ any_u64(r), any_u64(r), pages, differing, differing ? any_u64(r) : 0 };
}

static void detach_any(struct rng *r, union any *m)
{
    m->detach = (struct detach){ any_u64(r), 1 + (uint32_t)rng_below(r, DETACH_DIFFERS),
                                 (uint32_t)rng_below(r, 2) };
}

static void heartbeat_any(struct rng *r, union any *m)
{
    m->heartbeat = (struct heartbeat){ any_u64(r), any_u64(r), any_u64(r) };
}

/* ---- the table ----------------------------------------------------------------------------------- */

struct kind {
    const char *name;
    uint32_t type;
    size_t bytes;        /* of the struct, up to the end of its last member */
    size_t reserved_at, reserved; /* octets of the body */
    void (*any)(struct rng *r, union any *m);
    int (*put)(struct sink *out, const union any *m);
    int (*get)(const struct record *from, union any *ret, struct err *e);
};

#define KINDS(X)                                     \
    X(hello, HELLO, spec, 100, 12)                   \
    X(hello_ack, HELLO_ACK, text, 50, 6)             \
    X(epoch_begin, EPOCH_BEGIN, flags, 0, 0)         \
    X(epoch_end, EPOCH_END, flags, 0, 0)             \
    X(ack, ACK, echo_ns, 0, 0)                       \
    X(need_pages, NEED_PAGES, epoch, 0, 0)           \
    X(verified, VERIFIED, first_pfn, 0, 0)           \
    X(detach, DETACH, is_answer, 0, 0)               \
    X(heartbeat, HEARTBEAT, echo_ns, 0, 0)

#define X(name, TYPE, last, reserved_at, reserved)                                     \
    static int name##_any_put(struct sink *out, const union any *m)                    \
    {                                                                                  \
        return name##_put(out, &m->name);                                              \
    }                                                                                  \
    static int name##_any_get(const struct record *from, union any *ret, struct err *e) \
    {                                                                                  \
        return name##_get(from, &ret->name, e);                                        \
    }
KINDS(X)
#undef X

static const struct kind kinds[] = {
#define X(name, TYPE, last, reserved_at, reserved)                                     \
    { #name, RECORD_##TYPE, offsetof(struct name, last) + sizeof(((struct name *)0)->last), \
      reserved_at, reserved, name##_any, name##_any_put, name##_any_get },
    KINDS(X)
#undef X
};

/* A random message of a kind as a record in octets; returns the record. */
static struct record any_record(const struct kind *k, struct rng *r, union any *m, uint8_t *octets)
{
    struct sink out = { octets, WIRE_MAX };
    struct record got;
    struct view in;
    struct err e;

    memset(m, 0, sizeof(*m));
    k->any(r, m);
    assert_int_equal(k->put(&out, m), 0);
    in = (struct view){ octets, WIRE_MAX - out.left };
    assert_int_equal(record_take(&in, BODY_MAX, &got, &e), 1);
    assert_int_equal(in.left, 0);
    assert_int_equal(got.type, k->type);
    return got;
}

/* A body that decodes must encode to the same octets. */
static bool decodes_and_encodes_back(const struct kind *k, const struct record *from)
{
    uint8_t octets[WIRE_MAX];
    struct sink out = { octets, sizeof(octets) };
    union any m;
    struct err e;
    int rc = k->get(from, &m, &e);

    if (rc < 0) {
        assert_int_equal(rc, -EPROTO);
        assert_int_equal(e.code, EPROTO);
        return false;
    }
    assert_int_equal(k->put(&out, &m), 0);
    assert_int_equal(sizeof(octets) - out.left, record_wire_bytes(from->bytes));
    assert_memory_equal(octets + RECORD_HEADER_BYTES, from->body, from->bytes);
    return true;
}

/* ---- tests --------------------------------------------------------------------------------------- */

static void every_message_comes_back_as_it_was_put(void **state UNUSED)
{
    uint8_t octets[WIRE_MAX];
    union any sent, got;
    struct rng r;
    struct err e;

    rng_seed(&r, 1);
    for (const struct kind *k = kinds; k < kinds + ARRAY_LEN(kinds); k++) {
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct record record = any_record(k, &r, &sent, octets);

            memset(&got, 0, sizeof(got));
            assert_int_equal(k->get(&record, &got, &e), 0);
            assert_memory_equal(&sent, &got, k->bytes);
            assert_true(decodes_and_encodes_back(k, &record));
        }
    }
}

static void what_decodes_has_no_second_form(void **state UNUSED)
{
    uint8_t octets[WIRE_MAX], body[BODY_MAX];
    union any m;
    struct rng r;

    rng_seed(&r, 2);
    for (const struct kind *k = kinds; k < kinds + ARRAY_LEN(kinds); k++) {
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct record record = any_record(k, &r, &m, octets);

            memcpy(body, record.body, record.bytes);
            record.body = body;
            for (uint64_t i = rng_below(&r, 3); i < 3; i++)
                body[rng_below(&r, record.bytes)] ^= (uint8_t)(1u << rng_below(&r, 8));
            decodes_and_encodes_back(k, &record);
        }
    }
}

static void truncation_by_any_number_of_octets_is_refused(void **state UNUSED)
{
    uint8_t octets[WIRE_MAX];
    union any m, got;
    struct rng r;
    struct err e;

    rng_seed(&r, 3);
    for (const struct kind *k = kinds; k < kinds + ARRAY_LEN(kinds); k++) {
        for (unsigned round = 0; round < 50; round++) {
            struct record record = any_record(k, &r, &m, octets);

            for (uint32_t whole = record.bytes; record.bytes-- > 0;) {
                assert_true(record.bytes < whole);
                assert_int_equal(k->get(&record, &got, &e), -EPROTO);
            }
        }
    }
}

static void an_octet_too_many_is_refused(void **state UNUSED)
{
    uint8_t octets[WIRE_MAX + 8];
    union any m, got;
    struct rng r;
    struct err e;

    rng_seed(&r, 4);
    for (const struct kind *k = kinds; k < kinds + ARRAY_LEN(kinds); k++) {
        for (unsigned round = 0; round < 50; round++) {
            struct record record = any_record(k, &r, &m, octets);

            record.bytes++;
            assert_int_equal(k->get(&record, &got, &e), -EPROTO);
        }
    }
}

static void reserved_bits_that_are_set_are_refused(void **state UNUSED)
{
    uint8_t octets[WIRE_MAX];
    union any m, got;
    struct rng r;
    struct err e;

    rng_seed(&r, 5);
    for (const struct kind *k = kinds; k < kinds + ARRAY_LEN(kinds); k++) {
        struct record record = any_record(k, &r, &m, octets);

        for (size_t bit = k->reserved_at * 8; bit < (k->reserved_at + k->reserved) * 8; bit++) {
            octets[RECORD_HEADER_BYTES + bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(k->get(&record, &got, &e), -EPROTO);
            assert_non_null(strstr(e.text, "reserved"));
            octets[RECORD_HEADER_BYTES + bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(k->get(&record, &got, &e), 0);
    }
}

static void short_sink_gets_nothing(void **state UNUSED)
{
    uint8_t octets[WIRE_MAX], short_octets[WIRE_MAX], untouched[WIRE_MAX];
    union any m;
    struct rng r;

    rng_seed(&r, 6);
    memset(untouched, 0x5a, sizeof(untouched));
    for (const struct kind *k = kinds; k < kinds + ARRAY_LEN(kinds); k++) {
        struct record record = any_record(k, &r, &m, octets);

        for (size_t room = 0; room < record_wire_bytes(record.bytes); room++) {
            struct sink out = { short_octets, room };

            memset(short_octets, 0x5a, sizeof(short_octets));
            assert_int_equal(k->put(&out, &m), -ENOBUFS);
            assert_ptr_equal(out.at, short_octets);
            assert_int_equal(out.left, room);
            assert_memory_equal(short_octets + room, untouched, sizeof(untouched) - room);
        }
    }
}

/* A message of the kind, changed by the caller, is refused by put; and its octets by get. */
#define REFUSED_BY_PUT(name, change)                               \
    do {                                                           \
        uint8_t octets_[WIRE_MAX];                                 \
        struct sink out_ = { octets_, sizeof(octets_) };           \
        union any m_;                                              \
        struct rng r_;                                             \
        rng_seed(&r_, 7);                                          \
        memset(&m_, 0, sizeof(m_));                                \
        name##_any(&r_, &m_);                                      \
        struct name *m = &m_.name;                                 \
        change;                                                    \
        assert_int_equal(name##_put(&out_, m), -EINVAL);           \
        assert_int_equal(out_.left, sizeof(octets_));              \
    } while (0)

static void what_get_would_refuse_is_not_put(void **state UNUSED)
{
    REFUSED_BY_PUT(hello, m->name[0] = '\0');
    REFUSED_BY_PUT(hello, m->name[0] = '/');
    REFUSED_BY_PUT(hello, m->name[0] = ' ');
    REFUSED_BY_PUT(hello, memset(m->name, 'a', sizeof(m->name)));
    REFUSED_BY_PUT(hello, strcpy(m->spec, "tab\t"));
    REFUSED_BY_PUT(hello, strcpy(m->spec, "\x7f"));
    REFUSED_BY_PUT(hello, strcpy(m->spec, "\xc3\xa4"));
    REFUSED_BY_PUT(hello, memset(m->spec, 'a', sizeof(m->spec)));
    REFUSED_BY_PUT(hello, m->lineage = 0);
    REFUSED_BY_PUT(hello, m->session = 0);
    REFUSED_BY_PUT(hello, m->pages = 0);
    REFUSED_BY_PUT(hello, m->pages = GUEST_PAGES_MAX + 1);
    REFUSED_BY_PUT(hello, m->heartbeat_ns = 0);
    REFUSED_BY_PUT(hello, m->timeout_ns = 0);
    REFUSED_BY_PUT(hello_ack, m->verdict = HELLO_DECIDING + 1);
    REFUSED_BY_PUT(hello_ack, strcpy(m->text, "two\nlines"));
    REFUSED_BY_PUT(hello_ack, memset(m->text, 'a', sizeof(m->text)));
    REFUSED_BY_PUT(epoch_begin, m->flags = 8);
    REFUSED_BY_PUT(epoch_end, m->flags = 0x80000000);
    REFUSED_BY_PUT(detach, m->reason = 0);
    REFUSED_BY_PUT(detach, m->reason = DETACH_DIFFERS + 1);
    REFUSED_BY_PUT(verified, m->differing = m->pages + 1);
    REFUSED_BY_PUT(verified, (m->differing = 0, m->first_pfn = 1));
    REFUSED_BY_PUT(detach, m->is_answer = 2);
}

/* Where the fields are on the wire: changing it makes every older peer a stranger. */
static const struct field {
    const char *kind;
    size_t at, bytes;
    uint64_t value;
    bool is_accepted;
} fields[] = {
    { "hello", 0, 4, 99, true }, /* the version is the caller's to judge */
    { "hello", 8, 8, 0, false },  { "hello", 16, 8, 0, true },
    { "hello", 24, 8, 0, false }, { "hello", 32, 8, 0, true },
    { "hello", 40, 8, 0, false }, { "hello", 40, 8, GUEST_PAGES_MAX, true },
    { "hello", 40, 8, GUEST_PAGES_MAX + 1, false }, { "hello", 40, 8, UINT64_MAX, false },
    { "hello", 48, 8, 0, true },  { "hello", 56, 8, 0, false },
    { "hello", 64, 8, 0, false }, { "hello", 72, 8, 0, true },
    { "hello", 96, 2, 0, false }, { "hello", 96, 2, 0xffff, false },
    { "hello", 98, 2, 0xffff, false },
    { "hello", 112, 1, 0, false }, { "hello", 112, 1, '/', false }, { "hello", 112, 1, '.', true },
    { "hello_ack", 40, 4, HELLO_DECIDING, true }, { "hello_ack", 40, 4, HELLO_DECIDING + 1, false },
    { "hello_ack", 40, 4, UINT32_MAX, false }, { "hello_ack", 48, 2, 0xffff, false },
    { "epoch_begin", 20, 4, 7, true }, { "epoch_begin", 20, 4, 8, false },
    { "epoch_end", 36, 4, 7, true }, { "epoch_end", 36, 4, 0x80000001, false },
    { "detach", 8, 4, 0, false }, { "detach", 8, 4, 8, true }, { "detach", 8, 4, 9, false },
    { "detach", 12, 4, 1, true }, { "detach", 12, 4, 2, false },
    { "detach", 12, 4, 0x100, false },
};

static void fields_out_of_range_are_refused(void **state UNUSED)
{
    uint8_t octets[WIRE_MAX];
    union any m, got;
    struct rng r;
    struct err e;

    rng_seed(&r, 8);
    for (const struct field *f = fields; f < fields + ARRAY_LEN(fields); f++) {
        const struct kind *k = kinds;
        struct record record;

        while (strcmp(k->name, f->kind) != 0)
            k++;
        record = any_record(k, &r, &m, octets);
        for (size_t i = 0; i < f->bytes; i++)
            octets[RECORD_HEADER_BYTES + f->at + i] = (uint8_t)(f->value >> (8 * i));
        assert_int_equal(k->get(&record, &got, &e), f->is_accepted ? 0 : -EPROTO);
    }
}

static void name_and_spec_may_not_borrow_from_each_other(void **state UNUSED)
{
    uint8_t octets[WIRE_MAX];
    union any m, got;
    struct rng r;
    struct err e;

    rng_seed(&r, 9);
    for (unsigned round = 0; round < 200; round++) {
        struct record record = any_record(&kinds[0], &r, &m, octets);
        uint8_t *lengths = octets + RECORD_HEADER_BYTES + 96;
        unsigned name = load_u16(lengths), spec = load_u16(lengths + 2);

        if (name + spec <= GUEST_NAME_MAX)
            continue;
        store_u16(lengths, (uint16_t)(GUEST_NAME_MAX + 1)); /* the sum still fits the record */
        store_u16(lengths + 2, (uint16_t)(name + spec - GUEST_NAME_MAX - 1));
        assert_int_equal(kinds[0].get(&record, &got, &e), -EPROTO);
    }
}

static void failed_get_leaves_the_answer_alone(void **state UNUSED)
{
    uint8_t octets[WIRE_MAX];
    union any m, got, before;
    struct rng r;
    struct err e;

    rng_seed(&r, 10);
    memset(&before, 0xa5, sizeof(before));
    for (const struct kind *k = kinds; k < kinds + ARRAY_LEN(kinds); k++) {
        struct record record = any_record(k, &r, &m, octets);

        got = before;
        record.bytes--;
        assert_int_equal(k->get(&record, &got, &e), -EPROTO);
        assert_memory_equal(&got, &before, sizeof(got));
    }
}

static void verdicts_and_reasons_have_words(void **state UNUSED)
{
    assert_string_equal(hello_verdict_words(HELLO_OK), "accepted");
    assert_string_equal(detach_reason_words(DETACH_SHUT_DOWN), "the guest shut down");
    assert_null(hello_verdict_words(HELLO_DECIDING + 1));
    assert_null(detach_reason_words(0));
    assert_null(detach_reason_words(9));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_as_it_was_put),
        cmocka_unit_test(what_decodes_has_no_second_form),
        cmocka_unit_test(truncation_by_any_number_of_octets_is_refused),
        cmocka_unit_test(an_octet_too_many_is_refused),
        cmocka_unit_test(reserved_bits_that_are_set_are_refused),
        cmocka_unit_test(short_sink_gets_nothing),
        cmocka_unit_test(what_get_would_refuse_is_not_put),
        cmocka_unit_test(fields_out_of_range_are_refused),
        cmocka_unit_test(name_and_spec_may_not_borrow_from_each_other),
        cmocka_unit_test(failed_get_leaves_the_answer_alone),
        cmocka_unit_test(verdicts_and_reasons_have_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

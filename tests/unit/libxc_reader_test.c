/* libxc_reader_test — when a broken record matters, what a refusal says, and lengths that would wrap. The
 * rules themselves are the golden streams' (tests/golden). */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "checkpoint/formats/image.h"
#include "checkpoint/record.h"
#include "compress/codec.h"

#define STREAM_BYTES (1u << 20)

static uint8_t stream[STREAM_BYTES];
static struct sink to;

static void begin(void)
{
    struct stream_headers h = { .version = 3, .guest = STREAM_GUEST_HVM };

    to = (struct sink){ stream, sizeof(stream) };
    assert_int_equal(stream_headers_put(&to, &h), 0);
    assert_int_equal(record_put(&to, RECORD_STATIC_DATA_END, NULL, 0), 0);
}

static void put(uint32_t type, const void *body, size_t bytes)
{
    assert_int_equal(record_put(&to, type, body, bytes), 0);
}

static void put_page(uint64_t pfn, uint8_t fill)
{
    static uint8_t body[16 + PAGE_BYTES];

    store_u32(body, 1);
    store_u64(body + 8, pfn);
    memset(body + 16, fill, PAGE_BYTES);
    put(RECORD_PAGE_DATA, body, sizeof(body));
}

static void put_epoch(uint8_t fill)
{
    put_page(3, fill);
    put(RECORD_HVM_CONTEXT, "state", 5);
    put(RECORD_CHECKPOINT, NULL, 0);
}

struct outcome {
    int rc;
    struct reading reading;
    uint8_t page[PAGE_BYTES];
    struct err e;
};

static void read_as(struct outcome *o, enum stream_mode mode)
{
    struct stream_wishes wishes = { .mode = mode };
    struct stream_input *in;
    struct image image;
    struct err e;

    assert_int_equal(stream_input_of(&in, stream, sizeof(stream) - to.left, &e), 0);
    image_open(&image, in, (struct image_wishes){ .has_pages = true });
    o->rc = reading_run(&o->reading, in, &wishes, image_consumer(&image), &o->e);
    if (o->rc == 0)
        assert_int_equal(image_page(&image, 3, o->page, &e), 0);
    image_close(&image);
    reading_close(&o->reading);
    stream_input_close(in);
}

static void what_breaks_off_is_its_last_checkpoint(UNUSED void **state)
{
    struct outcome o;

    begin();
    put_epoch(1);
    put_epoch(2);
    put_page(3, 9);
    to.left += 100; /* cut inside the record */
    read_as(&o, MODE_AUTO);
    assert_int_equal(o.rc, 0);
    assert_false(o.reading.is_complete);
    assert_true(o.reading.checkpoints == 2 && o.page[0] == 2);
}

static void what_breaks_off_before_a_checkpoint_is_nothing(UNUSED void **state)
{
    struct outcome o;

    begin();
    put_page(3, 9);
    read_as(&o, MODE_AUTO);
    assert_int_equal(o.rc, -EPROTO);
}

static void a_bad_record_matters_only_when_its_epoch_commits(UNUSED void **state)
{
    struct outcome o;

    begin();
    put_epoch(1);
    put(RECORD_X86_TSC_INFO, "short", 5);
    read_as(&o, MODE_AUTO);
    assert_int_equal(o.rc, 0);
    assert_true(o.reading.checkpoints == 1 && !o.reading.is_complete && o.page[0] == 1);
    put_epoch(2);
    read_as(&o, MODE_AUTO);
    assert_int_equal(o.rc, -EPROTO);
    assert_int_equal(o.reading.refusal.item.type, RECORD_X86_TSC_INFO);
}

static void end_drops_what_no_checkpoint_took(UNUSED void **state)
{
    struct outcome o;

    begin();
    put_epoch(1);
    put_page(3, 9);
    put(RECORD_END, NULL, 0);
    read_as(&o, MODE_REMUS);
    assert_int_equal(o.rc, 0);
    assert_true(o.reading.is_complete && o.page[0] == 1);
}

static void a_plain_stream_has_no_checkpoint(UNUSED void **state)
{
    struct outcome o;

    begin();
    put_epoch(1);
    read_as(&o, MODE_PLAIN);
    assert_int_equal(o.rc, -EPROTO);
}

static void a_refusal_names_record_type_offset_and_rule(UNUSED void **state)
{
    struct outcome o;
    char expected[200];
    size_t offset;

    begin();
    put_page(3, 1);
    offset = sizeof(stream) - to.left;
    put(RECORD_X86_TSC_INFO, "short", 5);
    read_as(&o, MODE_AUTO);
    assert_int_equal(o.rc, -EPROTO);
    snprintf(expected, sizeof(expected), "record 3 (libxc X86_TSC_INFO, type 0x8) at offset 0x%zx: at 0x%zx: "
             "length 5, not 24", offset, offset + 8);
    assert_string_equal(o.e.text, expected);
    assert_true(o.reading.refusal.offset == offset + 8 && o.reading.refusal.item.number == 3);
}

/* Bodies whose counts or lengths come out right in 32 bits only. */
static void nothing_is_computed_in_32_bits(UNUSED void **state)
{
    uint8_t body[16] = { 0 };
    struct outcome o;

    begin();
    store_u32(body, 0x20000000); /* × 8 = 2^32 */
    put(RECORD_PAGE_DATA, body, 8);
    read_as(&o, MODE_AUTO);
    assert_int_equal(o.rc, -EPROTO);
    begin();
    store_u32(body, 0x10000000); /* × 16 = 2^32 */
    put(RECORD_HVM_PARAMS, body, 8);
    read_as(&o, MODE_AUTO);
    assert_int_equal(o.rc, -EPROTO);
    begin();
    assert_int_equal(sink_u32(&to, RECORD_OPTIONAL | 1), 0);
    assert_int_equal(sink_u32(&to, 0xfffffff9), 0); /* + 7 = 2^32 */
    read_as(&o, MODE_AUTO);
    assert_int_equal(o.rc, -EPROTO);
    assert_non_null(strstr(o.e.text, "the limit is"));
}

/* ---- a session of ours --------------------------------------------------------------------------- */

static char config_seen[256];

static int take_state(UNUSED void *c, const struct stream_state *piece, UNUSED struct err *e)
{
    if (strcmp(piece->name, "XL_CONFIG") == 0 && piece->total <= sizeof(config_seen))
        memcpy(config_seen + piece->at, piece->octets, piece->bytes);
    return 0;
}

static void read_hello(const char *spec)
{
    struct hello h = { .version = PROTOCOL_VERSION, .lineage = 1, .session = 1, .pages = 9,
                       .heartbeat_ns = 1, .timeout_ns = 1, .name = "web1" };
    struct consumer_ops ops = consumer_ignores;
    struct stream_wishes wishes = { .mode = MODE_AUTO };
    struct reading reading;
    struct stream_input *in;
    struct err e;

    memset(config_seen, 0, sizeof(config_seen));
    strcpy(h.spec, spec);
    begin();
    to.left = sizeof(stream) - STREAM_HEADERS_BYTES;
    to.at = stream + STREAM_HEADERS_BYTES;
    assert_int_equal(hello_put(&to, &h), 0);
    put(RECORD_STATIC_DATA_END, NULL, 0);
    put_epoch(1);
    ops.state = take_state;
    assert_int_equal(stream_input_of(&in, stream, sizeof(stream) - to.left, &e), 0);
    assert_int_equal(reading_run(&reading, in, &wishes, (struct consumer){ &ops, NULL }, &e), 0);
    reading_close(&reading);
    stream_input_close(in);
}

static void a_session_of_a_xen_domain_has_its_configuration(UNUSED void **state)
{
    read_hello("xen:{\"name\":\"web1\",\"uuid\":\"00010203-0405-0607-0809-0a0b0c0d0e0f\",\"type\":\"pvh\","
               "\"pages\":9,\"max_memkb\":36,\"tot_pages\":9,\"vcpus\":1,\"xen_major\":4,\"xen_minor\":17,"
               "\"config\":{\"c_info\":{\"name\":\"web1\"}}}");
    assert_string_equal(config_seen, "{\"c_info\":{\"name\":\"web1\"}}");
    read_hello("sim:web1?mib=1");
    assert_string_equal(config_seen, "");
    read_hello("xen:{\"name\":\"web1\"}"); /* nothing that could be restored */
    assert_string_equal(config_seen, "");
}

/* What a session's epoch has of its emulator is part of what EPOCH_END says the digest of. */
static void the_emulators_state_is_part_of_its_epoch(UNUSED void **state)
{
    static const uint8_t body[24] = { 8, 0, 0, 0, 1 };
    struct epoch_begin first = { 1, 1, 1, EPOCH_SEED };
    struct epoch_end last = { .epoch = 1, .flags = EPOCH_SEED };
    struct outcome o;
    size_t at;

    begin();
    assert_int_equal(epoch_begin_put(&to, &first), 0);
    at = sizeof(stream) - to.left;
    put_page(3, 1);
    put(RECORD_HVM_CONTEXT, "state", 5);
    put(RECORD_FOREIGN_STATE, body, sizeof(body));
    last.digest = digest_of(stream + at, sizeof(stream) - to.left - at);
    assert_int_equal(epoch_end_put(&to, &last), 0);
    put(RECORD_CHECKPOINT, NULL, 0);
    read_as(&o, MODE_AUTO);
    assert_int_equal(o.rc, 0);
    assert_true(o.reading.checkpoints == 1 && o.page[0] == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_breaks_off_is_its_last_checkpoint),
        cmocka_unit_test(what_breaks_off_before_a_checkpoint_is_nothing),
        cmocka_unit_test(a_bad_record_matters_only_when_its_epoch_commits),
        cmocka_unit_test(end_drops_what_no_checkpoint_took),
        cmocka_unit_test(a_plain_stream_has_no_checkpoint),
        cmocka_unit_test(a_refusal_names_record_type_offset_and_rule),
        cmocka_unit_test(nothing_is_computed_in_32_bits),
        cmocka_unit_test(a_session_of_a_xen_domain_has_its_configuration),
        cmocka_unit_test(the_emulators_state_is_part_of_its_epoch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

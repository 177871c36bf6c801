/* stream_writer_test — what is voided leaves no octet, and the order is the one that all readers take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "checkpoint/record.h"
#include "checkpoint/formats/stream_writer.h"
#include "compress/codec.h"

#define STREAM_BYTES (1u << 20)

struct scene {
    int fd;
    struct stream_output out;
    struct stream_writer *writer;
    struct consumer to;
    struct stream_facts facts;
    uint8_t page[PAGE_BYTES];
    struct err e;
};

static void scene_open(struct scene *s, struct writer_wishes wishes)
{
    memset(s, 0, sizeof(*s));
    s->fd = memfd_create("written", MFD_CLOEXEC);
    s->facts = (struct stream_facts){ .version = 3, .guest = STREAM_GUEST_HVM };
    assert_int_equal(pagetable_open(&s->facts.table, &s->e), 0);
    assert_int_equal(stream_output_open(&s->out, s->fd, &s->e), 0);
    assert_int_equal(stream_writer_open(&s->writer, &s->out, &wishes, &s->e), 0);
    s->to = stream_writer_consumer(s->writer, NULL);
    assert_int_equal(s->to.ops->begin(s->to.self, &s->facts, &s->e), 0);
}

static void scene_close(struct scene *s)
{
    stream_writer_close(s->writer);
    stream_output_close(&s->out);
    pagetable_close(s->facts.table);
    close(s->fd);
}

static void page(struct scene *s, uint64_t pfn)
{
    struct stream_page p = { .pfn = pfn, .content = s->page, .offset = PAGE_COMPUTED };

    assert_int_equal(s->to.ops->page(s->to.self, &p, &s->e), 0);
}

static void context(struct scene *s, const char *octets)
{
    struct stream_state piece = { .name = "HVM_CONTEXT", .type = RECORD_HVM_CONTEXT, .total = strlen(octets),
                                  .octets = (const uint8_t *)octets, .bytes = strlen(octets) };

    assert_int_equal(s->to.ops->state(s->to.self, &piece, &s->e), 0);
}

static void end(struct scene *s)
{
    assert_int_equal(s->to.ops->end(s->to.self, &s->facts, true, &s->e), 0);
}

/* The types of the records that were written, behind the headers. */
static unsigned types(struct scene *s, uint32_t *ret, unsigned most)
{
    static uint8_t octets[STREAM_BYTES];
    ssize_t n = pread(s->fd, octets, sizeof(octets), 0);
    struct view in = { octets + STREAM_HEADERS_BYTES, (size_t)n - STREAM_HEADERS_BYTES };
    struct record r;
    unsigned count = 0;

    while (in.left > 0) {
        assert_int_equal(record_take(&in, RECORD_BODY_MAX, &r, &s->e), 1);
        assert_true(count < most);
        ret[count++] = r.type;
    }
    return count;
}

static void params_come_before_the_context_whatever_came_first(UNUSED void **state)
{
    const uint32_t want[] = { RECORD_STATIC_DATA_END, RECORD_PAGE_DATA, RECORD_HVM_PARAMS, RECORD_HVM_CONTEXT,
                              RECORD_END };
    struct scene s;
    uint32_t got[16];

    scene_open(&s, (struct writer_wishes){ .framing = FRAMING_LIBXC, .version = 3 });
    page(&s, 1);
    page(&s, 2);
    context(&s, "one");
    context(&s, "two");
    assert_int_equal(s.to.ops->param(s.to.self, 1, 2, &s.e), 0);
    end(&s);
    assert_int_equal(types(&s, got, 16), 5);
    assert_memory_equal(got, want, sizeof(want));
    scene_close(&s);
}

static void an_epoch_that_is_dropped_leaves_nothing(UNUSED void **state)
{
    const uint32_t want[] = { RECORD_STATIC_DATA_END, RECORD_PAGE_DATA, RECORD_HVM_CONTEXT, RECORD_CHECKPOINT,
                              RECORD_END };
    struct scene s;
    uint32_t got[16];

    scene_open(&s, (struct writer_wishes){ .framing = FRAMING_LIBXC, .version = 3 });
    page(&s, 1);
    context(&s, "one");
    assert_int_equal(s.to.ops->commit(s.to.self, 1, &s.e), 0);
    for (uint64_t pfn = 0; pfn < 3000; pfn++) /* more than a batch: some of it is written */
        page(&s, pfn);
    context(&s, "two");
    assert_int_equal(s.to.ops->drop(s.to.self, &s.e), 0);
    end(&s);
    assert_int_equal(types(&s, got, 16), 5);
    assert_memory_equal(got, want, sizeof(want));
    scene_close(&s);
}

static void a_batch_has_at_most_1024_pages(UNUSED void **state)
{
    struct scene s;
    uint32_t got[16];

    scene_open(&s, (struct writer_wishes){ .framing = FRAMING_LIBXC, .version = 2 });
    for (uint64_t pfn = 0; pfn < 1025; pfn++) {
        struct stream_page p = { .pfn = pfn, .type = 0xe, .offset = PAGE_COMPUTED };

        assert_int_equal(s.to.ops->page(s.to.self, &p, &s.e), 0);
    }
    context(&s, "one");
    end(&s);
    assert_int_equal(types(&s, got, 16), 4); /* version 2 has no STATIC_DATA_END */
    assert_true(got[0] == RECORD_PAGE_DATA && got[1] == RECORD_PAGE_DATA);
    scene_close(&s);
}

static void a_page_is_recalled_as_it_was_written_last(UNUSED void **state)
{
    uint8_t got[PAGE_BYTES];
    struct scene s;

    scene_open(&s, (struct writer_wishes){ .framing = FRAMING_LIBXC, .version = 3 });
    memset(s.page, 1, sizeof(s.page));
    page(&s, 7);
    assert_int_equal(s.to.ops->recall(s.to.self, 7, got, &s.e), 0);
    assert_int_equal(got[0], 1); /* from the batch */
    context(&s, "one");
    assert_int_equal(s.to.ops->commit(s.to.self, 1, &s.e), 0);
    memset(got, 0, sizeof(got));
    assert_int_equal(s.to.ops->recall(s.to.self, 7, got, &s.e), 0);
    assert_int_equal(got[PAGE_BYTES - 1], 1); /* from the file */
    assert_int_equal(s.to.ops->recall(s.to.self, 8, got, &s.e), 0);
    assert_int_equal(got[0], 0);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(params_come_before_the_context_whatever_came_first),
        cmocka_unit_test(an_epoch_that_is_dropped_leaves_nothing),
        cmocka_unit_test(a_batch_has_at_most_1024_pages),
        cmocka_unit_test(a_page_is_recalled_as_it_was_written_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* rewrite_fuzz — any octets read and written anew, plain and packed; what was accepted must be read back
 * as the same guest: populated pages, their contents, blobs, parameters. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "checkpoint/formats/image.h"
#include "checkpoint/formats/stream_writer.h"
#include "compress/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

struct side {
    struct stream_input *in;
    struct reading reading;
    struct image image;
};

static int side_read(struct side *s, const uint8_t *octets, size_t bytes)
{
    struct stream_wishes wishes = { .pages_max = 4096 };
    struct err e;

    must(stream_input_of(&s->in, octets, bytes, &e) == 0);
    image_open(&s->image, s->in, (struct image_wishes){ .has_pages = true });
    return reading_run(&s->reading, s->in, &wishes, image_consumer(&s->image), &e);
}

static void side_close(struct side *s)
{
    image_close(&s->image);
    reading_close(&s->reading);
    stream_input_close(s->in);
}

static void must_be_same(struct side *a, struct side *b)
{
    const struct pagetable *table = a->reading.facts.table;
    uint8_t page_a[PAGE_BYTES], page_b[PAGE_BYTES];
    struct err e;

    must(a->image.populated == b->image.populated);
    must(a->image.now.params_n == b->image.now.params_n);
    must(a->image.now.states_n == b->image.now.states_n);
    for (size_t i = 0; i < a->image.now.states_n; i++) {
        must(image_state_compare(&a->image.now.states[i], &b->image.now.states[i]) == 0);
        must(strcmp(a->image.now.states[i].sha256, b->image.now.states[i].sha256) == 0);
    }
    for (uint64_t pfn = pagetable_next(table, 0); pfn != UINT64_MAX; pfn = pagetable_next(table, pfn + 1)) {
        must(pagetable_get(b->reading.facts.table, pfn).is_populated);
        must(image_page(&a->image, pfn, page_a, &e) == 0 && image_page(&b->image, pfn, page_b, &e) == 0);
        must(memcmp(page_a, page_b, PAGE_BYTES) == 0);
    }
}

/* Writes it to fd; the octets written. */
static size_t rewrite(const uint8_t *octets, size_t bytes, int fd, bool is_packed)
{
    struct writer_wishes how = { .framing = FRAMING_LIBXC, .version = 3, .has_extras = true,
                                 .is_packed = is_packed, .codecs = { .delta = true, .lz4 = true },
                                 .pages_at_once = 8, .cache_bytes = 64 * (PAGE_BYTES + 64) };
    struct stream_wishes wishes = { .pages_max = 4096 };
    struct stream_writer *writer;
    struct stream_output out;
    struct stream_input *in;
    struct reading reading;
    struct consumer memory;
    struct image image;
    struct err e;

    must(stream_input_of(&in, octets, bytes, &e) == 0 && stream_output_open(&out, fd, &e) == 0 &&
         stream_writer_open(&writer, &out, &how, &e) == 0);
    image_open(&image, in, (struct image_wishes){ .has_pages = true });
    memory = image_consumer(&image);
    must(reading_run(&reading, in, &wishes, stream_writer_consumer(writer, is_packed ? &memory : NULL), &e) == 0);
    stream_writer_close(writer);
    stream_output_close(&out);
    image_close(&image);
    reading_close(&reading);
    stream_input_close(in);
    return (size_t)out.offset;
}

static void rewritten_is_same(struct side *first, const uint8_t *octets, size_t bytes, bool is_packed)
{
    int fd = memfd_create("rewritten", MFD_CLOEXEC);
    size_t n = rewrite(octets, bytes, fd, is_packed);
    void *written = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    struct side second;

    must(fd >= 0 && written != MAP_FAILED);
    must(side_read(&second, written, n) == 0);
    must_be_same(first, &second);
    side_close(&second);
    munmap(written, n);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    struct side first;

    if (side_read(&first, octets, bytes) == 0) {
        rewritten_is_same(&first, octets, bytes, false);
        rewritten_is_same(&first, octets, bytes, true);
    }
    side_close(&first);
    return 0;
}

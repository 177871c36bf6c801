/* codec_fuzz — any octets as the payload of any codec, on every level of the processor. The first octet
 * chooses the codec. Refused: the page is untouched. Taken: nothing outside the page is written, once
 * more gives the same page, and what the encoder makes of the result leads there again. All levels
 * answer alike and encode alike. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "compress/codec.h"
#include "compress/cpu.h"

#define GUARD 0xc3

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes);

struct boxed_page {
    uint8_t before[PAGE_BYTES], page[PAGE_BYTES], after[PAGE_BYTES];
};

static uint8_t guard[PAGE_BYTES], prior[PAGE_BYTES];

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    memset(guard, GUARD, sizeof(guard));
    for (size_t i = 0; i < PAGE_BYTES; i++)
        prior[i] = (uint8_t)(i * 7 + i / 256);
    return 0;
}

/* Whole blocks at a time: a loop over octets, each of which a fuzzer's build reports, took nine tenths
 * of all time. */
static void must_be_guard(const uint8_t *octets)
{
    must(memcmp(octets, guard, PAGE_BYTES) == 0);
}

static int decode(const struct codec *c, const uint8_t *payload, size_t bytes, struct boxed_page *b)
{
    int rc = c->decode(payload, bytes, b->page);

    must(rc == 0 || rc == -EPROTO);
    must_be_guard(b->before);
    must_be_guard(b->after);
    return rc;
}

static void use(unsigned level)
{
    struct err e;

    must(cpu_choose(cpu_level_name((enum cpu_level)level), &e) == 0);
}

/* What the level in use makes of the page must lead there from prior, by whatever level reads it. */
static size_t encoder_must_lead_to(const struct codec *c, const uint8_t *page, uint8_t *out)
{
    uint8_t again[PAGE_BYTES];
    size_t bytes = c->encode(page, c->needs_prior ? prior : NULL, out, PAGE_BYTES);

    if (bytes == CODEC_NOT_WORTH)
        return bytes;
    must(bytes <= c->bytes_max);
    use(CPU_PORTABLE);
    memcpy(again, prior, PAGE_BYTES);
    must(c->decode(out, bytes, again) == 0);
    must(memcmp(again, page, PAGE_BYTES) == 0);
    return bytes;
}

static void box(struct boxed_page *b, const uint8_t *page)
{
    memset(b, GUARD, sizeof(*b));
    memcpy(b->page, page, PAGE_BYTES);
}

/* One payload on one level: the answer, and the page in *b. */
static int try_level(const struct codec *c, unsigned level, const uint8_t *payload, size_t bytes,
                     struct boxed_page *b)
{
    uint8_t once[PAGE_BYTES];

    use(level);
    box(b, prior);
    if (decode(c, payload, bytes, b) < 0) {
        must(memcmp(b->page, prior, PAGE_BYTES) == 0);
        return -EPROTO;
    }
    must(bytes <= c->bytes_max);
    memcpy(once, b->page, PAGE_BYTES);
    must(decode(c, payload, bytes, b) == 0);
    must(memcmp(b->page, once, PAGE_BYTES) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    uint8_t first[PAGE_BYTES], out[PAGE_BYTES];
    struct boxed_page b, other;
    const struct codec *c;
    unsigned levels;
    size_t length;
    int rc;

    if (bytes == 0)
        return 0;
    c = codec_by_id(input[0] % CODEC_COUNT);
    levels = c->id == CODEC_DELTA ? cpu_best() + 1 : 1;

    rc = try_level(c, CPU_PORTABLE, input + 1, bytes - 1, &b);
    length = rc == 0 ? encoder_must_lead_to(c, b.page, first) : 0;
    for (unsigned level = 1; level < levels; level++) {
        must(try_level(c, level, input + 1, bytes - 1, &other) == rc);
        must(memcmp(other.page, b.page, PAGE_BYTES) == 0);
        if (rc < 0)
            continue;
        must(encoder_must_lead_to(c, b.page, out) == length);
        must(length == CODEC_NOT_WORTH || memcmp(out, first, length) == 0);
    }
    return 0;
}

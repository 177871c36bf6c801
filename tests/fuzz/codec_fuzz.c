/* codec_fuzz — any octets as the payload of any codec. The first octet chooses the codec. Refused: the
 * page is untouched. Taken: nothing outside the page is written, once more gives the same page, and
 * what the encoder makes of the result leads there again. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "compress/codec.h"

#define GUARD 0xc3

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes);

struct boxed_page {
    uint8_t before[PAGE_BYTES], page[PAGE_BYTES], after[PAGE_BYTES];
};

static void must_be_guard(const uint8_t *octets)
{
    for (size_t i = 0; i < PAGE_BYTES; i++)
        must(octets[i] == GUARD);
}

static int decode(const struct codec *c, const uint8_t *payload, size_t bytes, struct boxed_page *b)
{
    int rc = c->decode(payload, bytes, b->page);

    must(rc == 0 || rc == -EPROTO);
    must_be_guard(b->before);
    must_be_guard(b->after);
    return rc;
}

static void encoder_must_lead_to(const struct codec *c, const uint8_t *page, const uint8_t *prior)
{
    uint8_t out[PAGE_BYTES], again[PAGE_BYTES];
    size_t bytes = c->encode(page, c->needs_prior ? prior : NULL, out, sizeof(out));

    if (bytes == CODEC_NOT_WORTH)
        return;
    must(bytes <= c->bytes_max);
    memcpy(again, prior, PAGE_BYTES);
    must(c->decode(out, bytes, again) == 0);
    must(memcmp(again, page, PAGE_BYTES) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t bytes)
{
    uint8_t prior[PAGE_BYTES], once[PAGE_BYTES];
    struct boxed_page b;
    const struct codec *c;

    if (bytes == 0)
        return 0;
    c = codec_by_id(input[0] % CODEC_COUNT);
    for (size_t i = 0; i < PAGE_BYTES; i++)
        prior[i] = (uint8_t)(i * 7 + i / 256);
    memset(&b, GUARD, sizeof(b));
    memcpy(b.page, prior, PAGE_BYTES);

    if (decode(c, input + 1, bytes - 1, &b) < 0) {
        must(memcmp(b.page, prior, PAGE_BYTES) == 0);
        return 0;
    }
    must(bytes - 1 <= c->bytes_max);
    memcpy(once, b.page, PAGE_BYTES);
    must(decode(c, input + 1, bytes - 1, &b) == 0);
    must(memcmp(b.page, once, PAGE_BYTES) == 0);
    encoder_must_lead_to(c, once, prior);
    return 0;
}

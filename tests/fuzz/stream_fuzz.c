/* stream_fuzz — any octets as the opening of a stream: what is refused whole was refused from its
 * first wrong octet on, and what is accepted comes back from the writer. */
#include "checkpoint/stream.h"

#include <stdbool.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

static void written_again_is_read_the_same(const struct stream_headers *h)
{
    struct stream_headers asked = *h, got;
    uint8_t made[STREAM_HEADERS_BYTES];
    struct sink out = { made, sizeof(made) };
    struct view in = { made, sizeof(made) };
    struct err e;

    asked.version = STREAM_VERSION;
    must(stream_headers_put(&out, &asked) == 0 && out.left == 0);
    must(stream_headers_take(&in, &got, &e) == 1 && in.left == 0);
    must(memcmp(&asked, &got, sizeof(got)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    struct stream_headers h;
    bool refused = false;

    for (size_t n = 0; n <= bytes && n <= STREAM_HEADERS_BYTES + 1; n++) {
        struct view in = { octets, n };
        struct err e = { 0 };
        int rc = stream_headers_take(&in, &h, &e);

        must(in.left == (rc == 1 ? n - STREAM_HEADERS_BYTES : n));
        must(rc >= 0 || (e.code != 0 && e.text[0] != '\0'));
        must(rc < 0 || !refused);
        must(rc != 0 || n < STREAM_HEADERS_BYTES);
        refused = rc < 0;
        if (rc == 1)
            written_again_is_read_the_same(&h);
    }
    return 0;
}

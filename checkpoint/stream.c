/* stream — see stream.h. The headers are a table of constant octet strings, so that a stream that
 * goes wrong is refused at its first wrong octet, however little of it has come. */
#include "checkpoint/stream.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Fields whose octets are fixed; reserved ones are left out: libxc ignores them when it restores. */
struct field {
    uint8_t at, bytes, mask;
    const char *allowed[2]; /* the second may be NULL */
    const char *words;
};

static const struct field fields[] = {
    { 0, 8, 0xff, { "\xff\xff\xff\xff\xff\xff\xff\xff", NULL }, "the marker is not all ones" },
    { 8, 4, 0xff, { "XENF", NULL }, "the id is not XENF" },
    { 12, 4, 0xff, { "\0\0\0\2", "\0\0\0\3" }, "the version is neither 2 nor 3" },
    { 17, 1, 0x01, { "\0", NULL }, "the endianness is big, only little is read" },
    { 24, 4, 0xff, { "\1\0\0\0", "\2\0\0\0" }, "the guest type is neither PV nor HVM" },
    { 28, 2, 0xff, { "\14\0", NULL }, "the page size is not 4096" },
};

static bool is_prefix(const struct field *f, const char *allowed, const uint8_t *octets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((octets[i] & f->mask) != (uint8_t)allowed[i])
            return false;
    return true;
}

static int fields_check(const struct view *in, struct err *e)
{
    for (const struct field *f = fields; f < fields + ARRAY_LEN(fields) && f->at < in->left; f++) {
        const uint8_t *octets = in->at + f->at;
        size_t n = in->left - f->at < f->bytes ? in->left - f->at : f->bytes;

        if (!is_prefix(f, f->allowed[0], octets, n) &&
            (!f->allowed[1] || !is_prefix(f, f->allowed[1], octets, n)))
            return err_set(e, EPROTO, "stream headers: %s", f->words);
    }
    return 0;
}

int stream_headers_take(struct view *in, struct stream_headers *ret, struct err *e)
{
    const uint8_t *octets;
    int rc;

    if ((rc = fields_check(in, e)) < 0)
        return rc;
    if (view_take(in, STREAM_HEADERS_BYTES, &octets) < 0)
        return 0;
    *ret = (struct stream_headers){
        .version = load_be32(octets + 12),
        .guest = (enum stream_guest)load_u32(octets + 24),
        .xen_major = load_u32(octets + 32),
        .xen_minor = load_u32(octets + 36),
    };
    return 1;
}

int stream_headers_put(struct sink *out, const struct stream_headers *h)
{
    uint8_t *octets;

    must(h->version == STREAM_VERSION);
    must(h->guest == STREAM_GUEST_PV || h->guest == STREAM_GUEST_HVM);
    if (sink_room(out, STREAM_HEADERS_BYTES, &octets) < 0)
        return -ENOBUFS;
    memset(octets, 0, STREAM_HEADERS_BYTES);
    store_be64(octets, STREAM_MARKER);
    store_be32(octets + 8, STREAM_ID);
    store_be32(octets + 12, h->version);
    store_u32(octets + 24, h->guest);
    store_u16(octets + 28, 12); /* page shift */
    store_u32(octets + 32, h->xen_major);
    store_u32(octets + 36, h->xen_minor);
    return 0;
}

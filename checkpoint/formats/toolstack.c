/* toolstack — see toolstack.h. */
#include "checkpoint/formats/toolstack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define TOOLSTACK_VERSION 1u
#define PADDING_BYTES     4u

struct mapping {
    uint64_t offset, start, bytes;
    const uint8_t *name; /* NUL-terminated */
    uint32_t name_bytes; /* with its NUL */
};

static int mapping_take(struct view *in, unsigned width, struct mapping *ret)
{
    const uint8_t *padding;

    if (view_u64(in, &ret->offset) < 0 || view_u64(in, &ret->start) < 0 || view_u64(in, &ret->bytes) < 0 ||
        view_u32(in, &ret->name_bytes) < 0 || view_take(in, ret->name_bytes, &ret->name) < 0 ||
        view_take(in, width == 8 ? PADDING_BYTES : 0, &padding) < 0)
        return -EPROTO;
    if (ret->name_bytes == 0 || memchr(ret->name, '\0', ret->name_bytes) != ret->name + ret->name_bytes - 1)
        return -EPROTO;
    return 0;
}

static int key_put(struct sink *out, uint64_t offset, const char *leaf)
{
    char key[64];
    int n = snprintf(key, sizeof(key), "physmap/%" PRIx64 "/%s", offset, leaf);

    return sink_put(out, key, (size_t)n + 1);
}

static int number_put(struct sink *out, uint64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%" PRIx64, value);

    return sink_put(out, text, (size_t)n + 1);
}

static int mapping_put(struct sink *out, const struct mapping *m)
{
    if (key_put(out, m->offset, "start_addr") < 0 || number_put(out, m->start) < 0 ||
        key_put(out, m->offset, "size") < 0 || number_put(out, m->bytes) < 0 ||
        key_put(out, m->offset, "name") < 0 || sink_put(out, m->name, m->name_bytes) < 0)
        return -ENOBUFS;
    return 0;
}

int toolstack_keys(struct view chunk, unsigned width, struct sink *out)
{
    uint32_t version, count;
    int rc = 0;

    if (view_u32(&chunk, &version) < 0 || view_u32(&chunk, &count) < 0 || version != TOOLSTACK_VERSION)
        return -EPROTO;
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct mapping m;

        if ((rc = mapping_take(&chunk, width, &m)) == 0)
            rc = mapping_put(out, &m);
    }
    return rc;
}

/* record — framing of the stream's records, see record.h.
 * Every length is compared with its limits before it takes part in any arithmetic. */
#include "checkpoint/record.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct row {
    const char *name;
    uint32_t type;
    size_t least, most;
};

static const struct row rows[] = {
#define RECORD(name, type, least, most, origin) { #name, type, least, most },
#include "checkpoint/records.def"
#undef RECORD
};

static const struct row *row_of(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].type == type)
            return &rows[i];
    return NULL;
}

const char *record_name(uint32_t type)
{
    const struct row *row = row_of(type);

    return row ? row->name : NULL;
}

static int header_check(uint32_t type, uint32_t bytes, size_t body_max, struct err *e)
{
    const struct row *row = row_of(type);

    if (!row && !(type & RECORD_OPTIONAL))
        return err_set(e, EPROTO, "record type 0x%" PRIx32 " is unknown and mandatory", type);
    if (row && (bytes < row->least || bytes > row->most))
        return err_set(e, EPROTO, "record %s with length %" PRIu32 ", not %zu to %zu", row->name,
                       bytes, row->least, row->most);
    if (bytes > body_max || bytes > RECORD_BODY_MAX)
        return err_set(e, EPROTO, "record type 0x%" PRIx32 " with length %" PRIu32 ", limit %zu", type,
                       bytes, body_max < RECORD_BODY_MAX ? body_max : (size_t)RECORD_BODY_MAX);
    return 0;
}

int record_take(struct view *in, size_t body_max, struct record *ret, struct err *e)
{
    struct view rest = *in;
    const uint8_t *body;
    uint32_t type, bytes;
    int rc;

    if (view_u32(&rest, &type) < 0 || view_u32(&rest, &bytes) < 0)
        return 0;
    if ((rc = header_check(type, bytes, body_max, e)) < 0)
        return rc;
    if (view_take(&rest, record_padded(bytes), &body) < 0)
        return 0;
    for (size_t i = bytes; i < record_padded(bytes); i++)
        if (body[i] != 0)
            return err_set(e, EPROTO, "record type 0x%" PRIx32 ": padding is not zero", type);
    *ret = (struct record){ .type = type, .bytes = bytes, .body = body };
    *in = rest;
    return 1;
}

int record_put(struct sink *out, uint32_t type, const void *body, size_t bytes)
{
    static const uint8_t zeros[8];
    struct sink rest = *out;

    must(bytes <= RECORD_BODY_MAX);
    if (sink_u32(&rest, type) < 0 || sink_u32(&rest, (uint32_t)bytes) < 0 ||
        sink_put(&rest, body, bytes) < 0 || sink_put(&rest, zeros, record_padded(bytes) - bytes) < 0)
        return -ENOBUFS;
    *out = rest;
    return 0;
}

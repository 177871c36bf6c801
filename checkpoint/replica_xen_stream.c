/* replica_xen_stream — see replica_xen_stream.h. Framings: docs/STREAM-FORMAT.md. The emulator's state
 * comes as FOREIGN_STATE records (u32 number · u32 is_indexed · u32 index · u32 emulator · octets), in
 * which libxc's part of a stream carries it. */
#include "checkpoint/replica_xen_stream.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "checkpoint/formats/foreign.h"
#include "checkpoint/formats/libxl.h"
#include "checkpoint/record.h"
#include "checkpoint/stream.h"

#define FOREIGN_BYTES   16u
#define EMULATOR_BYTES  8u
#define NOBODYS_RECORD  0xd25000ffu /* optional, and known to no reader: skipped by all */

static int next(struct view *in, struct record *ret, const char *where, struct err *e)
{
    int rc;

    if (in->left == 0)
        return 0;
    rc = record_take(in, RECORD_BODY_MAX, ret, e);
    return rc == 0 ? err_set(e, EPROTO, "%s ends within a record", where) : rc;
}

int replica_xen_check_preamble(struct view records, struct err *e)
{
    struct record r;
    int rc;

    while ((rc = next(&records, &r, "the preamble", e)) == 1)
        if (r.type != RECORD_X86_CPUID_POLICY && r.type != RECORD_X86_MSR_POLICY &&
            !(r.type & RECORD_OPTIONAL))
            return err_set(e, EPROTO, "record %#" PRIx32 " in the preamble of a Xen domain", r.type);
    return rc;
}

/* libxl's type of an emulator's record, -1 for any other record. */
static int emulator_type(const struct record *r)
{
    const char *name = r->type == (uint32_t)RECORD_FOREIGN_STATE ? foreign_name(load_u32(r->body)) : NULL;

    if (name && strcmp(name, "EMULATOR_XENSTORE_DATA") == 0)
        return LIBXL_EMULATOR_XENSTORE_DATA;
    return name && strcmp(name, "EMULATOR_CONTEXT") == 0 ? LIBXL_EMULATOR_CONTEXT : -1;
}

int replica_xen_check_state(struct view records, enum xen_type type, struct err *e)
{
    unsigned clocks = 0, contexts = 0, params = 0, emulators = 0;
    struct record r;
    int rc;

    while ((rc = next(&records, &r, "the state", e)) == 1) {
        clocks += r.type == RECORD_X86_TSC_INFO;
        contexts += r.type == RECORD_HVM_CONTEXT;
        params += r.type == RECORD_HVM_PARAMS;
        emulators += emulator_type(&r) == LIBXL_EMULATOR_CONTEXT;
        if (r.type != RECORD_X86_TSC_INFO && r.type != RECORD_HVM_CONTEXT &&
            r.type != RECORD_HVM_PARAMS && !(r.type & RECORD_OPTIONAL))
            return err_set(e, EPROTO, "record %#" PRIx32 " in the state of a Xen domain", r.type);
        if (r.type == RECORD_HVM_PARAMS && r.bytes != 8 + (uint64_t)load_u32(r.body) * 16)
            return err_set(e, EPROTO, "HVM_PARAMS of %" PRIu32 " octets says %" PRIu32 " entries", r.bytes,
                           load_u32(r.body));
    }
    if (rc < 0)
        return rc;
    if (clocks != 1 || contexts != 1 || params != 1 || emulators != xen_type_has_emulator(type))
        return err_set(e, EPROTO, "a %s domain's state with %u X86_TSC_INFO, %u HVM_CONTEXT, %u HVM_PARAMS, "
                       "%u EMULATOR_CONTEXT", xen_type_name(type), clocks, contexts, params, emulators);
    return 0;
}

static int header(struct sink *to, uint32_t type, uint32_t bytes)
{
    return sink_u32(to, type) < 0 ? -1 : sink_u32(to, bytes);
}

static int put_xl_header(struct sink *to, const char *config)
{
    uint32_t bytes = (uint32_t)strlen(config) + 1; /* its NUL is part of it */

    if (sink_put(to, XL_MAGIC, XL_MAGIC_BYTES) < 0 || sink_u32(to, XL_BYTE_ORDER) < 0 ||
        sink_u32(to, XL_FLAG_JSON | XL_FLAG_LIBXL_STREAM) < 0 || sink_u32(to, 0) < 0 ||
        sink_u32(to, bytes + 4) < 0 || sink_u32(to, bytes) < 0)
        return -1;
    return sink_put(to, config, bytes);
}

static int put_headers(struct sink *to, const struct xen_shape *shape)
{
    const struct stream_headers h = { .version = STREAM_VERSION, .guest = STREAM_GUEST_HVM,
                                      .xen_major = shape->xen_major, .xen_minor = shape->xen_minor };

    if (sink_be64(to, LIBXL_IDENT) < 0 || sink_be32(to, LIBXL_VERSION) < 0 || sink_be32(to, 0) < 0 ||
        header(to, LIBXL_LIBXC_CONTEXT, 0) < 0)
        return -1;
    return stream_headers_put(to, &h);
}

int replica_xen_head(struct sink *to, const struct xen_shape *shape, const char *config,
                     struct view preamble, struct err *e)
{
    struct sink at = *to;

    if (put_xl_header(&at, config) < 0 || put_headers(&at, shape) < 0 ||
        sink_put(&at, preamble.at, preamble.left) < 0 ||
        record_put(&at, RECORD_STATIC_DATA_END, NULL, 0) < 0 || header(&at, NOBODYS_RECORD, 0) < 0)
        return err_set(e, ENOBUFS, "no room for what comes before a domain's memory");
    *to = at;
    return 0;
}

static int put_emulators(struct sink *to, struct view state)
{
    static const uint8_t zeros[8];
    struct record r;
    struct err e;

    while (next(&state, &r, "the state", &e) == 1) {
        int type = emulator_type(&r);
        uint32_t bytes = r.bytes - FOREIGN_BYTES + EMULATOR_BYTES;

        if (type < 0)
            continue;
        if (header(to, (uint32_t)type, bytes) < 0 || sink_u32(to, load_u32(r.body + 12)) < 0 ||
            sink_u32(to, load_u32(r.body + 8)) < 0 ||
            sink_put(to, r.body + FOREIGN_BYTES, r.bytes - FOREIGN_BYTES) < 0 ||
            sink_put(to, zeros, record_padded(bytes) - bytes) < 0)
            return -1;
    }
    return 0;
}

int replica_xen_tail(struct sink *to, struct view state, struct err *e)
{
    struct view in = state;
    struct sink at = *to;
    struct record r;

    while (next(&in, &r, "the state", e) == 1)
        if (!(r.type & RECORD_OPTIONAL) && record_put(&at, r.type, r.body, r.bytes) < 0)
            return err_set(e, ENOBUFS, "no room for a domain's state");
    if (record_put(&at, RECORD_END, NULL, 0) < 0 || put_emulators(&at, state) < 0 ||
        header(&at, LIBXL_END, 0) < 0)
        return err_set(e, ENOBUFS, "no room for what ends a domain's stream");
    *to = at;
    return 0;
}

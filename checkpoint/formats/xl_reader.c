/* xl_reader — the header that `xl save` and `xl migrate` put before a stream: flags and the domain's
 * configuration. Xen 4.6 and later go on with a libxl stream, earlier ones with a legacy one. */
#include "checkpoint/formats/reading.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "checkpoint/formats/libxl.h"

#define OPTIONAL_MAX      (16u << 20) /* octets; xl has no bound */

static int config(struct reading *r, uint32_t bytes, bool is_json, struct err *e)
{
    struct stream_state blob = { .name = is_json ? "XL_CONFIG" : "XL_CONFIG_TEXT", .type = STATE_FOREIGN };
    uint64_t offset = reading_offset(r);
    uint32_t length;
    int rc;

    if (bytes == 0)
        return 0;
    if (bytes < 4)
        return reading_refuse(r, offset, e, "%" PRIu32 " octets of optional data hold no length", bytes);
    if ((rc = reading_u32(r, &length, e)) < 0)
        return rc;
    if (length > bytes - 4)
        return reading_refuse(r, offset, e, "a configuration of %" PRIu32 " octets in %" PRIu32
                              " octets of optional data", length, bytes);
    blob.total = length;
    if ((rc = reading_state_from_input(r, &blob, e)) < 0)
        return rc;
    return reading_skip(r, bytes - 4 - length, e);
}

int reader_xl(struct reading *r, struct err *e)
{
    static const char magic[XL_MAGIC_BYTES] = { XL_MAGIC };
    uint64_t offset = reading_offset(r);
    uint32_t flags, optional;
    const uint8_t *at;
    int rc = reading_take(r, XL_MAGIC_BYTES, &at, e);

    if (rc < 0)
        return rc;
    if (memcmp(at, magic, XL_MAGIC_BYTES) != 0)
        return reading_refuse(r, offset, e, "the magic is not that of xl");
    if ((rc = reading_take(r, XL_FIXED_BYTES, &at, e)) < 0)
        return rc;
    if (load_u32(at) != XL_BYTE_ORDER)
        return reading_refuse(r, offset + 32, e, "wrong byte order: 0x%08" PRIx32, load_u32(at));
    flags = load_u32(at + 4);
    if (flags & ~(XL_FLAG_JSON | XL_FLAG_LIBXL_STREAM))
        return reading_refuse(r, offset + 36, e, "unknown mandatory flags 0x%08" PRIx32, flags);
    if (r->wishes.strict && load_u32(at + 8))
        return reading_refuse(r, offset + 40, e, "optional flags 0x%08" PRIx32 ", not 0", load_u32(at + 8));
    optional = load_u32(at + 12);
    if (optional > OPTIONAL_MAX)
        return reading_refuse(r, offset + 44, e, "%" PRIu32 " octets of optional data, the limit is %u",
                              optional, OPTIONAL_MAX);
    if ((rc = config(r, optional, flags & XL_FLAG_JSON, e)) < 0)
        return rc;
    return flags & XL_FLAG_LIBXL_STREAM ? reader_libxl(r, e) : reader_legacy(r, e);
}

/* libxl_reader — the libxl migration stream, version 2: records around one libxc stream. A checkpoint
 * is committed by CHECKPOINT_END, not before. Lengths are bounded here, though libxl has no bound;
 * optional records are skipped, as the text says and libxl does not. */
#include "checkpoint/formats/libxc_inside.h"
#include "checkpoint/formats/libxl.h"

#include <errno.h>
#include <inttypes.h>

#define OPTIONS_KNOWN  (LIBXL_OPTION_BIG_ENDIAN | LIBXL_OPTION_LEGACY)
#define EMULATOR_BYTES    8u


static const char *const names[] = { "END", "LIBXC_CONTEXT", "EMULATOR_XENSTORE_DATA", "EMULATOR_CONTEXT",
                                     "CHECKPOINT_END", "CHECKPOINT_STATE" };

static int refuse_here(struct reading *r, struct err *e, const char *rule)
{
    return reading_refuse(r, reading_offset(r), e, "%s", rule);
}

static int header(struct reading *r, struct err *e)
{
    uint64_t offset = reading_offset(r);
    const uint8_t *at;
    uint32_t options;
    int rc = reading_take(r, LIBXL_HEADER_BYTES, &at, e);

    if (rc < 0)
        return rc;
    if (load_be64(at) != LIBXL_IDENT)
        return reading_refuse(r, offset, e, "the ident is not LibxlFmt");
    if (load_be32(at + 8) != LIBXL_VERSION)
        return reading_refuse(r, offset + 8, e, "version %" PRIu32 ", not 2", load_be32(at + 8));
    options = load_be32(at + 12);
    if (options & LIBXL_OPTION_BIG_ENDIAN)
        return reading_refuse(r, offset + 12, e, "the stream is big-endian; only little-endian ones are read");
    if (r->wishes.strict && (options & ~OPTIONS_KNOWN))
        return reading_refuse(r, offset + 12, e, "reserved options 0x%08" PRIx32, options);
    return 0;
}

struct libxl_record {
    uint32_t type, length;
};

static int record_open(struct reading *r, struct libxl_record *ret, struct err *e)
{
    const uint8_t *at;
    const char *name;
    int rc = reading_peek(r, RECORD_HEADER_BYTES, &at, e);

    if (rc < 0)
        return rc;
    *ret = (struct libxl_record){ load_u32(at), load_u32(at + 4) };
    name = ret->type <= LIBXL_CHECKPOINT_STATE   ? names[ret->type]
           : ret->type == RECORD_IMAGE_END       ? "IMAGE_END"
           : (ret->type & RECORD_OPTIONAL)       ? "optional"
                                                 : "unknown";
    if ((rc = reading_item(r, FRAMING_LIBXL, ret->type, name, ret->length, 0, e)) < 0 ||
        (rc = reading_take(r, RECORD_HEADER_BYTES, &at, e)) < 0)
        return rc;
    if (ret->length > RECORD_BODY_MAX)
        return reading_refuse(r, reading_offset(r), e, "length %" PRIu32 ", the limit is %u", ret->length,
                              RECORD_BODY_MAX);
    return 0;
}

static int padding_skip(struct reading *r, uint32_t length, struct err *e)
{
    size_t n = record_padded(length) - length;
    const uint8_t *at;
    int rc = reading_take(r, n, &at, e);

    for (size_t i = 0; rc == 0 && r->wishes.strict && i < n; i++)
        if (at[i] != 0)
            return refuse_here(r, e, "padding is not zero");
    return rc;
}

static int emulator(struct reading *r, const struct libxl_record *rec, struct err *e)
{
    struct stream_state blob = { .name = names[rec->type], .is_indexed = true, .type = rec->type };
    const uint8_t *at;
    int rc;

    if (r->facts.guest == STREAM_GUEST_PV)
        return refuse_here(r, e, "an emulator's record for a PV guest");
    if (rec->length < EMULATOR_BYTES)
        return reading_refuse(r, reading_offset(r), e, "length %" PRIu32 ", not 8 or more", rec->length);
    if ((rc = reading_take(r, EMULATOR_BYTES, &at, e)) < 0)
        return rc;
    blob.emulator = load_u32(at);
    blob.index = load_u32(at + 4);
    blob.total = rec->length - EMULATOR_BYTES;
    if ((rc = reading_state_from_input(r, &blob, e)) < 0)
        return rc;
    return padding_skip(r, rec->length, e);
}

/* A record without a body that this reader makes use of; whatever body it has is skipped. */
static int empty_body(struct reading *r, const struct libxl_record *rec, struct err *e)
{
    int rc;

    if (r->wishes.strict && rec->length != 0)
        return reading_refuse(r, reading_offset(r), e, "length %" PRIu32 ", not 0", rec->length);
    if ((rc = reading_skip(r, rec->length, e)) < 0)
        return rc;
    return padding_skip(r, rec->length, e);
}

/* A record that means the same inside a checkpoint and after the libxc stream. */
static int common(struct reading *r, const struct libxl_record *rec, struct err *e)
{
    int rc;

    switch (rec->type) {
    case LIBXL_EMULATOR_XENSTORE_DATA:
    case LIBXL_EMULATOR_CONTEXT:
        return emulator(r, rec, e);
    case LIBXL_LIBXC_CONTEXT:
        return refuse_here(r, e, "a second LIBXC_CONTEXT");
    case LIBXL_CHECKPOINT_STATE:
        return refuse_here(r, e, "CHECKPOINT_STATE belongs to COLO");
    default:
        if (!(rec->type & RECORD_OPTIONAL))
            return reading_refuse(r, reading_offset(r), e, "type 0x%" PRIx32 " is unknown and mandatory",
                                  rec->type);
        if ((rc = reading_skip(r, rec->length, e)) < 0)
            return rc;
        return padding_skip(r, rec->length, e);
    }
}

/* One record of a checkpoint, from its body on. What is wrong with it counts only once CHECKPOINT_END
 * has come: libxl keeps the records until then and looks at none of them. */
static int in_checkpoint(struct reading *r, const struct libxl_record *rec, struct err *e)
{
    uint64_t end = reading_offset(r) + record_padded(rec->length);
    int rc = rec->type == LIBXL_END ? refuse_here(r, e, "END inside a checkpoint") : common(r, rec, e);

    if (rc != -EPROTO || r->checkpoints == 0)
        return rc;
    reading_hold(r);
    return reading_skip(r, end - reading_offset(r), e);
}

/* Behind libxc's CHECKPOINT: what belongs to it, up to CHECKPOINT_END. */
static int to_checkpoint_end(struct reading *r, struct err *e)
{
    struct libxl_record rec;
    int rc;

    while ((rc = record_open(r, &rec, e)) == 0) {
        if (rec.type == LIBXL_CHECKPOINT_END)
            return empty_body(r, &rec, e);
        if ((rc = in_checkpoint(r, &rec, e)) < 0)
            return rc;
    }
    return rc;
}

/* Behind the libxc stream, up to END. */
static int to_end(struct reading *r, struct err *e)
{
    struct libxl_record rec;
    int rc;

    while ((rc = record_open(r, &rec, e)) == 0) {
        if (rec.type == LIBXL_END)
            return empty_body(r, &rec, e);
        if (rec.type == LIBXL_CHECKPOINT_END)
            return refuse_here(r, e, "CHECKPOINT_END outside a checkpoint");
        if (rec.type == RECORD_IMAGE_END)
            rc = reading_image_end(r, rec.length, e);
        else
            rc = common(r, &rec, e);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* Behind the libxc stream of checkpoints nothing is read by libxl, and nothing counts: its guest goes on
 * from the last checkpoint. Only a digest of ours is looked at. */
static int behind_checkpoints(struct reading *r, struct err *e)
{
    struct libxl_record rec;
    int rc;

    while ((rc = record_open(r, &rec, e)) == 0 && rec.type != LIBXL_END) {
        if (rec.type == RECORD_IMAGE_END)
            return reading_image_end(r, rec.length, e);
        if ((rc = reading_skip(r, record_padded(rec.length), e)) < 0)
            break;
    }
    return rc == -EPROTO ? 0 : rc;
}

int reader_libxl(struct reading *r, struct err *e)
{
    struct libxl_record rec;
    int rc = header(r, e);

    /* Optional records may stand before it. */
    while (rc == 0 && (rc = record_open(r, &rec, e)) == 0 && rec.type != LIBXL_LIBXC_CONTEXT) {
        if (!(rec.type & RECORD_OPTIONAL))
            return reading_refuse(r, reading_offset(r), e, "type 0x%" PRIx32 " before LIBXC_CONTEXT",
                                  rec.type);
        rc = common(r, &rec, e);
    }
    if (rc < 0 || (rc = empty_body(r, &rec, e)) < 0 || (rc = libxc_read(r, to_checkpoint_end, e)) < 0)
        return rc;
    if (!r->is_complete)
        return 0;
    return r->checkpoints > 0 ? behind_checkpoints(r, e) : to_end(r, e);
}

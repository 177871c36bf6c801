/* legacy_tail — what ends an epoch of a legacy stream: the vcpus and the shared info page of a PV guest,
 * or the context of an HVM guest and the state of its device model. */
#include "checkpoint/formats/legacy_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "checkpoint/record.h"
#include "compress/codec.h"

#define EXTENDED_BYTES       128u
#define XSAVE_HEAD_BYTES     16u
#define SIGNATURE_BYTES      21u
#define EMULATOR_CONTEXT     3u /* libxl's record */
#define SLICE_WORDS          4096u
#define PARAM_STORE_PFN      1u
#define PARAM_IOREQ_PFN      5u
#define PARAM_BUFIOREQ_PFN   6u
#define UNKNOWN_LENGTH_MAX   (32u << 20) /* a record without a length, from a pipe */

/* ---- PV ------------------------------------------------------------------------------------------ */

/* Pages that left the guest while it was saved. A restore frees them at its very end. */
static int unmapped(struct legacy *l, struct err *e)
{
    struct stream_state piece = { .name = UNMAPPED_NAME, .type = STATE_FOREIGN };
    AUTO_FREE uint8_t *wide = malloc(SLICE_WORDS * 8);
    uint32_t n;
    int rc;

    if (!wide)
        return err_set(e, ENOMEM, "legacy reader: %m");
    if ((rc = reading_u32(l->r, &n, e)) < 0)
        return rc;
    if (n > l->r->facts.pages)
        return legacy_refuse(l, e, "%" PRIu32 " unmapped pfns, but the guest has 0x%" PRIx64 " pages", n,
                             l->r->facts.pages);
    if (n == 0 && !l->has_unmapped)
        return 0;
    l->has_unmapped = true;
    piece.total = (uint64_t)n * 8;
    piece.octets = wide;
    do {
        uint32_t slice = n < SLICE_WORDS ? n : SLICE_WORDS;
        const uint8_t *words;

        if ((rc = reading_take(l->r, (size_t)slice * l->width, &words, e)) < 0)
            return rc;
        for (uint32_t i = 0; i < slice; i++) {
            uint64_t pfn = legacy_word(l, words, i);

            if (pfn >= l->r->facts.pages)
                return legacy_refuse(l, e, "unmapped pfn 0x%" PRIx64 ", but the guest has 0x%" PRIx64
                                     " pages", pfn, l->r->facts.pages);
            store_u64(wide + (size_t)i * 8, pfn);
        }
        piece.bytes = (size_t)slice * 8;
        if ((rc = reading_state_piece(l->r, &piece, e)) < 0)
            return rc;
        piece.at += piece.bytes;
        n -= slice;
    } while (n > 0);
    return 0;
}

static int vcpu_blob(struct legacy *l, const char *name, uint32_t type, uint32_t vcpu, uint64_t bytes,
                     struct err *e)
{
    struct stream_state state = { .name = name, .is_indexed = true, .index = vcpu, .type = type,
                                  .total = bytes };

    return reading_state_from_input(l->r, &state, e);
}

static int vcpu(struct legacy *l, uint32_t id, struct err *e)
{
    unsigned basic = l->r->facts.guest_width == 8 ? 0x1430 : 0xaf0;
    const uint8_t *head;
    int rc = vcpu_blob(l, "X86_PV_VCPU_BASIC", RECORD_X86_PV_VCPU_BASIC, id, basic, e);

    if (rc == 0 && l->has_extended)
        rc = vcpu_blob(l, "X86_PV_VCPU_EXTENDED", RECORD_X86_PV_VCPU_EXTENDED, id, EXTENDED_BYTES, e);
    if (rc < 0 || l->xsave_bytes == 0)
        return rc;
    if ((rc = reading_take(l->r, XSAVE_HEAD_BYTES, &head, e)) < 0)
        return rc;
    if (load_u64(head + 8) != l->xsave_bytes - XSAVE_HEAD_BYTES)
        return legacy_refuse(l, e, "vcpu %" PRIu32 " has %" PRIu64 " octets of xsave state, not the %" PRIu32
                             " of the extended info", id, load_u64(head + 8),
                             l->xsave_bytes - XSAVE_HEAD_BYTES);
    if (l->xsave_bytes == XSAVE_HEAD_BYTES)
        return 0;
    return vcpu_blob(l, "X86_PV_VCPU_XSAVE", RECORD_X86_PV_VCPU_XSAVE, id,
                     l->xsave_bytes - XSAVE_HEAD_BYTES, e);
}

int legacy_tail_pv(struct legacy *l, struct err *e)
{
    int rc = unmapped(l, e);

    for (uint32_t id = 0; rc == 0 && id <= l->vcpu_id_max; id++)
        if (l->vcpus[id / 64] >> id % 64 & 1)
            rc = vcpu(l, id, e);
    return rc < 0 ? rc : legacy_blob(l, "SHARED_INFO", RECORD_SHARED_INFO, PAGE_BYTES, e);
}

/* ---- HVM ----------------------------------------------------------------------------------------- */

static int context(struct legacy *l, struct err *e)
{
    static const uint64_t indexes[] = { PARAM_IOREQ_PFN, PARAM_BUFIOREQ_PFN, PARAM_STORE_PFN };
    uint32_t bytes;
    uint64_t pfn;
    int rc;

    for (size_t i = 0; i < ARRAY_LEN(indexes); i++)
        if ((rc = reading_u64(l->r, &pfn, e)) < 0 || (rc = reading_param(l->r, indexes[i], pfn, e)) < 0)
            return rc;
    if ((rc = reading_u32(l->r, &bytes, e)) < 0)
        return rc;
    if (bytes == 0 || bytes > LEGACY_BLOB_MAX)
        return legacy_refuse(l, e, "an HVM context of %" PRIu32 " octets, not 1 to %u", bytes,
                             LEGACY_BLOB_MAX);
    return legacy_blob(l, "HVM_CONTEXT", RECORD_HVM_CONTEXT, bytes, e);
}

/* Reads what is left of the input into memory, because nothing says how much it is. */
static int take_the_rest(struct legacy *l, uint8_t **ret, size_t *ret_bytes, struct err *e)
{
    AUTO_FREE uint8_t *kept = NULL;
    size_t bytes = 0, room = 0, left;
    const uint8_t *at;
    uint8_t *grown;
    int rc;

    while ((rc = stream_input_peek(l->r->in, 4096, &at, &left, e)) == 0 && left > 0) {
        if (left > 4096)
            left = 4096;
        if (bytes + left > UNKNOWN_LENGTH_MAX)
            return legacy_refuse(l, e, "a device model record of more than %u octets", UNKNOWN_LENGTH_MAX);
        if (bytes + left > room) {
            room = room ? 2 * room : 64 << 10;
            grown = realloc(kept, room);
            if (!grown)
                return err_set(e, ENOMEM, "legacy reader: %m");
            kept = grown;
        }
        memcpy(kept + bytes, at, left);
        bytes += left;
        if ((rc = reading_skip(l->r, left, e)) < 0)
            return rc;
    }
    *ret = kept;
    *ret_bytes = bytes;
    kept = NULL;
    return rc;
}

/* xend wrote the record last and without a length: it ends with the stream. */
static int record_to_the_end(struct legacy *l, struct err *e)
{
    struct stream_state state = { .name = "EMULATOR_CONTEXT", .is_indexed = true,
                                  .type = EMULATOR_CONTEXT };
    AUTO_FREE uint8_t *octets = NULL;
    size_t bytes = 0;
    int rc = take_the_rest(l, &octets, &bytes, e);

    if (rc < 0)
        return rc;
    if (bytes < 4 || memcmp(octets, "QEVM", 4) != 0)
        return legacy_refuse(l, e, "the device model's record does not start with QEVM");
    if (!l->is_last && (rc = reading_note(l->r, NOTE_LAST_CHECKPOINT, e)) < 0)
        return rc;
    l->is_last = true;
    state.total = state.bytes = bytes;
    state.octets = octets;
    return reading_state(l->r, &state, e);
}

static int record_of_length(struct legacy *l, struct err *e)
{
    struct stream_state state = { .name = "EMULATOR_CONTEXT", .is_indexed = true,
                                  .type = EMULATOR_CONTEXT };
    uint32_t bytes;
    int rc = reading_u32(l->r, &bytes, e);

    if (rc < 0)
        return rc;
    if (bytes > LEGACY_BLOB_MAX)
        return legacy_refuse(l, e, "a device model record of %" PRIu32 " octets, %u at most", bytes,
                             LEGACY_BLOB_MAX);
    state.total = bytes;
    return reading_state_from_input(l->r, &state, e);
}

static const struct {
    char signature[SIGNATURE_BYTES + 1];
    int (*read)(struct legacy *l, struct err *e);
} device_models[] = {
    { "DeviceModelRecord0002", record_of_length },
    { "RemusDeviceModelState", record_of_length },
    { "QemuDeviceModelRecord", record_to_the_end },
};

int legacy_tail_hvm(struct legacy *l, struct err *e)
{
    const uint8_t *at;
    int rc;

    if ((rc = context(l, e)) < 0 ||
        (rc = reading_item(l->r, FRAMING_LEGACY, 0, "DEVICE_MODEL", 0, 0, e)) < 0 ||
        (rc = reading_take(l->r, SIGNATURE_BYTES, &at, e)) < 0)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(device_models); i++)
        if (memcmp(at, device_models[i].signature, SIGNATURE_BYTES) == 0)
            return device_models[i].read(l, e);
    return reading_refuse(l->r, reading_offset(l->r) - SIGNATURE_BYTES, e,
                          "no device model has the signature that is here");
}

/* libxc_reader — the libxc migration stream, versions 2 and 3, plain and checkpointed, as files have it:
 * reserved fields and padding are looked at only when reading strictly, optional records are skipped,
 * our own records are read too (a capture of a session, a packed image).
 * After the first CHECKPOINT a record counts only once the next CHECKPOINT has come: what is wrong in
 * an epoch that never commits was never applied by anybody. Big-endian bodies are refused. */
#include "checkpoint/formats/libxc_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/pages.h"
#include "checkpoint/xen_shape.h"

#define IMAGE_HEADER_BYTES  24u
#define DOMAIN_HEADER_BYTES 16u
#define OPTION_BIG_ENDIAN   1u
#define GUEST_PV_ONLY       (1u << STREAM_GUEST_PV)
#define GUEST_HVM_ONLY      (1u << STREAM_GUEST_HVM)
#define GUEST_ANY           (GUEST_PV_ONLY | GUEST_HVM_ONLY)

int libxc_body(struct libxc *l, size_t n, const uint8_t **ret, struct err *e)
{
    int rc;

    if (n > l->left)
        return libxc_refuse(l, e, "length %" PRIu32 " is too short: %zu more octets are needed, %" PRIu64
                            " are left", l->length, n, l->left);
    if ((rc = reading_take(l->r, n, ret, e)) == 0)
        l->left -= n;
    return rc;
}

int libxc_reserved(struct libxc *l, const uint8_t *at, size_t n, const char *what, struct err *e)
{
    for (size_t i = 0; l->r->wishes.strict && i < n; i++)
        if (at[i] != 0)
            return libxc_refuse(l, e, "%s is not zero", what);
    return 0;
}

/* ---- headers ------------------------------------------------------------------------------------- */

static int image_header(struct reading *r, struct err *e)
{
    uint64_t offset = reading_offset(r);
    const uint8_t *at;
    uint16_t options;
    int rc = reading_take(r, IMAGE_HEADER_BYTES, &at, e);

    if (rc < 0)
        return rc;
    if (load_be64(at) != STREAM_MARKER)
        return reading_refuse(r, offset, e, "the marker is not all ones");
    if (load_be32(at + 8) != STREAM_ID)
        return reading_refuse(r, offset + 8, e, "id 0x%08" PRIx32 ", not XENF", load_be32(at + 8));
    r->facts.version = load_be32(at + 12);
    if (r->facts.version != 2 && r->facts.version != 3)
        return reading_refuse(r, offset + 12, e, "version %" PRIu32 ", not 2 or 3", r->facts.version);
    options = load_be16(at + 16);
    if (options & OPTION_BIG_ENDIAN)
        return reading_refuse(r, offset + 16, e, "the body is big-endian; only little-endian ones are "
                              "read (Xen never made others)");
    if (r->wishes.strict && (options || load_be16(at + 18) || load_be32(at + 20)))
        return reading_refuse(r, offset + 16, e, "the image header's reserved bits are not zero");
    return 0;
}

static int domain_header(struct reading *r, struct err *e)
{
    uint64_t offset = reading_offset(r);
    const uint8_t *at;
    uint32_t guest;
    int rc = reading_take(r, DOMAIN_HEADER_BYTES, &at, e);

    if (rc < 0)
        return rc;
    guest = load_u32(at);
    if (guest != STREAM_GUEST_PV && guest != STREAM_GUEST_HVM)
        return reading_refuse(r, offset, e, "guest type %" PRIu32 ", not 1 (PV) or 2 (HVM)", guest);
    if (load_u16(at + 4) != 12)
        return reading_refuse(r, offset + 4, e, "page shift %u, not 12", load_u16(at + 4));
    if (r->wishes.strict && load_u16(at + 6))
        return reading_refuse(r, offset + 6, e, "the domain header's reserved field is not zero");
    if (r->wishes.guest && r->wishes.guest != guest)
        return reading_refuse(r, offset, e, "the guest is %s, but %s was asked for",
                              guest == STREAM_GUEST_PV ? "PV" : "HVM",
                              guest == STREAM_GUEST_PV ? "HVM" : "PV");
    r->facts.guest = (enum stream_guest)guest;
    r->facts.xen_major = load_u32(at + 8);
    r->facts.xen_minor = load_u32(at + 12);
    return 0;
}

/* ---- order and checkpoints ----------------------------------------------------------------------- */

/* END, VERIFY, CHECKPOINT, STATIC_DATA_END: the text says that they have no body. */
static int no_body(struct libxc *l, struct err *e)
{
    if (l->r->wishes.strict && l->length != 0)
        return libxc_refuse(l, e, "length %" PRIu32 ", not 0", l->length);
    return 0;
}

static int static_data_end(struct libxc *l, struct err *e)
{
    if (l->now.has_static_end)
        return libxc_refuse(l, e, "a second STATIC_DATA_END, or one after memory");
    l->now.has_static_end = true;
    return no_body(l, e) < 0 ? -EPROTO : reading_note(l->r, NOTE_STATIC_DATA_END, e);
}

static int verify(struct libxc *l, struct err *e)
{
    l->now.is_verify = true;
    return no_body(l, e) < 0 ? -EPROTO : reading_note(l->r, NOTE_VERIFY, e);
}

static int end(struct libxc *l, struct err *e)
{
    return no_body(l, e);
}

static int checkpoint(struct libxc *l, struct err *e)
{
    if (l->r->wishes.mode == MODE_PLAIN)
        return libxc_refuse(l, e, "CHECKPOINT in a stream that is not checkpointed");
    return no_body(l, e);
}

static int dirty_pfn_list(struct libxc *l, struct err *e)
{
    return libxc_refuse(l, e, "CHECKPOINT_DIRTY_PFN_LIST belongs to the back channel of COLO");
}

static int back_to_commit(struct libxc *l, struct err *e)
{
    l->now = l->kept;
    l->r->facts.pages = l->now.has_p2m ? l->now.end_pfn + 1 : 0;
    pagetable_drop(l->frames);
    return reading_drop(l->r, e);
}

/* The record is whole: what came since the last commit is a checkpoint now. */
static int commit(struct libxc *l, struct err *e)
{
    int rc;

    l->is_buffered = true;
    if (l->between && (rc = l->between(l->r, e)) < 0)
        return rc;
    if ((rc = reading_commit(l->r, e)) < 0)
        return rc;
    pagetable_commit(l->frames);
    l->kept = l->now;
    return 0;
}

/* ---- our own records ----------------------------------------------------------------------------- */

/* The body as a whole record, for the twins of record.h. */
static int whole(struct libxc *l, struct record *ret, struct err *e)
{
    *ret = (struct record){ .type = l->type, .bytes = l->length };
    if (l->length > STREAM_INPUT_WINDOW)
        return libxc_refuse(l, e, "length %" PRIu32 " is too long for this type", l->length);
    return libxc_body(l, l->length, &ret->body, e);
}

/* What a session says of a Xen domain has its configuration, which xl's own files begin with. */
static int config_of(struct libxc *l, const char *spec, struct err *e)
{
    struct stream_state config = { .name = "XL_CONFIG", .type = STATE_FOREIGN };
    struct xen_shape shape;
    struct err unused;

    if (l->r->is_held || xen_shape_parse(spec, &shape, &unused) < 0)
        return 0; /* a guest of another kind */
    config.octets = (const uint8_t *)shape.config;
    config.total = config.bytes = strlen(shape.config) + 1; /* its NUL is part of it */
    return l->r->to.ops->state(l->r->to.self, &config, e);
}

static int hello_read(struct libxc *l, struct err *e)
{
    struct record record;
    struct hello hello;
    struct err inner;
    int rc = whole(l, &record, e);

    if (rc == 0 && hello_get(&record, &hello, &inner) < 0)
        return libxc_refuse(l, e, "%.150s", inner.text);
    return rc < 0 ? rc : config_of(l, hello.spec, e);
}

/* What is unfinished is void. In the first epoch that is what a static record may belong to: kept. */
static int epoch_begin_read(struct libxc *l, struct err *e)
{
    struct record record;
    struct epoch_begin begin;
    struct err inner;
    int rc = whole(l, &record, e);

    if (rc < 0)
        return rc;
    if (epoch_begin_get(&record, &begin, &inner) < 0)
        return libxc_refuse(l, e, "%.150s", inner.text);
    if (l->r->checkpoints > 0 && (rc = back_to_commit(l, e)) < 0)
        return rc;
    l->now.has_epoch = true;
    l->epoch = begin.epoch;
    digest_begin(&l->epoch_digest);
    return 0;
}

static int epoch_end_read(struct libxc *l, struct err *e)
{
    struct record record;
    struct epoch_end got;
    struct err inner;
    int rc = whole(l, &record, e);

    if (rc < 0)
        return rc;
    if (epoch_end_get(&record, &got, &inner) < 0)
        return libxc_refuse(l, e, "%.150s", inner.text);
    if (!l->now.has_epoch || got.epoch != l->epoch)
        return libxc_refuse(l, e, "EPOCH_END of epoch %" PRIu64 " without its EPOCH_BEGIN", got.epoch);
    if (digest_value(&l->epoch_digest) != got.digest)
        return libxc_refuse(l, e, "the epoch's digest is 0x%016" PRIx64 ", said to be 0x%016" PRIx64,
                            digest_value(&l->epoch_digest), got.digest);
    l->now.has_epoch = false;
    return 0;
}

static int image_begin_read(struct libxc *l, struct err *e)
{
    if (l->r->items != l->items_before + 1)
        return libxc_refuse(l, e, "IMAGE_BEGIN is not the first record");
    l->left = 0;
    return reading_image_begin(l->r, l->length, e);
}

static int image_end_read(struct libxc *l, struct err *e)
{
    l->left = 0;
    return reading_image_end(l->r, l->length, e);
}

static int nothing(UNUSED struct libxc *l, UNUSED struct err *e)
{
    return 0;
}

static int session_only(struct libxc *l, struct err *e)
{
    return libxc_refuse(l, e, "this record goes from a backup to its primary");
}

/* ---- records ------------------------------------------------------------------------------------- */

struct row {
    uint32_t type;
    const char *name;
    unsigned guests;
    libxc_handler *handle;
    bool is_epochs; /* part of what EPOCH_END's digest is over */
};

#define ROW(name, guests, handler, is_epochs) { RECORD_##name, #name, guests, handler, is_epochs }
static const struct row rows[] = {
    ROW(END, GUEST_ANY, end, false),
    ROW(PAGE_DATA, GUEST_ANY, libxc_page_data, true),
    ROW(X86_PV_INFO, GUEST_PV_ONLY, libxc_pv_info, true),
    ROW(X86_PV_P2M_FRAMES, GUEST_PV_ONLY, libxc_p2m_frames, true),
    ROW(X86_PV_VCPU_BASIC, GUEST_PV_ONLY, libxc_vcpu, true),
    ROW(X86_PV_VCPU_EXTENDED, GUEST_PV_ONLY, libxc_vcpu, true),
    ROW(X86_PV_VCPU_XSAVE, GUEST_PV_ONLY, libxc_vcpu, true),
    ROW(SHARED_INFO, GUEST_PV_ONLY, libxc_shared_info, true),
    ROW(X86_TSC_INFO, GUEST_ANY, libxc_tsc, true),
    ROW(HVM_CONTEXT, GUEST_HVM_ONLY, libxc_context, true),
    ROW(HVM_PARAMS, GUEST_HVM_ONLY, libxc_params, true),
    ROW(X86_PV_VCPU_MSRS, GUEST_PV_ONLY, libxc_vcpu, true),
    ROW(VERIFY, GUEST_ANY, verify, false),
    ROW(CHECKPOINT, GUEST_ANY, checkpoint, false),
    ROW(CHECKPOINT_DIRTY_PFN_LIST, GUEST_ANY, dirty_pfn_list, false),
    ROW(STATIC_DATA_END, GUEST_ANY, static_data_end, false),
    ROW(X86_CPUID_POLICY, GUEST_ANY, libxc_policy, true),
    ROW(X86_MSR_POLICY, GUEST_ANY, libxc_policy, true),
    ROW(PAGE_DATA_ENCODED, GUEST_ANY, libxc_page_data_encoded, true),
    ROW(PAGE_SUMS, GUEST_ANY, nothing, true),
    ROW(EPOCH_BEGIN, GUEST_ANY, epoch_begin_read, false),
    ROW(EPOCH_END, GUEST_ANY, epoch_end_read, false),
    ROW(IMAGE_BEGIN, GUEST_ANY, image_begin_read, false),
    ROW(IMAGE_END, GUEST_ANY, image_end_read, false),
    ROW(HELLO, GUEST_ANY, hello_read, false),
    ROW(HELLO_ACK, GUEST_ANY, session_only, false),
    ROW(ACK, GUEST_ANY, session_only, false),
    ROW(NEED_PAGES, GUEST_ANY, session_only, false),
    ROW(VERIFIED, GUEST_ANY, session_only, false),
    ROW(DETACH, GUEST_ANY, nothing, false),
    ROW(HEARTBEAT, GUEST_ANY, nothing, false),
    ROW(CPU_INFO, GUEST_ANY, nothing, false),
    ROW(STATS, GUEST_ANY, nothing, false),
    ROW(FOREIGN_STATE, GUEST_ANY, libxc_foreign, true),
};

static const struct row *row_of(uint32_t type)
{
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++)
        if (row->type == type)
            return row;
    return NULL;
}

/* Records that decide over the epoch are looked at even when the epoch is lost already. */
static bool is_border(uint32_t type)
{
    return type == RECORD_END || type == RECORD_CHECKPOINT || type == RECORD_EPOCH_BEGIN;
}

static int handle(struct libxc *l, const struct row *row, struct err *e)
{
    if (!row && (l->type & RECORD_OPTIONAL))
        return 0;
    if (l->r->is_held && !is_border(l->type))
        return 0;
    if (!row)
        return libxc_refuse(l, e, "type 0x%" PRIx32 " is unknown and mandatory", l->type);
    if (!(row->guests & 1u << l->r->facts.guest))
        return libxc_refuse(l, e, "%s in the stream of %s guest", row->name,
                            l->r->facts.guest == STREAM_GUEST_PV ? "a PV" : "an HVM");
    return row->handle(l, e);
}

/* What the handler left of the body, and the padding, which is there even behind the last record. */
static int rest_skip(struct libxc *l, struct err *e)
{
    size_t padding = record_padded(l->length) - l->length;
    const uint8_t *at;
    int rc = reading_skip(l->r, l->left, e);

    if (rc < 0 || (rc = reading_take(l->r, padding, &at, e)) < 0)
        return rc;
    return libxc_reserved(l, at, padding, "padding", e);
}

static int body_and_rest(struct libxc *l, const struct row *row, struct err *e)
{
    int rc = handle(l, row, e);

    if (rc == -EPROTO && l->is_buffered && !is_border(l->type)) {
        reading_hold(l->r);
        rc = 0;
    }
    if (rc < 0)
        return rc;
    rc = rest_skip(l, e);
    if (rc == -EPROTO && l->is_buffered) {
        reading_hold(l->r);
        rc = 0;
    }
    return rc;
}

/* One record. 1: it was END. */
static int record(struct libxc *l, struct err *e)
{
    const struct row *row;
    const uint8_t *at;
    int rc = reading_peek(l->r, RECORD_HEADER_BYTES, &at, e);

    if (rc < 0)
        return rc;
    l->type = load_u32(at);
    l->left = l->length = load_u32(at + 4);
    row = row_of(l->type);
    if ((rc = reading_item(l->r, FRAMING_LIBXC, l->type,
                           row ? row->name : l->type & RECORD_OPTIONAL ? "optional" : "unknown",
                           l->length, 0, e)) < 0)
        return rc;
    if (l->length > RECORD_BODY_MAX) {
        rc = libxc_refuse(l, e, "length %" PRIu32 ", the limit is %u", l->length, RECORD_BODY_MAX);
        return l->is_buffered ? -ENODATA : rc; /* a buffering reader fails over here */
    }
    l->r->tap = row && row->is_epochs && l->now.has_epoch ? &l->epoch_digest : NULL;
    if ((rc = reading_take(l->r, RECORD_HEADER_BYTES, &at, e)) < 0 ||
        (rc = body_and_rest(l, row, e)) < 0)
        return rc;
    if (l->type == RECORD_CHECKPOINT)
        return commit(l, e);
    return l->type == RECORD_END;
}

/* A stream that breaks off behind a commit ends there. What END finds uncommitted is dropped, too. */
static int records(struct libxc *l, struct err *e)
{
    int rc;

    do {
        rc = record(l, e);
    } while (rc == 0);
    if (rc == -ENODATA && l->r->checkpoints > 0) {
        l->r->is_complete = false;
        rc = 1;
    }
    if (rc < 0)
        return rc;
    if (l->r->checkpoints > 0 && (rc = back_to_commit(l, e)) < 0)
        return rc;
    return libxc_complete(l, e);
}

int libxc_read(struct reading *r, int (*between)(struct reading *r, struct err *e), struct err *e)
{
    struct libxc *l = aligned_alloc(_Alignof(struct libxc), sizeof(*l)); /* its digests want that */
    int rc;

    if (!l)
        return err_set(e, ENOMEM, "libxc reader: %m");
    memset(l, 0, sizeof(*l));
    l->r = r;
    l->between = between;
    l->items_before = r->items;
    rc = pagetable_open(&l->frames, e);
    if (rc == 0)
        rc = image_header(r, e);
    if (rc == 0)
        rc = domain_header(r, e);
    if (rc == 0)
        rc = reading_begin(r, e);
    if (rc == 0)
        rc = records(l, e);
    r->tap = NULL;
    pagetable_close(l->frames);
    free(l->entries);
    free(l->chunk);
    free(l);
    return rc;
}

int reader_libxc(struct reading *r, struct err *e)
{
    return libxc_read(r, NULL, e);
}

/* libxc_state — the records that carry no pages: sizes, guests and contents that the format allows. */
#include "checkpoint/formats/libxc_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "checkpoint/formats/foreign.h"
#include "checkpoint/guest.h"
#include "checkpoint/formats/libxl.h"
#include "compress/codec.h"

#define PV_INFO_BYTES      8u
#define VCPU_HEADER_BYTES  8u
#define VCPU_64_BYTES      0x1430u
#define VCPU_32_BYTES      0xaf0u
#define VCPU_EXTENDED_MAX  128u
#define VCPU_XSAVE_LEAST   16u
#define VCPU_MSR_BYTES     16u
#define TSC_BYTES          24u
#define CPUID_LEAF_BYTES   24u
#define MSR_ENTRY_BYTES    16u
#define PARAM_BYTES        16u
#define FRAMES_SLICE       4096u

/* The whole body (or what is left of it) as one blob. */
static int blob(struct libxc *l, bool is_indexed, uint32_t index, struct err *e)
{
    struct stream_state state = { .name = l->r->item.name, .is_indexed = is_indexed, .index = index,
                                  .type = l->type, .total = l->left };

    l->left = 0;
    return reading_state_from_input(l->r, &state, e);
}

static int length_check(struct libxc *l, uint32_t want, struct err *e)
{
    if (l->length != want)
        return libxc_refuse(l, e, "length %" PRIu32 ", not %" PRIu32, l->length, want);
    return 0;
}

int libxc_pv_info(struct libxc *l, struct err *e)
{
    const uint8_t *at;
    int rc;

    if (l->length < PV_INFO_BYTES)
        return libxc_refuse(l, e, "length %" PRIu32 ", not %u or more", l->length, PV_INFO_BYTES);
    if (l->now.has_pv_info)
        return libxc_refuse(l, e, "a second X86_PV_INFO");
    if ((rc = reading_peek(l->r, PV_INFO_BYTES, &at, e)) < 0)
        return rc;
    if (!((at[0] == 8 && at[1] == 4) || (at[0] == 4 && at[1] == 3)))
        return libxc_refuse(l, e, "guest width %u with %u page table levels, not 8 with 4 or 4 with 3",
                            at[0], at[1]);
    if (l->r->wishes.guest_width && l->r->wishes.guest_width != at[0])
        return libxc_refuse(l, e, "guest width %u, but %u was asked for", at[0],
                            l->r->wishes.guest_width);
    if (l->now.basic_width && l->now.basic_width != at[0])
        return libxc_refuse(l, e, "guest width %u, but a vcpu came with that of width %u", at[0],
                            l->now.basic_width);
    if (l->r->wishes.strict && (l->length != PV_INFO_BYTES || load_u32(at + 4) || at[2] || at[3]))
        return libxc_refuse(l, e, "X86_PV_INFO's reserved octets are not zero");
    l->now.has_pv_info = true;
    l->now.guest_width = at[0];
    l->r->facts.guest_width = at[0];
    return blob(l, false, 0, e);
}

/* Frame i of the p2m; never 0, which means that it was not sent. */
static int frame_put(struct libxc *l, uint64_t i, uint64_t pfn, struct err *e)
{
    struct page_note note = { .is_populated = true, .offset = pfn + 1 };

    /* One that can be right nowhere is kept as one that is wrong everywhere. */
    if (pfn >= GUEST_PAGES_MAX)
        note.offset = GUEST_PAGES_MAX + 1;
    return l->r->is_held ? 0 : pagetable_set(l->frames, i, note, e);
}

int libxc_p2m_frames(struct libxc *l, struct err *e)
{
    struct stream_state piece = { .name = l->r->item.name, .type = l->type, .total = l->length };
    uint64_t start, end, per_frame, n, i;
    const uint8_t *at;
    int rc;

    if (!l->now.has_pv_info)
        return libxc_refuse(l, e, "before X86_PV_INFO");
    if (!l->now.has_static_end && l->r->facts.version >= 3)
        return libxc_refuse(l, e, "before STATIC_DATA_END");
    if ((rc = libxc_body(l, 8, &at, e)) < 0)
        return rc;
    l->now.has_static_end = true;
    start = load_u32(at);
    end = load_u32(at + 4);
    piece.emulator = (uint32_t)start; /* each range is a blob of its own: none replaces a part of another */
    piece.index = (uint32_t)end;
    per_frame = PAGE_BYTES / l->now.guest_width;
    if (start > end)
        return libxc_refuse(l, e, "start pfn 0x%" PRIx64 " is above end pfn 0x%" PRIx64, start, end);
    n = end / per_frame - start / per_frame + 1;
    if (l->left != n * 8)
        return libxc_refuse(l, e, "%" PRIu64 " octets of frames for pfns 0x%" PRIx64 " to 0x%" PRIx64
                            ", not %" PRIu64, l->left, start, end, n * 8);
    if (!reading_pfn_fits(l->r, end))
        return libxc_refuse(l, e, "end pfn 0x%" PRIx64 " is beyond the memory of any guest read here", end);
    piece.octets = at;
    piece.bytes = 8;
    rc = l->r->is_held ? 0 : l->r->to.ops->state(l->r->to.self, &piece, e);
    for (i = 0; rc == 0 && i < n;) {
        uint64_t slice = n - i < FRAMES_SLICE ? n - i : FRAMES_SLICE;

        if ((rc = libxc_body(l, (size_t)slice * 8, &at, e)) < 0)
            return rc;
        piece.at += piece.bytes;
        piece.octets = at;
        piece.bytes = (size_t)slice * 8;
        for (uint64_t k = 0; rc == 0 && k < slice; k++, i++)
            rc = frame_put(l, start / per_frame + i, load_u64(at + k * 8), e);
        if (rc == 0 && !l->r->is_held)
            rc = l->r->to.ops->state(l->r->to.self, &piece, e);
    }
    l->now.has_p2m = true;
    if (end > l->now.end_pfn)
        l->now.end_pfn = end;
    l->r->facts.pages = l->now.end_pfn + 1;
    return rc;
}

static int vcpu_size_check(struct libxc *l, uint32_t id, uint64_t bytes, struct err *e)
{
    unsigned width = bytes == VCPU_64_BYTES ? 8 : bytes == VCPU_32_BYTES ? 4 : 0;

    switch (l->type) {
    case RECORD_X86_PV_VCPU_BASIC:
        if (width == 0 || (l->now.has_pv_info && width != l->now.guest_width) ||
            (l->now.basic_width && width != l->now.basic_width))
            return libxc_refuse(l, e, "%" PRIu64 " octets of context, not 0x1430 (64-bit guest) or 0xaf0 "
                                "(32-bit guest)", bytes);
        l->now.basic_width = width;
        l->now.has_basic0 |= id == 0;
        return 0;
    case RECORD_X86_PV_VCPU_EXTENDED:
        if (bytes > VCPU_EXTENDED_MAX)
            return libxc_refuse(l, e, "%" PRIu64 " octets of extended context, not 1 to 128", bytes);
        return 0;
    case RECORD_X86_PV_VCPU_XSAVE:
        if (bytes < VCPU_XSAVE_LEAST)
            return libxc_refuse(l, e, "%" PRIu64 " octets of xsave state, not 16 or more", bytes);
        return 0;
    default:
        if (bytes % VCPU_MSR_BYTES != 0)
            return libxc_refuse(l, e, "%" PRIu64 " octets of MSRs, not a multiple of 16", bytes);
        return 0;
    }
}

int libxc_vcpu(struct libxc *l, struct err *e)
{
    const uint8_t *at;
    uint32_t id;
    int rc = libxc_body(l, VCPU_HEADER_BYTES, &at, e);

    if (rc < 0)
        return rc;
    id = load_u32(at);
    if ((rc = libxc_reserved(l, at + 4, 4, "the vcpu record's reserved field", e)) < 0)
        return rc;
    if (l->left == 0)
        return 0; /* errata of early savers: a header alone is skipped */
    if (id >= LIBXC_PV_VCPUS_MAX)
        return libxc_refuse(l, e, "vcpu %" PRIu32 ", not below %u", id, LIBXC_PV_VCPUS_MAX);
    if ((rc = vcpu_size_check(l, id, l->left, e)) < 0)
        return rc;
    return blob(l, true, id, e);
}

int libxc_shared_info(struct libxc *l, struct err *e)
{
    int rc = length_check(l, PAGE_BYTES, e);

    if (rc < 0)
        return rc;
    if (!l->now.has_pv_info)
        return libxc_refuse(l, e, "before X86_PV_INFO");
    return blob(l, false, 0, e);
}

int libxc_tsc(struct libxc *l, struct err *e)
{
    const uint8_t *at;
    int rc = length_check(l, TSC_BYTES, e);

    if (rc < 0 || (rc = reading_peek(l->r, TSC_BYTES, &at, e)) < 0 ||
        (rc = libxc_reserved(l, at + 20, 4, "X86_TSC_INFO's reserved field", e)) < 0)
        return rc;
    return blob(l, false, 0, e);
}

int libxc_context(struct libxc *l, struct err *e)
{
    if (l->length == 0)
        return libxc_refuse(l, e, "an empty HVM_CONTEXT");
    l->now.has_context = true;
    return blob(l, false, 0, e);
}

int libxc_params(struct libxc *l, struct err *e)
{
    const uint8_t *at;
    uint32_t count;
    int rc = libxc_body(l, 8, &at, e);

    if (rc < 0)
        return rc;
    count = load_u32(at);
    if ((rc = libxc_reserved(l, at + 4, 4, "HVM_PARAMS' reserved field", e)) < 0)
        return rc;
    if (l->left != (uint64_t)count * PARAM_BYTES)
        return libxc_refuse(l, e, "%" PRIu32 " parameters in a body of %" PRIu32 " octets", count,
                            l->length);
    for (uint32_t i = 0; i < count; i++) {
        if ((rc = libxc_body(l, PARAM_BYTES, &at, e)) < 0 ||
            (rc = reading_param(l->r, load_u64(at), load_u64(at + 8), e)) < 0)
            return rc;
    }
    return 0;
}

/* What comes after STATIC_DATA_END is checked, and has no effect. */
int libxc_policy(struct libxc *l, struct err *e)
{
    uint32_t each = l->type == RECORD_X86_CPUID_POLICY ? CPUID_LEAF_BYTES : MSR_ENTRY_BYTES;

    if (l->length == 0 || l->length % each != 0)
        return libxc_refuse(l, e, "length %" PRIu32 ", not a multiple of %" PRIu32 ", 1 or more",
                            l->length, each);
    return l->now.has_static_end ? 0 : blob(l, false, 0, e);
}

/* A blob of another framing or age, as our writer keeps it. Names nobody knows are skipped. */
int libxc_foreign(struct libxc *l, struct err *e)
{
    struct stream_state state = { .type = STATE_FOREIGN };
    const uint8_t *at;
    int rc = libxc_body(l, 16, &at, e);

    if (rc < 0)
        return rc;
    state.name = foreign_name(load_u32(at));
    if (!state.name)
        return 0;
    if (strcmp(state.name, "EMULATOR_XENSTORE_DATA") == 0)
        state.type = LIBXL_EMULATOR_XENSTORE_DATA;
    else if (strcmp(state.name, "EMULATOR_CONTEXT") == 0)
        state.type = LIBXL_EMULATOR_CONTEXT;
    state.is_indexed = load_u32(at + 4) & 1;
    state.index = load_u32(at + 8);
    state.emulator = load_u32(at + 12);
    state.total = l->left;
    l->left = 0;
    return reading_state_from_input(l->r, &state, e);
}

/* ---- at the end ---------------------------------------------------------------------------------- */

static int frames_complete(struct libxc *l, struct err *e)
{
    uint64_t frames = l->now.has_p2m ? l->now.end_pfn / (PAGE_BYTES / l->now.guest_width) + 1 : 0;

    for (uint64_t i = 0; i < frames; i++) {
        struct page_note frame = pagetable_get(l->frames, i), page;
        uint64_t pfn = frame.offset - 1;

        if (!frame.is_populated)
            return libxc_refuse(l, e, "frame %" PRIu64 " of the p2m was never sent", i);
        if (pfn > l->now.end_pfn)
            return libxc_refuse(l, e, "frame %" PRIu64 " of the p2m is pfn 0x%" PRIx64
                                ", above the largest pfn 0x%" PRIx64, i, pfn, l->now.end_pfn);
        page = pagetable_get(l->r->facts.table, pfn);
        if (!page.is_populated || page.type != PAGE_TYPE_NORMAL)
            return libxc_refuse(l, e, "frame %" PRIu64 " of the p2m is pfn 0x%" PRIx64
                                ", which was not sent as an ordinary page", i, pfn);
    }
    return 0;
}

int libxc_complete(struct libxc *l, struct err *e)
{
    if (l->r->facts.guest == STREAM_GUEST_HVM)
        return l->now.has_context ? 0 : libxc_refuse(l, e, "the stream ends without HVM_CONTEXT");
    if (!l->now.has_basic0)
        return libxc_refuse(l, e, "the stream ends without X86_PV_VCPU_BASIC of vcpu 0");
    if (!l->now.has_pv_info)
        return libxc_refuse(l, e, "the stream ends without X86_PV_INFO");
    return frames_complete(l, e);
}

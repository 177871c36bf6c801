/* legacy_head — what opens a legacy stream: the size of the guest, and of a PV guest its extended info
 * and the list of its p2m's frames. Finds out what the stream does not say: the width of its words and
 * the kind of its guest. */
#include "checkpoint/formats/legacy_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "checkpoint/guest.h"
#include "checkpoint/record.h"
#include "compress/codec.h"

#define XSAVE_LEAST 16u
#define SLICE_WORDS 4096u

/* Octets 4 to 7: the upper half of a 64-bit p2m_size, which is small; else what comes behind a 32-bit
 * one, which is never zero. */
static int size_read(struct legacy *l, struct err *e)
{
    const uint8_t *at;
    uint64_t pages;
    int rc;

    l->width = l->r->wishes.toolstack_width;
    if (!l->width) {
        if ((rc = reading_peek(l->r, 8, &at, e)) < 0)
            return rc;
        l->width = load_u32(at + 4) == 0 ? 8 : 4;
    }
    if ((rc = reading_peek(l->r, l->width, &at, e)) < 0)
        return rc;
    pages = legacy_word(l, at, 0);
    if (pages == 0 || pages > LEGACY_PAGES_MAX || !reading_pfn_fits(l->r, pages - 1))
        return legacy_refuse(l, e, "a guest of 0x%" PRIx64 " pages, not 1 to 0x%x: this is no legacy "
                             "stream of a %u-bit toolstack", pages, LEGACY_PAGES_MAX, l->width * 8);
    l->r->facts.pages = pages;
    return reading_skip(l->r, l->width, e);
}

/* Fills has_marker: a word of all ones, which is no frame of a p2m and no chunk of an HVM guest. */
static int guest_find(struct legacy *l, bool *has_marker, struct err *e)
{
    const uint8_t *at;
    int rc = reading_peek(l->r, l->width, &at, e);

    if (rc < 0)
        return rc;
    *has_marker = legacy_word(l, at, 0) == (l->width == 8 ? UINT64_MAX : UINT32_MAX);
    if (l->r->wishes.guest)
        l->r->facts.guest = (enum stream_guest)l->r->wishes.guest;
    else
        l->r->facts.guest = *has_marker ? STREAM_GUEST_PV : STREAM_GUEST_HVM;
    return 0;
}

static int block_vcpu(struct legacy *l, uint32_t bytes, struct err *e)
{
    if (bytes != 0x1430 && bytes != 0xaf0)
        return legacy_refuse(l, e, "a vcpu context of 0x%" PRIx32 " octets, not 0x1430 (64-bit guest) or "
                             "0xaf0 (32-bit guest)", bytes);
    l->r->facts.guest_width = bytes == 0x1430 ? 8 : 4;
    return 0;
}

static int block_extv(struct legacy *l, UNUSED uint32_t bytes, UNUSED struct err *e)
{
    l->has_extended = true;
    return 0;
}

static int block_xcnt(struct legacy *l, uint32_t bytes, struct err *e)
{
    const uint8_t *at;
    int rc;

    if (bytes < 4)
        return legacy_refuse(l, e, "xcnt of %" PRIu32 " octets, not 4", bytes);
    if ((rc = reading_peek(l->r, 4, &at, e)) < 0)
        return rc;
    l->xsave_bytes = load_u32(at);
    if (l->xsave_bytes != 0 && (l->xsave_bytes < XSAVE_LEAST || l->xsave_bytes > LEGACY_BLOB_MAX))
        return legacy_refuse(l, e, "%" PRIu32 " octets of xsave state a vcpu, not 0 or 16 to %u",
                             l->xsave_bytes, LEGACY_BLOB_MAX);
    return 0;
}

static const struct {
    char id[4];
    int (*read)(struct legacy *l, uint32_t bytes, struct err *e);
} blocks[] = {
    { { 'v', 'c', 'p', 'u' }, block_vcpu },
    { { 'e', 'x', 't', 'v' }, block_extv },
    { { 'x', 'c', 'n', 't' }, block_xcnt },
};

static int block_read(struct legacy *l, uint32_t *left, struct err *e)
{
    const uint8_t *head;
    uint32_t bytes;
    char id[4];
    int rc;

    if (*left < 8)
        return legacy_refuse(l, e, "%" PRIu32 " octets of extended info are left, a block needs 8", *left);
    if ((rc = reading_take(l->r, 8, &head, e)) < 0)
        return rc;
    memcpy(id, head, sizeof(id));
    bytes = load_u32(head + 4);
    *left -= 8;
    if (bytes > *left)
        return legacy_refuse(l, e, "a block of %" PRIu32 " octets in %" PRIu32 " octets of extended info",
                             bytes, *left);
    *left -= bytes;
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        if (memcmp(id, blocks[i].id, sizeof(id)) == 0 && (rc = blocks[i].read(l, bytes, e)) < 0)
            return rc;
    return reading_skip(l->r, bytes, e);
}

static int extended_info(struct legacy *l, struct err *e)
{
    uint64_t marker;
    uint32_t left;
    int rc;

    if ((rc = reading_item(l->r, FRAMING_LEGACY, 0, "EXTENDED_INFO", 0, 0, e)) < 0 ||
        (rc = legacy_ulong(l, &marker, e)) < 0 || (rc = reading_u32(l->r, &left, e)) < 0)
        return rc;
    while (rc == 0 && left > 0)
        rc = block_read(l, &left, e);
    return rc;
}

static int pv_info_tell(struct legacy *l, struct err *e)
{
    uint8_t octets[8] = { (uint8_t)l->r->facts.guest_width, l->r->facts.guest_width == 8 ? 4 : 3 };
    struct stream_state state = { .name = "X86_PV_INFO", .type = RECORD_X86_PV_INFO, .total = 8,
                                  .octets = octets, .bytes = 8 };

    return reading_state(l->r, &state, e);
}

/* The frames of the p2m, entries of the toolstack's width, told as a v3 record has them. */
static int p2m_list(struct legacy *l, struct err *e)
{
    uint64_t frames = (l->r->facts.pages - 1) / (PAGE_BYTES / l->r->facts.guest_width) + 1;
    struct stream_state piece = { .name = "X86_PV_P2M_FRAMES", .type = RECORD_X86_PV_P2M_FRAMES,
                                  .total = 8 + frames * 8 };
    uint8_t octets[SLICE_WORDS * 8];
    const uint8_t *words;
    int rc = reading_item(l->r, FRAMING_LEGACY, 0, "P2M_LIST", frames * l->width, 0, e);

    l->frames = malloc(frames * sizeof(*l->frames));
    if (!l->frames)
        return err_set(e, ENOMEM, "legacy reader: %m");
    piece.index = (uint32_t)l->r->facts.pages - 1;
    store_u32(octets, 0);
    store_u32(octets + 4, piece.index);
    piece.octets = octets;
    piece.bytes = 8;
    for (;;) {
        size_t n = frames < SLICE_WORDS ? (size_t)frames : SLICE_WORDS;

        if (rc < 0 || (rc = reading_state_piece(l->r, &piece, e)) < 0 || n == 0)
            return rc;
        if ((rc = reading_take(l->r, n * l->width, &words, e)) < 0)
            return rc;
        for (size_t i = 0; i < n; i++) {
            l->frames[l->frames_n + i] = legacy_word(l, words, i);
            store_u64(octets + i * 8, l->frames[l->frames_n + i]);
        }
        l->frames_n += n;
        piece.at += piece.bytes;
        piece.bytes = n * 8;
        frames -= n;
    }
}

/* A restore maps these frames to put the new p2m into them. What XTAB said last was something else before:
 * the entry names a page that is gone for the moment, and leaves its frame as it was. */
int legacy_frames_check(struct legacy *l, struct err *e)
{
    for (size_t i = 0; i < l->frames_n; i++) {
        uint64_t pfn = l->frames[i];
        struct page_note page;

        if (pfn >= l->r->facts.pages)
            return legacy_refuse(l, e, "frame %zu of the p2m is pfn 0x%" PRIx64 ", but the guest has 0x%" PRIx64
                                 " pages", i, pfn, l->r->facts.pages);
        page = pagetable_get(l->r->facts.table, pfn);
        if (!page.is_populated || (page.type != PAGE_TYPE_NORMAL && page.type != PAGE_TYPE_XTAB))
            return legacy_refuse(l, e, "frame %zu of the p2m is pfn 0x%" PRIx64
                                 ", which was not sent as an ordinary page", i, pfn);
    }
    return 0;
}

static int head_pv(struct legacy *l, bool has_marker, struct err *e)
{
    unsigned wish = l->r->wishes.guest_width;
    int rc = 0;

    l->r->facts.guest_width = wish && !has_marker ? wish : l->width;
    if (has_marker)
        rc = extended_info(l, e);
    if (rc == 0 && wish && wish != l->r->facts.guest_width)
        rc = legacy_refuse(l, e, "guest width %u, but %u was asked for", l->r->facts.guest_width, wish);
    if (rc == 0)
        rc = pv_info_tell(l, e);
    return rc < 0 ? rc : p2m_list(l, e);
}

int legacy_head(struct legacy *l, struct err *e)
{
    bool has_marker;
    int rc;

    l->r->facts.is_legacy = true;
    l->r->facts.version = 1;
    if ((rc = size_read(l, e)) < 0 || (rc = guest_find(l, &has_marker, e)) < 0)
        return rc;
    l->r->facts.toolstack_width = l->width;
    if ((rc = reading_begin(l->r, e)) < 0)
        return rc;
    return l->r->facts.guest == STREAM_GUEST_PV ? head_pv(l, has_marker, e) : 0;
}

/* pages_pack — see pages_pack.h. */
#include "checkpoint/pages_pack.h"

#include <string.h>

#include "compress/lz4_block.h"

#define PAYS_SHARE  20u /* it must save a twentieth, or the next chunks are not tried */
#define PAUSE_FIRST 4u
#define PAUSE_MAX   64u

static bool is_wanted(struct pages_packer *p, bool is_behind)
{
    if (p->packing != PAGES_PACK_AUTO)
        return p->packing == PAGES_PACK_ON;
    if (!is_behind)
        return false;
    if (p->pause > 0) {
        p->pause--;
        return false;
    }
    return true;
}

/* Whether the next chunks are worth a try. */
static void learn(struct pages_packer *p, size_t before, size_t after)
{
    if (before - after >= before / PAYS_SHARE) {
        p->next_pause = 0;
        return;
    }
    p->next_pause = p->next_pause == 0 ? PAUSE_FIRST : p->next_pause * 2;
    if (p->next_pause > PAUSE_MAX)
        p->next_pause = PAUSE_MAX;
    p->pause = p->next_pause;
}

bool pages_pack(struct pages_packer *p, bool is_behind, uint8_t *record, struct sink *out,
                struct pages_tally *tally)
{
    uint8_t *body = record + RECORD_HEADER_BYTES, *packing = body + PAGES_FIXED_BYTES, *end;
    size_t before = load_u32(record + 4) - PAGES_FIXED_BYTES, after, body_bytes;

    must(load_u32(record) == RECORD_PAGE_DATA_ENCODED && (load_u32(body + 4) & PAGES_PACKED) == 0);
    if (before < 2 || !is_wanted(p, is_behind))
        return false;
    /* Into the room behind the record, then down. */
    after = lz4_block_pack(packing, before, out->at, out->left < before - 1 ? out->left : before - 1);
    learn(p, before, after ? after : before);
    if (after == 0)
        return false;

    body_bytes = PAGES_FIXED_BYTES + after;
    memmove(packing, out->at, after);
    memset(packing + after, 0, record_padded(body_bytes) - body_bytes);
    store_u32(record + 4, (uint32_t)body_bytes);
    store_u32(body + 4, load_u32(body + 4) | PAGES_PACKED);
    end = record + record_wire_bytes(body_bytes);
    tally->wire_bytes -= (uint64_t)(out->at - end);
    out->left += (size_t)(out->at - end);
    out->at = end;
    return true;
}

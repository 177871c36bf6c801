/* pages_pack — see pages_pack.h. */
#include "checkpoint/pages_pack.h"

#include <string.h>

#include "compress/lz4_block.h"

#define PAYS_SHARE  20u /* it must save a twentieth, or the next chunks are not tried */
#define PAUSE_FIRST 4u
#define PAUSE_MAX   64u

bool pages_pack_wants(struct pages_packer *p, bool is_behind)
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

void pages_pack_learn(struct pages_packer *p, size_t before, size_t after)
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

size_t pages_pack_try(uint8_t *record, uint8_t *scratch, size_t scratch_bytes)
{
    uint8_t *body = record + RECORD_HEADER_BYTES, *packing = body + PAGES_FIXED_BYTES;
    size_t before = load_u32(record + 4) - PAGES_FIXED_BYTES, after, body_bytes;

    must(load_u32(record) == RECORD_PAGE_DATA_ENCODED && (load_u32(body + 4) & PAGES_PACKED) == 0);
    after = before < 2 ? 0
                       : lz4_block_pack(packing, before, scratch,
                                        scratch_bytes < before - 1 ? scratch_bytes : before - 1,
                                        LZ4_BLOCK_CHUNK);
    if (after == 0)
        return record_wire_bytes(load_u32(record + 4));
    body_bytes = PAGES_FIXED_BYTES + after;
    memcpy(packing, scratch, after);
    memset(packing + after, 0, record_padded(body_bytes) - body_bytes);
    store_u32(record + 4, (uint32_t)body_bytes);
    store_u32(body + 4, load_u32(body + 4) | PAGES_PACKED);
    return record_wire_bytes(body_bytes);
}

bool pages_pack(struct pages_packer *p, bool is_behind, uint8_t *record, struct sink *out,
                struct pages_tally *tally)
{
    size_t before = (size_t)(out->at - record), after;

    if (!pages_pack_wants(p, is_behind))
        return false;
    after = pages_pack_try(record, out->at, out->left); /* into the room behind the record, then down */
    pages_pack_learn(p, before, after);
    tally->wire_bytes -= before - after;
    out->left += before - after;
    out->at -= before - after;
    return (load_u32(record + RECORD_HEADER_BYTES + 4) & PAGES_PACKED) != 0;
}

/* legacy_tmem — transcendent memory in a legacy stream: pools with their pages, and what was invalid
 * since. Nothing reads it any more, so it is only walked, and kept as it stands: in pieces that
 * consumers take as states TMEM and TMEM_EXTRA with running indexes. Any size in bounded memory. */
#include "checkpoint/formats/legacy_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "compress/codec.h"

#define PIECE_BYTES    (256u << 10)
#define SLICE_BYTES    (64u << 10)
#define HEAD_BYTES     28u
#define POOL_BYTES     24u /* flags, n_pages, uuid: what follows the id */
#define OBJECT_BYTES   24u
#define END_OF_POOLS   UINT32_MAX
#define TMEM_VERSION   1u

/* What is walked over is gathered here until a piece is full. */
struct gatherer {
    struct legacy *l;
    const char *name;
    uint32_t index;
    size_t bytes;
    uint8_t *octets;
};

static int gatherer_flush(struct gatherer *g, struct err *e)
{
    struct stream_state piece = { .name = g->name, .is_indexed = true, .index = g->index++,
                                  .type = STATE_FOREIGN, .total = g->bytes, .octets = g->octets,
                                  .bytes = g->bytes };

    g->bytes = 0;
    return reading_state(g->l->r, &piece, e);
}

/* Takes n octets (SLICE_BYTES at most) and keeps them. */
static int gather(struct gatherer *g, size_t n, const uint8_t **ret, struct err *e)
{
    int rc = reading_take(g->l->r, n, ret, e);

    if (rc < 0)
        return rc;
    if (n > PIECE_BYTES - g->bytes && (rc = gatherer_flush(g, e)) < 0)
        return rc;
    memcpy(g->octets + g->bytes, *ret, n);
    g->bytes += n;
    return 0;
}

static int page_walk(struct gatherer *g, uint64_t bytes, struct err *e)
{
    const uint8_t *at;
    int rc;

    for (; bytes > 0; bytes -= bytes < SLICE_BYTES ? bytes : SLICE_BYTES)
        if ((rc = gather(g, bytes < SLICE_BYTES ? (size_t)bytes : SLICE_BYTES, &at, e)) < 0)
            return rc;
    return 0;
}

/* The pages of a pool: as many as it says, or fewer and an object that is all ones. */
static int pool_walk(struct gatherer *g, struct err *e)
{
    static const uint8_t ones[OBJECT_BYTES] = { [0 ... OBJECT_BYTES - 1] = 0xff };
    const uint8_t *at;
    uint64_t page_bytes;
    uint32_t pages;
    int rc = gather(g, POOL_BYTES, &at, e);

    if (rc < 0)
        return rc;
    page_bytes = (uint64_t)PAGE_BYTES << (load_u32(at) >> 4 & 0xf);
    pages = load_u32(at + 4);
    for (uint32_t i = 0; i < pages; i++) {
        if ((rc = gather(g, OBJECT_BYTES, &at, e)) < 0)
            return rc;
        if (memcmp(at, ones, sizeof(ones)) == 0)
            return 0;
        if ((rc = gather(g, 4, &at, e)) < 0 || (rc = page_walk(g, page_bytes, e)) < 0)
            return rc;
    }
    return 0;
}

static int pools_walk(struct gatherer *g, struct err *e)
{
    const uint8_t *at;
    int rc = gather(g, HEAD_BYTES, &at, e);

    if (rc < 0)
        return rc;
    if (load_u32(at) != TMEM_VERSION || load_u32(at + 8) != UINT32_MAX)
        return legacy_refuse(g->l, e, "transcendent memory of version %" PRIu32 " with 0x%" PRIx32
                             " where all ones belong, not of version 1", load_u32(at), load_u32(at + 8));
    while ((rc = gather(g, 4, &at, e)) == 0 && load_u32(at) != END_OF_POOLS)
        if ((rc = pool_walk(g, e)) < 0)
            return rc;
    return rc;
}

static int invalidations_walk(struct gatherer *g, struct err *e)
{
    const uint8_t *at;
    int rc;

    while ((rc = gather(g, 4, &at, e)) == 0 && load_u32(at) != END_OF_POOLS)
        if ((rc = gather(g, OBJECT_BYTES + 4, &at, e)) < 0)
            return rc;
    return rc;
}

static int walk(struct legacy *l, const char *name, int (*over)(struct gatherer *g, struct err *e),
                struct err *e)
{
    AUTO_FREE uint8_t *octets = malloc(PIECE_BYTES);
    struct gatherer g = { .l = l, .name = name, .octets = octets };
    int rc;

    if (!octets)
        return err_set(e, ENOMEM, "legacy reader: %m");
    rc = over(&g, e);
    return rc < 0 ? rc : gatherer_flush(&g, e);
}

int legacy_tmem(struct legacy *l, struct err *e)
{
    return walk(l, "TMEM", pools_walk, e);
}

int legacy_tmem_extra(struct legacy *l, struct err *e)
{
    return walk(l, "TMEM_EXTRA", invalidations_walk, e);
}

/* legacy — reads the libxc streams of Xen 3.x to 4.5, of 32- and 64-bit toolstacks, PV and HVM, plain
 * and checkpointed, compressed ("format B") or not, with transcendent memory or without.
 * Such a stream says neither what it is nor how wide its words are; both are found as far as they can
 * be found: a PV stream without extended info looks like HVM, a 32-bit HVM stream whose body is empty
 * looks like 64 bits. Every complete epoch is a checkpoint, that of a plain stream too. Where an epoch
 * after the first breaks off, the one before it stands. */
#include "checkpoint/formats/legacy_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "checkpoint/record.h"

#define TSC_BYTES    20u
#define PARAM_BYTES  12u
#define PARAM_IOREQ_SERVER_PFN   32u
#define PARAM_IOREQ_SERVER_PAGES 33u

int legacy_ulong(struct legacy *l, uint64_t *ret, struct err *e)
{
    const uint8_t *at;
    int rc = reading_take(l->r, l->width, &at, e);

    if (rc == 0)
        *ret = legacy_word(l, at, 0);
    return rc;
}

uint64_t legacy_word(const struct legacy *l, const uint8_t *words, size_t i)
{
    return l->width == 8 ? load_u64(words + i * 8) : load_u32(words + i * 4);
}

int legacy_doubt(struct legacy *l, int rc)
{
    if (rc != -EPROTO || l->epoch == 1)
        return rc;
    reading_hold(l->r);
    return 0;
}

int legacy_blob(struct legacy *l, const char *name, uint32_t type, uint64_t bytes, struct err *e)
{
    struct stream_state state = { .name = name, .type = type, .total = bytes };

    return reading_state_from_input(l->r, &state, e);
}

/* ---- chunks -------------------------------------------------------------------------------------- */

static int verify(struct legacy *l, UNUSED uint64_t index, struct err *e)
{
    l->is_verify = true;
    return reading_note(l->r, NOTE_VERIFY, e);
}

static int vcpu_info(struct legacy *l, UNUSED uint64_t index, struct err *e)
{
    const uint8_t *at;
    uint32_t most;
    int rc = reading_u32(l->r, &most, e);

    if (rc < 0)
        return rc;
    if (most >= LEGACY_VCPUS_MAX)
        return legacy_refuse(l, e, "largest vcpu id %" PRId32 ", not 0 to %u", (int32_t)most,
                             LEGACY_VCPUS_MAX - 1);
    if ((rc = reading_take(l->r, (most / 64 + 1) * 8, &at, e)) < 0)
        return rc;
    l->vcpu_id_max = most;
    for (size_t i = 0; i <= most / 64; i++)
        l->vcpus[i] = load_u64(at + i * 8);
    return 0;
}

/* The body of every HVM_* chunk: padding, value. A PV guest has no parameters. */
static int param_take(struct legacy *l, uint64_t *ret, struct err *e)
{
    const uint8_t *at;
    int rc = reading_take(l->r, PARAM_BYTES, &at, e);

    if (rc == 0)
        *ret = load_u64(at + 4);
    return rc;
}

static int param(struct legacy *l, uint64_t index, struct err *e)
{
    uint64_t value = 0;
    int rc = param_take(l, &value, e);

    if (rc < 0 || l->r->facts.guest == STREAM_GUEST_PV)
        return rc;
    return reading_param(l->r, index, value, e);
}

/* These two count as a pair only, so they wait for the end of the body. */
static int ioreq_server(struct legacy *l, uint64_t index, struct err *e)
{
    return param_take(l, index == PARAM_IOREQ_SERVER_PFN ? &l->ioreq_server_pfn : &l->ioreq_server_pages,
                      e);
}

static int tmem(struct legacy *l, UNUSED uint64_t index, struct err *e)
{
    return legacy_tmem(l, e);
}

static int tmem_extra(struct legacy *l, UNUSED uint64_t index, struct err *e)
{
    return legacy_tmem_extra(l, e);
}

/* Told in the order of the later record: mode, khz, nsec, incarnation. */
static int tsc_info(struct legacy *l, UNUSED uint64_t index, struct err *e)
{
    uint8_t octets[24] = { 0 };
    struct stream_state state = { .name = "X86_TSC_INFO", .type = RECORD_X86_TSC_INFO,
                                  .total = sizeof(octets), .octets = octets, .bytes = sizeof(octets) };
    const uint8_t *at;
    int rc = reading_take(l->r, TSC_BYTES, &at, e);

    if (rc < 0)
        return rc;
    memcpy(octets, at, 4);
    memcpy(octets + 4, at + 12, 4);
    memcpy(octets + 8, at + 4, 8);
    memcpy(octets + 16, at + 16, 4);
    return reading_state(l->r, &state, e);
}

static int last_checkpoint(struct legacy *l, UNUSED uint64_t index, struct err *e)
{
    l->is_last = true;
    return reading_note(l->r, NOTE_LAST_CHECKPOINT, e);
}

static int compressed(struct legacy *l, UNUSED uint64_t index, struct err *e)
{
    return legacy_compressed(l, e);
}

static int enable_compression(struct legacy *l, UNUSED uint64_t index, UNUSED struct err *e)
{
    l->compresses_later |= l->epoch == 1;
    return 0;
}

static int toolstack(struct legacy *l, UNUSED uint64_t index, struct err *e)
{
    uint32_t bytes;
    int rc = reading_u32(l->r, &bytes, e);

    if (rc < 0 || bytes == 0)
        return rc;
    if (bytes > LEGACY_BLOB_MAX)
        return legacy_refuse(l, e, "%" PRIu32 " octets of toolstack data, %u at most", bytes,
                             LEGACY_BLOB_MAX);
    return legacy_blob(l, "TOOLSTACK", STATE_FOREIGN, bytes, e);
}

static const struct chunk {
    int32_t id;
    const char *name;
    int (*read)(struct legacy *l, uint64_t index, struct err *e);
    uint64_t index; /* of the HVM parameter */
    uint64_t bytes; /* 0: varies */
} chunks[] = {
    { -1, "ENABLE_VERIFY_MODE", verify, 0, 0 },
    { -2, "VCPU_INFO", vcpu_info, 0, 0 },
    { -3, "HVM_IDENT_PT", param, 12, PARAM_BYTES },
    { -4, "HVM_VM86_TSS", param, 15, PARAM_BYTES },
    { -5, "TMEM", tmem, 0, 0 },
    { -6, "TMEM_EXTRA", tmem_extra, 0, 0 },
    { -7, "TSC_INFO", tsc_info, 0, TSC_BYTES },
    { -8, "HVM_CONSOLE_PFN", param, 17, PARAM_BYTES },
    { -9, "LAST_CHECKPOINT", last_checkpoint, 0, 0 },
    { -10, "HVM_ACPI_IOPORTS_LOCATION", param, 19, PARAM_BYTES },
    { -11, "HVM_VIRIDIAN", param, 9, PARAM_BYTES },
    { -12, "COMPRESSED_DATA", compressed, 0, 0 },
    { -13, "ENABLE_COMPRESSION", enable_compression, 0, 0 },
    { -14, "HVM_GENERATION_ID_ADDR", param, 34, PARAM_BYTES },
    { -15, "HVM_PAGING_RING_PFN", param, 27, PARAM_BYTES },
    { -16, "HVM_ACCESS_RING_PFN", param, 28, PARAM_BYTES },
    { -17, "HVM_SHARING_RING_PFN", param, 29, PARAM_BYTES },
    { -18, "TOOLSTACK", toolstack, 0, 0 },
    { -19, "HVM_IOREQ_SERVER_PFN", ioreq_server, PARAM_IOREQ_SERVER_PFN, PARAM_BYTES },
    { -20, "HVM_NR_IOREQ_SERVER_PAGES", ioreq_server, PARAM_IOREQ_SERVER_PAGES, PARAM_BYTES },
    { -21, "HVM_X87_FIP_WIDTH", param, 36, PARAM_BYTES },
};

static const struct chunk *chunk_of(int32_t id)
{
    for (const struct chunk *c = chunks; c < chunks + ARRAY_LEN(chunks); c++)
        if (c->id == id)
            return c;
    return NULL;
}

static const char *chunk_name(int32_t id, const struct chunk *c)
{
    if (id >= 0)
        return id == 0 ? "END_OF_BODY" : "BATCH";
    return c ? c->name : "unknown";
}

/* One chunk. 1: it ended the body. */
static int chunk(struct legacy *l, struct err *e)
{
    const struct chunk *c;
    const uint8_t *at;
    int32_t id;
    int rc = reading_peek(l->r, 4, &at, e);

    if (rc < 0)
        return rc;
    id = (int32_t)load_u32(at);
    c = chunk_of(id);
    if ((rc = reading_item(l->r, FRAMING_LEGACY, (uint32_t)id, chunk_name(id, c), c ? c->bytes : 0, 0,
                           e)) < 0)
        return rc;
    if (id < 0 && !c)
        return legacy_refuse(l, e, "chunk id %" PRId32 " is unknown", id);
    if ((rc = reading_skip(l->r, 4, e)) < 0)
        return rc;
    if (id == 0)
        return 1;
    return id > 0 ? legacy_batch(l, (uint32_t)id, e) : c->read(l, c->index, e);
}

/* ---- epochs -------------------------------------------------------------------------------------- */

static int ioreq_server_tell(struct legacy *l, struct err *e)
{
    int rc = 0;

    if (l->r->facts.guest == STREAM_GUEST_HVM && l->ioreq_server_pfn && l->ioreq_server_pages) {
        rc = reading_param(l->r, PARAM_IOREQ_SERVER_PFN, l->ioreq_server_pfn, e);
        if (rc == 0)
            rc = reading_param(l->r, PARAM_IOREQ_SERVER_PAGES, l->ioreq_server_pages, e);
    }
    return rc;
}

/* 1: no octet comes behind the epoch. That is how old plain streams end, and how a checkpointed one
 * breaks off between two epochs. */
static int is_at_end(struct legacy *l, struct err *e)
{
    const uint8_t *at;
    size_t left;
    int rc = stream_input_peek(l->r->in, 1, &at, &left, e);

    return rc < 0 ? rc : left == 0;
}

/* Old plain streams end without LAST_CHECKPOINT; consumers hear of it all the same. */
static int plain_end_find(struct legacy *l, struct err *e)
{
    int rc = l->r->wishes.mode == MODE_PLAIN;

    if (l->r->wishes.mode == MODE_AUTO && (rc = is_at_end(l, e)) < 0)
        return rc;
    l->is_last = rc > 0;
    return l->is_last ? reading_note(l->r, NOTE_LAST_CHECKPOINT, e) : 0;
}

static int epoch(struct legacy *l, struct err *e)
{
    bool is_pv = l->r->facts.guest == STREAM_GUEST_PV;
    int rc;

    do {
        rc = chunk(l, e);
    } while (rc == 0);
    if (rc < 0 || (rc = legacy_body_end(l, e)) < 0 || (rc = ioreq_server_tell(l, e)) < 0)
        return rc;
    rc = reading_item(l->r, FRAMING_LEGACY, 0, is_pv ? "PV_TAIL" : "HVM_TAIL", 0, 0, e);
    if (rc == 0)
        rc = is_pv ? legacy_tail_pv(l, e) : legacy_tail_hvm(l, e);
    if (rc == 0 && l->epoch == 1 && !l->is_last)
        rc = plain_end_find(l, e);
    if (rc == 0)
        rc = reading_commit(l->r, e);
    l->is_compressed = l->compresses_later;
    l->epoch++;
    return rc;
}

static int epochs(struct legacy *l, struct err *e)
{
    int rc;

    for (;;) {
        if ((rc = epoch(l, e)) < 0)
            return rc;
        if (l->is_last)
            return 0;
        if ((rc = is_at_end(l, e)) < 0)
            return rc;
        if (rc > 0) {
            l->r->is_complete = false;
            return 0;
        }
    }
}

int reader_legacy(struct reading *r, struct err *e)
{
    struct legacy l = { .r = r, .epoch = 1, .vcpus = { 1 } };
    int rc = legacy_head(&l, e);

    if (rc == 0)
        rc = epochs(&l, e);
    if (rc == -ENODATA && r->checkpoints > 0) {
        r->is_complete = false;
        rc = reading_drop(r, e);
    }
    if (rc == 0)
        rc = legacy_frames_check(&l, e);
    legacy_backlog_free(&l.backlog);
    free(l.frames);
    return rc;
}

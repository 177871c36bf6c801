/* reading — see reading.h: what all readers share. Keeps the place, the refusal and the transaction,
 * and chooses the reader. */
#include "checkpoint/formats/reading.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/guest.h"
#include "checkpoint/record.h"
#include "checkpoint/formats/libxl.h"
#include "compress/codec.h"

static const char xl_magic[XL_MAGIC_BYTES] = { XL_MAGIC };
static const uint8_t libxc_magic[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
#define LIBXL_MAGIC "LibxlFmt"

const char *stream_framing_name(enum stream_framing f)
{
    static const char *const names[] = { "auto", "libxc", "libxl", "xl", "legacy" };

    return names[f];
}

/* ---- the input ----------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 3, 0)))
refusal_put(struct reading *r, uint64_t offset, const char *format, va_list args)
{
    r->refusal = (struct stream_refusal){ .item = r->item, .offset = offset };
    vsnprintf(r->refusal.rule, sizeof(r->refusal.rule), format, args);
}

static int refusal_say(const struct reading *r, int code, struct err *e)
{
    const struct stream_refusal *f = &r->refusal;

    if (f->item.number == 0)
        return err_set(e, code, "header at offset 0x%" PRIx64 ": %s", f->offset, f->rule);
    return err_set(e, code, "record %" PRIu64 " (%s %s, type 0x%" PRIx32 ") at offset 0x%" PRIx64
                   ": at 0x%" PRIx64 ": %s", f->item.number, stream_framing_name(f->item.layer),
                   f->item.name, f->item.type, f->item.offset, f->offset, f->rule);
}

int reading_refuse(struct reading *r, uint64_t offset, struct err *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    refusal_put(r, offset, format, args);
    va_end(args);
    return refusal_say(r, EPROTO, e);
}

static int PRINTF_LIKE(3, 4) broken_off(struct reading *r, struct err *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    refusal_put(r, stream_input_offset(r->in), format, args);
    va_end(args);
    return refusal_say(r, ENODATA, e);
}

uint64_t reading_offset(const struct reading *r)
{
    return stream_input_offset(r->in);
}

int reading_peek(struct reading *r, size_t n, const uint8_t **ret, struct err *e)
{
    size_t left;
    int rc = stream_input_peek(r->in, n, ret, &left, e);

    if (rc < 0)
        return rc;
    if (left < n)
        return broken_off(r, e, "truncated: %zu octets are needed, the stream ends after %zu", n, left);
    return 0;
}

int reading_take(struct reading *r, size_t n, const uint8_t **ret, struct err *e)
{
    int rc = reading_peek(r, n, ret, e);

    if (rc < 0)
        return rc;
    if (r->tap)
        digest_add(r->tap, *ret, n);
    if (r->may_be_image)
        digest_add(&r->image, *ret, n);
    stream_input_consume(r->in, n);
    return 0;
}

int reading_skip(struct reading *r, uint64_t n, struct err *e)
{
    const uint8_t *at;
    int rc;

    for (; n > 0; n -= n < STREAM_INPUT_WINDOW / 4 ? n : STREAM_INPUT_WINDOW / 4)
        if ((rc = reading_take(r, n < STREAM_INPUT_WINDOW / 4 ? (size_t)n : STREAM_INPUT_WINDOW / 4, &at,
                               e)) < 0)
            return rc;
    return 0;
}

bool reading_pass(struct reading *r, uint64_t n)
{
    return r->wishes.is_blind && !r->tap && !r->may_be_image && stream_input_pass(r->in, n);
}

int reading_u32(struct reading *r, uint32_t *ret, struct err *e)
{
    const uint8_t *at;
    int rc = reading_take(r, 4, &at, e);

    if (rc == 0)
        *ret = load_u32(at);
    return rc;
}

int reading_u64(struct reading *r, uint64_t *ret, struct err *e)
{
    const uint8_t *at;
    int rc = reading_take(r, 8, &at, e);

    if (rc == 0)
        *ret = load_u64(at);
    return rc;
}

int reading_item(struct reading *r, enum stream_framing layer, uint32_t type, const char *name,
                 uint64_t bytes, size_t back, struct err *e)
{
    r->item = (struct stream_item){ .number = ++r->items, .offset = reading_offset(r) - back,
                                    .layer = layer, .type = type, .bytes = bytes, .name = name };
    if (layer == FRAMING_LIBXC && type != RECORD_IMAGE_BEGIN && !r->is_image)
        r->may_be_image = false;
    return r->to.ops->item(r->to.self, &r->item, e);
}

/* ---- what the consumer hears --------------------------------------------------------------------- */

void reading_hold(struct reading *r)
{
    r->is_held = true;
}

/* What a consumer can't hold (-EPROTO) is refused where the stream stands. */
static int heard(struct reading *r, int rc, struct err *e)
{
    struct err said;

    if (rc != -EPROTO)
        return rc;
    said = *e;
    return reading_refuse(r, reading_offset(r), e, "%.150s", said.text);
}

int reading_begin(struct reading *r, struct err *e)
{
    return r->to.ops->begin(r->to.self, &r->facts, e);
}

/* A page keeps its content when a later entry brings none, or is there to be compared only. */
int reading_page(struct reading *r, const struct stream_page *page, struct err *e)
{
    struct page_note note;
    bool has_memory = page->type != PAGE_TYPE_BROKEN && page->type != PAGE_TYPE_XTAB;
    int rc;

    if (r->is_held)
        return 0;
    if (!has_memory && r->facts.guest == STREAM_GUEST_HVM)
        return r->to.ops->page(r->to.self, page, e);
    note = pagetable_get(r->facts.table, page->pfn);
    note.is_populated |= has_memory;
    note.type = page->type;
    if ((rc = pagetable_set(r->facts.table, page->pfn, note, e)) < 0)
        return heard(r, rc, e);
    return r->to.ops->page(r->to.self, page, e);
}

int reading_state_piece(struct reading *r, const struct stream_state *piece, struct err *e)
{
    int rc;

    if (r->is_held)
        return 0;
    if (strcmp(piece->name, UNMAPPED_NAME) == 0 &&
        (rc = unmapped_take(&r->unmapped, piece->at, piece->octets, piece->bytes, r->facts.pages, e)) < 0)
        return rc;
    return heard(r, r->to.ops->state(r->to.self, piece, e), e);
}

int reading_state(struct reading *r, const struct stream_state *whole, struct err *e)
{
    must(whole->at == 0 && whole->bytes == whole->total);
    return reading_state_piece(r, whole, e);
}

int reading_state_from_input(struct reading *r, struct stream_state *blob, struct err *e)
{
    int rc;

    blob->at = 0;
    do {
        uint64_t left = blob->total - blob->at;

        blob->bytes = left < STREAM_INPUT_WINDOW / 4 ? (size_t)left : STREAM_INPUT_WINDOW / 4;
        if ((rc = reading_take(r, blob->bytes, &blob->octets, e)) < 0)
            return rc;
        if ((rc = reading_state_piece(r, blob, e)) < 0)
            return rc;
        blob->at += blob->bytes;
    } while (blob->at < blob->total);
    return 0;
}

int reading_param(struct reading *r, uint64_t index, uint64_t value, struct err *e)
{
    return r->is_held ? 0 : heard(r, r->to.ops->param(r->to.self, index, value, e), e);
}

int reading_note(struct reading *r, enum stream_note note, struct err *e)
{
    return r->is_held ? 0 : r->to.ops->note(r->to.self, note, e);
}

int reading_recall(struct reading *r, uint64_t pfn, uint8_t *page, struct err *e)
{
    if (r->is_held) {
        memset(page, 0, PAGE_BYTES);
        return 0;
    }
    return r->to.ops->recall(r->to.self, pfn, page, e);
}

int reading_commit(struct reading *r, struct err *e)
{
    int rc;

    if (r->is_held)
        return refusal_say(r, EPROTO, e);
    rc = r->to.ops->commit(r->to.self, r->checkpoints + 1, e);
    if (rc < 0 && rc != -ECANCELED)
        return rc;
    pagetable_commit(r->facts.table);
    unmapped_commit(&r->unmapped);
    r->checkpoints++;
    return rc;
}

int reading_drop(struct reading *r, struct err *e)
{
    r->is_held = false;
    pagetable_drop(r->facts.table);
    unmapped_drop(&r->unmapped);
    return r->to.ops->drop(r->to.self, e);
}

/* Whether there is an image is known when the first libxc record comes; until then every octet is taken
 * into the digest, because headers and configuration are part of the image. */
int reading_image_begin(struct reading *r, uint64_t bytes, struct err *e)
{
    const uint8_t *at;
    uint64_t reserved;
    int rc;

    if (bytes != IMAGE_BEGIN_BYTES)
        return reading_refuse(r, reading_offset(r), e, "length %" PRIu64 ", not %u", bytes, IMAGE_BEGIN_BYTES);
    if (r->is_image)
        return reading_refuse(r, reading_offset(r), e, "a second IMAGE_BEGIN");
    if ((rc = reading_take(r, IMAGE_BEGIN_BYTES, &at, e)) < 0)
        return rc;
    reserved = load_u64(at);
    if (reserved != 0)
        return reading_refuse(r, reading_offset(r), e, "IMAGE_BEGIN's reserved field is not zero");
    r->is_image = true;
    return 0;
}

int reading_image_end(struct reading *r, uint64_t bytes, struct err *e)
{
    uint64_t offset = reading_offset(r), digest = digest_value(&r->image);
    const uint8_t *at;
    int rc;

    if (!r->is_image || r->is_image_ended || bytes != IMAGE_END_BYTES)
        return reading_refuse(r, offset, e, "IMAGE_END without its IMAGE_BEGIN, twice, or of %" PRIu64
                              " octets, not %u", bytes, IMAGE_END_BYTES);
    if ((rc = reading_take(r, IMAGE_END_BYTES, &at, e)) < 0)
        return rc;
    if (load_u64(at) != offset || load_u64(at + 8) != digest)
        return reading_refuse(r, offset, e, "the image is damaged: digest 0x%016" PRIx64 " of %" PRIu64
                              " octets, said to be 0x%016" PRIx64 " of %" PRIu64, digest,
                              offset, load_u64(at + 8), load_u64(at));
    r->is_image_ended = true;
    return 0;
}

bool reading_pfn_fits(const struct reading *r, uint64_t pfn)
{
    return pfn < (r->wishes.pages_max ? r->wishes.pages_max : GUEST_PAGES_MAX);
}

/* ---- the driver ---------------------------------------------------------------------------------- */

static const struct {
    int (*read)(struct reading *r, struct err *e);
} readers[] = {
    [FRAMING_LIBXC] = { reader_libxc },
    [FRAMING_LIBXL] = { reader_libxl },
    [FRAMING_XL] = { reader_xl },
    [FRAMING_LEGACY] = { reader_legacy },
};

int reading_detect(struct reading *r, enum stream_framing *ret, struct err *e)
{
    const uint8_t *at;
    size_t left;
    int rc = stream_input_peek(r->in, sizeof(xl_magic), &at, &left, e);

    if (rc < 0)
        return rc;
    if (left >= sizeof(xl_magic) && memcmp(at, xl_magic, sizeof(xl_magic)) == 0)
        *ret = FRAMING_XL;
    else if (left >= 8 && memcmp(at, LIBXL_MAGIC, 8) == 0)
        *ret = FRAMING_LIBXL;
    else if (left >= 8 && memcmp(at, libxc_magic, 8) == 0)
        *ret = FRAMING_LIBXC;
    else if (left < 8)
        return broken_off(r, e, "truncated: %zu octets are no stream", left);
    else
        *ret = FRAMING_LEGACY;
    return 0;
}

/* A stream that breaks off is as good as its last commit. */
static int fail_over(struct reading *r, struct err *e)
{
    if (r->checkpoints == 0)
        return refusal_say(r, EPROTO, e);
    r->is_complete = false;
    return reading_drop(r, e);
}

/* Behind everything else, as a restore does it. */
static int unmapped_free(struct reading *r, struct err *e)
{
    uint64_t pfn = UINT64_MAX;
    int rc = 0;

    if (r->checkpoints == 0)
        unmapped_commit(&r->unmapped); /* the end is the commit of a plain stream */
    while (rc == 0 && (pfn = unmapped_next(&r->unmapped, pfn + 1)) != UINT64_MAX)
        if (pagetable_get(r->facts.table, pfn).is_populated)
            rc = pagetable_set(r->facts.table, pfn, (struct page_note){ .type = PAGE_TYPE_XTAB }, e);
    return rc;
}

int reading_run(struct reading *r, struct stream_input *in, const struct stream_wishes *w,
                struct consumer to, struct err *e)
{
    enum stream_framing framing = w->framing;
    int rc = 0;

    *r = (struct reading){ .in = in, .wishes = *w, .to = to, .is_complete = true };
    r->item.name = "header";
    r->may_be_image = true;
    digest_begin(&r->image);
    if ((rc = pagetable_open(&r->facts.table, e)) < 0)
        return rc;
    if (framing == FRAMING_AUTO)
        rc = reading_detect(r, &framing, e);
    r->facts.framing = framing;
    r->item.layer = framing;
    if (rc == 0)
        rc = readers[framing].read(r, e);
    if (rc == -ENODATA)
        rc = fail_over(r, e);
    if (rc == -ECANCELED)
        return r->to.ops->end(r->to.self, &r->facts, r->is_complete, e);
    if (rc == 0 && r->is_image && !r->is_image_ended)
        rc = reading_refuse(r, reading_offset(r), e, "the packed image ends without IMAGE_END");
    if (rc == 0)
        rc = unmapped_free(r, e);
    if (rc == 0)
        rc = r->to.ops->end(r->to.self, &r->facts, r->is_complete, e);
    return rc;
}

void reading_close(struct reading *r)
{
    pagetable_close(r->facts.table);
    r->facts.table = NULL;
    unmapped_close(&r->unmapped);
}

/* ---- a consumer that wants nothing --------------------------------------------------------------- */

static int ignore_facts(UNUSED void *c, UNUSED const struct stream_facts *facts, UNUSED struct err *e)
{
    return 0;
}

static int ignore_item(UNUSED void *c, UNUSED const struct stream_item *item, UNUSED struct err *e)
{
    return 0;
}

static int ignore_page(UNUSED void *c, UNUSED const struct stream_page *page, UNUSED struct err *e)
{
    return 0;
}

static int ignore_state(UNUSED void *c, UNUSED const struct stream_state *piece, UNUSED struct err *e)
{
    return 0;
}

static int ignore_param(UNUSED void *c, UNUSED uint64_t index, UNUSED uint64_t value,
                        UNUSED struct err *e)
{
    return 0;
}

static int ignore_note(UNUSED void *c, UNUSED enum stream_note note, UNUSED struct err *e)
{
    return 0;
}

static int no_recall(UNUSED void *c, uint64_t pfn, UNUSED uint8_t *page, struct err *e)
{
    return err_set(e, EOPNOTSUPP, "pfn 0x%" PRIx64 ": no pages are kept here to start a delta from", pfn);
}

static int ignore_commit(UNUSED void *c, UNUSED uint64_t n, UNUSED struct err *e)
{
    return 0;
}

static int ignore_drop(UNUSED void *c, UNUSED struct err *e)
{
    return 0;
}

static int ignore_end(UNUSED void *c, UNUSED const struct stream_facts *facts, UNUSED bool is_complete,
                      UNUSED struct err *e)
{
    return 0;
}

const struct consumer_ops consumer_ignores = {
    .begin = ignore_facts,
    .item = ignore_item,
    .page = ignore_page,
    .state = ignore_state,
    .param = ignore_param,
    .note = ignore_note,
    .recall = no_recall,
    .commit = ignore_commit,
    .drop = ignore_drop,
    .end = ignore_end,
};

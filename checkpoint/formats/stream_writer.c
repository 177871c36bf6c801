/* stream_writer — see stream_writer.h: headers, order, checkpoints. */
#include "checkpoint/formats/writer_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/formats/libxl.h"
#include "compress/pagecache.h"

#define CACHE_BYTES (24u << 20)

int writer_record_open(struct stream_writer *w, uint32_t type, uint64_t bytes, struct err *e)
{
    uint8_t header[RECORD_HEADER_BYTES];

    if (bytes > RECORD_BODY_MAX)
        return err_set(e, EPROTO, "a record of %llu octets can't be written", (unsigned long long)bytes);
    store_u32(header, type);
    store_u32(header + 4, (uint32_t)bytes);
    return stream_output_put(w->out, header, sizeof(header), e);
}

int writer_padding(struct stream_writer *w, uint64_t bytes, struct err *e)
{
    static const uint8_t zeros[8];

    return stream_output_put(w->out, zeros, record_padded((size_t)bytes) - (size_t)bytes, e);
}

int writer_record(struct stream_writer *w, uint32_t type, const void *body, size_t bytes, struct err *e)
{
    int rc = writer_record_open(w, type, bytes, e);

    if (rc == 0)
        rc = stream_output_put(w->out, body, bytes, e);
    return rc < 0 ? rc : writer_padding(w, bytes, e);
}

int writer_static_end(struct stream_writer *w, struct err *e)
{
    int rc;

    if (w->has_static_end)
        return 0;
    w->has_static_end = true;
    rc = w->wishes.version < 3 ? 0 : writer_record(w, RECORD_STATIC_DATA_END, NULL, 0, e);
    return rc < 0 || !w->is_verify_due ? rc : writer_record(w, RECORD_VERIFY, NULL, 0, e);
}

/* ---- headers ------------------------------------------------------------------------------------- */

static int config_put(struct stream_writer *w, const struct image_state *config, struct err *e)
{
    AUTO_FREE uint8_t *octets = malloc(config->bytes + 1);
    int rc;

    if (!octets)
        return err_set(e, ENOMEM, "configuration: %m");
    if ((rc = image_state_get(&w->config, config, 0, octets, config->bytes, e)) < 0)
        return rc;
    return stream_output_put(w->out, octets, config->bytes, e);
}

static int xl_header(struct stream_writer *w, struct err *e)
{
    static const char magic[XL_MAGIC_BYTES] = { XL_MAGIC };
    const struct image_state *config = w->config.now.states_n ? &w->config.now.states[0] : NULL;
    bool is_text = config && strcmp(config->name, "XL_CONFIG") != 0;
    uint8_t fixed[XL_FIXED_BYTES + 4];
    int rc = stream_output_put(w->out, magic, sizeof(magic), e);

    store_u32(fixed, XL_BYTE_ORDER);
    store_u32(fixed + 4, XL_FLAG_LIBXL_STREAM | (is_text ? 0 : XL_FLAG_JSON));
    store_u32(fixed + 8, 0);
    store_u32(fixed + 12, config ? (uint32_t)config->bytes + 4 : 0);
    store_u32(fixed + 16, config ? (uint32_t)config->bytes : 0);
    if (rc == 0)
        rc = stream_output_put(w->out, fixed, config ? sizeof(fixed) : XL_FIXED_BYTES, e);
    return rc == 0 && config ? config_put(w, config, e) : rc;
}

static int libxl_header(struct stream_writer *w, struct err *e)
{
    uint8_t header[LIBXL_HEADER_BYTES];
    int rc;

    store_be64(header, LIBXL_IDENT);
    store_be32(header + 8, LIBXL_VERSION);
    store_be32(header + 12, w->facts.is_legacy ? LIBXL_OPTION_LEGACY : 0);
    rc = stream_output_put(w->out, header, sizeof(header), e);
    return rc < 0 ? rc : writer_record(w, LIBXL_LIBXC_CONTEXT, NULL, 0, e);
}

static int libxc_headers(struct stream_writer *w, struct err *e)
{
    struct stream_headers h = { .version = STREAM_VERSION, .guest = w->facts.guest,
                                .xen_major = w->facts.is_legacy ? 0 : w->facts.xen_major,
                                .xen_minor = w->facts.is_legacy ? 1 : w->facts.xen_minor };
    uint8_t octets[STREAM_HEADERS_BYTES];
    struct sink to = { octets, sizeof(octets) };

    must(stream_headers_put(&to, &h) == 0);
    store_be32(octets + 12, w->wishes.version);
    return stream_output_put(w->out, octets, sizeof(octets), e);
}

int writer_headers(struct stream_writer *w, struct err *e)
{
    static const uint8_t zeros[IMAGE_BEGIN_BYTES];
    int rc = 0;

    if (w->has_headers)
        return 0;
    w->has_headers = true;
    if (w->wishes.framing == FRAMING_XL)
        rc = xl_header(w, e);
    if (rc == 0 && w->wishes.framing != FRAMING_LIBXC)
        rc = libxl_header(w, e);
    if (rc == 0)
        rc = libxc_headers(w, e);
    if (rc == 0 && w->wishes.is_packed)
        rc = writer_record(w, RECORD_IMAGE_BEGIN, zeros, sizeof(zeros), e);
    if (rc == 0 && w->wishes.framing != FRAMING_XL && w->wishes.has_extras)
        rc = writer_config_extra(w, e);
    return rc;
}

static int image_end(struct stream_writer *w, struct err *e)
{
    uint8_t body[IMAGE_END_BYTES];
    uint64_t digest = 0;
    int rc = writer_record_open(w, RECORD_IMAGE_END, sizeof(body), e);

    if (rc < 0 || (rc = stream_output_digest(w->out, 0, &digest, e)) < 0)
        return rc;
    store_u64(body, w->out->offset);
    store_u64(body + 8, digest);
    return stream_output_put(w->out, body, sizeof(body), e);
}

/* ---- checkpoints ---------------------------------------------------------------------------------- */

/* CHECKPOINT, and what belongs behind it. */
static int checkpoint_put(struct stream_writer *w, struct err *e)
{
    bool is_framed = w->wishes.framing != FRAMING_LIBXC;
    int rc = writer_record(w, RECORD_CHECKPOINT, NULL, 0, e);

    if (rc == 0 && is_framed && (rc = writer_emulators_flush(w, e)) == 0)
        rc = writer_record(w, LIBXL_CHECKPOINT_END, NULL, 0, e);
    writer_late_forget(w);
    w->is_checkpoint_due = false;
    w->committed_at = w->out->offset;
    return rc;
}

/* Something comes after a commit: it was a checkpoint, then, not the end of a plain stream. */
static int go_on(struct stream_writer *w, struct err *e)
{
    return w->is_checkpoint_due ? checkpoint_put(w, e) : 0;
}

/* ---- the consumer -------------------------------------------------------------------------------- */

#define W ((struct stream_writer *)c)

static int take_begin(void *c, const struct stream_facts *facts, struct err *e)
{
    W->facts = *facts;
    return W->memory.ops->begin(W->memory.self, facts, e);
}

static int take_item(UNUSED void *c, UNUSED const struct stream_item *item, UNUSED struct err *e)
{
    return 0;
}

static int take_page(void *c, const struct stream_page *page, struct err *e)
{
    int rc = W->memory.ops->page(W->memory.self, page, e);

    if (rc == 0)
        rc = go_on(W, e);
    return rc < 0 ? rc : writer_page(W, page, e);
}

static int take_state(void *c, const struct stream_state *piece, struct err *e)
{
    int rc = piece->at == 0 ? go_on(W, e) : 0;

    return rc < 0 ? rc : writer_state(W, piece, e);
}

static int take_param(void *c, uint64_t index, uint64_t value, struct err *e)
{
    int rc = go_on(W, e);

    return rc < 0 ? rc : writer_param(W, index, value, e);
}

static int flush(struct stream_writer *w, struct err *e)
{
    int rc = writer_headers(w, e);

    if (rc == 0)
        rc = writer_static_end(w, e);
    if (rc == 0)
        rc = writer_pages_flush(w, e);
    if (rc == 0)
        rc = writer_params_flush(w, e);
    return rc < 0 ? rc : writer_late_flush(w, e);
}

static int take_note(void *c, enum stream_note note, struct err *e)
{
    int rc;

    if (note == NOTE_LAST_CHECKPOINT && W->checkpoints == 0)
        W->is_plain = true;
    if (note != NOTE_VERIFY)
        return 0; /* the end of static records is written when it is needed */
    if ((rc = go_on(W, e)) < 0 || (rc = writer_headers(W, e)) < 0)
        return rc;
    if (!W->has_static_end) { /* it is about pages, and static records may still come */
        W->is_verify_due = true;
        return 0;
    }
    if ((rc = writer_pages_flush(W, e)) < 0)
        return rc;
    return writer_record(W, RECORD_VERIFY, NULL, 0, e);
}

static int take_recall(void *c, uint64_t pfn, uint8_t *page, struct err *e)
{
    return W->wishes.is_packed ? W->memory.ops->recall(W->memory.self, pfn, page, e)
                               : writer_recall(W, pfn, page, e);
}

/* A legacy stream commits also when it is plain: whether it is shows in what follows. */
static int take_commit(void *c, uint64_t n, struct err *e)
{
    int rc = W->memory.ops->commit(W->memory.self, n, e);

    if (rc < 0 || (rc = go_on(W, e)) < 0 || (rc = flush(W, e)) < 0)
        return rc;
    W->checkpoints++;
    if (!W->facts.is_legacy)
        return checkpoint_put(W, e);
    W->is_checkpoint_due = true;
    W->committed_at = W->out->offset;
    return 0;
}

static int take_drop(void *c, struct err *e)
{
    int rc = W->memory.ops->drop(W->memory.self, e);

    W->n = 0;
    W->params_n = 0;
    if (!W->is_checkpoint_due)
        writer_late_forget(W);
    if (W->cache)
        pagecache_drop_after(W->cache, W->checkpoints);
    return rc < 0 ? rc : stream_output_cut(W->out, W->committed_at, e);
}

static int take_end(void *c, const struct stream_facts *facts, bool is_complete, struct err *e)
{
    bool is_framed = W->wishes.framing != FRAMING_LIBXC;
    int rc = W->memory.ops->end(W->memory.self, facts, is_complete, e);

    if (rc == 0 && W->is_checkpoint_due && W->checkpoints > 1)
        rc = checkpoint_put(W, e);
    if (rc == 0 && !W->is_checkpoint_due)
        rc = flush(W, e); /* else the commit has done that */
    if (rc == 0 && W->wishes.is_packed && !is_framed)
        rc = image_end(W, e);
    if (rc == 0)
        rc = writer_record(W, RECORD_END, NULL, 0, e);
    if (rc == 0 && is_framed)
        rc = writer_emulators_flush(W, e);
    if (rc == 0 && W->wishes.is_packed && is_framed)
        rc = image_end(W, e);
    if (rc == 0 && is_framed)
        rc = writer_record(W, LIBXL_END, NULL, 0, e);
    return rc < 0 ? rc : stream_output_flush(W->out, e);
}

struct consumer stream_writer_consumer(struct stream_writer *w, const struct consumer *memory)
{
    static const struct consumer_ops ops = {
        .begin = take_begin,
        .item = take_item,
        .page = take_page,
        .state = take_state,
        .param = take_param,
        .note = take_note,
        .recall = take_recall,
        .commit = take_commit,
        .drop = take_drop,
        .end = take_end,
    };

    w->memory = memory ? *memory : (struct consumer){ &consumer_ignores, NULL };
    return (struct consumer){ &ops, w };
}

uint64_t stream_writer_left_out(const struct stream_writer *w)
{
    return w->left_out;
}

int stream_writer_open(struct stream_writer **ret, struct stream_output *out,
                       const struct writer_wishes *wishes, struct err *e)
{
    struct stream_writer *w = calloc(1, sizeof(*w));
    int rc = 0;

    if (!w)
        return err_set(e, ENOMEM, "writer: %m");
    w->out = out;
    w->wishes = *wishes;
    image_open(&w->late, NULL, (struct image_wishes){ .has_states = true });
    image_open(&w->config, NULL, (struct image_wishes){ .has_states = true });
    if (w->wishes.pages_at_once == 0 || w->wishes.pages_at_once > BATCH_PAGES)
        w->wishes.pages_at_once = BATCH_PAGES;
    if (wishes->is_packed && w->wishes.pages_at_once > PAGES_CHUNK_MAX)
        w->wishes.pages_at_once = PAGES_CHUNK_MAX;
    w->pages = malloc(w->wishes.pages_at_once * PAGE_BYTES);
    if (wishes->is_packed) {
        w->chunk = malloc(record_wire_bytes(PAGES_BODY_MAX));
        rc = pagecache_open(&w->cache, wishes->cache_bytes ? wishes->cache_bytes : CACHE_BYTES, e);
    }
    if (!w->pages || (wishes->is_packed && !w->chunk))
        rc = err_set(e, ENOMEM, "writer: %m");
    if (rc < 0)
        stream_writer_close(w);
    else
        *ret = w;
    return rc;
}

void stream_writer_close(struct stream_writer *w)
{
    if (!w)
        return;
    image_close(&w->late);
    image_close(&w->config);
    pagecache_close(w->cache);
    free(w->pages);
    free(w->chunk);
    free(w);
}

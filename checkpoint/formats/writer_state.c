/* writer_state — the writer's blobs and parameters. HVM_CONTEXT waits for HVM_PARAMS, the emulators'
 * records for the end of the libxc part, both in a spool; all others are written as they come. */
#include "checkpoint/formats/writer_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/formats/foreign.h"
#include "checkpoint/formats/libxl.h"
#include "checkpoint/formats/toolstack.h"

#define SLICE_BYTES        65536u
#define VCPU_HEADER_BYTES  8u
#define EMULATOR_BYTES     8u
#define FOREIGN_BYTES      16u
#define PARAM_BYTES        16u
#define TOOLSTACK_MAX      (64u << 10) /* octets that are turned into keys; real ones have hundreds */

static bool is_emulators(const char *name)
{
    return strncmp(name, "EMULATOR_", 9) == 0;
}

static bool is_config(const char *name)
{
    return strcmp(name, "XL_CONFIG") == 0 || strcmp(name, "XL_CONFIG_TEXT") == 0;
}

/* What libxl carries as another record: kept even when extras are not wanted. */
static bool is_toolstack(const struct stream_writer *w, const char *name)
{
    return w->wishes.framing != FRAMING_LIBXC && w->facts.is_legacy &&
           w->facts.guest == STREAM_GUEST_HVM && strcmp(name, "TOOLSTACK") == 0;
}

/* Records of version 3 only, which another version carries as an extra. */
static bool is_policy(const struct stream_state *piece)
{
    return piece->type == RECORD_X86_CPUID_POLICY || piece->type == RECORD_X86_MSR_POLICY;
}

/* Static records come before STATIC_DATA_END, all others after it. */
static bool is_static(const struct stream_state *piece)
{
    return piece->type == RECORD_X86_PV_INFO || is_policy(piece);
}

static enum blob_way way_of(const struct stream_writer *w, const struct stream_state *piece)
{
    bool is_framed = w->wishes.framing != FRAMING_LIBXC;

    if (is_config(piece->name) && !w->has_headers)
        return BLOB_CONFIG;
    if (is_emulators(piece->name))
        return is_framed || w->wishes.has_extras ? BLOB_LATE : BLOB_OUT;
    if (piece->type == STATE_FOREIGN || (is_policy(piece) && w->wishes.version < 3))
        return w->wishes.has_extras || is_toolstack(w, piece->name) ? BLOB_LATE : BLOB_OUT;
    return piece->type == RECORD_HVM_CONTEXT ? BLOB_LATE : BLOB_THROUGH;
}

static int through_open(struct stream_writer *w, const struct stream_state *piece, struct err *e)
{
    uint8_t header[VCPU_HEADER_BYTES];
    int rc = writer_headers(w, e);

    if (rc == 0 && !is_static(piece))
        rc = writer_static_end(w, e);
    if (rc == 0)
        rc = writer_pages_flush(w, e);
    if (rc == 0)
        rc = writer_record_open(w, piece->type, piece->total + (piece->is_indexed ? sizeof(header) : 0), e);
    if (rc < 0 || !piece->is_indexed)
        return rc;
    store_u32(header, piece->index);
    store_u32(header + 4, 0);
    return stream_output_put(w->out, header, sizeof(header), e);
}

static int through(struct stream_writer *w, const struct stream_state *piece, struct err *e)
{
    int rc = piece->at == 0 ? through_open(w, piece, e) : 0;

    if (rc == 0)
        rc = stream_output_put(w->out, piece->octets, piece->bytes, e);
    if (rc == 0 && piece->at + piece->bytes == piece->total)
        rc = writer_padding(w, piece->total, e); /* a vcpu's header is a multiple of 8 */
    return rc;
}

int writer_state(struct stream_writer *w, const struct stream_state *piece, struct err *e)
{
    struct consumer late = image_consumer(&w->late), config = image_consumer(&w->config);

    if (piece->at == 0) {
        w->way = way_of(w, piece);
        w->left_out += w->way == BLOB_OUT;
    }
    switch (w->way) {
    case BLOB_THROUGH:
        return through(w, piece, e);
    case BLOB_LATE:
        return late.ops->state(late.self, piece, e);
    case BLOB_CONFIG:
        return config.ops->state(config.self, piece, e);
    case BLOB_OUT:
        return 0;
    }
    return 0;
}

/* ---- at the end of an epoch ---------------------------------------------------------------------- */

/* A blob's octets out of the spool, behind `head`, as one record. */
static int late_record(struct stream_writer *w, struct image *from, const struct image_state *s,
                       uint32_t type, const uint8_t *head, size_t head_bytes, struct err *e)
{
    uint8_t slice[SLICE_BYTES];
    int rc = writer_record_open(w, type, s->bytes + head_bytes, e);

    if (rc == 0)
        rc = stream_output_put(w->out, head, head_bytes, e);
    for (uint64_t at = 0; rc == 0 && at < s->bytes;) {
        size_t n = s->bytes - at < sizeof(slice) ? (size_t)(s->bytes - at) : sizeof(slice);

        if ((rc = image_state_get(from, s, at, slice, n, e)) == 0)
            rc = stream_output_put(w->out, slice, n, e);
        at += n;
    }
    return rc < 0 ? rc : writer_padding(w, s->bytes + head_bytes, e);
}

/* True when an epoch before carried the same; notes it otherwise. */
static bool was_sent(struct stream_writer *w, const struct image_state *s)
{
    for (size_t i = 0; i < w->sent_n; i++) {
        struct image_state *sent = &w->sent[i];

        if (strcmp(sent->name, s->name) != 0 || sent->index != s->index || sent->emulator != s->emulator)
            continue;
        if (memcmp(sent->sha256, s->sha256, SHA256_HEX_BYTES) == 0)
            return true;
        *sent = *s;
        return false;
    }
    if (w->sent_n < SENT_MAX)
        w->sent[w->sent_n++] = *s;
    return false;
}

static int extra(struct stream_writer *w, struct image *from, const struct image_state *s, struct err *e)
{
    uint8_t head[FOREIGN_BYTES];

    if (!w->wishes.has_extras || was_sent(w, s))
        return 0;
    store_u32(head, foreign_number(s->name));
    store_u32(head + 4, s->is_indexed);
    store_u32(head + 8, s->index);
    store_u32(head + 12, s->emulator);
    return late_record(w, from, s, RECORD_FOREIGN_STATE, head, sizeof(head), e);
}

int writer_late_flush(struct stream_writer *w, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < w->late.now.states_n; i++) {
        const struct image_state *s = &w->late.now.states[i];

        if (s->type == RECORD_HVM_CONTEXT)
            rc = late_record(w, &w->late, s, RECORD_HVM_CONTEXT, NULL, 0, e);
        else if (!is_emulators(s->name) || w->wishes.framing == FRAMING_LIBXC)
            rc = extra(w, &w->late, s, e);
    }
    return rc;
}

/* The chunk as the emulator's keys, as libxl has them since; one that can't be read is an extra only. */
static int toolstack_put(struct stream_writer *w, const struct image_state *s, struct err *e)
{
    AUTO_FREE uint8_t *octets = malloc(s->bytes + 1), *keys = NULL;
    size_t room = TOOLSTACK_KEYS_MAX(s->bytes);
    struct sink to;
    int rc;

    keys = malloc(EMULATOR_BYTES + room);
    if (!octets || !keys)
        return err_set(e, ENOMEM, "toolstack data: %m");
    if ((rc = image_state_get(&w->late, s, 0, octets, s->bytes, e)) < 0)
        return rc;
    memset(keys, 0, EMULATOR_BYTES); /* an emulator that nobody named */
    to = (struct sink){ keys + EMULATOR_BYTES, room };
    if (toolstack_keys((struct view){ octets, s->bytes }, w->facts.toolstack_width, &to) < 0 ||
        to.left == room)
        return 0;
    return writer_record(w, LIBXL_EMULATOR_XENSTORE_DATA, keys, EMULATOR_BYTES + room - to.left, e);
}

int writer_emulators_flush(struct stream_writer *w, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < w->late.now.states_n; i++) {
        const struct image_state *s = &w->late.now.states[i];

        if (is_toolstack(w, s->name) && s->bytes <= TOOLSTACK_MAX)
            rc = toolstack_put(w, s, e);
    }
    /* The list is sorted by name, and libxl wants the emulator's context last. */
    for (size_t i = w->late.now.states_n; rc == 0 && i-- > 0;) {
        const struct image_state *s = &w->late.now.states[i];
        bool is_context = strcmp(s->name, "EMULATOR_CONTEXT") == 0;
        uint8_t head[EMULATOR_BYTES];

        if (!is_emulators(s->name))
            continue;
        store_u32(head, s->emulator);
        store_u32(head + 4, s->index);
        rc = late_record(w, &w->late, s, is_context ? LIBXL_EMULATOR_CONTEXT : LIBXL_EMULATOR_XENSTORE_DATA, head,
                         sizeof(head), e);
    }
    return rc;
}

int writer_config_extra(struct stream_writer *w, struct err *e)
{
    return w->config.now.states_n ? extra(w, &w->config, &w->config.now.states[0], e) : 0;
}

void writer_late_forget(struct stream_writer *w)
{
    image_close(&w->late);
    image_open(&w->late, NULL, (struct image_wishes){ .has_states = true });
}

/* ---- parameters ---------------------------------------------------------------------------------- */

int writer_params_flush(struct stream_writer *w, struct err *e)
{
    uint8_t fixed[8];
    int rc;

    if (w->params_n == 0)
        return 0;
    store_u32(fixed, (uint32_t)w->params_n);
    store_u32(fixed + 4, 0);
    rc = writer_record_open(w, RECORD_HVM_PARAMS, 8 + w->params_n * PARAM_BYTES, e);
    if (rc == 0)
        rc = stream_output_put(w->out, fixed, sizeof(fixed), e);
    for (size_t i = 0; rc == 0 && i < w->params_n; i++) {
        uint8_t param[PARAM_BYTES];

        store_u64(param, w->params[i].index);
        store_u64(param + 8, w->params[i].value);
        rc = stream_output_put(w->out, param, sizeof(param), e);
    }
    w->params_n = 0;
    return rc;
}

int writer_param(struct stream_writer *w, uint64_t index, uint64_t value, struct err *e)
{
    int rc = writer_headers(w, e);

    if (rc < 0 || (rc = writer_static_end(w, e)) < 0 || (rc = writer_pages_flush(w, e)) < 0)
        return rc;
    if (w->params_n == ARRAY_LEN(w->params) && (rc = writer_params_flush(w, e)) < 0)
        return rc;
    w->params[w->params_n++] = (struct image_param){ index, value };
    return 0;
}

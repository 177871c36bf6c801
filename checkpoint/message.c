/* message — bodies of the session and epoch records declared in record.h, encoder beside decoder.
 * Each message's fields are listed once, in wire order; both twins derive from the list. What makes
 * a message wrong is said once too, in its fault function: put refuses what get would refuse. */
#include "checkpoint/record.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { u32_OCTETS = 4, u64_OCTETS = 8 };

enum record_bounds {
#define RECORD(name, type, least, most, origin) name##_LEAST = (least), name##_MOST = (most),
#include "checkpoint/records.def"
#undef RECORD
};

#define OCTETS(kind, field) + kind##_OCTETS
#define STORE(kind, field)           \
    store_##kind(at, from->field);   \
    at += kind##_OCTETS;
#define LOAD(kind, field)            \
    ret->field = load_##kind(at);    \
    at += kind##_OCTETS;

/* name_store and name_load: the fields of a list at the front of a body; both return its end. */
#define FIELD_TWINS(name, FIELDS)                                               \
    static uint8_t *name##_store(uint8_t *at, const struct name *from)          \
    {                                                                           \
        FIELDS(STORE)                                                           \
        return at;                                                              \
    }                                                                           \
    static const uint8_t *name##_load(const uint8_t *at, struct name *ret)      \
    {                                                                           \
        FIELDS(LOAD)                                                            \
        return at;                                                              \
    }

/* The public twins of a message that is nothing but its fields. */
#define MESSAGE(name, TYPE, FIELDS)                                             \
    FIELD_TWINS(name, FIELDS)                                                   \
    _Static_assert(0 FIELDS(OCTETS) == TYPE##_LEAST && TYPE##_LEAST == TYPE##_MOST, \
                   "records.def has the length of " #TYPE);                     \
    int name##_put(struct sink *out, const struct name *message)                \
    {                                                                           \
        uint8_t body[TYPE##_MOST];                                              \
                                                                                \
        if (name##_fault(message))                                              \
            return -EINVAL;                                                     \
        name##_store(body, message);                                            \
        return record_put(out, RECORD_##TYPE, body, sizeof(body));              \
    }                                                                           \
    int name##_get(const struct record *from, struct name *ret, struct err *e)  \
    {                                                                           \
        struct name got;                                                        \
        const char *fault;                                                      \
                                                                                \
        if (from->bytes != TYPE##_MOST)                                         \
            return bad_length(#TYPE, from->bytes, e);                           \
        name##_load(from->body, &got);                                          \
        if ((fault = name##_fault(&got)))                                       \
            return err_set(e, EPROTO, #TYPE ": %s", fault);                     \
        *ret = got;                                                             \
        return 0;                                                               \
    }

static int bad_length(const char *message, uint32_t bytes, struct err *e)
{
    return err_set(e, EPROTO, "%s with length %" PRIu32, message, bytes);
}

static bool is_zero(const uint8_t *octets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (octets[i] != 0)
            return false;
    return true;
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

/* ---- HELLO --------------------------------------------------------------------------------------- */

/* … then u8 uuid[16], u16 name octets, u16 spec octets, 12 reserved, the name, the spec. */
#define HELLO_FIELDS(F)                                                                          \
    F(u32, version) F(u32, term) F(u64, lineage) F(u64, replaces) F(u64, session) F(u64, acked)  \
    F(u64, pages) F(u64, interval_ns) F(u64, heartbeat_ns) F(u64, timeout_ns) F(u64, sent_ns)
#define HELLO_RESERVED 12u
_Static_assert(0 HELLO_FIELDS(OCTETS) + 16 + 2 + 2 + HELLO_RESERVED == HELLO_LEAST,
               "records.def has the fixed part of HELLO");
_Static_assert(HELLO_LEAST + GUEST_NAME_MAX + GUEST_SPEC_MAX == HELLO_MOST,
               "records.def has the longest HELLO");
FIELD_TWINS(hello, HELLO_FIELDS)

static bool is_name(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    return *text && text[strspn(text, allowed)] == '\0';
}

static const char *hello_fault(const struct hello *h)
{
    if (!memchr(h->name, '\0', sizeof(h->name)) || !is_name(h->name))
        return "the name is not 1 to 64 of A-Z a-z 0-9 . _ -";
    if (!memchr(h->spec, '\0', sizeof(h->spec)) || !is_printable(h->spec))
        return "the guest's specification is too long or not printable ASCII";
    if (h->lineage == 0)
        return "lineage is 0";
    if (h->session == 0)
        return "session is 0";
    if (h->pages == 0 || h->pages > GUEST_PAGES_MAX)
        return "the number of pages is out of range";
    if (h->heartbeat_ns == 0 || h->timeout_ns == 0)
        return "heartbeat or timeout is 0";
    return NULL;
}

int hello_put(struct sink *out, const struct hello *message)
{
    uint8_t body[HELLO_MOST] = { 0 }, *at;
    size_t name_bytes, spec_bytes;

    if (hello_fault(message))
        return -EINVAL;
    name_bytes = strlen(message->name);
    spec_bytes = strlen(message->spec);
    at = hello_store(body, message);
    memcpy(at, message->uuid, sizeof(message->uuid));
    at += sizeof(message->uuid);
    store_u16(at, (uint16_t)name_bytes);
    store_u16(at + 2, (uint16_t)spec_bytes);
    memcpy(body + HELLO_LEAST, message->name, name_bytes);
    memcpy(body + HELLO_LEAST + name_bytes, message->spec, spec_bytes);
    return record_put(out, RECORD_HELLO, body, HELLO_LEAST + name_bytes + spec_bytes);
}

/* Text of a body to a string; -1 when it is too long or holds a NUL, which would hide its end. */
static int text_load(char *to, size_t max, const uint8_t *from, size_t bytes)
{
    if (bytes > max || memchr(from, '\0', bytes))
        return -1;
    memcpy(to, from, bytes);
    to[bytes] = '\0';
    return 0;
}

int hello_get(const struct record *from, struct hello *ret, struct err *e)
{
    struct hello got;
    size_t name_bytes, spec_bytes;
    const uint8_t *at;
    const char *fault;

    if (from->bytes < HELLO_LEAST || from->bytes > HELLO_MOST)
        return bad_length("HELLO", from->bytes, e);
    memset(&got, 0, sizeof(got));
    at = hello_load(from->body, &got);
    memcpy(got.uuid, at, sizeof(got.uuid));
    at += sizeof(got.uuid);
    name_bytes = load_u16(at);
    spec_bytes = load_u16(at + 2);
    if (!is_zero(at + 4, HELLO_RESERVED))
        return err_set(e, EPROTO, "HELLO: reserved octets are not zero");
    if (name_bytes + spec_bytes != from->bytes - HELLO_LEAST)
        return bad_length("HELLO", from->bytes, e);
    at = from->body + HELLO_LEAST;
    if (text_load(got.name, GUEST_NAME_MAX, at, name_bytes) < 0 ||
        text_load(got.spec, GUEST_SPEC_MAX, at + name_bytes, spec_bytes) < 0)
        return err_set(e, EPROTO, "HELLO: a text is too long or holds a NUL");
    if ((fault = hello_fault(&got)))
        return err_set(e, EPROTO, "HELLO: %s", fault);
    *ret = got;
    return 0;
}

const char *hello_verdict_words(uint32_t verdict)
{
    switch (verdict) {
#define X(name, value, words) case value: return words;
        HELLO_VERDICTS(X)
#undef X
    default:
        return NULL;
    }
}

/* ---- HELLO_ACK ----------------------------------------------------------------------------------- */

/* … then u16 text octets, 6 reserved, the text. */
#define HELLO_ACK_FIELDS(F)                                                            \
    F(u64, session) F(u64, lineage) F(u64, committed) F(u64, stage_bytes) F(u64, echo_ns) \
    F(u32, verdict) F(u32, term)
#define HELLO_ACK_RESERVED 6u
_Static_assert(0 HELLO_ACK_FIELDS(OCTETS) + 2 + HELLO_ACK_RESERVED == HELLO_ACK_LEAST,
               "records.def has the fixed part of HELLO_ACK");
_Static_assert(HELLO_ACK_LEAST + HELLO_TEXT_MAX == HELLO_ACK_MOST,
               "records.def has the longest HELLO_ACK");
FIELD_TWINS(hello_ack, HELLO_ACK_FIELDS)

static const char *hello_ack_fault(const struct hello_ack *a)
{
    if (!hello_verdict_words(a->verdict))
        return "unknown verdict";
    if (!memchr(a->text, '\0', sizeof(a->text)) || !is_printable(a->text))
        return "the text is too long or not printable ASCII";
    return NULL;
}

int hello_ack_put(struct sink *out, const struct hello_ack *message)
{
    uint8_t body[HELLO_ACK_MOST] = { 0 }, *at;
    size_t text_bytes;

    if (hello_ack_fault(message))
        return -EINVAL;
    text_bytes = strlen(message->text);
    at = hello_ack_store(body, message);
    store_u16(at, (uint16_t)text_bytes);
    memcpy(body + HELLO_ACK_LEAST, message->text, text_bytes);
    return record_put(out, RECORD_HELLO_ACK, body, HELLO_ACK_LEAST + text_bytes);
}

int hello_ack_get(const struct record *from, struct hello_ack *ret, struct err *e)
{
    struct hello_ack got;
    size_t text_bytes;
    const uint8_t *at;
    const char *fault;

    if (from->bytes < HELLO_ACK_LEAST || from->bytes > HELLO_ACK_MOST)
        return bad_length("HELLO_ACK", from->bytes, e);
    memset(&got, 0, sizeof(got));
    at = hello_ack_load(from->body, &got);
    text_bytes = load_u16(at);
    if (!is_zero(at + 2, HELLO_ACK_RESERVED))
        return err_set(e, EPROTO, "HELLO_ACK: reserved octets are not zero");
    if (text_bytes != from->bytes - HELLO_ACK_LEAST)
        return bad_length("HELLO_ACK", from->bytes, e);
    if (text_load(got.text, HELLO_TEXT_MAX, from->body + HELLO_ACK_LEAST, text_bytes) < 0)
        return err_set(e, EPROTO, "HELLO_ACK: the text is too long or holds a NUL");
    if ((fault = hello_ack_fault(&got)))
        return err_set(e, EPROTO, "HELLO_ACK: %s", fault);
    *ret = got;
    return 0;
}

/* ---- messages of fixed length -------------------------------------------------------------------- */

#define EPOCH_FLAGS ((uint32_t)(EPOCH_SEED | EPOCH_FINAL | EPOCH_SWITCHOVER))

static const char *epoch_begin_fault(const struct epoch_begin *m)
{
    return m->flags & ~EPOCH_FLAGS ? "unknown flags" : NULL;
}

static const char *epoch_end_fault(const struct epoch_end *m)
{
    return m->flags & ~EPOCH_FLAGS ? "unknown flags" : NULL;
}

static const char *detach_fault(const struct detach *m)
{
    if (!detach_reason_words(m->reason))
        return "unknown reason";
    return m->is_answer > 1 ? "neither question nor answer" : NULL;
}

static const char *verified_fault(const struct verified *m)
{
    return m->differing > m->pages || (m->differing == 0 && m->first_pfn != 0) ? "more pages differ than there are"
                                                                               : NULL;
}

/* Every value of these is one for the state machines to judge. */
#define NEVER_WRONG(name)                                          \
    static const char *name##_fault(const struct name *m UNUSED)   \
    {                                                              \
        return NULL;                                               \
    }
NEVER_WRONG(ack)
NEVER_WRONG(need_pages)
NEVER_WRONG(heartbeat)

#define EPOCH_BEGIN_FIELDS(F) F(u64, session) F(u64, epoch) F(u32, term) F(u32, flags)
#define EPOCH_END_FIELDS(F)                                                            \
    F(u64, epoch) F(u64, pages) F(u64, digest) F(u32, chunks) F(u32, batches)          \
    F(u32, state_records) F(u32, flags)
#define ACK_FIELDS(F)        F(u64, session) F(u64, epoch) F(u64, echo_ns)
#define NEED_PAGES_FIELDS(F) F(u64, session) F(u64, epoch)
#define VERIFIED_FIELDS(F)                                                             \
    F(u64, session) F(u64, epoch) F(u64, pages) F(u64, differing) F(u64, first_pfn)
#define DETACH_FIELDS(F)     F(u64, session) F(u32, reason) F(u32, is_answer)
#define HEARTBEAT_FIELDS(F)  F(u64, session) F(u64, sent_ns) F(u64, echo_ns)

MESSAGE(epoch_begin, EPOCH_BEGIN, EPOCH_BEGIN_FIELDS)
MESSAGE(epoch_end, EPOCH_END, EPOCH_END_FIELDS)
MESSAGE(ack, ACK, ACK_FIELDS)
MESSAGE(need_pages, NEED_PAGES, NEED_PAGES_FIELDS)
MESSAGE(verified, VERIFIED, VERIFIED_FIELDS)
MESSAGE(detach, DETACH, DETACH_FIELDS)
MESSAGE(heartbeat, HEARTBEAT, HEARTBEAT_FIELDS)

const char *detach_reason_words(uint32_t reason)
{
    switch (reason) {
#define X(name, value, words) case value: return words;
        DETACH_REASONS(X)
#undef X
    default:
        return NULL;
    }
}

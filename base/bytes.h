/* bytes — reading and writing octets with bounds that can't be forgotten.
 * A view shrinks as it is read, a sink as it is written; both refuse instead of passing their end.
 * Integers are little-endian unless the name says be: the order of the stream, not of the machine. */
#ifndef REPLICATOR_BASE_BYTES_H
#define REPLICATOR_BASE_BYTES_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

struct view {
    const uint8_t *at;
    size_t left;
};

struct sink {
    uint8_t *at;
    size_t left;
};

/* Takes n octets off the front; -1 and nothing changed when fewer are left. */
static inline MUST_CHECK int view_take(struct view *v, size_t n, const uint8_t **ret)
{
    if (n > v->left)
        return -1;
    *ret = v->at;
    v->at += n;
    v->left -= n;
    return 0;
}

/* Makes room for n octets at the front; -1 and nothing changed when there is less. */
static inline MUST_CHECK int sink_room(struct sink *s, size_t n, uint8_t **ret)
{
    if (n > s->left)
        return -1;
    *ret = s->at;
    s->at += n;
    s->left -= n;
    return 0;
}

static inline MUST_CHECK int sink_put(struct sink *s, const void *from, size_t n)
{
    uint8_t *to;

    if (sink_room(s, n, &to) < 0)
        return -1;
    if (n > 0)
        memcpy(to, from, n);
    return 0;
}

#define BYTES_INTEGER(type, name, load, store)                        \
    static inline type load_##name(const uint8_t *from)               \
    {                                                                 \
        type raw;                                                     \
        memcpy(&raw, from, sizeof(raw));                              \
        return load(raw);                                             \
    }                                                                 \
    static inline void store_##name(uint8_t *to, type value)          \
    {                                                                 \
        type raw = store(value);                                      \
        memcpy(to, &raw, sizeof(raw));                                \
    }                                                                 \
    static inline MUST_CHECK int view_##name(struct view *v, type *ret) \
    {                                                                 \
        const uint8_t *from;                                          \
        if (view_take(v, sizeof(type), &from) < 0)                    \
            return -1;                                                \
        *ret = load_##name(from);                                     \
        return 0;                                                     \
    }                                                                 \
    static inline MUST_CHECK int sink_##name(struct sink *s, type value) \
    {                                                                 \
        uint8_t *to;                                                  \
        if (sink_room(s, sizeof(type), &to) < 0)                      \
            return -1;                                                \
        store_##name(to, value);                                      \
        return 0;                                                     \
    }

#define BYTES_AS_IS(x) (x)
BYTES_INTEGER(uint8_t, u8, BYTES_AS_IS, BYTES_AS_IS)
BYTES_INTEGER(uint16_t, u16, le16toh, htole16)
BYTES_INTEGER(uint32_t, u32, le32toh, htole32)
BYTES_INTEGER(uint64_t, u64, le64toh, htole64)
BYTES_INTEGER(uint16_t, be16, be16toh, htobe16)
BYTES_INTEGER(uint32_t, be32, be32toh, htobe32)
BYTES_INTEGER(uint64_t, be64, be64toh, htobe64)
#undef BYTES_INTEGER
#undef BYTES_AS_IS

/* LEB128: seven bits an octet, low ones first. The reader refuses what does not fit 64 bits and
 * encodings longer than needed, so that every value has one form. */
#define VARINT_BYTES_MAX 10u
MUST_CHECK int view_varint(struct view *v, uint64_t *ret);
MUST_CHECK int sink_varint(struct sink *s, uint64_t value);

#endif

/* record_fuzz — any octets as a stream of records: framing takes or refuses them, and what a message
 * decoder accepts is what its encoder makes. */
#include "checkpoint/record.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes);

#define BODY_MAX 8192u

static void same_octets(const struct record *from, const uint8_t *made, const struct sink *rest, size_t room)
{
    must(room - rest->left == record_wire_bytes(from->bytes));
    must(load_u32(made) == from->type);
    must(load_u32(made + 4) == from->bytes);
    must(memcmp(made + RECORD_HEADER_BYTES, from->body, from->bytes) == 0);
}

#define MESSAGES(X)                                                                    \
    X(hello, HELLO) X(hello_ack, HELLO_ACK) X(epoch_begin, EPOCH_BEGIN)                \
    X(epoch_end, EPOCH_END) X(ack, ACK) X(need_pages, NEED_PAGES) X(detach, DETACH)    \
    X(heartbeat, HEARTBEAT) X(verified, VERIFIED)

#define X(name, TYPE)                                                  \
    static void name##_twice(const struct record *from)                \
    {                                                                  \
        uint8_t made[RECORD_HEADER_BYTES + BODY_MAX];                  \
        struct sink out = { made, sizeof(made) };                      \
        struct name message;                                           \
        struct err e = { 0 };                                          \
                                                                       \
        if (name##_get(from, &message, &e) < 0) {                      \
            must(e.code != 0 && e.text[0] != '\0');                    \
            return;                                                    \
        }                                                              \
        must(name##_put(&out, &message) == 0);                         \
        same_octets(from, made, &out, sizeof(made));                   \
    }
MESSAGES(X)
#undef X

static void record_twice(const struct record *from)
{
    uint8_t made[RECORD_HEADER_BYTES + BODY_MAX];
    struct sink out = { made, sizeof(made) };

    must(record_put(&out, from->type, from->body, from->bytes) == 0);
    same_octets(from, made, &out, sizeof(made));
    switch (from->type) {
#define X(name, TYPE) case RECORD_##TYPE: name##_twice(from); break;
        MESSAGES(X)
#undef X
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t bytes)
{
    struct view in = { octets, bytes };
    struct record record;
    struct err e = { 0 };
    int rc;

    while ((rc = record_take(&in, BODY_MAX, &record, &e)) == 1) {
        must(record.bytes <= BODY_MAX);
        record_twice(&record);
    }
    must(rc == 0 || (e.code != 0 && e.text[0] != '\0'));
    return 0;
}

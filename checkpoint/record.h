/* record — framing and bodies of the stream's records: encode and decode are twins in one file.
 * A record is u32 type, u32 body length, body, zero padding up to a multiple of 8 (libxc migration
 * stream, "Records"). Both directions of a session use the same framing. Decoders accept exactly what
 * encoders make: reserved bits zero, lengths exact. Pure: no I/O, no allocation. */
#ifndef REPLICATOR_CHECKPOINT_RECORD_H
#define REPLICATOR_CHECKPOINT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "checkpoint/guest.h"

#define RECORD_HEADER_BYTES 8u
#define RECORD_BODY_MAX     (128u << 20) /* libxc since Xen 4.10 */
#define RECORD_OPTIONAL     0x80000000u

/* One chunk of encoded pages: 24 octets, an index, payloads. */
#define PAGES_CHUNK_MAX 256u
#define PAGES_INDEX_MAX (PAGES_CHUNK_MAX * (VARINT_BYTES_MAX + 1u + 3u))
#define PAGES_BODY_MAX  (24u + PAGES_INDEX_MAX + PAGES_CHUNK_MAX * 4096u)

/* Digests of so many pages in one PAGE_SUMS. */
#define PAGE_SUMS_MAX 4096u

/* The longest record a session carries, framing included: the size of its receive buffer. */
#define SESSION_BODY_MAX   GUEST_STATE_MAX
#define SESSION_RECORD_MAX (RECORD_HEADER_BYTES + SESSION_BODY_MAX + 8u)
_Static_assert(PAGES_BODY_MAX <= SESSION_BODY_MAX, "a chunk of pages fits a session's records");

enum record_origin {
    RECORD_LIBXC = 1,
    RECORD_FROM_PRIMARY = 2,
    RECORD_FROM_BACKUP = 4,
    RECORD_IN_FILES = 8, /* packed images only: a session refuses them */
};

enum record_type {
#define RECORD(name, type, least, most, origin) RECORD_##name = (type),
#include "checkpoint/records.def"
#undef RECORD
};

struct record {
    uint32_t type;
    uint32_t bytes;      /* of the body, without padding */
    const uint8_t *body; /* points into the input */
};

static inline size_t record_padded(size_t body_bytes)
{
    return (body_bytes + 7u) & ~(size_t)7u;
}

/* Takes one whole record off the front of `in`. 1: done; 0: more octets are needed, nothing taken;
 * -EPROTO: the header breaks a rule (unknown mandatory type, length out of its bounds or above
 * body_max, padding not zero). Unknown optional records are delivered like others. */
MUST_CHECK int record_take(struct view *in, size_t body_max, struct record *ret, struct err *e);

/* Appends a record with a given body; -ENOBUFS when the sink is short (nothing written). */
MUST_CHECK int record_put(struct sink *out, uint32_t type, const void *body, size_t bytes);

/* Octets that a record with this body takes on the wire. */
static inline size_t record_wire_bytes(size_t body_bytes)
{
    return RECORD_HEADER_BYTES + record_padded(body_bytes);
}

/* "PAGE_DATA", or NULL for a type that is not in records.def. */
const char *record_name(uint32_t type);

/* ---- session and epoch messages ------------------------------------------------------------------ */

#define PROTOCOL_VERSION 1u

/* First record from the primary, after the image and domain headers. */
struct hello {
    uint32_t version;      /* PROTOCOL_VERSION */
    uint32_t term;         /* which token decides while this session's commits are the newest */
    uint64_t lineage;      /* one full copy and all that follows from it; never 0 */
    uint64_t replaces;     /* a lineage that this one may replace on the backup, or 0 */
    uint64_t session;      /* grows within a lineage with every connection */
    uint64_t acked;        /* newest epoch whose ack the primary has, or 0 */
    uint64_t pages;
    uint64_t interval_ns, heartbeat_ns, timeout_ns;
    uint64_t sent_ns;      /* primary's clock when it was made */
    uint8_t uuid[16];
    char name[GUEST_NAME_MAX + 1];
    char spec[GUEST_SPEC_MAX + 1];
};

/* Why a HELLO was refused; part of the wire. */
#define HELLO_VERDICTS(X)                                                      \
    X(OK, 0, "accepted")                                                       \
    X(VERSION, 1, "protocol version not spoken here")                          \
    X(DOMAIN, 2, "another domain than this replica's")                         \
    X(OLD_SESSION, 3, "an older session than the newest seen")                 \
    X(BUSY, 4, "a committed replica of another lineage is held here")          \
    X(ACTIVE, 5, "the replica is activated: this side owns the guest")         \
    X(RESOURCES, 6, "this host cannot hold the replica")                       \
    X(SHAPE, 7, "the guest's shape differs from the replica's")                \
    X(OLD_TERM, 8, "an older term than the newest seen")                       \
    X(DECIDING, 9, "the arbiter has been asked, or the replica is ending")

enum hello_verdict {
#define X(name, value, words) HELLO_##name = (value),
    HELLO_VERDICTS(X)
#undef X
};
const char *hello_verdict_words(uint32_t verdict);

#define HELLO_TEXT_MAX 256u
struct hello_ack {
    uint64_t session, lineage;
    uint64_t committed;    /* newest committed epoch of that lineage, 0: none, a seed is needed */
    uint64_t stage_bytes;  /* how many octets of one epoch the backup can stage */
    uint64_t echo_ns;      /* hello.sent_ns */
    uint32_t verdict;
    uint32_t term;         /* the backup's */
    char text[HELLO_TEXT_MAX + 1];
};

enum epoch_flags {
    EPOCH_SEED = 1,  /* whole memory, applied as it comes; nothing is committed until its end     */
    EPOCH_FINAL = 2, /* the guest has ended: this commit must never be activated                  */
    EPOCH_SWITCHOVER = 4, /* the guest lies still since: DETACH(SWITCHOVER) may give it away      */
};

/* Opens an epoch; what was staged of an unfinished one is void. Epoch numbers only grow. */
struct epoch_begin {
    uint64_t session, epoch;
    uint32_t term, flags;
};

/* Closes it. The digest is over every octet of the records between EPOCH_BEGIN and this one that
 * belong to the epoch (page chunks and state records, framing included; heartbeats are not). */
struct epoch_end {
    uint64_t epoch, pages, digest;
    uint32_t chunks, batches, state_records, flags;
};

/* Epoch committed, and every earlier one: applicable with no further memory, network or disk. */
struct ack {
    uint64_t session, epoch, echo_ns;
};

/* A delta's base was not what the primary thought: send this epoch's pages again, whole. */
struct need_pages {
    uint64_t session, epoch;
};

/* What came of comparing the replica with the PAGE_SUMS of an epoch, once that was applied. */
struct verified {
    uint64_t session, epoch;
    uint64_t pages;     /* compared */
    uint64_t differing; /* of them; 0: the replica is what the guest was */
    uint64_t first_pfn; /* that differs, or 0 */
};

#define DETACH_REASONS(X)                                  \
    X(STOPPED, 1, "protection was stopped")                \
    X(SHUT_DOWN, 2, "the guest shut down")                 \
    X(REBOOTED, 3, "the guest rebooted")                   \
    X(CRASHED, 4, "the guest crashed")                     \
    X(RECEIVER_STOPPED, 5, "the receive side was stopped") \
    X(REFUSED, 6, "the session's data was refused")        \
    X(SWITCHOVER, 7, "the guest was handed over")          \
    X(DIFFERS, 8, "the replica differed from the guest and was given up")

enum detach_reason {
#define X(name, value, words) DETACH_##name = (value),
    DETACH_REASONS(X)
#undef X
};
const char *detach_reason_words(uint32_t reason);

/* A clean end: after this nobody may fail over. is_answer: the other side agrees and has let go.
 * SWITCHOVER instead gives the guest to the backup, as committed; its answer says that it runs there. */
struct detach {
    uint64_t session;
    uint32_t reason, is_answer;
};

/* sent_ns: sender's clock. echo_ns: the newest sent_ns seen from the peer (0: none). */
struct heartbeat {
    uint64_t session, sent_ns, echo_ns;
};

/* put: append the whole record, -ENOBUFS when the sink is short, -EINVAL for a message that get would
 * refuse (nothing written either way). get: fill *ret from a record of that type, -EPROTO and e filled
 * when the body breaks a rule. */
#define RECORD_TWINS(name)                                                                     \
    MUST_CHECK int name##_put(struct sink *out, const struct name *message);                   \
    MUST_CHECK int name##_get(const struct record *from, struct name *ret, struct err *e)
RECORD_TWINS(hello);
RECORD_TWINS(hello_ack);
RECORD_TWINS(epoch_begin);
RECORD_TWINS(epoch_end);
RECORD_TWINS(ack);
RECORD_TWINS(need_pages);
RECORD_TWINS(verified);
RECORD_TWINS(detach);
RECORD_TWINS(heartbeat);
#undef RECORD_TWINS

#endif

/* stream — the two headers that open a libxc migration stream (versions 2 and 3).
 * Image header 24 octets, always big-endian; domain header 16 octets, little-endian here. Every
 * connection from a primary starts with them, so that a wire capture is a stream file. */
#ifndef REPLICATOR_CHECKPOINT_STREAM_H
#define REPLICATOR_CHECKPOINT_STREAM_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define STREAM_MARKER        UINT64_C(0xffffffffffffffff)
#define STREAM_ID            UINT32_C(0x58454e46) /* "XENF" */
#define STREAM_VERSION       3u
#define STREAM_HEADERS_BYTES 40u

enum stream_guest { STREAM_GUEST_PV = 1, STREAM_GUEST_HVM = 2 };

struct stream_headers {
    uint32_t version;              /* 2 or 3 */
    enum stream_guest guest;
    uint32_t xen_major, xen_minor; /* informative */
};

/* Appends both headers (version must be STREAM_VERSION); -ENOBUFS when the sink is short. */
MUST_CHECK int stream_headers_put(struct sink *out, const struct stream_headers *h);

/* Takes both off the front: 1 done, 0 more octets needed (but what is there is right so far),
 * -EPROTO with the rule that is broken (marker, id, version, endianness, guest type, page size). */
MUST_CHECK int stream_headers_take(struct view *in, struct stream_headers *ret, struct err *e);

#endif

/* greeting — see greeting.h. */
#include "replicator/daemon/greeting.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "checkpoint/stream.h"

#define HELLO_BODY_MAX (112u + GUEST_NAME_MAX + GUEST_SPEC_MAX)
_Static_assert(STREAM_HEADERS_BYTES + RECORD_HEADER_BYTES + HELLO_BODY_MAX + 8u <= HANDOVER_BYTES_MAX,
               "a greeting fits a handover");

int greeting_parse(const uint8_t *octets, size_t bytes, struct hello *ret, size_t *ret_need, struct err *e)
{
    struct view in = { octets, bytes };
    struct stream_headers headers;
    struct record rec;
    int rc = stream_headers_take(&in, &headers, e);

    *ret_need = STREAM_HEADERS_BYTES + RECORD_HEADER_BYTES;
    if (rc <= 0)
        return rc;
    if (in.left >= 4 && load_u32(in.at) != (uint32_t)RECORD_HELLO)
        return err_set(e, EPROTO, "a session begins with HELLO, not with a record of type %#x: is this "
                       "stream made for somebody else?", load_u32(in.at));
    rc = record_take(&in, HELLO_BODY_MAX, &rec, e);
    if (rc == 0 && in.left >= RECORD_HEADER_BYTES)
        *ret_need = STREAM_HEADERS_BYTES + record_wire_bytes(load_u32(in.at + 4));
    if (rc <= 0)
        return rc;
    rc = hello_get(&rec, ret, e);
    return rc < 0 ? rc : 1;
}

static int read_some(struct handover *h, size_t most, uint64_t until_ns, struct err *e)
{
    struct pollfd p = { .fd = h->receive_fd, .events = POLLIN };
    uint64_t now = clock_now_ns();
    ssize_t got;

    if (now >= until_ns || poll(&p, 1, (int)((until_ns - now) / NS_PER_MS) + 1) == 0)
        return err_set(e, ETIMEDOUT, "no whole HELLO after %zu octets in time", h->bytes);
    got = read(h->receive_fd, h->octets + h->bytes, most);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (got < 0)
        return err_set(e, errno, "after %zu octets: %m", h->bytes);
    if (got == 0)
        return err_set(e, EPIPE, "the peer closed the connection after %zu octets", h->bytes);
    h->bytes += (size_t)got;
    return 0;
}

int greeting_read(struct handover *h, uint64_t until_ns, struct hello *ret, struct err *e)
{
    size_t need = 0;
    int rc;

    must(h->bytes == 0);
    while ((rc = greeting_parse(h->octets, h->bytes, ret, &need, e)) == 0) {
        must(need > h->bytes && need <= sizeof(h->octets));
        rc = read_some(h, need - h->bytes, until_ns, e);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : 0;
}

/* netbuf_sink — where frames of a user-space NIC go when they are let out.
 * Same shape as the NIC's own outlet, so that a netbuf stands between the two without glue. */
#ifndef REPLICATOR_NETBUF_NETBUF_SINK_H
#define REPLICATOR_NETBUF_NETBUF_SINK_H

#include <stddef.h>
#include <stdint.h>

struct netbuf_sink {
    /* Must not block; a frame that can't be sent is lost, as on any network. Called with the
     * netbuf's lock held, by any thread: it must not call back into the netbuf. */
    void (*send)(void *context, const uint8_t *frame, size_t bytes);
    void *context;
};

#endif

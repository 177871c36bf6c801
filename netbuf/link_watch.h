/* link_watch — hears from the kernel that a link changed or went, or that somebody removed a qdisc or
 * a filter. What the network buffer itself says every epoch is filtered out in the kernel, so that the
 * watch costs nothing while nothing happens. */
#ifndef REPLICATOR_NETBUF_LINK_WATCH_H
#define REPLICATOR_NETBUF_LINK_WATCH_H

#include "base/attr.h"
#include "base/err.h"
#include "netbuf/plug_message.h"

enum link_event_type {
    LINK_EVENT_LINK,   /* .link */
    LINK_EVENT_QDISC,  /* .qdisc was removed */
    LINK_EVENT_FILTER, /* .filter was removed */
    LINK_EVENT_LOST,   /* the kernel could not keep up: anything may have happened */
};

struct link_event {
    enum link_event_type type;
    union {
        struct plug_link link;
        struct plug_qdisc qdisc;
        struct plug_filter filter;
    };
};

struct link_watch {
    int fd; /* readable when there is something to read */
};

MUST_CHECK int link_watch_open(struct link_watch *w, struct err *e);
void link_watch_close(struct link_watch *w); /* any state, twice */

/* Reads all events that wait, without waiting, and hands each on. */
void link_watch_read(struct link_watch *w, void (*take)(const struct link_event *event, void *context),
                     void *context);

#endif

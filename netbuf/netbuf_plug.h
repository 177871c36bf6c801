/* netbuf_plug — holds what a domain's interfaces send in the kernel's plug qdisc (struct netbuf's
 * promises), for any kind of frame. All interfaces are marked and released by one send. Nothing but
 * open, drop and cleanup ends the holding: when this process dies, frames stay where they are (P5).
 *
 * The record of what was changed is written first. close() gives the interfaces back when output was
 * passing; when it was held or dropped, everything stays, and `replicator netbuf cleanup` asks. */
#ifndef REPLICATOR_NETBUF_NETBUF_PLUG_H
#define REPLICATOR_NETBUF_NETBUF_PLUG_H

#include "netbuf/netbuf.h"
#include "netbuf/vif_record.h"

#define NETBUF_PLUG_LIMIT_LEAST (64u << 10) /* one GSO frame */
#define NETBUF_PLUG_LIMIT_MOST  UINT32_MAX

struct netbuf_plug_options {
    const char *folder; /* of records, exists */
    const char *domain;
    uint8_t uuid[16];
    const char *const *vifs; /* names of interfaces, or patterns as a shell's (vif7.*): those that are
                                there, and those that come later */
    unsigned count;          /* 1 … VIF_RECORD_VIFS_MAX */
    uint64_t limit_bytes;    /* of each plug */
    bool takes_over;         /* output that an earlier process of this domain (name and uuid) holds is ours
                                to decide about: it stays held, and must be opened or dropped before any
                                release. Else that is refused */
};

/* Passing, or what was taken over. -EBUSY: an earlier process's output is held, or an interface is held or
 * filtered by others; -ENODEV; -ENOPROTOOPT naming the kernel's missing module; -EPERM naming the capability; -EINVAL. */
MUST_CHECK int netbuf_plug_open(struct netbuf **ret, const struct netbuf_plug_options *options,
                                struct err *e);

/* What may be sent in an interval and the round trip after it, twice; within the limits above. */
uint64_t netbuf_plug_limit(uint64_t bytes_per_s, uint64_t interval_ns, uint64_t round_trip_ns);

/* Another limit from now on. What is held beyond it stays. */
MUST_CHECK int netbuf_plug_resize(struct netbuf *n, uint64_t limit_bytes, struct err *e);

/* Undoes what a record says, of a process that is no more: held frames leave or are gone. Also when
 * only a part of it is there. The record goes last. */
MUST_CHECK int netbuf_plug_cleanup(const char *folder, const struct vif_record *r, bool lets_out,
                                   struct err *e);

#endif

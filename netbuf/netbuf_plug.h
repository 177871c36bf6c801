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
    const char *const *vifs; /* names of interfaces */
    unsigned count;          /* 1 … VIF_RECORD_VIFS_MAX */
    uint64_t limit_bytes;    /* of each plug */
};

/* Passing. -EBUSY: the record of an earlier process is there, or an interface is held or filtered;
 * -ENOPROTOOPT naming the kernel's missing module; -EPERM naming the capability; -EINVAL. */
MUST_CHECK int netbuf_plug_open(struct netbuf **ret, const struct netbuf_plug_options *options,
                                struct err *e);

/* What may be sent in an interval and the round trip after it, twice; within the limits above. */
uint64_t netbuf_plug_limit(uint64_t bytes_per_s, uint64_t interval_ns, uint64_t round_trip_ns);

/* Readable when netbuf_plug_watch has something to look at. */
int netbuf_plug_fd(const struct netbuf *n);

/* Looks at what the kernel told meanwhile, mends what can be mended (a plug that was reset, an interface
 * that came back), and says whether everything a guest sends is held: 0, or -errno with the reason,
 * each time anew until it is mended. mark and release do this too, and fail with it. */
MUST_CHECK int netbuf_plug_watch(struct netbuf *n, struct err *e);

/* Undoes what a record says, of a process that is no more: held frames leave or are gone. Also when
 * only a part of it is there. The record goes last. */
MUST_CHECK int netbuf_plug_cleanup(const char *folder, const struct vif_record *r, bool lets_out,
                                   struct err *e);

#endif

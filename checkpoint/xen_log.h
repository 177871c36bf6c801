/* xen_log — the hypervisor's log of the pages that a domain writes. Off unless somebody reads it; the
 * first read turns it on, close turns it off. A mark in the store tells a later process that it was
 * left on by one that was killed. */
#ifndef REPLICATOR_CHECKPOINT_XEN_LOG_H
#define REPLICATOR_CHECKPOINT_XEN_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/dirty.h"
#include "checkpoint/xen_domain.h"
#include "checkpoint/xen_host.h"

struct xen_log {
    const struct xen_host *host;
    struct xen_domain domain;
    uint64_t pages;    /* of the physical map */
    uint64_t *bitmap;  /* memory that hypercalls take, pages rounded up to whole words */
    size_t bitmap_pages;
    int claim_fd;      /* while it is on: nobody else of this program reads it */
    bool is_on;
    bool may_be_shared; /* an emulator tracks its video memory by the same log */
};

MUST_CHECK int xen_log_open(struct xen_log *l, const struct xen_host *h, const struct xen_domain *d,
                            uint64_t pages, bool has_emulator, struct err *e);
void xen_log_close(struct xen_log *l); /* any state, twice */

/* ORs what was written since the last read into `into` and clears the log; when the log was off, turns
 * it on and says that every page was written. is_final: the domain lies still, and pages that the
 * hypervisor itself holds mapped count as written. -EBUSY: another tool uses the log; -ERANGE: the
 * physical map has grown. */
MUST_CHECK int xen_log_read(struct xen_log *l, bool is_final, struct dirty *into, struct err *e);

/* One process reads a domain's log, or the bits are torn apart: a descriptor that holds the claim until
 * it is closed, be it by the end of the process. -EBUSY: another process has it. */
MUST_CHECK int xen_log_claim(const struct xen_domain *d, int *ret_fd, struct err *e);

/* Whether a process that is gone left the log on; and off with it. The claim is the caller's. */
bool xen_log_was_left(const struct xen_host *h, const struct xen_domain *d);
void xen_log_end_left(const struct xen_host *h, const struct xen_domain *d);

/* Whether the log is on without the mark: another tool's, that reads it or has left it. The hypervisor
 * says so only to who turns it on: a log that was off is on for a moment. The claim is the caller's, and
 * no emulator has a part of the log. */
bool xen_log_is_foreign(const struct xen_host *h, const struct xen_domain *d);

/* The bits of `from` (n words) into `to`, word by word. Pure. */
void xen_log_scan(uint64_t *to, const uint64_t *from, size_t n);

#endif

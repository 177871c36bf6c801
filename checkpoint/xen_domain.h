/* xen_domain — which domain is meant, and how it is right now. A domain is found once, by name, number
 * or UUID, and known by its UUID from then on: numbers are given again, names are changed by xl. */
#ifndef REPLICATOR_CHECKPOINT_XEN_DOMAIN_H
#define REPLICATOR_CHECKPOINT_XEN_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/guest.h"
#include "checkpoint/xen_host.h"
#include "checkpoint/xen_shape.h"

struct xc_dominfo;

struct xen_domain {
    uint32_t domid;
    uint8_t uuid[16];
};

/* One look at a domain. */
struct xen_look {
    bool is_there;      /* false: gone, or another has its number now; all else is 0 then */
    bool is_dying;
    bool is_shut_down;  /* of which a suspended domain is one kind */
    bool is_suspended;
    bool is_paused;     /* by a toolstack */
    bool is_running;    /* a vCPU of it, right now */
    bool is_blocked;    /* every vCPU waits for an event */
    enum guest_life life; /* GUEST_RUNS while suspended */
    bool is_translated; /* HVM or PVH, not PV */
    uint64_t pages;     /* that it has now */
    uint64_t max_memkb;
    uint32_t vcpus;
    uint64_t cpu_ns;    /* processor time that its vCPUs have had */
};

/* Finds a domain by UUID, number or name, in this order. -ENOENT. */
MUST_CHECK int xen_domain_find(const struct xen_host *h, const char *which, struct xen_domain *ret,
                               struct err *e);

MUST_CHECK int xen_domain_look(const struct xen_host *h, const struct xen_domain *d, struct xen_look *ret,
                               struct err *e);

/* What libxenctrl said of a domain that is there. One that crashed it calls crashed and not shut down. */
void xen_domain_seen(const struct xc_dominfo *i, struct xen_look *ret);

/* Whether any domain of this host has the UUID or the name, and its number. */
bool xen_domain_has_uuid(const struct xen_host *h, const uint8_t uuid[16], uint32_t *ret_domid);
bool xen_domain_has_name(const struct xen_host *h, const char *name, uint32_t *ret_domid);

/* Its name in the store. -ENOENT: it has none. */
MUST_CHECK int xen_domain_name(const struct xen_host *h, uint32_t domid, char ret[GUEST_NAME_MAX + 1],
                               struct err *e);

/* Whether QEMU emulates devices for it. */
bool xen_domain_has_emulator(const struct xen_host *h, uint32_t domid);

/* All of the shape but `config`. Refuses what can't be protected with the reason: -EOPNOTSUPP for PV
 * (no dirty log on this hypervisor), -EINVAL for the control domain, -ERANGE for sizes. */
MUST_CHECK int xen_domain_shape(const struct xen_host *h, const struct xen_domain *d,
                                struct xen_shape *ret, struct err *e);

#endif

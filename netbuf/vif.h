/* vif — one interface of a guest and the ifb whose plug holds what the guest sends.
 * Set-up, in this order: ifb (up) · plug as its root, with its limit in the same message ·
 * RELEASE_INDEFINITE · ingress hook on the interface · redirect of every frame. So nothing is held
 * before a mark, and a death between any two messages leaves either no redirect or a plug behind it.
 * Tear-down is the reverse. Both are found again by name: "rp-" and the interface's name. */
#ifndef REPLICATOR_NETBUF_VIF_H
#define REPLICATOR_NETBUF_VIF_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "netbuf/netlink.h"
#include "netbuf/plug_message.h"
#include "netbuf/plug_state.h"

#define VIF_IFB_PREFIX "rp-"

struct vif {
    /* set by vif_look */
    char name[IFNAMSIZ], ifb[IFNAMSIZ];
    int ifindex;          /* of the guest's interface */
    bool had_ingress;     /* it had an empty hook before us, and keeps it */
    /* set by vif_set_up */
    int ifb_index;
    uint32_t handle;      /* of the plug; another one after each renewal */
    uint32_t limit_bytes;
    enum plug_classifier classifier;
    struct plug_state state;
    struct nl_msg *buffer, *release_one; /* made once, sent every epoch */
};

/* The ifb that belongs to an interface: the same name always gives the same one. */
void vif_ifb_name(const char *name, char ret[IFNAMSIZ]);

/* Looks at the interface without changing anything. -ENODEV: there is none of that name. -EBUSY: its
 * ingress hook has filters already (somebody else's, which would let frames by), or its ifb is there
 * (a leftover). */
MUST_CHECK int vif_look(struct vif *v, struct netlink *n, const char *name, struct err *e);

/* After vif_look; in its mode from the first frame on. On failure what was made stays, for
 * vif_tear_down. -ENOPROTOOPT naming module and kernel option when the kernel can't; -EPERM naming the
 * capability. */
MUST_CHECK int vif_set_up(struct vif *v, struct netlink *n, uint32_t limit_bytes, enum plug_mode mode,
                          struct err *e);

/* What an earlier process made (names, ifindex and had_ingress are filled in) is ours, and holds. -ENODEV:
 * its ifb is not there; -ESTALE: it is down, or no plug is on it. After either, remake or renew, which then can. */
MUST_CHECK int vif_take_over(struct vif *v, struct netlink *n, uint32_t limit_bytes, enum plug_mode mode,
                             struct err *e);

/* Makes ifb and plug again after somebody removed the ifb, and takes the redirect to nowhere away; the
 * frames are gone. vif_redirect must follow. */
MUST_CHECK int vif_remake(struct vif *v, struct netlink *n, struct err *e);

/* Puts a fresh plug in the place of the old one, whose frames are gone: holding and empty, with the
 * limit given (0: drops everything). */
MUST_CHECK int vif_renew(struct vif *v, struct netlink *n, uint32_t limit_bytes, struct err *e);

/* The redirect alone: for an interface that came back (vif_relocate finds it by its name, -ENODEV when
 * it is not there), or whose redirect somebody removed. 0 also when it is there. */
MUST_CHECK int vif_relocate(struct vif *v, struct netlink *n, struct err *e);
MUST_CHECK int vif_redirect(struct vif *v, struct netlink *n, struct err *e);

/* -EAGAIN naming what is no longer as it was set up: ifb down, plug replaced, redirect removed. */
MUST_CHECK int vif_check(const struct vif *v, struct netlink *n, struct err *e);

/* Counters of the plug. */
MUST_CHECK int vif_query(const struct vif *v, struct netlink *n, struct plug_qdisc *ret, struct err *e);

/* Waits, for milliseconds at most, until what a passing plug was given has left it. False: it did not. */
bool vif_drain(const struct vif *v, struct netlink *n);

/* Removes redirect, hook (unless it had one) and ifb, whatever of them is there: the interface is as
 * before. Held frames leave first (lets_out) or are gone. Only ifindex, ifb and had_ingress are
 * looked at. */
MUST_CHECK int vif_tear_down(const struct vif *v, struct netlink *n, bool lets_out, struct err *e);

/* The process's own part. Any state, twice. */
void vif_close(struct vif *v);

#endif

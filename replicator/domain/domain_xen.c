/* domain_xen — domains of a Xen host: their output leaves by vifs, which the kernel's plug holds. */
#include "replicator/domain/domain_rows.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/guest_xen.h"
#include "checkpoint/replica_xen.h"
#include "netbuf/netbuf_none.h"
#include "replicator/domain/domain_plug.h"

#define INTERFACES "/sys/class/net"

struct domain_xen {
    struct domain domain;
    struct xen_config config;
};

static struct domain_xen *xen_of(struct domain *d)
{
    return (struct domain_xen *)d;
}

/* "xen:web1" or just "web1". */
static const char *which_of(const char *spec)
{
    return strncmp(spec, XEN_SHAPE_PREFIX, strlen(XEN_SHAPE_PREFIX)) == 0 ? spec + strlen(XEN_SHAPE_PREFIX)
                                                                          : spec;
}

/* Also of a whole description, which is what a guest that was activated here has for a spec. */
static int xen_name(const char *spec, char ret[GUEST_NAME_MAX + 1], struct err *e)
{
    struct xen_shape shape;
    struct err unused;

    if (xen_shape_parse(spec, &shape, &unused) == 0) {
        strcpy(ret, shape.name);
        return 0;
    }
    return guest_xen_name(which_of(spec), ret, e);
}

static int xen_new(struct domain_xen **ret, struct err *e)
{
    struct domain_xen *x = calloc(1, sizeof(*x));

    if (!x)
        return err_set(e, ENOMEM, "no memory for a domain");
    x->domain.ops = &domain_xen;
    *ret = x;
    return 0;
}

/* ---- interfaces ------------------------------------------------------------------------------------- */

struct vif_list {
    unsigned count;
    char names[XEN_VIFS_MAX][XEN_BRIDGE_MAX + 1];
};

/* The host's ends of a domain's interfaces are called vifDOMID.N (and vifDOMID.N-emu, of an emulated
 * card) unless the configuration names them: those that are there. */
static int list_vifs(uint32_t domid, struct vif_list *ret, struct err *e)
{
    char prefix[XEN_BRIDGE_MAX + 1];
    DIR *all = opendir(INTERFACES);
    int rc = 0;

    ret->count = 0;
    if (!all)
        return err_set(e, errno, "open %s: %m", INTERFACES);
    snprintf(prefix, sizeof(prefix), "vif%u.", domid);
    for (struct dirent *one; rc == 0 && (one = readdir(all));) {
        if (strncmp(one->d_name, prefix, strlen(prefix)) != 0 || strlen(one->d_name) > XEN_BRIDGE_MAX)
            continue;
        if (ret->count == XEN_VIFS_MAX)
            rc = err_set(e, E2BIG, "the domain has more than %u interfaces", XEN_VIFS_MAX);
        else
            strcpy(ret->names[ret->count++], one->d_name);
    }
    closedir(all);
    return rc;
}

static void send_nothing(UNUSED void *context, UNUSED const uint8_t *frame, UNUSED size_t bytes)
{
}

/* Also those that are plugged in later are held, by their name; a guest without any says nothing, and
 * that is held. */
static int open_network(struct domain_xen *x, const struct domain_options *o, struct err *e)
{
    const struct netbuf_sink nowhere = { send_nothing, NULL };
    char pattern[XEN_BRIDGE_MAX + 1];
    const char *own = pattern;
    struct vif_list vifs;
    int rc;

    if (o->unsafe_netbuf)
        return netbuf_none_open(&x->domain.netbuf, nowhere, e);
    rc = list_vifs(guest_xen_domid(x->domain.guest), &vifs, e);
    if (rc < 0)
        return rc;
    if (vifs.count < x->config.vif_count && o->vif_count == 0)
        return err_set(e, ENODEV, "%u of the domain's %u interfaces are called vif%u.N on this host: name all of "
                       "them with --vif (vifname= is not followed)", vifs.count, x->config.vif_count,
                       guest_xen_domid(x->domain.guest));
    snprintf(pattern, sizeof(pattern), "vif%u.*", guest_xen_domid(x->domain.guest));
    return domain_plug_open(&x->domain, o, &own, o->vif_count == 0, e);
}

/* ---- the table -------------------------------------------------------------------------------------- */

static void xen_close(struct domain *d)
{
    struct domain_xen *x = xen_of(d);

    if (d->owns_guest)
        d->guest->ops->close(d->guest);
    if (d->netbuf)
        d->netbuf->ops->close(d->netbuf);
    free(x);
}

/* What the guest's own spec says of it: the same that a backup reads. */
static int read_config(struct domain_xen *x, struct err *e)
{
    struct guest_info about;
    struct xen_shape shape;
    int rc;

    x->domain.guest->ops->info(x->domain.guest, &about);
    rc = xen_shape_parse(about.spec, &shape, e);
    return rc < 0 ? rc : xen_config_read(shape.config, &x->config, e);
}

static int xen_open(struct domain **ret, const struct domain_options *o, struct err *e)
{
    struct domain_xen *x = NULL;
    int rc = xen_new(&x, e);

    if (rc < 0)
        return rc;
    rc = guest_xen_open(which_of(o->spec), &x->domain.guest, e);
    x->domain.owns_guest = rc == 0;
    if (rc == 0)
        rc = read_config(x, e);
    if (rc == 0)
        rc = open_network(x, o, e);
    if (rc < 0)
        xen_close(&x->domain);
    else
        *ret = &x->domain;
    return rc;
}

static int xen_await(struct domain **ret, const struct hello *h, struct replica **ret_replica, struct err *e)
{
    struct domain_xen *x = NULL;
    struct xen_shape shape;
    int rc = xen_shape_parse(h->spec, &shape, e);

    if (rc < 0)
        return rc;
    if (strcmp(shape.name, h->name) != 0 || shape.pages != h->pages)
        return err_set(e, EPROTO, "the domain is called %s with %" PRIu64 " pages, its description says %s with %"
                       PRIu64, h->name, h->pages, shape.name, shape.pages);
    rc = xen_new(&x, e);
    if (rc < 0)
        return rc;
    rc = replica_xen_open(&shape, ret_replica, e);
    if (rc < 0) {
        xen_close(&x->domain);
        return rc;
    }
    x->config = *replica_xen_config(*ret_replica);
    *ret = &x->domain;
    return 0;
}

/* xl has made its devices by now, and connected them. */
static int xen_run(struct domain *d, struct guest *g, struct err *e)
{
    int rc = guest_go_on(g, e);

    if (rc == 0)
        d->guest = g;
    return rc;
}

/* Its interfaces are there since xl connected them; frames that are on their way pass. */
static int xen_hold(struct domain *d, const struct domain_options *o, struct err *e)
{
    return d->netbuf ? 0 : open_network(xen_of(d), o, e);
}

static int xen_check(UNUSED struct domain *d, struct err *e)
{
    return err_set(e, EOPNOTSUPP, "only a simulated guest can answer for its own memory");
}

static int xen_input_fd(UNUSED const struct domain *d)
{
    return -1;
}

static void xen_input(UNUSED struct domain *d)
{
}

static void port_addresses(const struct xen_vif *vif, struct announce_nic *nic)
{
    char text[XEN_ADDRESSES_MAX + 32];
    struct announce_nic one;
    struct err e;

    for (const char *at = vif->addresses; *at;) {
        size_t n = strcspn(at, " ");

        snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x=%.*s", vif->mac[0], vif->mac[1], vif->mac[2],
                 vif->mac[3], vif->mac[4], vif->mac[5], (int)strcspn(at, " /"), at);
        if (n > 0 && nic->count < ANNOUNCE_ADDRESSES_MAX && announce_parse(text, &one, &e) == 0)
            nic->addresses[nic->count++] = one.addresses[0]; /* a name or "auto" is none of ours */
        at += n + strspn(at + n, " ");
    }
}

static unsigned xen_ports(const struct domain *d, struct announce_port *ret)
{
    const struct domain_xen *x = (const struct domain_xen *)d;
    unsigned n = 0;

    for (unsigned i = 0; i < x->config.vif_count && n < ANNOUNCER_PORTS_MAX; i++) {
        struct announce_port *p = &ret[n++];

        memset(p, 0, sizeof(*p));
        snprintf(p->interface, sizeof(p->interface), "vif%u.%u", guest_xen_domid(d->guest), i);
        memcpy(p->nic.mac, x->config.vifs[i].mac, sizeof(p->nic.mac));
        port_addresses(&x->config.vifs[i], &p->nic);
    }
    return n;
}

static void xen_holds(UNUSED const struct domain *d, struct histogram *ret)
{
    memset(ret, 0, sizeof(*ret));
}

const struct domain_ops domain_xen = {
    .kind = "xen",
    .name = xen_name,
    .open = xen_open,
    .await = xen_await,
    .run = xen_run,
    .hold = xen_hold,
    .check = xen_check,
    .input_fd = xen_input_fd,
    .input = xen_input,
    .ports = xen_ports,
    .holds = xen_holds,
    .close = xen_close,
};

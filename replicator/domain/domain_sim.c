/* domain_sim — simulated guests: their NIC is a socket or a TAP of this process. */
#include "replicator/domain/domain_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/sim/guest_sim.h"
#include "checkpoint/sim/replica_sim.h"
#include "netbuf/netbuf_none.h"
#include "netbuf/netbuf_queue.h"
#include "replicator/domain/domain_plug.h"
#include "replicator/domain/nic.h"

struct domain_sim {
    struct domain domain;
    struct nic nic;
};

static struct domain_sim *sim_of(struct domain *d)
{
    return (struct domain_sim *)d;
}

static int sim_name(const char *spec, char ret[GUEST_NAME_MAX + 1], struct err *e)
{
    struct guest_sim_spec parsed;
    int rc = guest_sim_spec_parse(spec, &parsed, e);

    if (rc == 0)
        memcpy(ret, parsed.name, GUEST_NAME_MAX + 1);
    return rc;
}

static int sim_new(struct domain_sim **ret, struct err *e)
{
    struct domain_sim *s = calloc(1, sizeof(*s));

    if (!s)
        return err_set(e, ENOMEM, "no memory for a domain");
    s->domain.ops = &domain_sim;
    s->nic.fd = -1;
    *ret = s;
    return 0;
}

static int open_nic(struct domain_sim *s, const struct guest *g, struct err *e)
{
    const struct guest_sim_spec *spec = guest_sim_spec_of(g);

    return nic_open(&s->nic, spec->nic, guest_sim_spec_speaks_ethernet(spec), e);
}

/* A guest on a TAP sends straight to it: the kernel holds what comes out of it. */
static int open_plug(struct domain_sim *s, const struct domain_options *o, struct err *e)
{
    const char *tap = nic_tap_name(guest_sim_spec_of(s->domain.guest)->nic);
    int rc = domain_plug_open(&s->domain, o, &tap, 1, e);

    if (rc == 0)
        guest_sim_connect(s->domain.guest, (struct guest_nic){ nic_send, &s->nic });
    return rc;
}

/* Frames go through the netbuf to the NIC. While the guest is paused. */
static int open_netbuf(struct domain_sim *s, const struct domain_options *o, struct err *e)
{
    struct netbuf_sink sink = { nic_send, &s->nic };
    int rc;

    if (s->nic.is_tap && !o->unsafe_netbuf)
        return open_plug(s, o, e);
    if (o->vif_count > 0)
        return err_set(e, EINVAL, "--vif: a simulated guest has an interface only with nic=tap:NAME%s",
                       o->unsafe_netbuf ? ", and --unsafe no-netbuf holds none" : "");
    rc = o->unsafe_netbuf ? netbuf_none_open(&s->domain.netbuf, sink, e)
                          : netbuf_queue_open(&s->domain.netbuf, o->queue_bytes, sink, e);
    if (rc < 0)
        return rc;
    guest_sim_connect(s->domain.guest, (struct guest_nic){
                      o->unsafe_netbuf ? netbuf_none_push : netbuf_queue_push, s->domain.netbuf });
    return 0;
}

static void sim_close(struct domain *d)
{
    struct domain_sim *s = sim_of(d);

    if (d->owns_guest)
        d->guest->ops->close(d->guest);
    if (d->netbuf)
        d->netbuf->ops->close(d->netbuf);
    nic_close(&s->nic);
    free(s);
}

static int sim_open(struct domain **ret, const struct domain_options *o, struct err *e)
{
    struct domain_sim *s = NULL;
    int rc = sim_new(&s, e);

    if (rc < 0)
        return rc;
    rc = guest_sim_open(&s->domain.guest, o->spec, e);
    if (rc == 0) {
        s->domain.owns_guest = true;
        rc = open_nic(s, s->domain.guest, e);
    }
    if (rc == 0)
        rc = open_netbuf(s, o, e);
    if (rc < 0)
        sim_close(&s->domain);
    else
        *ret = &s->domain;
    return rc;
}

static int sim_await(struct domain **ret, const struct hello *h, struct replica **ret_replica,
                     struct err *e)
{
    struct domain_sim *s = NULL;
    int rc = sim_new(&s, e);

    if (rc < 0)
        return rc;
    rc = replica_sim_open(ret_replica, h->spec, h->pages, e);
    if (rc < 0)
        sim_close(&s->domain);
    else
        *ret = &s->domain;
    return rc;
}

static int sim_run(struct domain *d, struct guest *g, struct err *e)
{
    struct domain_sim *s = sim_of(d);
    int rc;

    nic_close(&s->nic); /* of an attempt that failed */
    rc = open_nic(s, g, e);
    if (rc < 0)
        return rc;
    guest_sim_connect(g, (struct guest_nic){ nic_send, &s->nic });
    rc = guest_go_on(g, e);
    if (rc == 0)
        d->guest = g;
    return rc;
}

static int sim_hold(struct domain *d, const struct domain_options *o, struct err *e)
{
    struct err unused;
    int rc = d->netbuf ? 0 : d->guest->ops->pause(d->guest, e);

    if (rc < 0 || d->netbuf)
        return rc;
    rc = open_netbuf(sim_of(d), o, e);
    return guest_go_on(d->guest, rc < 0 ? &unused : e) < 0 && rc == 0 ? -EPERM : rc;
}

static int sim_check(struct domain *d, struct err *e)
{
    return guest_sim_check(d->guest, e);
}

static int sim_input_fd(const struct domain *d)
{
    return ((const struct domain_sim *)d)->nic.fd;
}

static void sim_input(struct domain *d)
{
    if (d->guest)
        nic_receive(&sim_of(d)->nic, d->guest);
}

/* It has one only on a TAP; one that speaks no IP is known by its Ethernet address alone. */
static unsigned sim_ports(const struct domain *d, struct announce_port *ret)
{
    const struct guest_sim_spec *spec = guest_sim_spec_of(d->guest);
    const char *tap = nic_tap_name(spec->nic);
    struct packet_host host;

    if (!tap)
        return 0;
    guest_sim_tcp_host(spec, &host);
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->interface, tap, strlen(tap));
    memcpy(ret->nic.mac, host.mac, sizeof(host.mac));
    if (guest_sim_spec_speaks_ethernet(spec)) {
        ret->nic.count = 2;
        ret->nic.addresses[0].family_bytes = PACKET_IPV4_BYTES;
        memcpy(ret->nic.addresses[0].bytes, host.ipv4, PACKET_IPV4_BYTES);
        ret->nic.addresses[1].family_bytes = PACKET_IPV6_BYTES;
        memcpy(ret->nic.addresses[1].bytes, host.ipv6, PACKET_IPV6_BYTES);
    }
    return 1;
}

static void sim_holds(const struct domain *d, struct histogram *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (d->netbuf && d->netbuf->ops->holds && !d->is_plugged)
        netbuf_queue_holds(d->netbuf, ret);
}

const struct domain_ops domain_sim = {
    .kind = "sim",
    .name = sim_name,
    .open = sim_open,
    .await = sim_await,
    .run = sim_run,
    .hold = sim_hold,
    .check = sim_check,
    .input_fd = sim_input_fd,
    .input = sim_input,
    .ports = sim_ports,
    .holds = sim_holds,
    .close = sim_close,
};

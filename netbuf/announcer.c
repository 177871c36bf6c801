/* announcer — see announcer.h. */
#include "netbuf/announcer.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "netbuf/bridge_port.h"

int announce_port_parse(const char *text, struct announce_port *ret, struct err *e)
{
    struct announce_port port = { .nic = { .count = 0 } };
    size_t name = strcspn(text, "=");
    int rc;

    if (name == 0 || name >= sizeof(port.interface) || text[name] != '=')
        return err_set(e, EINVAL, "\"%.60s\": want INTERFACE=MAC or INTERFACE=MAC=ADDRESS,ADDRESS…", text);
    memcpy(port.interface, text, name);
    rc = announce_parse(text + name + 1, &port.nic, e);
    if (rc == 0)
        *ret = port;
    return rc;
}

void announcer_start(struct announcer *a, const struct announce_port *ports, unsigned count,
                     int (*send)(const struct announce_port *port, struct err *e), uint64_t now_ns)
{
    must(count <= ANNOUNCER_PORTS_MAX);
    *a = (struct announcer){ .count = count, .send = send, .due_ns = now_ns,
                             .gap_ns = ANNOUNCER_GAP_NS_FIRST };
    if (count > 0)
        memcpy(a->ports, ports, count * sizeof(*ports));
}

uint64_t announcer_deadline(const struct announcer *a)
{
    return a->count == 0 || a->rounds == ANNOUNCER_ROUNDS ? TIME_NEVER : a->due_ns;
}

/* The gap counts from now, not from when it was due: a process that slept must not send all at once. */
int announcer_turn(struct announcer *a, uint64_t now_ns, struct err *e)
{
    struct err one;
    int rc = 1;

    if (now_ns < announcer_deadline(a))
        return 0;
    for (unsigned i = 0; i < a->count; i++)
        if (a->send(&a->ports[i], &one) < 0 && rc > 0) {
            *e = one;
            rc = -one.code;
        }
    a->rounds++;
    a->due_ns = now_ns + a->gap_ns;
    a->gap_ns *= 2;
    return rc;
}

/* A bridge floods what its own interface sends, but learns nothing from it: that is told it apart. A port
 * that can't learn yet does so in a later round, or from the guest's first frame. */
static int teach(struct netlink *n, const struct announce_port *port, char ret_out[IFNAMSIZ],
                 struct err *e)
{
    struct bridge_port found;
    int rc = bridge_port_find(&found, n, port->interface, e);

    if (rc < 0)
        return rc;
    memcpy(ret_out, found.bridge[0] ? found.bridge : port->interface, IFNAMSIZ);
    rc = found.bridge[0] ? bridge_port_learn(&found, n, port->nic.mac, e) : 0;
    return rc == -EAGAIN ? 0 : rc;
}

int announcer_send(const struct announce_port *port, struct err *e)
{
    struct netlink n = { .fd = -1 };
    char out[IFNAMSIZ];
    int rc = netlink_open(&n, e);

    if (rc == 0)
        rc = teach(&n, port, out, e);
    netlink_close(&n);
    if (rc < 0)
        return err_wrap(e, "announce on %s", port->interface);
    return announce_send(out, &port->nic, e);
}

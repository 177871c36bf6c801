/* netbuf_selftest — see netbuf_selftest.h. Sockets bound to one EtherType are served behind the ingress
 * hook, so that they see a frame when it comes out of the plug and not when it goes in. */
#include "replicator/netbuf_selftest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "netbuf/netbuf_plug.h"
#include "netbuf/netlink.h"
#include "netbuf/plug_message.h"
#include "replicator/commands.h"

#define GUEST_END    "selftest-guest"
#define HOST_END     "selftest-host"
#define FRAME_BYTES  100u
#define ARRIVES_MS   500 /* a frame that is let out is seen at once; this is only a bound */
#define STAYS_MS     50  /* … and one that is held is looked for this long */
#define LIMIT_BYTES  (1u << 20)

struct kind {
    const char *name;
    uint16_t type;  /* on the wire behind the addresses */
    uint16_t seen;  /* where the kernel hands it on: tags of VLANs are taken off */
    uint8_t to[ETH_ALEN];
    uint16_t tags[3]; /* what follows the type: for VLANs */
};

#define ALL  { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }
#define LLDP { 0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e }
#define MANY { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01 }

static const struct kind kinds[] = {
    { "ipv4", ETH_P_IP, ETH_P_IP, ALL, { 0 } },
    { "ipv6", ETH_P_IPV6, ETH_P_IPV6, ALL, { 0 } },
    { "arp", ETH_P_ARP, ETH_P_ARP, ALL, { 0 } },
    { "vlan", ETH_P_8021Q, 0x88b5, ALL, { 7, 0x88b5, 0 } },
    { "qinq", ETH_P_8021AD, ETH_P_8021Q, ALL, { 7, ETH_P_8021Q, 8 } },
    { "multicast", 0x88b6, 0x88b6, MANY, { 0 } },
    { "lldp", ETH_P_LLDP, ETH_P_LLDP, LLDP, { 0 } },
};

struct trial {
    struct netlink netlink;
    struct netbuf *netbuf;
    int out, in[ARRAY_LEN(kinds)];
    bool is_held[ARRAY_LEN(kinds)], is_released[ARRAY_LEN(kinds)];
};

static int make_pair(struct trial *t, struct err *e)
{
    int rc = netlink_do(&t->netlink, plug_message_veth_new(GUEST_END, HOST_END), e);

    if (rc == -EOPNOTSUPP || rc == -ENOENT)
        return err_set(e, ENOPROTOOPT, "veth: this kernel has no module veth (CONFIG_VETH)");
    if (rc == 0)
        rc = netlink_do(&t->netlink, plug_message_link_up((int)if_nametoindex(HOST_END)), e);
    return rc < 0 ? err_wrap(e, "make a pair of interfaces") : 0;
}

static int open_socket(const char *interface, uint16_t type, int *ret, struct err *e)
{
    const struct sockaddr_ll at = { .sll_family = AF_PACKET,
                                    .sll_protocol = htons(type),
                                    .sll_ifindex = (int)if_nametoindex(interface) };

    *ret = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*ret < 0 && errno == EPERM)
        return err_set(e, EPERM, "packet socket: not permitted: CAP_NET_RAW is missing");
    if (*ret < 0 && errno == EAFNOSUPPORT)
        return err_set(e, ENOPROTOOPT, "packet socket: this kernel has no module af_packet (CONFIG_PACKET)");
    if (*ret < 0 || bind(*ret, (const struct sockaddr *)&at, sizeof(at)) < 0)
        return err_set(e, errno, "packet socket on %s: %m", interface);
    return 0;
}

static int send_frame(struct trial *t, const struct kind *k, struct err *e)
{
    uint8_t frame[FRAME_BYTES] = { 0 };
    uint16_t at = 2 * ETH_ALEN, type = htons(k->type);

    memcpy(frame, k->to, ETH_ALEN);
    frame[ETH_ALEN] = 0x02; /* from a local address */
    memcpy(frame + at, &type, sizeof(type));
    for (unsigned i = 0; i < ARRAY_LEN(k->tags) && k->tags[i]; i++) {
        type = htons(k->tags[i]);
        memcpy(frame + (at = (uint16_t)(at + 2)), &type, sizeof(type));
    }
    if (send(t->out, frame, sizeof(frame), 0) != (ssize_t)sizeof(frame))
        return err_set(e, errno, "send a frame of %s: %m", k->name);
    return 0;
}

/* Whether a frame from the local address above comes before the time is over. */
static bool arrives(int fd, int wait_ms)
{
    uint64_t until_ns = clock_now_ns() + (uint64_t)wait_ms * NS_PER_MS;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    uint8_t frame[2 * FRAME_BYTES];

    for (;;) {
        uint64_t now_ns = clock_now_ns();
        ssize_t got = recv(fd, frame, sizeof(frame), MSG_DONTWAIT);

        if (got > ETH_HLEN && frame[ETH_ALEN] == 0x02 && frame[ETH_ALEN + 1] == 0)
            return true;
        if (got < 0 && (now_ns >= until_ns || poll(&p, 1, (int)((until_ns - now_ns) / NS_PER_MS) + 1) < 0))
            return false;
    }
}

static int open_all(struct trial *t, const char *folder, struct err *e)
{
    const char *const vifs[] = { HOST_END };
    const struct netbuf_plug_options o = { .folder = folder, .domain = "selftest", .vifs = vifs,
                                           .count = 1, .limit_bytes = LIMIT_BYTES };
    int rc;

    if ((rc = netlink_open(&t->netlink, e)) < 0 || (rc = make_pair(t, e)) < 0 ||
        (rc = netbuf_plug_open(&t->netbuf, &o, e)) < 0 ||
        (rc = open_socket(GUEST_END, 0, &t->out, e)) < 0)
        return rc;
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(kinds); i++)
        rc = open_socket(HOST_END, kinds[i].seen, &t->in[i], e);
    return rc;
}

static int try_all(struct trial *t, struct err *e)
{
    int rc = t->netbuf->ops->mark(t->netbuf, 1, e);

    if (rc == 0)
        rc = t->netbuf->ops->release(t->netbuf, 1, TIME_NEVER, e);
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(kinds); i++)
        rc = send_frame(t, &kinds[i], e);
    if (rc == 0)
        rc = t->netbuf->ops->mark(t->netbuf, 2, e);
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(kinds); i++)
        t->is_held[i] = !arrives(t->in[i], i == 0 ? STAYS_MS : 0);
    if (rc == 0)
        rc = t->netbuf->ops->release(t->netbuf, 2, TIME_NEVER, e);
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(kinds); i++)
        t->is_released[i] = arrives(t->in[i], ARRIVES_MS);
    return rc == 0 ? t->netbuf->ops->open(t->netbuf, e) : rc;
}

static int report(const struct trial *t, bool json)
{
    json_t *list = json_array();
    bool all = true;

    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        all &= t->is_held[i] && t->is_released[i];
        (void)json_array_append_new(list, json_pack("{s:s, s:b, s:b}", "frame", kinds[i].name, "held",
                                                    t->is_held[i], "released", t->is_released[i]));
        if (!json)
            printf("%-10s %s, %s\n", kinds[i].name, t->is_held[i] ? "held" : "NOT HELD",
                   t->is_released[i] ? "released" : "NOT RELEASED");
    }
    if (json) {
        json_t *whole = json_pack("{s:i, s:b, s:o}", "schema", 1, "holds", all, "frames", list);

        (void)json_dumpf(whole, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(whole);
    } else {
        puts(all ? "this kernel holds and releases every kind of frame"
                 : "this kernel does not do what is needed: do not protect a domain here");
        json_decref(list);
    }
    (void)fflush(stdout);
    return all ? EXIT_OK : EXIT_FAILED;
}

static int failed(const struct err *e)
{
    fprintf(stderr, "replicator netbuf selftest: %s\n", e->text);
    return e->code == EPERM ? EXIT_PERMISSION : e->code == ENOPROTOOPT ? EXIT_NOT_INSTALLED : EXIT_FAILED;
}

/* In the child: the namespace, and all in it, ends with the process. */
static int in_own_namespace(const char *folder, bool json)
{
    struct trial t = { .netlink = { .fd = -1 }, .out = -1 };
    struct err e;
    int rc;

    if (unshare(CLONE_NEWNET) < 0) {
        (void)err_set(&e, errno, "a network namespace of its own: %m%s",
                      errno == EPERM ? " (CAP_SYS_ADMIN is missing)" : "");
        return failed(&e);
    }
    rc = open_all(&t, folder, &e);
    if (rc == 0)
        rc = try_all(&t, &e);
    rc = rc < 0 ? failed(&e) : report(&t, json);
    if (t.netbuf)
        t.netbuf->ops->close(t.netbuf);
    netlink_close(&t.netlink);
    return rc;
}

int netbuf_selftest_run(bool json)
{
    char folder[] = "/tmp/replicator-selftest-XXXXXX", file[sizeof(folder) + 32];
    int status = 0;
    pid_t child;

    if (!mkdtemp(folder)) {
        fprintf(stderr, "replicator netbuf selftest: make folder %s: %m\n", folder);
        return EXIT_FAILED;
    }
    child = fork();
    if (child == 0)
        _exit(in_own_namespace(folder, json));
    if (child < 0 || waitpid(child, &status, 0) < 0)
        status = EXIT_FAILED << 8;
    (void)snprintf(file, sizeof(file), "%s/selftest" VIF_RECORD_SUFFIX, folder);
    (void)unlink(file);
    (void)rmdir(folder);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

/* model_check — drives the kernel's plug qdisc and the unit tests' model of it by the same random
 * sequences and compares after every step: frames held, frames that left, frames dropped. In a network
 * namespace of its own. model_check SEQUENCES SEED; TAP. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rng.h"
#include "netbuf/netlink.h"
#include "netbuf/plug_message.h"
#include "tests/unit/plug_model.h"

#define STEPS_MAX   40u
#define FRAME_LEAST 60u
#define SETTLE_MS   1000

struct bench {
    struct netlink netlink;
    struct plug_model model;
    struct rng rng;
    int ifindex, out;
    uint32_t handle;
    uint64_t left, dropped;  /* the model's */
};

static int take(struct nlmsghdr *h, void *to)
{
    return plug_message_qdisc_parse(h, to);
}

static void drain_model(struct bench *b)
{
    uint64_t tag;

    while (plug_model_dequeue(&b->model, &tag))
        b->left++;
}

static void send_frame(struct bench *b)
{
    uint8_t frame[1600] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5 };
    size_t bytes = FRAME_LEAST + rng_below(&b->rng, 1400);

    if (send(b->out, frame, bytes, 0) != (ssize_t)bytes && errno != ENOBUFS)
        perror("send");
    if (!plug_model_enqueue(&b->model, 0, (uint32_t)bytes))
        b->dropped++;
    drain_model(b);
}

static int order(struct bench *b, enum plug_action action, struct err *e)
{
    if (action == PLUG_BUFFER)
        plug_model_buffer(&b->model);
    else if (action == PLUG_RELEASE_ONE)
        plug_model_release_one(&b->model);
    else
        plug_model_release_indefinite(&b->model);
    if (action != PLUG_BUFFER)
        drain_model(b);
    return netlink_do(&b->netlink, plug_message_plug_change(b->ifindex, b->handle, action, 0), e);
}

/* The kernel sends what is released a moment later. */
static int compare(struct bench *b, struct err *e)
{
    struct plug_qdisc real = { 0 };

    for (unsigned i = 0; i < SETTLE_MS; i++) {
        int rc = netlink_ask(&b->netlink, plug_message_plug_get(b->ifindex), take, &real, e);

        if (rc < 0)
            return rc;
        if (real.held_frames == b->model.count && real.passed_frames == b->left)
            break;
        (void)poll(NULL, 0, 1);
    }
    if (real.held_frames != b->model.count || real.held_bytes != b->model.backlog ||
        real.passed_frames != b->left || real.dropped_frames != b->dropped)
        return err_set(e, EUCLEAN, "kernel: %u held (%u octets), %" PRIu64 " left, %u dropped; model: %u "
                       "(%u), %" PRIu64 ", %" PRIu64, real.held_frames, real.held_bytes,
                       real.passed_frames, real.dropped_frames, b->model.count, b->model.backlog, b->left,
                       b->dropped);
    return 0;
}

static int sequence(struct bench *b, struct err *e)
{
    uint32_t limit = 2000 + (uint32_t)rng_below(&b->rng, 20000);
    uint64_t steps = 1 + rng_below(&b->rng, STEPS_MAX);
    int rc;

    b->handle = b->handle == 0x52500000 ? 0x52510000 : 0x52500000;
    b->left = b->dropped = 0;
    plug_model_init(&b->model, limit);
    rc = netlink_do(&b->netlink, plug_message_plug_new(b->ifindex, b->handle, limit, true), e);
    for (uint64_t i = 0; rc == 0 && i < steps; i++) {
        uint64_t what = rng_below(&b->rng, 12);

        if (what < 6)
            send_frame(b);
        else if (what < 9)
            rc = order(b, PLUG_BUFFER, e);
        else if (what < 11)
            rc = order(b, PLUG_RELEASE_ONE, e);
        else
            rc = order(b, PLUG_RELEASE_INDEFINITE, e);
        if (rc == 0)
            rc = compare(b, e);
    }
    return rc;
}

/* Nobody sends here but we. */
static int silence_ipv6(struct err *e)
{
    FILE *f = fopen("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w");

    if (!f || fputs("1", f) < 0 || fclose(f) != 0)
        return err_set(e, errno, "switch IPv6 off: %m");
    return 0;
}

static int open_bench(struct bench *b, struct err *e)
{
    struct sockaddr_ll at = { .sll_family = AF_PACKET };
    int rc;

    if (unshare(CLONE_NEWNET) < 0)
        return err_set(e, errno, "unshare: %m");
    if ((rc = silence_ipv6(e)) < 0 || (rc = netlink_open(&b->netlink, e)) < 0 ||
        (rc = netlink_do(&b->netlink, plug_message_veth_new("a", "b"), e)) < 0)
        return rc;
    b->ifindex = at.sll_ifindex = (int)if_nametoindex("a");
    if ((rc = netlink_do(&b->netlink, plug_message_link_up((int)if_nametoindex("b")), e)) < 0)
        return rc;
    b->out = socket(AF_PACKET, SOCK_RAW, 0);
    if (b->out < 0 || bind(b->out, (const struct sockaddr *)&at, sizeof(at)) < 0)
        return err_set(e, errno, "packet socket: %m");
    return 0;
}

int main(int argc, char **argv)
{
    static struct bench b;
    uint64_t sequences = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct err e;
    int rc = open_bench(&b, &e);

    puts("1..1");
    for (uint64_t i = 0; rc == 0 && i < sequences; i++) {
        rng_seed(&b.rng, seed + i);
        rc = sequence(&b, &e);
        if (rc < 0)
            (void)err_wrap(&e, "seed %" PRIu64, seed + i);
    }
    if (rc < 0)
        printf("# %s\n", e.text);
    printf("%sok 1 - the model counts as the kernel does (%" PRIu64 " sequences)\n", rc < 0 ? "not " : "",
           sequences);
    return rc < 0;
}

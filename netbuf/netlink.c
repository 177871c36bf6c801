/* netlink — see netlink.h. Answers are read into one buffer of fixed size; those of older, given-up messages
 * are told by their sequence number and skipped. */
#include "netbuf/netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/failpoint.h"

#define ANSWER_BYTES_MAX   32768u /* the kernel's own bound for one datagram of a dump */
#define ANSWER_WAIT_S      2
#define RECEIVE_BYTES      (1u << 20)
#define KERNEL_TEXT_MAX    160
#define DATAGRAMS_MAX      100000u /* of one dump: more is a kernel that never ends */

/* A set of answers that is waited for: sequence numbers first … first + count - 1. */
struct waiting {
    uint32_t first;
    unsigned count, answered;
    int *results;
    struct err *e;
    int worst; /* the first failure */
    int (*take)(struct nlmsghdr *answer, void *context);
    void *context;
};

int netlink_open(struct netlink *n, struct err *e)
{
    const struct sockaddr_nl to_kernel = { .nl_family = AF_NETLINK };
    const struct timeval wait = { .tv_sec = ANSWER_WAIT_S };
    const int on = 1, bytes = RECEIVE_BYTES;

    n->seq = 0;
    n->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (n->fd < 0)
        return err_set(e, errno, "netlink socket: %m");
    if (connect(n->fd, (const struct sockaddr *)&to_kernel, sizeof(to_kernel)) < 0 ||
        setsockopt(n->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0) {
        int code = errno;

        netlink_close(n);
        return err_set(e, code, "netlink socket: %m");
    }
    /* Comforts: kernel texts, answers without a copy of the question, room. */
    (void)setsockopt(n->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    (void)setsockopt(n->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    (void)setsockopt(n->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    return 0;
}

void netlink_close(struct netlink *n)
{
    auto_close(&n->fd);
}

/* The kernel's own words about a failure, or "". */
static void kernel_text(struct nlmsghdr *h, char to[KERNEL_TEXT_MAX])
{
    struct nlattr *words = NULL;

    to[0] = '\0';
    if ((h->nlmsg_flags & NLM_F_ACK_TLVS) && (h->nlmsg_flags & NLM_F_CAPPED))
        words = nlmsg_find_attr(h, sizeof(struct nlmsgerr), NLMSGERR_ATTR_MSG);
    if (words)
        (void)nla_strlcpy(to, words, KERNEL_TEXT_MAX);
}

static void take_result(struct waiting *w, struct nlmsghdr *h)
{
    const struct nlmsgerr *error = nlmsg_data(h);
    uint32_t which = h->nlmsg_seq - w->first;
    char words[KERNEL_TEXT_MAX];

    if (nlmsg_datalen(h) < (int)sizeof(*error) || w->results[which] != NETLINK_UNCLEAR)
        return;
    w->results[which] = error->error;
    w->answered++;
    if (error->error == 0 || w->worst != 0)
        return;
    w->worst = error->error;
    kernel_text(h, words);
    (void)err_set(w->e, -error->error, "%m%s%s", words[0] ? ": " : "", words);
}

static int take_message(struct waiting *w, struct nlmsghdr *h)
{
    int rc = 0;

    if (h->nlmsg_seq - w->first >= w->count)
        return 0;
    if (h->nlmsg_type == NLMSG_ERROR) {
        take_result(w, h);
    } else if (h->nlmsg_type == NLMSG_DONE) {
        w->results[h->nlmsg_seq - w->first] = 0;
        w->answered++;
    } else if (w->take) {
        rc = w->take(h, w->context);
    }
    return rc;
}

/* Reads answers until all are there. -EAGAIN: the rest was lost. */
static int receive(struct netlink *n, struct waiting *w)
{
    union {
        struct nlmsghdr header;
        char bytes[ANSWER_BYTES_MAX];
    } buffer;
    int flags = 0, rc = 0;

    for (unsigned i = 0; w->answered < w->count && i < DATAGRAMS_MAX && rc >= 0; i++) {
        ssize_t got = recv(n->fd, buffer.bytes, sizeof(buffer), flags);
        int left = (int)got;

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == ENOBUFS && flags == 0) {
            flags = MSG_DONTWAIT; /* an answer is lost; those that are there still count */
            continue;
        }
        if (got <= 0)
            break;
        for (struct nlmsghdr *h = &buffer.header; rc >= 0 && nlmsg_ok(h, left); h = nlmsg_next(h, &left))
            rc = take_message(w, h);
    }
    if (rc < 0)
        return rc;
    return w->answered < w->count ? -EAGAIN : 0;
}

static int send_all(struct netlink *n, struct nl_msg *const *messages, unsigned count)
{
    struct iovec parts[NETLINK_BATCH_MAX];
    struct msghdr whole = { .msg_iov = parts, .msg_iovlen = count };
    ssize_t sent;

    for (unsigned i = 0; i < count; i++) {
        struct nlmsghdr *h = nlmsg_hdr(messages[i]);

        h->nlmsg_seq = ++n->seq;
        h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
        parts[i] = (struct iovec){ h, NLMSG_ALIGN(h->nlmsg_len) };
    }
    FAILPOINT(netlink);
    do
        sent = sendmsg(n->fd, &whole, 0);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* Sends and waits; all results are filled in. */
static int carry_out(struct netlink *n, struct nl_msg *const *messages, struct waiting *w)
{
    int rc;

    must(w->count > 0 && w->count <= NETLINK_BATCH_MAX);
    w->first = n->seq + 1;
    for (unsigned i = 0; i < w->count; i++)
        w->results[i] = NETLINK_UNCLEAR;
    rc = send_all(n, messages, w->count);
    if (rc < 0) {
        for (unsigned i = 0; i < w->count; i++)
            w->results[i] = rc;
        return err_set(w->e, -rc, "netlink send: %m");
    }
    rc = receive(n, w);
    FAILPOINT(netlink);
    if (w->worst < 0)
        return w->worst;
    if (rc == -EAGAIN)
        return err_set(w->e, EAGAIN, "the kernel's answer was lost");
    return rc;
}

int netlink_exchange(struct netlink *n, struct nl_msg *const *messages, unsigned count, int *ret_results,
                struct err *e)
{
    struct waiting w = { .count = count, .results = ret_results, .e = e };

    return carry_out(n, messages, &w);
}

int netlink_do(struct netlink *n, struct nl_msg *message, struct err *e)
{
    return netlink_ask(n, message, NULL, NULL, e);
}

int netlink_ask(struct netlink *n, struct nl_msg *message, int (*take)(struct nlmsghdr *answer, void *context),
           void *context, struct err *e)
{
    int result, rc;
    struct waiting w = { .count = 1, .results = &result, .e = e, .take = take, .context = context };

    if (!message)
        return err_set(e, ENOMEM, "no memory for a netlink message");
    rc = carry_out(n, &message, &w);
    nlmsg_free(message);
    return rc;
}

/* preflight — see preflight.h. */
#include "replicator/preflight/preflight.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "replicator/commands.h"
#include "replicator/control/run_dir.h"
#include "replicator/domain/domain.h"
#include "replicator/engine/wire.h"

#define OUT_BYTES    (256u << 10)
#define HEARTBEAT_NS (100 * NS_PER_MS)
#define TIMEOUT_NS   (1 * NS_PER_S)
#define INTERVAL_NS  (25 * NS_PER_MS)

static int late(uint64_t timeout_ns, struct err *e)
{
    return err_set(e, ETIMEDOUT, "no answer within %.1f s", (double)timeout_ns / (double)NS_PER_S);
}

/* Until the link has something to take or to give. False when the time is over. */
static bool wait_link(const struct wire *w, bool wants_send, uint64_t until_ns)
{
    struct pollfd p[2] = { { .events = POLLIN }, { .events = POLLOUT } };
    uint64_t now = clock_now_ns();

    w->link->ops->fds(w->link, &p[0].fd, &p[1].fd);
    if (!wants_send)
        p[1].fd = -1;
    return now < until_ns && poll(p, 2, (int)((until_ns - now) / NS_PER_MS) + 1) > 0;
}

static int connect_to(struct wire *w, const char *address, uint64_t until_ns, struct err *e)
{
    struct link *link = NULL;
    int rc = link_connect(&link, address, TIMEOUT_NS, e);

    if (rc < 0)
        return rc;
    wire_attach(w, link);
    while ((rc = link->ops->connected(link, e)) == 0)
        if (!wait_link(w, true, until_ns))
            return err_set(e, ETIMEDOUT, "%s does not answer", address);
    return rc < 0 ? rc : 0;
}

static int send_hello(struct wire *w, const struct guest_info *about, uint64_t session, struct err *e)
{
    const struct stream_headers headers = { .version = STREAM_VERSION, .guest = STREAM_GUEST_HVM };
    static struct hello h;
    struct sink out = wire_sink(w);

    h = (struct hello){ .version = PROTOCOL_VERSION, .term = 1, .lineage = rng_system_seed() | 1,
                        .session = session, .pages = about->pages, .interval_ns = INTERVAL_NS,
                        .heartbeat_ns = HEARTBEAT_NS, .timeout_ns = TIMEOUT_NS, .sent_ns = clock_now_ns() };
    memcpy(h.uuid, about->uuid, sizeof(h.uuid));
    memcpy(h.name, about->name, sizeof(h.name));
    memcpy(h.spec, about->spec, sizeof(h.spec));
    if (stream_headers_put(&out, &headers) < 0 || hello_put(&out, &h) < 0)
        return err_set(e, EINVAL, "domain %s can't be announced: its name has other characters than A-Z a-z "
                       "0-9 . _ -", about->name);
    wire_put(w, &out);
    return 0;
}

/* Sends what waits and takes records until one of this type has come. */
static int await(struct wire *w, uint32_t type, uint64_t until_ns, uint64_t timeout_ns, struct record *ret,
                 struct err *e)
{
    for (;;) {
        int rc = wire_flush(w, e);

        if (rc < 0 || (rc = wire_next(w, ret, e)) < 0)
            return rc;
        if (rc == 1 && ret->type == type)
            return 0;
        if (rc == 1)
            continue;
        rc = wire_fill(w, e);
        if (rc < 0)
            return rc;
        if (rc == 0 && !wait_link(w, wire_waiting(w) > 0, until_ns))
            return late(timeout_ns, e);
    }
}

static int talk(struct wire *w, const struct guest_info *about, uint64_t timeout_ns, struct err *e)
{
    const struct detach leave = { .session = 1, .reason = DETACH_STOPPED };
    uint64_t until_ns = clock_now_ns() + timeout_ns;
    struct hello_ack ack;
    struct record rec;
    struct sink out;
    int rc;

    if ((rc = send_hello(w, about, leave.session, e)) < 0 ||
        (rc = await(w, RECORD_HELLO_ACK, until_ns, timeout_ns, &rec, e)) < 0 ||
        (rc = hello_ack_get(&rec, &ack, e)) < 0)
        return rc;
    if (ack.verdict != HELLO_OK)
        return err_set(e, EPERM, "%s%s%s", hello_verdict_words(ack.verdict), *ack.text ? ": " : "", ack.text);
    out = wire_sink(w);
    if (detach_put(&out, &leave) < 0)
        return err_set(e, ENOBUFS, "no room to take leave");
    wire_put(w, &out);
    return await(w, RECORD_DETACH, until_ns, timeout_ns, &rec, e);
}

int preflight_ask(const struct guest_info *about, const char *address, uint64_t timeout_ns, struct err *e)
{
    struct wire w = { 0 };
    int rc = wire_open(&w, OUT_BYTES, SESSION_RECORD_MAX, e);

    if (rc == 0)
        rc = connect_to(&w, address, clock_now_ns() + timeout_ns, e);
    if (rc == 0)
        rc = talk(&w, about, timeout_ns, e);
    wire_close(&w);
    return rc;
}

int preflight_lock(const char *spec, const char *run_dir, int *ret_fd, struct err *e)
{
    char name[GUEST_NAME_MAX + 1];
    struct run_dir run;
    pid_t holder;
    int rc;

    if ((rc = domain_kind(spec)->name(spec, name, e)) < 0 || (rc = run_dir_open(&run, run_dir, e)) < 0 ||
        (rc = run_dir_make(&run, e)) < 0)
        return rc;
    rc = run_dir_lock(&run, RUN_PRIMARY, name, ret_fd, &holder, e);
    return rc == -EBUSY ? err_set(e, EBUSY, "%s is protected already, by process %ld: replicator status %s "
                                  "tells how it is", name, (long)holder, name)
                        : rc;
}

int preflight_no_kind(const char *command, const char *spec)
{
    fprintf(stderr, "replicator %s: \"%.80s\" is no kind of guest that this build knows: write a Xen "
                    "domain's name, or sim:NAME\n", command, spec);
    return EXIT_UNIMPLEMENTED;
}

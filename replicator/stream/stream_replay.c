/* stream_replay — `replicator stream replay`: a capture told to a receive side as its primary told it, as
 * fast as it takes it. Waits for HELLO_ACK behind HELLO as a primary does, and at the end until the last
 * whole epoch is acknowledged. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "checkpoint/record.h"
#include "replicator/commands.h"
#include "replicator/link/link.h"
#include "replicator/stream/stream_source.h"
#include "replicator/stream/stream_tools.h"

#define PIECE_BYTES  65536u
#define ANSWER_BYTES (2u * PIECE_BYTES)
#define TIMEOUT_NS   (10 * NS_PER_S)

struct chosen {
    const char *to;
    bool json;
};

static const struct option_row rows[] = {
    { "to", "ADDRESS", "where the backup listens, as for protect", option_text, offsetof(struct chosen, to),
      { 0, 0 } },
    { "json", NULL, "one object on stdout", option_flag, offsetof(struct chosen, json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    STREAM_USAGE(replay),
    .rows = rows,
    .words = "Exit status: 0 all whole epochs acknowledged, 1 refused or cut off, 2 neither.\n",
    .least = 1,
    .most = 1,
};

struct replay {
    struct stream_input *in;
    struct link *link;
    uint64_t left;              /* octets of the record at hand that may go */
    bool has_headers, is_hello_out, is_answered, is_all_out, is_over;
    uint64_t ended, last, acked; /* epochs: of the newest EPOCH_END, with its CHECKPOINT, acknowledged */
    uint8_t answers[ANSWER_BYTES];
    size_t answers_n;
};

/* Looks at the record that comes next: how long it is, and what it means for us. 0, or -errno. */
static int record_next(struct replay *p, struct err *e)
{
    const uint8_t *at;
    size_t got;
    int rc;

    if (!p->has_headers) {
        p->has_headers = true;
        p->left = STREAM_HEADERS_BYTES;
        return 0;
    }
    if ((rc = stream_input_peek(p->in, 16, &at, &got, e)) < 0)
        return rc;
    if (got < RECORD_HEADER_BYTES) { /* a piece of a header is sent as the primary did */
        p->left = got;
        p->is_all_out = got == 0;
        return 0;
    }
    p->left = record_wire_bytes(load_u32(at + 4));
    switch (load_u32(at)) {
    case RECORD_HELLO:
        p->is_hello_out = true;
        break;
    case RECORD_EPOCH_END:
        p->ended = got == 16 ? load_u64(at + 8) : 0;
        break;
    case RECORD_CHECKPOINT:
        p->last = p->ended;
        break;
    default:
        break;
    }
    return 0;
}

/* Sends what may go now. */
static int send_some(struct replay *p, struct err *e)
{
    const uint8_t *at;
    size_t got;
    ssize_t n;
    int rc;

    if (p->left == 0 && !p->is_all_out) {
        if (p->is_hello_out && !p->is_answered)
            return 0;
        if ((rc = record_next(p, e)) < 0)
            return rc;
    }
    if (p->left == 0)
        return 0;
    rc = stream_input_peek(p->in, p->left < PIECE_BYTES ? (size_t)p->left : PIECE_BYTES, &at, &got, e);
    if (rc < 0)
        return rc;
    if (got == 0) { /* it breaks off */
        p->left = 0;
        p->is_all_out = true;
        return 0;
    }
    n = p->link->ops->send(p->link, at, got, e);
    if (n < 0)
        return (int)n;
    stream_input_consume(p->in, (size_t)n);
    p->left -= (size_t)n;
    return 0;
}

static int answer(struct replay *p, const struct record *r, struct err *e)
{
    struct hello_ack hello;
    struct ack ack;
    int rc;

    if (r->type == RECORD_HELLO_ACK) {
        if ((rc = hello_ack_get(r, &hello, e)) < 0)
            return rc;
        if (hello.verdict != HELLO_OK)
            return err_set(e, ECONNREFUSED, "the receive side refuses: %s %s",
                           hello_verdict_words(hello.verdict), hello.text);
        p->is_answered = true;
    } else if (r->type == RECORD_ACK) {
        if ((rc = ack_get(r, &ack, e)) < 0)
            return rc;
        p->acked = ack.epoch;
    } else if (r->type == RECORD_DETACH) {
        p->is_over = true;
    }
    return 0;
}

static int hear(struct replay *p, struct err *e)
{
    struct view in;
    struct record r;
    ssize_t n = p->link->ops->receive(p->link, p->answers + p->answers_n, sizeof(p->answers) - p->answers_n, e);
    int rc;

    if (n < 0 && p->is_all_out && p->acked >= p->last) {
        p->is_over = true;
        return 0;
    }
    if (n < 0)
        return (int)n;
    in = (struct view){ p->answers, p->answers_n + (size_t)n };
    while ((rc = record_take(&in, PIECE_BYTES, &r, e)) > 0)
        if ((rc = answer(p, &r, e)) < 0)
            return rc;
    memmove(p->answers, in.at, in.left);
    p->answers_n = in.left;
    return rc;
}

static int wait_for(struct replay *p, struct err *e)
{
    bool may_send = p->left > 0 || (!p->is_all_out && (!p->is_hello_out || p->is_answered));
    struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLOUT } };

    p->link->ops->fds(p->link, &fds[0].fd, &fds[1].fd);
    if (poll(fds, may_send ? 2 : 1, -1) < 0 && errno != EINTR)
        return err_set(e, errno, "poll: %m");
    return 0;
}

static int replay(struct replay *p, struct err *e)
{
    int rc = 0;

    while (rc == 0 && !p->is_over && !(p->is_all_out && p->acked >= p->last)) {
        if ((rc = wait_for(p, e)) == 0 && (rc = p->link->ops->connected(p->link, e)) > 0 &&
            (rc = send_some(p, e)) == 0)
            rc = hear(p, e);
    }
    return rc;
}

static void report(const struct replay *p, const struct chosen *c, int rc, const struct err *e)
{
    json_t *object;

    if (rc < 0)
        fprintf(stderr, "replicator %s: %s\n", usage.command, e->text);
    if (!c->json) {
        printf("%" PRIu64 " octets sent, epoch %" PRIu64 " of %" PRIu64 " acknowledged\n",
               stream_input_offset(p->in), p->acked, p->last);
        return;
    }
    object = json_pack("{s:s, s:I, s:I, s:I}", "status", rc < 0 || p->acked < p->last ? "failed" : "ok",
                       "octets", (json_int_t)stream_input_offset(p->in), "epoch", (json_int_t)p->last,
                       "acknowledged", (json_int_t)p->acked);
    (void)json_dumpf(object, stdout, 0);
    putchar('\n');
    json_decref(object);
}

int stream_replay(int argc, char **argv)
{
    static struct replay p;
    struct chosen c = { .to = NULL };
    struct stream_source source;
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (!c.to)
        return options_refuse(&usage, "--to: want the address of a receive side");
    if ((rc = stream_source_open(&source, usage.command, argv[first])) != EXIT_OK)
        return rc;
    p = (struct replay){ .in = source.in };
    rc = link_connect(&p.link, c.to, TIMEOUT_NS, &e);
    if (rc == 0)
        rc = replay(&p, &e);
    report(&p, &c, rc, &e);
    if (p.link)
        p.link->ops->close(p.link);
    stream_source_close(&source);
    return rc < 0 || p.acked < p.last ? EXIT_FAILED : EXIT_OK;
}

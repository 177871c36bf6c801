/* stream_record — `replicator stream record`: stands between a primary and its backup, passes on what
 * either says, and keeps what the primary says: a capture is a stream file. Knows nothing of records,
 * adds nothing, and holds 64 KiB at most in either direction.
 * The capture grows as FILE.part-XXXXXX and is named FILE when the session has ended, whichever side
 * ended it. A kill, or a disk that fails, leaves the part: as much as had come. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "checkpoint/formats/stream_output.h"
#include "replicator/commands.h"
#include "replicator/link/link.h"
#include "replicator/options.h"
#include "replicator/stream/stream_target.h"
#include "replicator/stream/stream_tools.h"

#define PIPE_BYTES  65536u
#define TIMEOUT_NS  (10 * NS_PER_S) /* TCP_USER_TIMEOUT of the far side */

struct chosen {
    const char *to;
    bool json;
};

static const struct option_row rows[] = {
    { "to", "ADDRESS", "where the backup listens, as for protect", option_text, offsetof(struct chosen, to),
      { 0, 0 } },
    { "json", NULL, "one object on stderr at the end (stdout is the link)", option_flag,
      offsetof(struct chosen, json), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    STREAM_USAGE(record),
    .rows = rows,
    .words = "Speaks with the primary on stdin and stdout:\n"
             "  replicator protect SPEC --to 'exec:replicator stream record FILE --to ADDRESS'\n",
    .least = 1,
    .most = 1,
};

/* One direction: octets that came from `from` and have not gone to `to` yet. */
struct pipe_way {
    struct link *from, *to;
    struct stream_output *copy; /* NULL: not kept */
    uint8_t octets[PIPE_BYTES];
    size_t at, n;
    bool is_ended;
};

/* 1: it has ended and all is passed on; 0; -errno. */
static int way_step(struct pipe_way *w, struct err *e)
{
    ssize_t n;
    int rc;

    if (w->n == 0 && !w->is_ended) {
        n = w->from->ops->receive(w->from, w->octets, sizeof(w->octets), e);
        w->is_ended = n < 0; /* however it ended: the other side is told by the close */
        w->at = 0;
        w->n = n > 0 ? (size_t)n : 0;
        if (w->n > 0 && w->copy && (rc = stream_output_put(w->copy, w->octets, w->n, e)) < 0)
            return rc;
    }
    if (w->n > 0) {
        n = w->to->ops->send(w->to, w->octets + w->at, w->n, e);
        if (n < 0)
            return 1;
        w->at += (size_t)n;
        w->n -= (size_t)n;
    }
    return w->is_ended && w->n == 0;
}

static void way_poll(const struct pipe_way *w, struct pollfd *ret)
{
    int receive, send;

    w->from->ops->fds(w->from, &receive, &send);
    if (w->n > 0)
        w->to->ops->fds(w->to, &receive, &send);
    *ret = w->n > 0 ? (struct pollfd){ .fd = send, .events = POLLOUT }
                    : (struct pollfd){ .fd = receive, .events = POLLIN };
}

static int relay(struct link *primary, struct link *backup, struct stream_output *copy, struct err *e)
{
    static struct pipe_way there, back;
    int rc = 0;

    there = (struct pipe_way){ .from = primary, .to = backup, .copy = copy };
    back = (struct pipe_way){ .from = backup, .to = primary };
    while (rc == 0) {
        struct pollfd fds[2];

        way_poll(&there, &fds[0]);
        way_poll(&back, &fds[1]);
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return err_set(e, errno, "poll: %m");
        rc = way_step(&there, e);
        if (rc == 0)
            rc = way_step(&back, e);
    }
    return rc < 0 ? rc : 0;
}

static int connected(struct link *l, struct err *e)
{
    int rc;

    while ((rc = l->ops->connected(l, e)) == 0) {
        struct pollfd fd = { .events = POLLOUT };
        int receive;

        l->ops->fds(l, &receive, &fd.fd);
        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
            return err_set(e, errno, "poll: %m");
    }
    return rc < 0 ? rc : 0;
}

static int record(const struct chosen *c, int fd, uint64_t *ret_octets, struct err *e)
{
    struct link *primary = NULL, *backup = NULL;
    struct stream_output copy = { .fd = -1 };
    struct err second;
    int rc = stream_output_open(&copy, fd, e);

    if (rc == 0)
        rc = link_connect(&backup, c->to, TIMEOUT_NS, e);
    if (rc == 0)
        rc = connected(backup, e);
    if (rc == 0)
        rc = link_from_fds(&primary, dup(STDIN_FILENO), dup(STDOUT_FILENO), e);
    if (rc == 0)
        rc = relay(primary, backup, &copy, e);
    if (rc == 0)
        rc = stream_output_flush(&copy, e);
    else if (copy.buffer && stream_output_flush(&copy, &second) < 0)
        copy.offset -= copy.used; /* the first reason is the one to tell */
    *ret_octets = copy.offset;
    if (primary)
        primary->ops->close(primary);
    if (backup)
        backup->ops->close(backup);
    stream_output_close(&copy);
    return rc;
}

/* Says how it ended. Stderr, because stdout belongs to the primary. An exit code. */
static int report(const struct chosen *c, const struct stream_target *t, int rc, uint64_t octets,
                  const struct err *e)
{
    const char *kept = rc == 0 ? t->path : octets > 0 ? t->temporary : NULL;

    if (rc < 0)
        fprintf(stderr, "replicator %s: %s\n", usage.command, e->text);
    if (rc < 0 && kept)
        fprintf(stderr, "what came before is in %s\n", kept);
    if (c->json) {
        json_t *object = json_pack("{s:s, s:s?, s:I}", "status", rc < 0 ? "failed" : "ok", "file", kept, "octets",
                                   (json_int_t)octets);

        (void)json_dumpf(object, stderr, 0);
        putc('\n', stderr);
        json_decref(object);
    }
    return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

int stream_record(int argc, char **argv)
{
    struct chosen c = { .to = NULL };
    struct stream_target target;
    uint64_t octets = 0;
    struct err e;
    int first, kept, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (!c.to)
        return options_refuse(&usage, "--to: want the address of the backup");
    if (strcmp(argv[first], "-") == 0)
        return options_refuse(&usage, "FILE: want a name, because stdout is the link to the primary");
    if ((rc = stream_target_open_part(&target, usage.command, argv[first])) != EXIT_OK)
        return rc;
    rc = record(&c, target.fd, &octets, &e);
    /* Not synced: a primary that has closed its end gives us a second before it kills us. */
    kept = rc == 0 ? stream_target_keep(&target, usage.command, false) : EXIT_OK;
    rc = report(&c, &target, rc, octets, &e);
    if (octets > 0)
        stream_target_leave(&target);
    else
        stream_target_close(&target); /* nothing came: nothing is kept */
    /* Closing stdio is what tells the primary. */
    (void)close(STDIN_FILENO);
    (void)close(STDOUT_FILENO);
    return kept == EXIT_OK ? rc : kept;
}

/* lines — see lines.h. */
#include "replicator/demo/lines.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"

void lines_open(struct lines *l, int fd)
{
    l->fd = fd;
    l->bytes = 0;
}

void lines_close(struct lines *l)
{
    auto_close(&l->fd);
    l->bytes = 0;
}

int lines_poll(int fd, int other_fd, uint64_t until_ns)
{
    struct pollfd fds[2] = { { .fd = fd, .events = POLLIN }, { .fd = other_fd, .events = POLLIN } };
    uint64_t now = clock_now_ns(), left = until_ns > now ? until_ns - now : 0;
    struct timespec wait = { (time_t)(left / NS_PER_S), (long)(left % NS_PER_S) };
    sigset_t none; /* signals come in here and nowhere else: none is missed between two waits */
    int n;

    sigemptyset(&none);
    n = ppoll(fds, 2, &wait, &none);
    return n < 0 ? -errno : n > 0;
}

int lines_say(struct lines *l, json_t *line, struct err *e)
{
    AUTO_FREE char *text = json_dumps(line, JSON_COMPACT);
    size_t bytes, sent = 0;

    json_decref(line);
    must(text);
    bytes = strlen(text);
    text[bytes++] = '\n'; /* in place of the end */
    while (sent < bytes) {
        ssize_t n = send(l->fd, text + sent, bytes - sent, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return err_set(e, errno, "can't ask: %m");
        sent += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int take_buffered(struct lines *l, json_t **ret, struct err *e)
{
    char *end = memchr(l->text, '\n', l->bytes);
    json_error_t fault;
    json_t *line;

    if (!end)
        return l->bytes < sizeof(l->text) ? 0 : err_set(e, EPROTO, "a line without end");
    line = json_loadb(l->text, (size_t)(end - l->text), 0, &fault);
    l->bytes -= (size_t)(end + 1 - l->text);
    memmove(l->text, end + 1, l->bytes);
    if (!line)
        return err_set(e, EPROTO, "not a line of JSON: %s", fault.text);
    *ret = line;
    return 1;
}

int lines_take(struct lines *l, json_t **ret, struct err *e)
{
    for (;;) {
        int rc = take_buffered(l, ret, e);
        ssize_t got;

        if (rc != 0)
            return rc;
        got = recv(l->fd, l->text + l->bytes, sizeof(l->text) - l->bytes, MSG_DONTWAIT);
        if (got == 0)
            return err_set(e, EPIPE, "it hung up");
        if (got < 0 && errno == EAGAIN)
            return 0;
        if (got < 0 && errno != EINTR)
            return err_set(e, errno, "%m");
        l->bytes += got > 0 ? (size_t)got : 0;
    }
}

int lines_wait(struct lines *l, uint64_t until_ns, json_t **ret, struct err *e)
{
    for (;;) {
        int rc = lines_take(l, ret, e);

        if (rc != 0)
            return rc < 0 ? rc : 0;
        rc = lines_poll(l->fd, -1, until_ns);
        if (rc < 0)
            return err_set(e, -rc, "interrupted");
        if (rc == 0)
            return err_set(e, ETIMEDOUT, "nothing was heard in time");
    }
}

int lines_ask(struct lines *l, json_t *question, uint64_t until_ns, json_t **ret, struct err *e)
{
    int rc = lines_say(l, question, e);

    return rc < 0 ? rc : lines_wait(l, until_ns, ret, e);
}

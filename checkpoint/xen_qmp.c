/* xen_qmp — see xen_qmp.h. */
#include "checkpoint/xen_qmp.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define COMMAND_MAX 1024u

enum xen_qmp_word xen_qmp_read(const char *line, size_t bytes, char *ret_words, size_t most)
{
    static const struct { const char *key; enum xen_qmp_word word; } keys[] = {
        { "QMP", XEN_QMP_GREETING }, { "return", XEN_QMP_ANSWER },
        { "error", XEN_QMP_REFUSAL }, { "event", XEN_QMP_EVENT },
    };
    json_t *object = json_loadb(line, bytes, 0, NULL);
    const char *words = json_string_value(json_object_get(json_object_get(object, "error"), "desc"));
    enum xen_qmp_word word = XEN_QMP_NOISE;

    for (size_t i = 0; i < ARRAY_LEN(keys) && word == XEN_QMP_NOISE; i++)
        if (json_object_get(object, keys[i].key))
            word = keys[i].word;
    if (word == XEN_QMP_REFUSAL)
        snprintf(ret_words, most, "%s", words ? words : "no reason given");
    json_decref(object);
    return word;
}

static int read_more(struct xen_qmp *q, uint64_t until_ns, struct err *e)
{
    struct pollfd p = { .fd = q->fd, .events = POLLIN };
    uint64_t now = clock_now_ns();
    ssize_t got;

    if (q->bytes == sizeof(q->line))
        return err_set(e, EPROTO, "the emulator says more than %u octets at once", XEN_QMP_LINE_MAX);
    if (now >= until_ns || poll(&p, 1, (int)((until_ns - now) / NS_PER_MS) + 1) == 0)
        return err_set(e, ETIMEDOUT, "the emulator does not answer in time");
    got = recv(q->fd, q->line + q->bytes, sizeof(q->line) - q->bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got <= 0)
        return err_set(e, got < 0 ? errno : EPIPE, "the emulator has hung up");
    q->bytes += (size_t)got;
    return 0;
}

/* Takes the next whole line off the front: what it is. */
static int next_word(struct xen_qmp *q, uint64_t until_ns, char *ret_words, size_t most, struct err *e)
{
    enum xen_qmp_word word;
    const char *end;
    size_t bytes;
    int rc;

    while (!(end = memchr(q->line, '\n', q->bytes)))
        if ((rc = read_more(q, until_ns, e)) < 0)
            return rc;
    bytes = (size_t)(end - q->line) + 1;
    word = xen_qmp_read(q->line, bytes, ret_words, most);
    memmove(q->line, q->line + bytes, q->bytes - bytes);
    q->bytes -= bytes;
    return (int)word;
}

/* Until a line says `wanted`, or a refusal. */
static int await(struct xen_qmp *q, enum xen_qmp_word wanted, uint64_t until_ns, struct err *e)
{
    char words[160];
    int word;

    do {
        word = next_word(q, until_ns, words, sizeof(words), e);
        if (word < 0)
            return word;
        if (word == XEN_QMP_REFUSAL)
            return err_set(e, EREMOTEIO, "the emulator refuses: %s", words);
        if (word == XEN_QMP_NOISE)
            return err_set(e, EPROTO, "the emulator says what is not QMP");
    } while (word != (int)wanted);
    return 0;
}

int xen_qmp_command(struct xen_qmp *q, const char *name, const char *arguments, uint64_t timeout_ns,
                    struct err *e)
{
    char text[COMMAND_MAX];
    int n = snprintf(text, sizeof(text), "{\"execute\":\"%s\",\"arguments\":%s}\r\n", name, arguments);
    int rc;

    must(n > 0 && (size_t)n < sizeof(text));
    if (send(q->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        return err_set(e, errno ? errno : EPIPE, "%s: the emulator does not listen: %m", name);
    rc = await(q, XEN_QMP_ANSWER, clock_now_ns() + timeout_ns, e);
    return rc < 0 ? err_wrap(e, "%s", name) : 0;
}

int xen_qmp_greet(struct xen_qmp *q, int fd, uint64_t timeout_ns, struct err *e)
{
    int rc;

    q->fd = fd;
    q->bytes = 0;
    rc = await(q, XEN_QMP_GREETING, clock_now_ns() + timeout_ns, e);
    if (rc == 0)
        rc = xen_qmp_command(q, "qmp_capabilities", "{}", timeout_ns, e);
    if (rc < 0)
        xen_qmp_close(q);
    return rc;
}

int xen_qmp_open(struct xen_qmp *q, const char *path, uint64_t timeout_ns, struct err *e)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    q->fd = -1;
    if (strlen(path) >= sizeof(to.sun_path))
        return err_set(e, ENAMETOOLONG, "%s", path);
    strcpy(to.sun_path, path);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
        return err_set(e, errno, "the domain's emulator can't be reached at %s: %m", path);
    return xen_qmp_greet(q, fd_steal(&fd), timeout_ns, e);
}

void xen_qmp_close(struct xen_qmp *q)
{
    if (q->fd >= 0)
        close(q->fd);
    q->fd = -1;
    q->bytes = 0;
}

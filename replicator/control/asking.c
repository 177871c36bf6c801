/* asking — see asking.h. */
#include "replicator/control/asking.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "replicator/commands.h"

static int say(const struct err *e, int exit_code)
{
    fprintf(stderr, "replicator: %s\n", e->text);
    return exit_code;
}

static bool is_name(const char *domain)
{
    return *domain && strlen(domain) <= GUEST_NAME_MAX &&
           domain[strspn(domain, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0';
}

int asking_open(struct asking *a, const struct run_dir *run, enum run_side side, const char *domain,
                json_t *request)
{
    char path[RUN_PATH_MAX], *line = json_dumps(request, JSON_COMPACT);
    struct err e;
    int rc;

    json_decref(request);
    a->fd = -1;
    a->bytes = 0;
    rc = line ? 0 : err_set(&e, EINVAL, "what is asked is not text");
    if (rc == 0 && !is_name(domain))
        rc = err_set(&e, EINVAL, "\"%.80s\" is no domain's name", domain);
    if (rc == 0)
        rc = run_dir_file(run, side, domain, "sock", path, &e);
    if (rc == 0)
        rc = run_dir_connect(path, SOCK_STREAM, &a->fd, &e);
    if (rc == 0 && dprintf(a->fd, "%s\n", line) < 0)
        rc = err_set(&e, errno, "ask %s: %m", path);
    free(line);
    if (rc == 0)
        return EXIT_OK;
    asking_close(a);
    if (rc == -ENOENT || rc == -ECONNREFUSED || rc == -EPIPE)
        return EXIT_NOT_RUNNING;
    return say(&e, rc == -EACCES ? EXIT_PERMISSION : rc == -EINVAL ? EXIT_USAGE : EXIT_FAILED);
}

void asking_close(struct asking *a)
{
    auto_close(&a->fd);
}

/* More octets of the answer: 1, 0 at the end, -ETIMEDOUT. */
static int receive(struct asking *a, uint64_t until_ns)
{
    struct pollfd p = { .fd = a->fd, .events = POLLIN };
    uint64_t now = clock_now_ns();
    uint64_t left_ms = until_ns > now ? (until_ns - now) / NS_PER_MS + 1 : 0;
    ssize_t got;

    if (a->bytes == sizeof(a->in))
        return 0;
    if (poll(&p, 1, until_ns == TIME_NEVER || left_ms > INT32_MAX ? -1 : (int)left_ms) == 0)
        return -ETIMEDOUT;
    got = recv(a->fd, a->in + a->bytes, sizeof(a->in) - a->bytes, 0);
    if (got <= 0)
        return 0;
    a->bytes += (size_t)got;
    return 1;
}

json_t *asking_next(struct asking *a, uint64_t until_ns, bool *ret_late)
{
    json_t *got;
    char *end;
    int rc = 1;

    while (!(end = memchr(a->in, '\n', a->bytes)) && (rc = receive(a, until_ns)) > 0)
        ;
    *ret_late = rc == -ETIMEDOUT;
    if (!end)
        return NULL;
    got = json_loadb(a->in, (size_t)(end - a->in), 0, NULL);
    a->bytes -= (size_t)(end + 1 - a->in);
    memmove(a->in, end + 1, a->bytes);
    return got;
}

int asking_once(const struct run_dir *run, enum run_side side, const char *domain, json_t *request,
                uint64_t timeout_ns, json_t **ret)
{
    struct asking a;
    bool is_late;
    int rc = asking_open(&a, run, side, domain, request);

    if (rc != EXIT_OK)
        return rc;
    *ret = asking_next(&a, clock_now_ns() + timeout_ns, &is_late);
    asking_close(&a);
    if (*ret)
        return EXIT_OK;
    if (!is_late)
        return EXIT_NOT_RUNNING; /* it ended while it was asked */
    fprintf(stderr, "replicator: the process of %s does not answer; it may be stopped\n", domain);
    return EXIT_TIMEOUT;
}

int asking_nobody(const char *command, const char *domain, const struct run_dir *run)
{
    fprintf(stderr, "replicator %s: %s is neither protected nor held here (looked in %s)\n"
                    "try: replicator status\n", command, domain, run->path);
    return EXIT_NOT_RUNNING;
}

void asking_print(const json_t *object)
{
    json_dumpf(object, stdout, CONTROL_FORMAT);
    putchar('\n');
    fflush(stdout);
}

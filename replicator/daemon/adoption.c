/* adoption — see adoption.h. Givers are our own processes, but what they bring is judged again: the
 * octets came from a stranger. */
#include "replicator/daemon/adoption.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "replicator/daemon/greeting.h"

void adoption_init(struct adoption *a)
{
    a->fd = -1;
    for (unsigned i = 0; i < ADOPTION_GIVERS_MAX; i++)
        a->givers[i].fd = -1;
    handover_init(&a->taken);
}

int adoption_open(struct adoption *a, const char *path, struct err *e)
{
    must(strlen(path) < sizeof(a->path));
    memcpy(a->path, path, strlen(path) + 1);
    return run_dir_listen(path, SOCK_SEQPACKET, &a->fd, e);
}

void adoption_close(struct adoption *a)
{
    for (unsigned i = 0; i < ADOPTION_GIVERS_MAX; i++)
        auto_close(&a->givers[i].fd);
    if (a->fd >= 0)
        unlink(a->path);
    auto_close(&a->fd);
}

void adoption_watch(struct adoption *a, struct loop *l)
{
    a->slot = loop_watch(l, a->fd, POLLIN);
    for (unsigned i = 0; i < ADOPTION_GIVERS_MAX; i++)
        a->givers[i].slot = loop_watch(l, a->givers[i].fd, POLLIN);
}

/* One that finds no place is turned away and comes again. */
static void accept_giver(struct adoption *a)
{
    int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    for (unsigned i = 0; run_dir_is_trusted(fd) && i < ADOPTION_GIVERS_MAX; i++)
        if (a->givers[i].fd < 0) {
            a->givers[i].fd = fd_steal(&fd);
            break;
        }
    auto_close(&fd);
}

static bool take(struct adoption *a, int *giver, const char *domain, struct link **ret, struct hello *h)
{
    size_t need;
    struct err e;
    int rc = handover_receive(*giver, &a->taken, &e);

    if (rc == 0)
        return false;
    if (rc > 0 && (greeting_parse(a->taken.octets, a->taken.bytes, h, &need, &e) != 1 ||
                   strcmp(h->name, domain) != 0)) {
        handover_close(&a->taken);
        rc = err_set(&e, EPROTO, "a connection that is not for %s was handed over", domain);
    }
    if (rc < 0) {
        if (rc == -EPROTO)
            log_warning("%s", e.text);
        auto_close(giver);
        return false;
    }
    handover_confirm(*giver);
    rc = handover_link(&a->taken, fd_steal(giver), ret, &e);
    if (rc < 0)
        log_warning("%s", e.text);
    return rc == 0;
}

bool adoption_serve(struct adoption *a, const struct loop *l, const char *domain, struct link **ret,
                    struct hello *ret_hello)
{
    bool taken = false;

    for (unsigned i = 0; i < ADOPTION_GIVERS_MAX && !taken; i++)
        if (a->givers[i].fd >= 0 && loop_ready(l, a->givers[i].slot))
            taken = take(a, &a->givers[i].fd, domain, ret, ret_hello);
    if (loop_ready(l, a->slot) & POLLIN)
        accept_giver(a);
    return taken;
}

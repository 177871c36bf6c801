/* link_unix — links over unix stream sockets in the file system, for two processes of one machine.
 * A listener replaces a socket file that nobody listens at (its owner was killed) and nothing else:
 * neither a live socket nor a file of another kind. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "replicator/link/link_rows.h"
#include "replicator/link/link_socket.h"

#define BACKLOG 64

static int address_of(const char *path, struct sockaddr_un *ret, struct err *e)
{
    size_t bytes = strlen(path);

    if (bytes == 0)
        return err_set(e, EINVAL, "unix: want a path after the colon");
    if (bytes >= sizeof(ret->sun_path))
        return err_set(e, EINVAL, "unix:%.60s…: a socket's path has at most %zu octets, this has %zu",
                       path, sizeof(ret->sun_path) - 1, bytes);
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(ret->sun_path, path, bytes + 1);
    return 0;
}

static int unix_socket(struct err *e)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    return fd < 0 ? err_set(e, errno, "unix socket: %m") : fd;
}

static const struct link_ops unix_ops = {
    .kind = "unix",
    .send = link_socket_send,
    .send_pieces = link_socket_send_pieces,
    .receive = link_socket_receive,
    .fds = link_socket_fds,
    .connected = link_socket_connected,
    .close = link_socket_close,
};

/* The kernel connects unix sockets at once or not at all; timeout_ns has nothing to do. */
int link_unix_connect(struct link **ret, const char *place, UNUSED uint64_t timeout_ns, struct err *e)
{
    struct sockaddr_un to;
    AUTO_CLOSE int fd = -1;
    struct link_socket *s;
    bool is_connecting;
    int rc = address_of(place, &to, e);

    if (rc < 0)
        return rc;
    fd = unix_socket(e);
    if (fd < 0)
        return fd;
    rc = link_socket_start(fd, (struct sockaddr *)&to, sizeof(to), &is_connecting);
    if (rc < 0)
        return err_set(e, -rc, "connect to unix:%s: %m", place);
    s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(e, ENOMEM, "unix:%s: %m", place);
    s->link.ops = &unix_ops;
    s->is_connecting = is_connecting;
    s->fd = fd_steal(&fd);
    snprintf(s->peer, sizeof(s->peer), "unix:%s", place);
    *ret = &s->link;
    return 0;
}

/* Two listeners that find the same stale file must not both replace it: the folder is locked from
 * the look until the new socket listens. */
static int lock_folder_of(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char folder[LINK_ADDRESS_MAX] = ".";
    AUTO_CLOSE int fd = -1;

    if (slash)
        snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        return err_set(e, errno, "unix:%s: folder %s: %m", path, folder);
    return fd_steal(&fd);
}

/* Removes the file when it is a socket that refuses connections; -EADDRINUSE otherwise. */
static int remove_stale(const struct sockaddr_un *at, struct err *e)
{
    struct stat file;
    AUTO_CLOSE int probe = -1;

    if (lstat(at->sun_path, &file) < 0)
        return errno == ENOENT ? 0 : err_set(e, errno, "unix:%s: %m", at->sun_path);
    if (!S_ISSOCK(file.st_mode))
        return err_set(e, EADDRINUSE, "unix:%s: a file that is no socket is in the way", at->sun_path);
    probe = unix_socket(e);
    if (probe < 0)
        return probe;
    if (connect(probe, (const struct sockaddr *)at, sizeof(*at)) == 0 || errno != ECONNREFUSED)
        return err_set(e, EADDRINUSE, "unix:%s: another process listens there", at->sun_path);
    if (unlink(at->sun_path) < 0)
        return err_set(e, errno, "remove stale socket %s: %m", at->sun_path);
    return 0;
}

int link_unix_listen(int *ret_fd, const char *place, char *bound, struct err *e)
{
    struct sockaddr_un at;
    AUTO_CLOSE int fd = -1, folder = -1;
    int rc = address_of(place, &at, e);

    if (rc < 0)
        return rc;
    folder = lock_folder_of(place, e);
    if (folder < 0)
        return folder;
    rc = remove_stale(&at, e);
    if (rc < 0)
        return rc;
    fd = unix_socket(e);
    if (fd < 0)
        return fd;
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, BACKLOG) < 0)
        return err_set(e, errno, "listen at unix:%s: %m", place);
    snprintf(bound, LINK_ADDRESS_MAX, "unix:%s", place);
    *ret_fd = fd_steal(&fd);
    return 0;
}

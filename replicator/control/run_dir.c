/* run_dir — see run_dir.h. */
#include "replicator/control/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 16

static const char *const side_names[] = { [RUN_PRIMARY] = "primary", [RUN_BACKUP] = "backup" };

int run_dir_open(struct run_dir *ret, const char *path, struct err *e)
{
    const char *base = path, *below = "";
    int n;

    if (!base && geteuid() == 0) {
        base = "/run/replicator";
    } else if (!base) {
        base = getenv("XDG_RUNTIME_DIR");
        below = "/replicator";
    }
    if (!base || !*base)
        return err_set(e, EINVAL, "no folder to run in: XDG_RUNTIME_DIR is not set, give --run-dir DIR");
    n = snprintf(ret->path, sizeof(ret->path), "%s%s", base, below);
    if (n >= (int)sizeof(ret->path))
        return err_set(e, ENAMETOOLONG, "--run-dir %.40s…: too long, sockets could not be named", base);
    return 0;
}

static int make_folder(const char *path, struct err *e)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(e, errno, "make folder %s: %m", path);
    return 0;
}

int run_dir_make(const struct run_dir *d, struct err *e)
{
    char path[RUN_PATH_MAX + 16];
    int rc = make_folder(d->path, e);

    for (size_t side = 0; rc == 0 && side < ARRAY_LEN(side_names); side++) {
        snprintf(path, sizeof(path), "%s/%s", d->path, side_names[side]);
        rc = make_folder(path, e);
    }
    if (rc == 0) {
        snprintf(path, sizeof(path), "%s/netbuf", d->path);
        rc = make_folder(path, e);
    }
    return rc;
}

int run_dir_netbuf(const struct run_dir *d, char ret[RUN_PATH_MAX], struct err *e)
{
    if (snprintf(ret, RUN_PATH_MAX, "%s/netbuf", d->path) >= (int)RUN_PATH_MAX)
        return err_set(e, ENAMETOOLONG, "%s/netbuf: too long, give a shorter --run-dir", d->path);
    return 0;
}

int run_dir_file(const struct run_dir *d, enum run_side side, const char *domain, const char *suffix,
                 char ret[RUN_PATH_MAX], struct err *e)
{
    int n = snprintf(ret, RUN_PATH_MAX, "%s/%s/%s.%s", d->path, side_names[side], domain, suffix);

    if (n >= (int)RUN_PATH_MAX)
        return err_set(e, ENAMETOOLONG, "%s/%s/%s.%s: longer than a socket's path may be, "
                       "give a shorter --run-dir", d->path, side_names[side], domain, suffix);
    return 0;
}

int run_dir_lock(const struct run_dir *d, enum run_side side, const char *domain, int *ret_fd,
                 pid_t *ret_holder, struct err *e)
{
    char path[RUN_PATH_MAX], pid[24] = "";
    AUTO_CLOSE int fd = -1;
    int rc = run_dir_file(d, side, domain, "lock", path, e);

    if (rc < 0)
        return rc;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, errno, "open %s: %m", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return err_set(e, errno, "lock %s: %m", path);
        if (pread(fd, pid, sizeof(pid) - 1, 0) < 0)
            pid[0] = '\0';
        *ret_holder = (pid_t)strtol(pid, NULL, 10);
        return err_set(e, EBUSY, "%s is in the hands of process %ld already", domain, (long)*ret_holder);
    }
    run_dir_sign(fd);
    *ret_fd = fd_steal(&fd);
    return 0;
}

/* The lock counts, the pid is for people: a full disk must not stop protection. */
void run_dir_sign(int lock_fd)
{
    char pid[24];
    int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());

    if (ftruncate(lock_fd, 0) < 0 || pwrite(lock_fd, pid, (size_t)n, 0) < 0)
        return;
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    must(strlen(path) < sizeof(a.sun_path));
    memcpy(a.sun_path, path, strlen(path) + 1);
    return a;
}

int run_dir_listen(const char *path, int type, int *ret_fd, struct err *e)
{
    struct sockaddr_un at = address_of(path);
    AUTO_CLOSE int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set(e, errno, "unix socket: %m");
    if (unlink(path) < 0 && errno != ENOENT)
        return err_set(e, errno, "remove %s: %m", path);
    if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        chmod(path, 0600) < 0 || listen(fd, BACKLOG) < 0)
        return err_set(e, errno, "listen at %s: %m", path);
    *ret_fd = fd_steal(&fd);
    return 0;
}

int run_dir_connect(const char *path, int type, int *ret_fd, struct err *e)
{
    struct sockaddr_un at = address_of(path);
    AUTO_CLOSE int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set(e, errno, "unix socket: %m");
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        return err_set(e, errno, "connect to %s: %m", path);
    *ret_fd = fd_steal(&fd);
    return 0;
}

bool run_dir_is_trusted(int fd)
{
    struct ucred who;
    socklen_t bytes = sizeof(who);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0 &&
           (who.uid == 0 || who.uid == geteuid());
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int run_dir_list(const struct run_dir *d, enum run_side side, char (*ret)[GUEST_NAME_MAX + 1],
                 unsigned most, struct err *e)
{
    char path[RUN_PATH_MAX + 16];
    struct dirent *entry;
    unsigned n = 0;
    DIR *folder;

    snprintf(path, sizeof(path), "%s/%s", d->path, side_names[side]);
    folder = opendir(path);
    if (!folder)
        return errno == ENOENT ? 0 : err_set(e, errno, "read folder %s: %m", path);
    while (n < most && (entry = readdir(folder))) {
        size_t length = strlen(entry->d_name);

        if (length <= 5 || length - 5 > GUEST_NAME_MAX || strcmp(entry->d_name + length - 5, ".sock") != 0)
            continue;
        memcpy(ret[n], entry->d_name, length - 5);
        ret[n++][length - 5] = '\0';
    }
    closedir(folder);
    qsort(ret, n, sizeof(*ret), by_name);
    return (int)n;
}

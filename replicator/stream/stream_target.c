/* stream_target — see stream_target.h. */
#include "replicator/stream/stream_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replicator/commands.h"

#define COPY_BYTES (256u << 10)

static int failed(const char *command, const char *path)
{
    fprintf(stderr, "replicator %s: %s: %s\n", command, path, strerror(errno));
    return EXIT_USAGE;
}

int stream_target_open(struct stream_target *t, const char *command, const char *path)
{
    const char *folder = getenv("TMPDIR");
    bool is_stdout = strcmp(path, "-") == 0;
    int n;

    *t = (struct stream_target){ .path = path, .fd = -1 };
    n = is_stdout ? snprintf(t->temporary, sizeof(t->temporary), "%s/replicator-stream-XXXXXX",
                             folder && *folder ? folder : "/var/tmp")
                  : snprintf(t->temporary, sizeof(t->temporary), "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof(t->temporary)) {
        t->temporary[0] = '\0';
        errno = ENAMETOOLONG;
        return failed(command, path);
    }
    t->fd = mkostemp(t->temporary, O_CLOEXEC);
    if (t->fd < 0) {
        t->temporary[0] = '\0';
        return failed(command, path);
    }
    if (is_stdout) {
        (void)unlink(t->temporary);
        t->temporary[0] = '\0';
    }
    return EXIT_OK;
}

int stream_target_open_part(struct stream_target *t, const char *command, const char *path)
{
    int n;

    *t = (struct stream_target){ .path = path, .fd = -1 };
    n = snprintf(t->temporary, sizeof(t->temporary), "%s.part-XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof(t->temporary))
        errno = ENAMETOOLONG;
    else if ((t->fd = mkostemp(t->temporary, O_CLOEXEC)) >= 0)
        return EXIT_OK;
    t->temporary[0] = '\0';
    return failed(command, path);
}

static int copy_out(struct stream_target *t)
{
    AUTO_FREE char *octets = malloc(COPY_BYTES);
    off_t offset = 0;
    ssize_t got;

    if (!octets)
        return -1;
    while ((got = pread(t->fd, octets, COPY_BYTES, offset)) > 0) {
        for (ssize_t done = 0, put; done < got; done += put)
            if ((put = write(STDOUT_FILENO, octets + done, (size_t)(got - done))) < 0) {
                if (errno != EINTR)
                    return -1;
                put = 0;
            }
        offset += got;
    }
    return got < 0 ? -1 : 0;
}

/* The folder that has the name, so that the name itself survives. Some file systems can't: no harm. */
static void folder_sync(const char *path)
{
    char folder[STREAM_TARGET_PATH_MAX];
    const char *end = strrchr(path, '/');
    int fd;

    snprintf(folder, sizeof(folder), "%.*s", end ? (int)(end - path + 1) : 1, end ? path : ".");
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

int stream_target_keep(struct stream_target *t, const char *command, bool is_synced)
{
    if (!t->temporary[0])
        return copy_out(t) < 0 ? failed(command, "stdout") : EXIT_OK;
    if ((is_synced && fsync(t->fd) < 0) || rename(t->temporary, t->path) < 0)
        return failed(command, t->path);
    if (is_synced)
        folder_sync(t->path);
    t->temporary[0] = '\0';
    return EXIT_OK;
}

void stream_target_close(struct stream_target *t)
{
    if (t->temporary[0])
        (void)unlink(t->temporary);
    stream_target_leave(t);
}

void stream_target_leave(struct stream_target *t)
{
    t->temporary[0] = '\0';
    if (t->fd >= 0)
        (void)close(t->fd);
    t->fd = -1;
}

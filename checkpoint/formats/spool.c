/* spool — see spool.h. */
#include "checkpoint/formats/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_BYTES 512u

static int make(struct spool *s, struct err *e)
{
    const char *folder = getenv("TMPDIR");
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof(path), "%s/replicator-spool-XXXXXX", folder && *folder ? folder : "/var/tmp");

    if (n < 0 || (size_t)n >= sizeof(path))
        return err_set(e, ENAMETOOLONG, "TMPDIR: %m");
    s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd < 0)
        return err_set(e, errno, "%s: %m", path);
    (void)unlink(path);
    return 0;
}

int spool_put(struct spool *s, const void *octets, size_t n, uint64_t *ret, struct err *e)
{
    const char *at = octets;
    int rc;

    if (s->fd < 0 && (rc = make(s, e)) < 0)
        return rc;
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(s->fd, at + done, n - done, (off_t)(s->bytes + done));

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return err_set(e, put < 0 ? errno : ENOSPC, "spool: write: %m");
        done += (size_t)put;
    }
    *ret = s->bytes;
    s->bytes += n;
    return 0;
}

int spool_get(const struct spool *s, uint64_t offset, void *to, size_t n, struct err *e)
{
    char *at = to;

    for (size_t done = 0; done < n;) {
        ssize_t got = pread(s->fd, at + done, n - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, got < 0 ? errno : EIO, "spool: read: %m");
        done += (size_t)got;
    }
    return 0;
}

void spool_close(struct spool *s)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    *s = (struct spool)SPOOL_EMPTY;
}

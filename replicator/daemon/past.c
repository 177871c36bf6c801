/* past — see past.h. */
#include "replicator/daemon/past.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 80u

int past_load(const char *path, struct primary_past *ret, struct err *e)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[TEXT_MAX + 1] = "";
    unsigned given = 0;
    int end = 0;

    *ret = (struct primary_past){ 0 };
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(e, errno, "open %s: %m", path);
    if (read(fd, text, TEXT_MAX) < 0)
        return err_set(e, errno, "read %s: %m", path);
    if (sscanf(text, "lineage=%" SCNx64 " term=%" SCNu32 " given=%1u\n%n", &ret->lineage,
               &ret->term, &given, &end) != 3 || given > 1 || ret->lineage == 0 || (size_t)end != strlen(text))
        return err_set(e, EPROTO, "%s is damaged: find out whether the other side runs the guest, then "
                       "remove it", path);
    ret->armed = true;
    ret->given = given;
    return 0;
}

int past_store(const char *path, const struct primary_past *past, struct err *e)
{
    char text[TEXT_MAX], fresh[512];
    AUTO_CLOSE int fd = -1;
    int n = snprintf(text, sizeof(text), "lineage=%016" PRIx64 " term=%" PRIu32 " given=%d\n",
                     past->lineage, past->term, past->given);

    if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
        return err_set(e, ENAMETOOLONG, "%s: %m", path);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, (size_t)n) != n || fdatasync(fd) < 0 || rename(fresh, path) < 0)
        return err_set(e, errno ? errno : EIO, "write %s: %m", path);
    return 0;
}

void past_forget(const char *path)
{
    unlink(path);
}

/* token_file — see token_file.h.
 * The file's line is "SIDE HOST PID\n"; only SIDE decides, the rest (and the file's time) tell a
 * person who it was. It is written and on storage before it gets its name, so a reader never meets
 * half a line; a crash in between leaves a file whose name starts with a dot and means nothing. */
#include "replicator/fence/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "replicator/fence/fence_rows.h"

#define LINE_BYTES_MAX 160u
#define NAME_BYTES_MAX (GUEST_NAME_MAX + 96u)

static enum fence_answer no_answer(struct err *e, const char *folder, const char *what, int code)
{
    err_set(e, code, "arbiter file:%s: %s: %m", folder, what);
    return FENCE_NO_ANSWER;
}

/* Writes our claim under a name of its own and sees it on storage; 0 or -errno, file gone. */
static int write_claim(int dir, const char *name, enum fence_side side)
{
    AUTO_CLOSE int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    char host[65] = "", line[LINE_BYTES_MAX];
    int code, bytes;

    if (fd < 0)
        return -errno;
    gethostname(host, sizeof(host) - 1);
    bytes = snprintf(line, sizeof(line), "%s %s %d\n", fence_side_name(side), host, (int)getpid());
    errno = EIO; /* for a short write */
    if (write(fd, line, (size_t)bytes) == bytes && fsync(fd) == 0)
        return 0;
    code = errno;
    unlinkat(dir, name, 0);
    return -code;
}

/* Whose token it is; -EPROTO for a file that no one of us wrote. */
static int read_owner(int dir, const char *name, enum fence_side *ret)
{
    AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char line[LINE_BYTES_MAX];
    ssize_t bytes;

    if (fd < 0)
        return -errno;
    bytes = read(fd, line, sizeof(line));
    if (bytes < 0)
        return -errno;
    if (bytes == 0 || line[bytes - 1] != '\n')
        return -EPROTO;
    for (int side = FENCE_PRIMARY; side <= FENCE_BACKUP; side++) {
        const char *word = fence_side_name((enum fence_side)side);
        size_t length = strlen(word);

        if ((size_t)bytes > length && memcmp(line, word, length) == 0 && line[length] == ' ') {
            *ret = (enum fence_side)side;
            return 0;
        }
    }
    return -EPROTO;
}

/* 0 when the claim got the name or somebody's claim had it before; -errno otherwise. */
static int publish(int dir, const char *claim, const char *token)
{
    int code = linkat(dir, claim, dir, token, 0) < 0 ? errno : 0;

    unlinkat(dir, claim, 0);
    return code == EEXIST ? 0 : -code;
}

enum fence_answer token_file_take(const char *folder, const struct fence_question *q, struct err *e)
{
    AUTO_CLOSE int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char token[NAME_BYTES_MAX], claim[NAME_BYTES_MAX + 32];
    enum fence_side owner;
    int rc;

    if (dir < 0)
        return no_answer(e, folder, "open", errno);
    snprintf(token, sizeof(token), "%s.%016" PRIx64 ".%" PRIu32, q->domain, q->lineage, q->term);
    snprintf(claim, sizeof(claim), ".%s.%016" PRIx64, token, rng_system_seed());
    rc = read_owner(dir, token, &owner);
    if (rc == -ENOENT) {
        rc = write_claim(dir, claim, q->side);
        if (rc < 0)
            return no_answer(e, folder, "write a claim", -rc);
        rc = publish(dir, claim, token);
        if (rc < 0)
            return no_answer(e, folder, "link", -rc);
        /* What stands there decides, not what link() said: over NFS it may fail and have worked. */
        rc = read_owner(dir, token, &owner);
    }
    if (rc < 0)
        return no_answer(e, folder, token, -rc);
    if (owner != q->side)
        return FENCE_DENIED;
    /* Ours, but it must survive the storage's own crash before we rely on it — each time. */
    if (fsync(dir) < 0)
        return no_answer(e, folder, "fsync", errno);
    return FENCE_GRANTED;
}

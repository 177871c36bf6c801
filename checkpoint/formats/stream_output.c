/* stream_output — see stream_output.h. */
#include "checkpoint/formats/stream_output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES 4096u /* of the file: a smaller hole saves nothing */

int stream_output_open(struct stream_output *o, int fd, struct err *e)
{
    *o = (struct stream_output){ .fd = fd, .buffer = malloc(STREAM_OUTPUT_BUFFER) };
    return o->buffer ? 0 : err_set(e, ENOMEM, "output: %m");
}

void stream_output_close(struct stream_output *o)
{
    free(o->buffer);
    o->buffer = NULL;
}

static int write_all(struct stream_output *o, const uint8_t *at, size_t n, uint64_t offset, struct err *e)
{
    while (n > 0) {
        ssize_t put = pwrite(o->fd, at, n, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return err_set(e, put < 0 ? errno : ENOSPC, "write: %m");
        at += put;
        n -= (size_t)put;
        offset += (uint64_t)put;
    }
    return 0;
}

static bool is_zero(const uint8_t *block)
{
    return block[0] == 0 && memcmp(block, block + 1, BLOCK_BYTES - 1) == 0;
}

/* Whole blocks of the file that are zeros are left out, but for the last: the file is as long as what was
 * put. What is there already was cut off, so there are zeros wherever nothing is written. */
static int write_sparse(struct stream_output *o, const uint8_t *at, size_t n, uint64_t offset, struct err *e)
{
    size_t from = 0, block = (size_t)(-offset % BLOCK_BYTES);
    int rc = 0;

    for (; rc == 0 && block + BLOCK_BYTES < n; block += BLOCK_BYTES) {
        if (!is_zero(at + block))
            continue;
        rc = write_all(o, at + from, block - from, offset + from, e);
        from = block + BLOCK_BYTES;
    }
    return rc < 0 ? rc : write_all(o, at + from, n - from, offset + from, e);
}

int stream_output_flush(struct stream_output *o, struct err *e)
{
    int rc = write_sparse(o, o->buffer, o->used, o->offset - o->used, e);

    if (rc == 0)
        o->used = 0;
    return rc;
}

int stream_output_put(struct stream_output *o, const void *octets, size_t n, struct err *e)
{
    int rc;

    if (n > STREAM_OUTPUT_BUFFER - o->used && (rc = stream_output_flush(o, e)) < 0)
        return rc;
    if (n > STREAM_OUTPUT_BUFFER / 2) {
        if ((rc = stream_output_flush(o, e)) < 0 || (rc = write_sparse(o, octets, n, o->offset, e)) < 0)
            return rc;
        o->offset += n;
        return 0;
    }
    if (n > 0)
        memcpy(o->buffer + o->used, octets, n);
    o->used += n;
    o->offset += n;
    return 0;
}

int stream_output_cut(struct stream_output *o, uint64_t offset, struct err *e)
{
    int rc = stream_output_flush(o, e);

    if (rc < 0)
        return rc;
    must(offset <= o->offset);
    if (ftruncate(o->fd, (off_t)offset) < 0)
        return err_set(e, errno, "output: %m");
    o->offset = offset;
    return 0;
}

int stream_output_get(struct stream_output *o, uint64_t offset, void *to, size_t n, struct err *e)
{
    char *at = to;
    int rc;

    must(offset + n <= o->offset);
    if (offset + n > o->offset - o->used && (rc = stream_output_flush(o, e)) < 0)
        return rc;
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(o->fd, at + done, n - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, got < 0 ? errno : EIO, "output: read back: %m");
        done += (size_t)got;
    }
    return 0;
}

int stream_output_digest(struct stream_output *o, uint64_t from, uint64_t *ret, struct err *e)
{
    struct digest digest;
    int rc = stream_output_flush(o, e);

    digest_begin(&digest);
    while (rc == 0 && from < o->offset) {
        uint64_t left = o->offset - from;
        ssize_t got = pread(o->fd, o->buffer, left < STREAM_OUTPUT_BUFFER ? (size_t)left : STREAM_OUTPUT_BUFFER,
                            (off_t)from);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, got < 0 ? errno : EIO, "output: read back: %m");
        digest_add(&digest, o->buffer, (size_t)got);
        from += (uint64_t)got;
    }
    if (rc == 0)
        *ret = digest_value(&digest);
    return rc;
}

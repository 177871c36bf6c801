/* stream_input — see stream_input.h. A window of memory slides over the descriptor; memory is its own
 * window. */
#include "checkpoint/formats/stream_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILL_BYTES (256u << 10) /* read ahead: stays in a core's cache until it is looked at */
#define FILL_LEAST (16u << 10) /* behind what was passed over: a header, not its pages */

struct stream_input {
    int fd;              /* -1: memory */
    bool is_regular, at_end;
    uint64_t base, size; /* of a regular file: where the stream starts, and how long it is */
    uint64_t offset;     /* of `at` */
    const uint8_t *at;
    size_t left;
    size_t ahead;        /* octets to read at once; grows while nothing is passed over */
    uint8_t *window;     /* STREAM_INPUT_WINDOW octets; NULL: memory */
};

static struct stream_input *made(int fd, struct err *e)
{
    struct stream_input *in = calloc(1, sizeof(*in));

    if (!in) {
        (void)err_set(e, ENOMEM, "input: %m");
        return NULL;
    }
    in->fd = fd;
    in->ahead = FILL_BYTES;
    return in;
}

int stream_input_open(struct stream_input **ret, int fd, struct err *e)
{
    struct stream_input *in = made(fd, e);
    struct stat about;
    off_t base;

    if (!in)
        return -ENOMEM;
    in->window = malloc(STREAM_INPUT_WINDOW);
    if (!in->window) {
        stream_input_close(in);
        return err_set(e, ENOMEM, "input: %m");
    }
    in->at = in->window;
    base = lseek(fd, 0, SEEK_CUR);
    if (base >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) {
        in->is_regular = true;
        in->base = (uint64_t)base;
        in->size = about.st_size > base ? (uint64_t)(about.st_size - base) : 0;
    }
    *ret = in;
    return 0;
}

int stream_input_of(struct stream_input **ret, const void *octets, size_t bytes, struct err *e)
{
    struct stream_input *in = made(-1, e);

    if (!in)
        return -ENOMEM;
    in->at = octets;
    in->left = bytes;
    in->size = bytes;
    in->at_end = true;
    *ret = in;
    return 0;
}

void stream_input_close(struct stream_input *in)
{
    if (!in)
        return;
    free(in->window);
    free(in);
}

/* One read behind what is there already. */
static int fill(struct stream_input *in, size_t want, struct err *e)
{
    uint8_t *to = in->window + (in->at - in->window) + in->left;
    ssize_t got;

    do {
        got = in->is_regular
                  ? pread(in->fd, to, want, (off_t)(in->base + in->offset + in->left))
                  : read(in->fd, to, want);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_set(e, errno, "read at offset %llu: %m",
                       (unsigned long long)(in->offset + in->left));
    if (got == 0)
        in->at_end = true;
    in->left += (size_t)got;
    return 0;
}

int stream_input_peek(struct stream_input *in, size_t n, const uint8_t **ret, size_t *ret_left,
                      struct err *e)
{
    must(n <= STREAM_INPUT_WINDOW);
    while (in->left < n && !in->at_end) {
        size_t want = n - in->left > in->ahead ? n - in->left : in->ahead, room;
        int rc;

        if (in->at != in->window && (in->left == 0 || (size_t)(in->at - in->window) + n > STREAM_INPUT_WINDOW)) {
            memmove(in->window, in->at, in->left);
            in->at = in->window;
        }
        room = STREAM_INPUT_WINDOW - (size_t)(in->at - in->window) - in->left;
        if ((rc = fill(in, want < room ? want : room, e)) < 0)
            return rc;
        in->ahead = 2 * in->ahead < FILL_BYTES ? 2 * in->ahead : FILL_BYTES;
    }
    *ret = in->at;
    *ret_left = in->left < n ? in->left : n;
    return 0;
}

void stream_input_consume(struct stream_input *in, size_t n)
{
    must(n <= in->left);
    in->at += n;
    in->left -= n;
    in->offset += n;
}

bool stream_input_pass(struct stream_input *in, uint64_t n)
{
    if (n <= in->left) {
        stream_input_consume(in, (size_t)n);
        return true;
    }
    if (!in->is_regular || in->offset > in->size || n > in->size - in->offset)
        return false;
    in->offset += n;
    in->at = in->window;
    in->left = 0;
    in->ahead = FILL_LEAST;
    return true;
}

uint64_t stream_input_offset(const struct stream_input *in)
{
    return in->offset;
}

uint64_t stream_input_size(const struct stream_input *in)
{
    return in->size;
}

bool stream_input_can_reread(const struct stream_input *in)
{
    return in->is_regular || in->fd < 0;
}

int stream_input_reread(struct stream_input *in, uint64_t offset, void *to, size_t n, struct err *e)
{
    uint8_t *at = to;

    must(stream_input_can_reread(in) && offset <= UINT64_MAX - n);
    if (in->fd < 0) {
        if (offset + n > in->size)
            return err_set(e, EIO, "input: octets at %llu are not there", (unsigned long long)offset);
        memcpy(to, in->at - in->offset + offset, n);
        return 0;
    }
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(in->fd, at + done, n - done, (off_t)(in->base + offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(e, errno, "read at offset %llu: %m", (unsigned long long)offset);
        if (got == 0)
            return err_set(e, EIO, "the file became shorter while it was read");
        done += (size_t)got;
    }
    return 0;
}

/* stream_input_test — where reads end is nobody's business: the octets and their places are the same. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"
#include "checkpoint/formats/stream_input.h"

#define BYTES (5u << 20)

static uint8_t *octets;

static int make(UNUSED void **state)
{
    struct rng rng;

    octets = malloc(BYTES);
    rng_seed(&rng, 1);
    rng_fill(&rng, octets, BYTES);
    return 0;
}

static int unmake(UNUSED void **state)
{
    free(octets);
    return 0;
}

/* Takes it all in pieces of any size up to the window. */
static void read_all(struct stream_input *in)
{
    uint64_t at = 0;
    struct rng rng;
    struct err e;

    rng_seed(&rng, 2);
    while (at < BYTES) {
        size_t n = (size_t)rng_below(&rng, rng_chance(&rng, 500000) ? STREAM_INPUT_WINDOW : 5000) + 1, left;
        const uint8_t *got;

        assert_int_equal(stream_input_peek(in, n, &got, &left, &e), 0);
        assert_int_equal(left, BYTES - at < n ? BYTES - at : n);
        assert_memory_equal(got, octets + at, left);
        stream_input_consume(in, left);
        at += left;
        assert_true(stream_input_offset(in) == at);
    }
}

static int file_of(size_t lead)
{
    int fd = memfd_create("input", MFD_CLOEXEC);

    assert_int_equal(write(fd, octets, lead), lead);
    assert_int_equal(write(fd, octets, BYTES), BYTES);
    assert_int_equal(lseek(fd, (off_t)lead, SEEK_SET), lead);
    return fd;
}

static void a_file_is_read_from_where_it_stands(UNUSED void **state)
{
    struct stream_input *in;
    uint8_t again[100];
    struct err e;
    int fd = file_of(77);

    assert_int_equal(stream_input_open(&in, fd, &e), 0);
    assert_true(stream_input_size(in) == BYTES && stream_input_can_reread(in));
    read_all(in);
    assert_int_equal(stream_input_reread(in, 12345, again, sizeof(again), &e), 0);
    assert_memory_equal(again, octets + 12345, sizeof(again));
    assert_int_equal(stream_input_reread(in, BYTES - 50, again, sizeof(again), &e), -EIO);
    stream_input_close(in);
    close(fd);
}

static void memory_is_read_like_a_file(UNUSED void **state)
{
    struct stream_input *in;
    uint8_t again[100];
    struct err e;

    assert_int_equal(stream_input_of(&in, octets, BYTES, &e), 0);
    read_all(in);
    assert_int_equal(stream_input_reread(in, 99, again, sizeof(again), &e), 0);
    assert_memory_equal(again, octets + 99, sizeof(again));
    stream_input_close(in);
}

static void a_pipe_gives_the_same_and_can_not_be_read_again(UNUSED void **state)
{
    struct stream_input *in;
    struct err e;
    int ends[2], status;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        close(ends[0]);
        for (size_t at = 0; at < BYTES;) {
            ssize_t put = write(ends[1], octets + at, BYTES - at < 4093 ? BYTES - at : 4093);

            if (put <= 0)
                _exit(1);
            at += (size_t)put;
        }
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(stream_input_open(&in, ends[0], &e), 0);
    assert_true(stream_input_size(in) == 0 && !stream_input_can_reread(in));
    read_all(in);
    stream_input_close(in);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_read_that_fails_is_told(UNUSED void **state)
{
    struct stream_input *in;
    const uint8_t *at;
    size_t left;
    struct err e;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(stream_input_open(&in, ends[1], &e), 0); /* the end for writing */
    assert_int_equal(stream_input_peek(in, 1, &at, &left, &e), -EBADF);
    stream_input_close(in);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_from_where_it_stands),
        cmocka_unit_test(memory_is_read_like_a_file),
        cmocka_unit_test(a_pipe_gives_the_same_and_can_not_be_read_again),
        cmocka_unit_test(a_read_that_fails_is_told),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}

/* Links carry octets both ways over every transport, and say clearly when they can't. */
#include "replicator/link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"

#define LOAD_BYTES ((size_t)1 << 20)

static char folder[64];

struct end {
    struct link *link;
    uint8_t *out, *in;
    size_t sent, received;
};

static struct link *must_connect(const char *address)
{
    struct err e = { 0 };
    struct link *l = NULL;

    if (link_connect(&l, address, NS_PER_S, &e) < 0)
        fail_msg("%s", e.text);
    return l;
}

static struct link *must_from_fds(int receive_fd, int send_fd)
{
    struct err e = { 0 };
    struct link *l = NULL;

    assert_int_equal(link_from_fds(&l, receive_fd, send_fd, &e), 0);
    return l;
}

static int must_listen(const char *address, char bound[LINK_ADDRESS_MAX])
{
    struct err e = { 0 };
    int fd = -1;

    if (link_listen(&fd, address, bound, &e) < 0)
        fail_msg("%s", e.text);
    return fd;
}

static void wait_for(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };

    while (poll(&p, 1, -1) < 0)
        assert_int_equal(errno, EINTR);
}

static struct link *must_accept(int listener)
{
    int fd;

    wait_for(listener, POLLIN);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    return must_from_fds(fd, fd);
}

/* Waits as a daemon does: polls the send descriptor until the link says 1 or fails. */
static int settle(struct link *l, struct err *e)
{
    int rc, in, out;

    while ((rc = l->ops->connected(l, e)) == 0) {
        l->ops->fds(l, &in, &out);
        wait_for(out, POLLOUT);
    }
    return rc;
}

static void end_open(struct end *x, struct link *l, uint64_t seed)
{
    struct rng r;

    *x = (struct end){ .link = l, .out = malloc(LOAD_BYTES), .in = malloc(LOAD_BYTES) };
    rng_seed(&r, seed);
    rng_fill(&r, x->out, LOAD_BYTES);
}

static void end_close(struct end *x)
{
    x->link->ops->close(x->link);
    free(x->out);
    free(x->in);
}

/* One turn of one end: whatever goes and comes without waiting. */
static void turn(struct end *x)
{
    struct err e = { 0 };
    ssize_t n;

    if (x->sent < LOAD_BYTES) {
        n = x->link->ops->send(x->link, x->out + x->sent, LOAD_BYTES - x->sent, &e);
        if (n < 0)
            fail_msg("%s", e.text);
        x->sent += (size_t)n;
    }
    if (x->received < LOAD_BYTES) {
        n = x->link->ops->receive(x->link, x->in + x->received, LOAD_BYTES - x->received, &e);
        if (n < 0)
            fail_msg("%s", e.text);
        x->received += (size_t)n;
    }
}

static void exchange(struct end *ends, size_t count)
{
    for (;;) {
        struct pollfd p[4];
        bool is_done = true;

        for (size_t i = 0; i < count; i++) {
            struct end *x = &ends[i];
            int in, out;

            turn(x);
            x->link->ops->fds(x->link, &in, &out);
            p[2 * i] = (struct pollfd){ x->received < LOAD_BYTES ? in : -1, POLLIN, 0 };
            p[2 * i + 1] = (struct pollfd){ x->sent < LOAD_BYTES ? out : -1, POLLOUT, 0 };
            is_done = is_done && x->received == LOAD_BYTES && x->sent == LOAD_BYTES;
        }
        if (is_done)
            return;
        assert_true(poll(p, 2 * count, -1) > 0 || errno == EINTR);
    }
}

/* 1 MiB both ways at once, then both close. */
static void round_trip(struct link *a, struct link *b)
{
    struct end ends[2];

    end_open(&ends[0], a, 1);
    end_open(&ends[1], b, 2);
    exchange(ends, 2);
    assert_memory_equal(ends[0].out, ends[1].in, LOAD_BYTES);
    assert_memory_equal(ends[1].out, ends[0].in, LOAD_BYTES);
    end_close(&ends[0]);
    end_close(&ends[1]);
}

static void round_trip_over(const char *listen_at)
{
    char bound[LINK_ADDRESS_MAX];
    struct err e = { 0 };
    int listener = must_listen(listen_at, bound);
    struct link *a = must_connect(bound);
    struct link *b = must_accept(listener);

    assert_int_equal(settle(a, &e), 1);
    round_trip(a, b);
    close(listener);
}

static void tcp_carries_both_ways(void **state)
{
    (void)state;
    round_trip_over("tcp:127.0.0.1:0");
}

static void tcp_listens_everywhere_when_no_host_is_named(void **state)
{
    (void)state;
    round_trip_over("tcp::0");
}

static void tcp_over_ipv6_carries_both_ways(void **state)
{
    char bound[LINK_ADDRESS_MAX];
    struct err e = { 0 };
    int fd;

    (void)state;
    if (link_listen(&fd, "tcp:[::1]:0", bound, &e) < 0)
        skip();
    close(fd);
    assert_non_null(strstr(bound, "tcp:[::1]:"));
    round_trip_over("tcp:[::1]:0");
}

/* "localhost" may be ::1 first; the listener is on IPv4 only. */
static void tcp_tries_every_address_of_a_host(void **state)
{
    char bound[LINK_ADDRESS_MAX], address[LINK_ADDRESS_MAX];
    int listener = must_listen("tcp:127.0.0.1:0", bound);
    struct err e = { 0 };
    struct link *a, *b;

    (void)state;
    snprintf(address, sizeof(address), "tcp:localhost%s", strrchr(bound, ':'));
    if (link_connect(&a, address, NS_PER_S, &e) == -EHOSTUNREACH) {
        close(listener);
        skip(); /* a machine that has no "localhost" */
    }
    assert_int_equal(e.code, 0);
    assert_int_equal(settle(a, &e), 1);
    b = must_accept(listener);
    round_trip(a, b);
    close(listener);
}

static void unix_carries_both_ways(void **state)
{
    char address[128];

    (void)state;
    snprintf(address, sizeof(address), "unix:%s/round", folder);
    round_trip_over(address);
}

static void pipes_carry_both_ways(void **state)
{
    int there[2], back[2];

    (void)state;
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    round_trip(must_from_fds(back[0], there[1]), must_from_fds(there[0], back[1]));
}

static void a_socket_pair_carries_both_ways(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    round_trip(must_from_fds(fds[0], fds[0]), must_from_fds(fds[1], fds[1]));
}

static void a_command_gets_and_gives_octets(void **state)
{
    struct end x;

    (void)state;
    end_open(&x, must_connect("exec:cat"), 3);
    assert_int_equal(settle(x.link, &(struct err){ 0 }), 1);
    exchange(&x, 1);
    assert_memory_equal(x.out, x.in, LOAD_BYTES);
    end_close(&x);
}

static ssize_t receive_waiting(struct link *l, void *to, size_t bytes, struct err *e)
{
    ssize_t n;
    int in, out;

    while ((n = l->ops->receive(l, to, bytes, e)) == 0) {
        l->ops->fds(l, &in, &out);
        wait_for(in, POLLIN);
    }
    return n;
}

static void expect_end_after_close(struct link *a, struct link *b)
{
    struct err e = { 0 };
    char octet;

    assert_int_equal(b->ops->receive(b, &octet, 1, &e), 0);
    a->ops->close(a);
    assert_int_equal(receive_waiting(b, &octet, 1, &e), -EPIPE);
    assert_true(e.text[0] != '\0');
    b->ops->close(b);
}

static void a_peer_that_closes_is_a_clean_end(void **state)
{
    char bound[LINK_ADDRESS_MAX];
    int listener = must_listen("tcp:127.0.0.1:0", bound), there[2], back[2];
    struct link *a = must_connect(bound);

    (void)state;
    expect_end_after_close(a, must_accept(listener));
    close(listener);
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    expect_end_after_close(must_from_fds(back[0], there[1]), must_from_fds(there[0], back[1]));
}

/* Sends until the link breaks; SIGPIPE would end this program. */
static int send_until_broken(struct link *l)
{
    static const char load[65536];
    struct err e = { 0 };
    ssize_t n;

    while ((n = l->ops->send(l, load, sizeof(load), &e)) > 0)
        ;
    assert_true(n == 0 || e.text[0] != '\0');
    l->ops->close(l);
    return (int)n;
}

static void sending_to_a_peer_that_is_gone_is_an_error_and_no_signal(void **state)
{
    int there[2], back[2], fds[2];

    (void)state;
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    close(there[0]);
    assert_int_equal(send_until_broken(must_from_fds(back[0], there[1])), -EPIPE);
    close(back[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    close(fds[1]);
    assert_int_equal(send_until_broken(must_from_fds(fds[0], fds[0])), -EPIPE);
}

static void a_reset_is_no_clean_end(void **state)
{
    struct linger at_once = { 1, 0 };
    char bound[LINK_ADDRESS_MAX], octet;
    int listener = must_listen("tcp:127.0.0.1:0", bound), fd;
    struct link *a = must_connect(bound);
    struct err e = { 0 };

    (void)state;
    wait_for(listener, POLLIN);
    fd = accept(listener, NULL, NULL);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
    assert_int_equal(receive_waiting(a, &octet, 1, &e), -ECONNRESET);
    a->ops->close(a);
    close(listener);
}

static void a_port_where_nobody_listens_is_refused(void **state)
{
    char bound[LINK_ADDRESS_MAX];
    struct err e = { 0 };
    struct link *l;

    (void)state;
    close(must_listen("tcp:127.0.0.1:0", bound));
    if (link_connect(&l, bound, NS_PER_S, &e) == 0) {
        assert_int_equal(settle(l, &e), -ECONNREFUSED);
        l->ops->close(l);
    }
    assert_int_equal(e.code, ECONNREFUSED);
    assert_non_null(strstr(e.text, bound));
}

static void addresses_that_cannot_be_read_are_named(void **state)
{
    static const char *const wrong[] = {
        "", "tcp", "tcp:", "tcp:host", "tcp:host:", "tcp:host:x", "tcp:host:65536", "tcp:host:-1",
        "tcp:::1:80", "tcp:[]:80", "tcp:[::1:80", "tcp:[::1]", "tcp::80", "tcp:h:0", "tcp:h:1 ",
        "unix:", "exec:", "udp:host:80", "/run/socket",
    };
    char path[256];
    struct link *l;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err e = { 0 };

        if (link_connect(&l, wrong[i], NS_PER_S, &e) != -EINVAL)
            fail_msg("\"%s\" was not refused: %s", wrong[i], e.text);
        assert_true(e.text[0] != '\0');
    }
    memset(path, 'p', sizeof(path));
    memcpy(path, "unix:/", 6);
    path[6 + 107] = '\0';
    assert_int_equal(link_connect(&l, path, NS_PER_S, &(struct err){ 0 }), -EINVAL);
    path[6 + 106] = '\0';
    assert_int_equal(link_connect(&l, path, NS_PER_S, &(struct err){ 0 }), -ENOENT);
}

static void a_live_unix_socket_is_not_taken_and_a_stale_one_is(void **state)
{
    char address[128], bound[LINK_ADDRESS_MAX];
    struct err e = { 0 };
    struct link *a, *b;
    int first, second;

    (void)state;
    snprintf(address, sizeof(address), "unix:%s/listen", folder);
    first = must_listen(address, bound);
    assert_int_equal(link_listen(&second, address, bound, &e), -EADDRINUSE);
    a = must_connect(address); /* the refused one did no harm */
    b = must_accept(first);
    a->ops->close(a);
    b->ops->close(b);
    close(first); /* as if killed: the file stays */
    second = must_listen(address, bound);
    assert_string_equal(bound, address);
    a = must_connect(address);
    round_trip(a, must_accept(second));
    close(second);
}

static void a_plain_file_is_never_replaced_by_a_socket(void **state)
{
    char address[128], bound[LINK_ADDRESS_MAX];
    struct err e = { 0 };
    struct stat file;
    int fd;

    (void)state;
    snprintf(address, sizeof(address), "unix:%s/file", folder);
    close(open(address + 5, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(link_listen(&fd, address, bound, &e), -EADDRINUSE);
    assert_int_equal(stat(address + 5, &file), 0);
    assert_true(S_ISREG(file.st_mode));
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/link_test.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const left[] = { "round", "listen", "file" };
    char path[96];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, left[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_carries_both_ways),
        cmocka_unit_test(tcp_listens_everywhere_when_no_host_is_named),
        cmocka_unit_test(tcp_over_ipv6_carries_both_ways),
        cmocka_unit_test(tcp_tries_every_address_of_a_host),
        cmocka_unit_test(unix_carries_both_ways),
        cmocka_unit_test(pipes_carry_both_ways),
        cmocka_unit_test(a_socket_pair_carries_both_ways),
        cmocka_unit_test(a_command_gets_and_gives_octets),
        cmocka_unit_test(a_peer_that_closes_is_a_clean_end),
        cmocka_unit_test(sending_to_a_peer_that_is_gone_is_an_error_and_no_signal),
        cmocka_unit_test(a_reset_is_no_clean_end),
        cmocka_unit_test(a_port_where_nobody_listens_is_refused),
        cmocka_unit_test(addresses_that_cannot_be_read_are_named),
        cmocka_unit_test(a_live_unix_socket_is_not_taken_and_a_stale_one_is),
        cmocka_unit_test(a_plain_file_is_never_replaced_by_a_socket),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* handover_test — a connection changes hands whole, or not at all and without leaking descriptors. */
#include "replicator/daemon/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void pair(int type, int ret[2])
{
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret), 0);
}

static void close_pair(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static void a_socket_and_its_octets_arrive(void **state)
{
    static struct handover sent, got;
    int via[2], stream[2];
    char text[4] = "";
    struct err e;

    (void)state;
    pair(SOCK_SEQPACKET, via);
    pair(SOCK_STREAM, stream);
    handover_init(&sent);
    sent.receive_fd = sent.send_fd = stream[0];
    sent.bytes = sizeof(sent.octets);
    memset(sent.octets, 0x5a, sizeof(sent.octets));
    assert_int_equal(handover_send(via[0], &sent, &e), 0);
    assert_int_equal(handover_receive(via[1], &got, &e), 1);
    assert_int_equal(got.receive_fd, got.send_fd);
    assert_true(got.receive_fd != stream[0]);
    assert_true(fcntl(got.receive_fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(got.bytes, sent.bytes);
    assert_memory_equal(got.octets, sent.octets, sent.bytes);
    assert_int_equal(write(got.send_fd, "hey", 3), 3);
    assert_int_equal(read(stream[1], text, 3), 3);
    assert_string_equal(text, "hey");
    handover_close(&got);
    handover_close(&got);
    close_pair(stream);
    close_pair(via);
}

static void two_pipes_arrive_in_their_roles(void **state)
{
    static struct handover sent, got;
    int via[2], in[2], out[2];
    char octet = 0;
    struct err e;

    (void)state;
    pair(SOCK_SEQPACKET, via);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    sent = (struct handover){ .receive_fd = in[0], .send_fd = out[1], .bytes = 1 };
    assert_int_equal(handover_send(via[0], &sent, &e), 0);
    assert_int_equal(handover_receive(via[1], &got, &e), 1);
    assert_int_equal(write(in[1], "i", 1), 1);
    assert_int_equal(read(got.receive_fd, &octet, 1), 1);
    assert_int_equal(octet, 'i');
    assert_int_equal(write(got.send_fd, "o", 1), 1);
    assert_int_equal(read(out[0], &octet, 1), 1);
    assert_int_equal(octet, 'o');
    handover_close(&got);
    close_pair(in);
    close_pair(out);
    close_pair(via);
}

static void nothing_there_is_no_failure(void **state)
{
    static struct handover got;
    int via[2];
    struct err e;

    (void)state;
    pair(SOCK_SEQPACKET, via);
    assert_int_equal(handover_receive(via[1], &got, &e), 0);
    close(via[0]);
    assert_int_equal(handover_receive(via[1], &got, &e), -EPIPE);
    close(via[1]);
}

static void send_raw(int via, const int *fds, size_t n, size_t octets)
{
    static uint8_t body[HANDOVER_BYTES_MAX + 1];
    struct iovec vec = { body, octets };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(8 * sizeof(int))];
    } control;
    struct msghdr message = { .msg_iov = &vec, .msg_iovlen = 1, .msg_control = n ? &control : NULL,
                              .msg_controllen = n ? CMSG_SPACE(n * sizeof(int)) : 0 };

    memset(&control, 0, sizeof(control));
    if (n) {
        CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
        CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
        CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, n * sizeof(int));
    }
    assert_true(sendmsg(via, &message, 0) >= 0);
}

static void what_is_no_handover_is_refused_and_its_descriptors_closed(void **state)
{
    static struct handover got;
    int via[2], fds[4] = { 0, 1, 2, 0 }, before;
    struct err e;

    (void)state;
    pair(SOCK_SEQPACKET, via);
    before = open_fds();
    send_raw(via[0], fds, 0, 100);                     /* octets without a descriptor */
    assert_int_equal(handover_receive(via[1], &got, &e), -EPROTO);
    send_raw(via[0], fds, 4, 100);                     /* too many */
    assert_int_equal(handover_receive(via[1], &got, &e), -EPROTO);
    send_raw(via[0], fds, 1, HANDOVER_BYTES_MAX + 1);  /* too long */
    assert_int_equal(handover_receive(via[1], &got, &e), -EPROTO);
    send_raw(via[0], fds, 1, 0);                       /* a descriptor without octets */
    assert_int_equal(handover_receive(via[1], &got, &e), -EPROTO);
    assert_int_equal(open_fds(), before);
    close_pair(via);
}

static void the_giver_learns_whether_it_was_taken(void **state)
{
    int via[2];
    struct err e;

    (void)state;
    pair(SOCK_SEQPACKET, via);
    assert_int_equal(handover_await(via[0], clock_now_ns(), &e), -ETIMEDOUT);
    handover_confirm(via[1]);
    assert_int_equal(handover_await(via[0], clock_now_ns() + NS_PER_S, &e), 0);
    close(via[1]);
    assert_int_equal(handover_await(via[0], clock_now_ns() + NS_PER_S, &e), -EPIPE);
    close(via[0]);
}

static void closing_the_link_releases_the_tether(void **state)
{
    static struct handover h;
    int stream[2], tether[2], before = open_fds();
    struct link *link;
    struct err e;
    char octet;

    (void)state;
    pair(SOCK_STREAM, stream);
    pair(SOCK_SEQPACKET, tether);
    h = (struct handover){ .receive_fd = stream[0], .send_fd = stream[0], .bytes = 1 };
    assert_int_equal(handover_link(&h, tether[0], &link, &e), 0);
    assert_int_equal(h.receive_fd, -1);
    assert_int_equal(write(stream[1], "x", 1), 1);
    assert_int_equal(link->ops->receive(link, &octet, 1, &e), 1);
    assert_int_equal(link->ops->receive(link, &octet, 1, &e), 0);
    assert_int_equal(link->ops->send(link, "y", 1, &e), 1);
    assert_int_equal(recv(tether[1], &octet, 1, MSG_DONTWAIT), -1);
    link->ops->close(link);
    assert_int_equal(recv(tether[1], &octet, 1, MSG_DONTWAIT), 0);
    close(stream[1]);
    close(tether[1]);
    assert_int_equal(open_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_and_its_octets_arrive),
        cmocka_unit_test(two_pipes_arrive_in_their_roles),
        cmocka_unit_test(nothing_there_is_no_failure),
        cmocka_unit_test(what_is_no_handover_is_refused_and_its_descriptors_closed),
        cmocka_unit_test(the_giver_learns_whether_it_was_taken),
        cmocka_unit_test(closing_the_link_releases_the_tether),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

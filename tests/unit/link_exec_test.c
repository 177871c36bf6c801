/* A command at the other end of a link lives no longer than the link, and no shorter than what was
 * sent through it. */
#include "replicator/link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"

static char folder[64];

static struct link *must_connect(const char *address)
{
    struct err e = { 0 };
    struct link *l = NULL;

    if (link_connect(&l, address, NS_PER_S, &e) < 0)
        fail_msg("%s", e.text);
    return l;
}

static ssize_t receive_waiting(struct link *l, void *to, size_t bytes, struct err *e)
{
    ssize_t n;
    int in, out;

    while ((n = l->ops->receive(l, to, bytes, e)) == 0) {
        l->ops->fds(l, &in, &out);
        assert_true(poll(&(struct pollfd){ in, POLLIN, 0 }, 1, -1) > 0);
    }
    return n;
}

static void a_command_ends_with_its_link_though_it_ignores_its_stdin(void **state)
{
    struct link *l = must_connect("exec:echo $$; exec sleep 1000");
    char text[32] = "";
    struct err e = { 0 };
    int pid;

    (void)state;
    assert_true(receive_waiting(l, text, sizeof(text) - 1, &e) > 1);
    pid = atoi(text);
    assert_int_equal(kill(pid, 0), 0);
    l->ops->close(l);
    while (kill(pid, 0) == 0) /* a zombie would stay for ever */
        poll(NULL, 0, 1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void what_was_sent_last_passes_a_command_that_is_closed(void **state)
{
    char address[400], path[96], text[16] = "";
    struct err e = { 0 };
    struct link *l;
    struct stat file = { 0 };
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "%s/last", folder);
    snprintf(address, sizeof(address), "exec:cat > %s.part; mv %s.part %s", path, path, path);
    l = must_connect(address);
    assert_int_equal(l->ops->send(l, "detach", 6, &e), 6);
    l->ops->close(l);
    while (stat(path, &file) < 0)
        poll(NULL, 0, 1);
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof(text)), 6);
    assert_string_equal(text, "detach");
    close(fd);
    unlink(path);
}

static void a_command_that_ends_is_a_clean_end(void **state)
{
    struct link *l = must_connect("exec:exit 3");
    struct err e = { 0 };
    char octet;

    (void)state;
    assert_int_equal(receive_waiting(l, &octet, 1, &e), -EPIPE);
    l->ops->close(l);
}

static void a_command_is_for_connecting_only(void **state)
{
    char bound[LINK_ADDRESS_MAX];
    int fd;

    (void)state;
    assert_int_equal(link_listen(&fd, "exec:cat", bound, &(struct err){ 0 }), -EINVAL);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/link_exec_test.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_ends_with_its_link_though_it_ignores_its_stdin),
        cmocka_unit_test(what_was_sent_last_passes_a_command_that_is_closed),
        cmocka_unit_test(a_command_that_ends_is_a_clean_end),
        cmocka_unit_test(a_command_is_for_connecting_only),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

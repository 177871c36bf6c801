/* xen_qmp_test — a conversation with an emulator that is polite, and with some that are not. */
#include "checkpoint/xen_qmp.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_NS (UINT64_C(60) * 1000000000) /* no part of any verdict but the one about silence */
#define GREETING    "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define YES         "{\"return\": {}}\r\n"

/* What it says before it hears anything, and then after each line that it hears. */
struct emulator {
    int fd;
    const char *says[4];
};

static void say(int fd, const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        text += sent;
        n -= (size_t)sent;
    }
}

static void *emulate(void *context)
{
    struct emulator *m = context;
    char c = 0;

    for (size_t i = 0; i < 4 && m->says[i]; i++) {
        say(m->fd, m->says[i]);
        while (m->says[i + 1 < 4 ? i + 1 : 3] && read(m->fd, &c, 1) == 1 && c != '\n')
            ;
    }
    shutdown(m->fd, SHUT_WR);
    while (read(m->fd, &c, 1) == 1) /* what it does not answer it hears */
        ;
    close(m->fd);
    return NULL;
}

static int talk(struct emulator *m, const char *command, struct xen_qmp *q, struct err *e)
{
    int fds[2], rc;
    pthread_t thread;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    m->fd = fds[1];
    assert_int_equal(pthread_create(&thread, NULL, emulate, m), 0);
    rc = xen_qmp_greet(q, fds[0], PATIENCE_NS, e);
    if (rc == 0)
        rc = xen_qmp_command(q, command, "{}", PATIENCE_NS, e);
    xen_qmp_close(q);
    xen_qmp_close(q);
    pthread_join(thread, NULL);
    return rc;
}

static struct xen_qmp q;

static void a_command_is_answered_though_events_come_between(void **state)
{
    struct emulator m = { .says = { GREETING, YES,
                                    "{\"timestamp\": {}, \"event\": \"STOP\"}\r\n{\"event\": \"X\"}\r\n" YES } };
    struct err e;

    (void)state;
    assert_int_equal(talk(&m, "stop", &q, &e), 0);
}

static void a_refusal_is_told_in_the_emulators_words(void **state)
{
    struct emulator m = { .says = { GREETING, YES,
                                    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no space left\"}}\r\n" } };
    struct err e;

    (void)state;
    assert_int_equal(talk(&m, "xen-save-devices-state", &q, &e), -EREMOTEIO);
    assert_non_null(strstr(e.text, "xen-save-devices-state"));
    assert_non_null(strstr(e.text, "no space left"));
}

static void one_that_hangs_up_is_not_waited_for(void **state)
{
    struct emulator m = { .says = { GREETING, YES } };
    struct err e;

    (void)state;
    assert_int_equal(talk(&m, "stop", &q, &e), -EPIPE);
}

static void one_that_says_something_else_is_not_believed(void **state)
{
    struct emulator m = { .says = { "HTTP/1.1 400 Bad Request\r\n" } };
    struct err e;

    (void)state;
    assert_int_equal(talk(&m, "stop", &q, &e), -EPROTO);
}

static void one_that_never_ends_a_line_is_left(void **state)
{
    static char much[2 * XEN_QMP_LINE_MAX];
    struct emulator m = { .says = { much } };
    struct err e;

    (void)state;
    memset(much, 'x', sizeof(much) - 1);
    assert_int_equal(talk(&m, "stop", &q, &e), -EPROTO);
}

static void silence_ends_when_patience_does(void **state)
{
    struct err e;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(xen_qmp_greet(&q, fds[0], 1, &e), -ETIMEDOUT);
    assert_int_equal(q.fd, -1);
    close(fds[1]);
}

static void a_line_is_read_for_what_it_is(void **state)
{
    static const struct { const char *line; enum xen_qmp_word word; } cases[] = {
        { "{\"QMP\": {}}", XEN_QMP_GREETING },  { "{\"return\": {}, \"id\": 1}", XEN_QMP_ANSWER },
        { "{\"return\": 0}", XEN_QMP_ANSWER },  { "{\"error\": {}}", XEN_QMP_REFUSAL },
        { "{\"event\": \"RESUME\"}", XEN_QMP_EVENT }, { "{}", XEN_QMP_NOISE },
        { "[]", XEN_QMP_NOISE },                { "", XEN_QMP_NOISE },
        { "{\"return\": ", XEN_QMP_NOISE },
    };
    char words[32];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(xen_qmp_read(cases[i].line, strlen(cases[i].line), words, sizeof(words)),
                         cases[i].word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_answered_though_events_come_between),
        cmocka_unit_test(a_refusal_is_told_in_the_emulators_words),
        cmocka_unit_test(one_that_hangs_up_is_not_waited_for),
        cmocka_unit_test(one_that_says_something_else_is_not_believed),
        cmocka_unit_test(one_that_never_ends_a_line_is_left),
        cmocka_unit_test(silence_ends_when_patience_does),
        cmocka_unit_test(a_line_is_read_for_what_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

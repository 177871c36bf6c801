/* control_test — whatever a client sends or fails to read, the daemon answers, refuses or drops it, and
 * never waits for it. */
#include "replicator/control/control.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "replicator/control/run_dir.h"

struct world {
    struct control *control;
    struct loop loop;
    char folder[32], path[64];
    int asked;
    bool is_settled;
};

static json_t *status(UNUSED void *context)
{
    return json_pack("{s:s}", "state", "fine");
}

static json_t *request(void *context, const struct control_request *r)
{
    struct world *w = context;

    w->asked++;
    return r->op == CONTROL_STOP ? control_done("ended") : NULL;
}

static json_t *settle(void *context, UNUSED const struct control_request *r, UNUSED uint64_t since_ns)
{
    return ((struct world *)context)->is_settled ? control_done("active") : NULL;
}

static int open_world(void **state)
{
    static struct world w;
    const struct control_world world = { &w, status, request, settle };
    struct err e;

    w = (struct world){ .asked = 0 };
    strcpy(w.folder, "/tmp/control-XXXXXX");
    if (!mkdtemp(w.folder) || loop_open(&w.loop, &e) < 0)
        return -1;
    snprintf(w.path, sizeof(w.path), "%s/sock", w.folder);
    *state = &w;
    return control_open(&w.control, w.path, &world, &e);
}

static int close_world(void **state)
{
    struct world *w = *state;

    control_close(w->control);
    loop_close(&w->loop);
    return rmdir(w->folder);
}

static void turn(struct world *w)
{
    for (int i = 0; i < 8; i++) {
        loop_begin(&w->loop);
        control_watch(w->control, &w->loop);
        loop_wait(&w->loop, 0);
        control_serve(w->control, &w->loop, clock_now_ns());
    }
}

static int client(struct world *w)
{
    struct err e;
    int fd;

    assert_int_equal(run_dir_connect(w->path, SOCK_STREAM, &fd, &e), 0);
    turn(w);
    return fd;
}

/* What the daemon has said so far; "" nothing, NULL: it closed. */
static const char *said(struct world *w, int fd)
{
    static char text[8192];
    ssize_t got;

    turn(w);
    got = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[got > 0 ? got : 0] = '\0';
    return got == 0 || (got < 0 && errno != EAGAIN) ? NULL : text;
}

static const char *ask(struct world *w, int fd, const char *line)
{
    assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
    return said(w, fd);
}

/* An answer that could not be made would never come. */
static void a_refusal_in_words_that_are_no_text_is_one_nevertheless(UNUSED void **state)
{
    json_t *refusal = control_refusal(1, "open /tmp/\xff: no such file");

    assert_non_null(refusal);
    assert_string_equal(json_string_value(json_object_get(refusal, "error")), "open /tmp/");
    json_decref(refusal);
    refusal = control_refusal(1, "\xc3");
    assert_non_null(refusal);
    assert_string_equal(json_string_value(json_object_get(refusal, "error")), "");
    json_decref(refusal);
}

static void every_request_gets_one_line(void **state)
{
    struct world *w = *state;
    int fd = client(w);

    assert_string_equal(ask(w, fd, "{\"op\":\"status\"}\n"), "{\"state\":\"fine\"}\n");
    assert_string_equal(ask(w, fd, "{\"op\":\"status\"}\n{\"op\":\"status\"}\n"),
                        "{\"state\":\"fine\"}\n{\"state\":\"fine\"}\n");
    assert_string_equal(ask(w, fd, "{\"op\":"), "");
    assert_string_equal(ask(w, fd, "\"stop\"}\n"), "{\"ok\":true,\"state\":\"ended\"}\n");
    close(fd);
}

static void garbage_is_refused_in_words_and_harms_nobody(void **state)
{
    static const char *const lines[] = {
        "\n", "hello\n", "{\n", "[]\n", "7\n", "{}\n", "{\"op\":7}\n", "{\"op\":\"fly\"}\n",
        "{\"op\":\"status\",\"op\":\"stop\"}\n", "{\"op\":\"activate\",\"fenced_by\":7}\n",
        "{\"op\":\"activate\",\"fenced_by\":\"\"}\n", "{\"op\":\"activate\",\"fenced_by\":\"a\\nb\"}\n",
        "{\"op\":\"events\",\"epochs\":1}\n", "\xff\xfe\n", "{\"op\":\"status\"} {}\n",
    };
    struct world *w = *state;
    int fd = client(w);

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        const char *answer = ask(w, fd, lines[i]);

        assert_non_null(answer);
        assert_non_null(strstr(answer, "\"ok\":false,\"exit\":2"));
    }
    assert_int_equal(w->asked, 0);
    assert_string_equal(ask(w, fd, "{\"op\":\"status\"}\n"), "{\"state\":\"fine\"}\n");
    close(fd);
}

static void a_line_that_does_not_end_is_cut_off(void **state)
{
    struct world *w = *state;
    char octets[CONTROL_LINE_MAX];
    int fd = client(w);

    memset(octets, ' ', sizeof(octets));
    assert_int_equal(send(fd, octets, sizeof(octets), MSG_NOSIGNAL), sizeof(octets));
    assert_non_null(strstr(said(w, fd), "4096"));
    assert_null(said(w, fd));
    close(fd);
}

static void an_outcome_that_is_not_known_yet_is_waited_for(void **state)
{
    struct world *w = *state;
    int fd = client(w), other = client(w);

    assert_string_equal(ask(w, fd, "{\"op\":\"activate\",\"fenced_by\":\"me\"}\n{\"op\":\"status\"}\n"), "");
    assert_int_equal(w->asked, 1);
    assert_true(control_has_pending(w->control));
    assert_string_equal(ask(w, other, "{\"op\":\"status\"}\n"), "{\"state\":\"fine\"}\n");
    w->is_settled = true;
    assert_string_equal(said(w, fd), "{\"ok\":true,\"state\":\"active\"}\n{\"state\":\"fine\"}\n");
    assert_false(control_has_pending(w->control));
    close(fd);
    close(other);
}

static void one_who_asked_and_left_is_forgotten(void **state)
{
    struct world *w = *state;
    int fd = client(w);

    assert_string_equal(ask(w, fd, "{\"op\":\"detach\"}\n"), "");
    close(fd);
    turn(w);
    assert_false(control_has_pending(w->control));
}

static void who_shuts_its_side_still_gets_the_answer(void **state)
{
    struct world *w = *state;
    int fd = client(w);

    assert_string_equal(ask(w, fd, "{\"op\":\"activate\"}\n"), "");
    shutdown(fd, SHUT_WR);
    assert_string_equal(said(w, fd), "");
    w->is_settled = true;
    assert_non_null(strstr(said(w, fd), "active"));
    assert_null(said(w, fd));
    close(fd);
}

static void a_slow_follower_is_dropped_and_others_go_on(void **state)
{
    struct world *w = *state;
    int slow = client(w), quick = client(w), n = 0;
    const char *text;

    assert_non_null(strstr(ask(w, slow, "{\"op\":\"events\",\"epochs\":true}\n"), "hello"));
    assert_non_null(strstr(ask(w, quick, "{\"op\":\"events\"}\n"), "hello"));
    while (control_has_followers(w->control, true) && n < 1000000) {
        control_publish(w->control, json_pack("{s:i}", "epoch", n++), true);
        turn(w);
    }
    assert_true(n > 1000 && n < 1000000);
    text = said(w, quick);
    assert_string_equal(text, ""); /* it did not ask for epochs */
    control_publish(w->control, json_pack("{s:s}", "event", "state"), false);
    assert_string_equal(said(w, quick), "{\"event\":\"state\"}\n");
    close(slow);
    close(quick);
}

static void clients_beyond_the_limit_are_turned_away(void **state)
{
    struct world *w = *state;
    int fds[CONTROL_CLIENTS_MAX + 1];

    for (unsigned i = 0; i <= CONTROL_CLIENTS_MAX; i++)
        fds[i] = client(w);
    assert_null(said(w, fds[CONTROL_CLIENTS_MAX]));
    assert_non_null(ask(w, fds[0], "{\"op\":\"status\"}\n"));
    for (unsigned i = 0; i <= CONTROL_CLIENTS_MAX; i++)
        close(fds[i]);
    turn(w);
    fds[0] = client(w);
    assert_string_equal(ask(w, fds[0], "{\"op\":\"status\"}\n"), "{\"state\":\"fine\"}\n");
    close(fds[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_in_words_that_are_no_text_is_one_nevertheless),
        TEST(every_request_gets_one_line),
        TEST(garbage_is_refused_in_words_and_harms_nobody),
        TEST(a_line_that_does_not_end_is_cut_off),
        TEST(an_outcome_that_is_not_known_yet_is_waited_for),
        TEST(one_who_asked_and_left_is_forgotten),
        TEST(who_shuts_its_side_still_gets_the_answer),
        TEST(a_slow_follower_is_dropped_and_others_go_on),
        TEST(clients_beyond_the_limit_are_turned_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

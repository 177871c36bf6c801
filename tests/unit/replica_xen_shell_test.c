/* replica_xen_shell_test — feeding, watching and losing a toolstack that is a shell script here. */
#include "checkpoint/replica_xen_shell.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define OCTETS 20000u /* more than the pipe holds */

static char xl[64];

/* An xl that does this with "$3", which is what it restores from. */
static void write_xl(const char *script)
{
    FILE *f = fopen(xl, "w");

    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n[ \"$1 $2\" = 'restore -p' ] || exit 9\n%s\n", script);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(xl, 0700), 0);
}

static int begin(void **state)
{
    static struct replica_xen_shell s;

    signal(SIGPIPE, SIG_IGN);
    snprintf(xl, sizeof(xl), "/tmp/replica-xl-%d", (int)getpid());
    replica_xen_shell_init(&s);
    *state = &s;
    return 0;
}

static int end(void **state)
{
    replica_xen_shell_close(*state);
    replica_xen_shell_close(*state);
    unlink(xl);
    return 0;
}

static void start(struct replica_xen_shell *s, const char *script)
{
    struct err e = { 0 };

    write_xl(script);
    if (replica_xen_shell_start(s, xl, &e) < 0)
        fail_msg("%s", e.text);
}

static void wait_for(struct replica_xen_shell *s)
{
    struct pollfd fd = { .fd = s->events, .events = POLLIN };

    assert_int_equal(poll(&fd, 1, -1), 1);
}

static int pump(struct replica_xen_shell *s, struct err *e)
{
    int rc;

    while ((rc = replica_xen_shell_pump(s, e)) == 0)
        wait_for(s);
    return rc;
}

static int pump_to_the_end(struct replica_xen_shell *s, struct err *e)
{
    int rc;

    while ((rc = replica_xen_shell_pump(s, e)) >= 0)
        wait_for(s);
    return rc;
}

static int finish(struct replica_xen_shell *s, struct err *e)
{
    int rc;

    while ((rc = replica_xen_shell_finish(s, e)) == 0)
        wait_for(s);
    return rc;
}

static void what_is_fed_is_taken_and_a_good_end_is_good(void **state)
{
    static uint8_t octets[OCTETS];
    struct replica_xen_shell *s = *state;
    struct err e;

    start(s, "[ \"$(wc -c <\"$3\")\" = 20000 ]");
    replica_xen_shell_feed(s, (struct view){ octets, OCTETS });
    assert_int_equal(pump(s, &e), 1);
    assert_int_equal(finish(s, &e), 1);
    assert_int_equal(finish(s, &e), 1);
}

/* Nothing reads the second piece before it is let to. */
static void taken_is_said_only_when_the_reader_has_read_it_all(void **state)
{
    static const uint8_t octets[200];
    struct replica_xen_shell *s = *state;
    char go[80], script[256];
    struct err e;

    snprintf(go, sizeof(go), "%s.go", xl);
    assert_int_equal(mkfifo(go, 0600), 0);
    snprintf(script, sizeof(script), "exec 3<\"$3\"; dd bs=100 count=1 <&3 >/dev/null 2>&1; "
             "read line <%s; cat <&3 >/dev/null", go);
    start(s, script);
    replica_xen_shell_feed(s, (struct view){ octets, 200 });
    while (s->octets.left > 0)
        assert_int_equal(replica_xen_shell_pump(s, &e), 0);
    FILE *f = fopen(go, "w"); /* opens when the script has read the first half, and waits */
    assert_int_equal(replica_xen_shell_pump(s, &e), 0);
    fputs("\n", f);
    fclose(f);
    unlink(go);
    assert_int_equal(pump(s, &e), 1);
    assert_int_equal(finish(s, &e), 1);
}

static void an_end_before_its_time_is_told_with_its_first_error(void **state)
{
    static uint8_t octets[OCTETS];
    struct replica_xen_shell *s = *state;
    struct err e;

    start(s, "echo Loading; echo 'libxl: error: no bridge' >&2; echo 'error: later' >&2; exit 3");
    replica_xen_shell_feed(s, (struct view){ octets, OCTETS });
    assert_int_equal(pump(s, &e), -ENOTRECOVERABLE);
    assert_string_equal(e.text, "xl restore ended with 3: libxl: error: no bridge");
}

static void a_kill_is_told_as_one(void **state)
{
    static const uint8_t octets[1];
    struct replica_xen_shell *s = *state;
    struct err e;

    start(s, "head -c 1 <\"$3\"; exec sleep 1000");
    replica_xen_shell_feed(s, (struct view){ octets, 1 });
    assert_int_equal(pump(s, &e), 1);
    kill(s->pid, SIGKILL);
    assert_int_equal(pump_to_the_end(s, &e), -ENOTRECOVERABLE);
    assert_non_null(strstr(e.text, "killed by signal 9"));
}

/* What destroys the domain: the end of its input, whatever became of us. */
static void closing_ends_its_input_and_leaves_it_the_time_to_tidy_up(void **state)
{
    static const uint8_t octets[1];
    struct replica_xen_shell *s = *state;
    char script[256], done[80];
    struct err e;
    FILE *f;

    snprintf(done, sizeof(done), "%s.done", xl);
    assert_int_equal(mkfifo(done, 0600), 0);
    snprintf(script, sizeof(script), "cat <\"$3\" >/dev/null; echo words >&2; echo tidy >%s; exit 1", done);
    start(s, script);
    replica_xen_shell_feed(s, (struct view){ octets, 1 });
    assert_int_equal(pump(s, &e), 1);
    replica_xen_shell_close(s);
    f = fopen(done, "r"); /* what it wrote to us before did not end it */
    assert_int_equal(fgetc(f), 't');
    fclose(f);
    unlink(done);
}

static void an_end_with_an_error_after_all_octets_is_no_good_end(void **state)
{
    static const uint8_t octets[1];
    struct replica_xen_shell *s = *state;
    struct err e;

    start(s, "cat <\"$3\" >/dev/null; exit 1");
    replica_xen_shell_feed(s, (struct view){ octets, 1 });
    assert_int_equal(pump(s, &e), 1);
    assert_int_equal(finish(s, &e), -ENOTRECOVERABLE);
    assert_string_equal(e.text, "xl restore ended with 1: it said nothing");
}

static void wait_for_the_end_of(const struct replica_xen_shell *s)
{
    struct pollfd process = { .fd = s->process, .events = POLLIN };

    assert_int_equal(poll(&process, 1, -1), 1);
}

/* Who feeds it may have been stopped for as long as that takes. */
static void one_that_ends_well_before_it_is_looked_at_has_ended_well(void **state)
{
    static const uint8_t octets[1];
    struct replica_xen_shell *s = *state;
    struct err e;

    start(s, "head -c 1 <\"$3\"");
    replica_xen_shell_feed(s, (struct view){ octets, 1 });
    if (replica_xen_shell_finish(s, &e) == 0)
        wait_for_the_end_of(s);
    assert_int_equal(finish(s, &e), 1);
}

static void an_end_with_no_error_is_ill_when_octets_are_left(void **state)
{
    static uint8_t octets[OCTETS];
    struct replica_xen_shell *s = *state;
    struct err e;

    start(s, "exit 0");
    replica_xen_shell_feed(s, (struct view){ octets, OCTETS });
    assert_int_equal(finish(s, &e), -ENOTRECOVERABLE);
    assert_string_equal(e.text, "xl restore ended with 0: it said nothing");
}

/* It destroys the domain then, which takes a while; an activation may come in the meantime. */
static void what_is_fed_to_one_that_reads_no_more_waits_for_its_end(void **state)
{
    static const uint8_t octets[1];
    struct replica_xen_shell *s = *state;
    char script[256], go[80];
    struct pollfd feed;
    struct err e;

    snprintf(go, sizeof(go), "%s.go", xl);
    assert_int_equal(mkfifo(go, 0600), 0);
    snprintf(script, sizeof(script), "exec <&-; read line <%s; echo 'error: no memory'; exit 3", go);
    start(s, script);
    feed = (struct pollfd){ .fd = s->feed };
    assert_int_equal(poll(&feed, 1, -1), 1);
    assert_int_equal(replica_xen_shell_pump(s, &e), 0);
    replica_xen_shell_feed(s, (struct view){ octets, 1 });
    assert_int_equal(replica_xen_shell_pump(s, &e), 0);
    fclose(fopen(go, "w"));
    unlink(go);
    assert_int_equal(pump_to_the_end(s, &e), -ENOTRECOVERABLE);
    assert_string_equal(e.text, "xl restore ended with 3: error: no memory");
}

static void the_line_that_says_most_is_the_first_error_else_the_last(void **state)
{
    char line[24];

    (void)state;
    replica_xen_shell_line("a\nb Error c\nerror d\n", line, sizeof(line));
    assert_string_equal(line, "b Error c");
    replica_xen_shell_line("a\nb\n\n", line, sizeof(line));
    assert_string_equal(line, "b");
    replica_xen_shell_line("", line, sizeof(line));
    assert_string_equal(line, "");
    replica_xen_shell_line("error: \x1b[1m and so on, for long", line, sizeof(line));
    assert_string_equal(line, "error: ?[1m and so on, ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_fed_is_taken_and_a_good_end_is_good, begin, end),
        cmocka_unit_test_setup_teardown(taken_is_said_only_when_the_reader_has_read_it_all, begin, end),
        cmocka_unit_test_setup_teardown(an_end_before_its_time_is_told_with_its_first_error, begin, end),
        cmocka_unit_test_setup_teardown(a_kill_is_told_as_one, begin, end),
        cmocka_unit_test_setup_teardown(closing_ends_its_input_and_leaves_it_the_time_to_tidy_up, begin, end),
        cmocka_unit_test_setup_teardown(an_end_with_an_error_after_all_octets_is_no_good_end, begin, end),
        cmocka_unit_test_setup_teardown(one_that_ends_well_before_it_is_looked_at_has_ended_well, begin, end),
        cmocka_unit_test_setup_teardown(an_end_with_no_error_is_ill_when_octets_are_left, begin, end),
        cmocka_unit_test_setup_teardown(what_is_fed_to_one_that_reads_no_more_waits_for_its_end, begin, end),
        cmocka_unit_test(the_line_that_says_most_is_the_first_error_else_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* failpoint_test — every place has one name, and an armed one strikes there and nowhere else. */
#include "base/failpoint.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"

static void every_place_has_a_name_of_its_own(void **state UNUSED)
{
    for (unsigned a = 0; a < FAILPOINT_COUNT; a++) {
        assert_non_null(failpoint_name((enum failpoint)a));
        assert_true(strlen(failpoint_name((enum failpoint)a)) > 0);
        assert_true(strlen(failpoint_name((enum failpoint)a)) < 32); /* what arming can read */
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(failpoint_name((enum failpoint)a),
                                    failpoint_name((enum failpoint)b));
    }
}

static void a_number_beyond_the_list_still_has_something_to_print(void **state UNUSED)
{
    assert_non_null(failpoint_name(FAILPOINT_COUNT));
    assert_non_null(failpoint_name((enum failpoint)-1));
}

static void the_name_is_that_of_the_place(void **state UNUSED)
{
    assert_string_equal(failpoint_name(FAILPOINT_pause), "pause");
    assert_string_equal(failpoint_name(FAILPOINT_before_ack), "before_ack");
    assert_string_equal(failpoint_name(FAILPOINT_after_activate), "after_activate");
}

#ifdef REPLICATOR_FAILPOINTS
static enum failpoint struck;
static unsigned strikes;

static void count_strike(enum failpoint f)
{
    struck = f;
    strikes++;
}

static void a_place_calls_the_hook_with_its_number(void **state UNUSED)
{
    strikes = 0;
    failpoint_hook = count_strike;
    FAILPOINT(mid_apply);
    failpoint_hook = NULL;
    FAILPOINT(mid_apply);
    assert_int_equal(strikes, 1);
    assert_int_equal(struck, FAILPOINT_mid_apply);
}

static void without_an_order_nothing_is_armed(void **state UNUSED)
{
    unsetenv("REPLICATOR_FAILPOINT");
    assert_int_equal(failpoint_arm_from_environment(), 0);
    assert_true(failpoint_hook == NULL);
}

static void an_order_that_names_nothing_known_is_refused(void **state UNUSED)
{
    static const char *const orders[] = {
        "",
        "pause",
        "pause:",
        "pause:sing",
        "nowhere:kill",
        ":kill",
        "pause:kill:0",
        "pause:kill:-1",
        "pause kill",
        "pause:kill:",
        "pause:kill:2x",
        "pause:kill:x",
        "pause:kill 2",
        "pause:kill:2:3",
        "pause:killed",
    };

    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        setenv("REPLICATOR_FAILPOINT", orders[i], 1);
        assert_int_equal(failpoint_arm_from_environment(), -1);
        assert_true(failpoint_hook == NULL);
    }
    unsetenv("REPLICATOR_FAILPOINT");
}

static void a_refused_order_leaves_nothing_for_the_next(void **state UNUSED)
{
    setenv("REPLICATOR_FAILPOINT", "nowhere:kill", 1);
    assert_int_equal(failpoint_arm_from_environment(), -1);
    setenv("REPLICATOR_FAILPOINT", "pause:sing", 1);
    assert_int_equal(failpoint_arm_from_environment(), -1);
    assert_true(failpoint_hook == NULL);
    unsetenv("REPLICATOR_FAILPOINT");
}

/* Runs a child with the order, which passes another place once and `pause` three times; returns its
 * status. */
static int status_of_child(const char *order)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        const struct rlimit no_core = { 0, 0 };

        setrlimit(RLIMIT_CORE, &no_core);
        close(STDERR_FILENO); /* what it says is not under test */
        setenv("REPLICATOR_FAILPOINT", order, 1);
        if (failpoint_arm_from_environment() < 0)
            _exit(100);
        FAILPOINT(resume);
        for (unsigned i = 0; i < 3; i++)
            FAILPOINT(pause);
        _exit(0);
    }
    must(waitpid(child, &status, WUNTRACED) == child);
    if (WIFSTOPPED(status)) {
        int last;

        kill(child, SIGKILL);
        must(waitpid(child, &last, 0) == child);
    }
    return status;
}

static void an_armed_place_strikes_on_its_nth_pass(void **state UNUSED)
{
    int killed = status_of_child("pause:kill"), third = status_of_child("pause:kill:3");
    int fourth = status_of_child("pause:kill:4"), elsewhere = status_of_child("encode:kill");
    int stopped = status_of_child("pause:stop");

    assert_true(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL);
    assert_true(WIFSIGNALED(third) && WTERMSIG(third) == SIGKILL);
    assert_true(WIFEXITED(fourth) && WEXITSTATUS(fourth) == 0);
    assert_true(WIFEXITED(elsewhere) && WEXITSTATUS(elsewhere) == 0);
    assert_true(WIFSTOPPED(stopped) && WSTOPSIG(stopped) == SIGSTOP);
}

/* A child that is struck must not hand the order on to the one that takes its place. */
static int status_of_second_child(void)
{
    int status = 0;

    for (unsigned i = 0; i < 2; i++) {
        pid_t child = fork();

        if (child == 0) {
            FAILPOINT(pause);
            _exit(0);
        }
        must(waitpid(child, &status, 0) == child);
        must(i > 0 || WIFSIGNALED(status));
    }
    return status;
}

static void one_order_is_one_strike(void **state UNUSED)
{
    pid_t parent = fork();
    int status;

    if (parent == 0) {
        close(STDERR_FILENO);
        setenv("REPLICATOR_FAILPOINT", "pause:kill", 1);
        if (failpoint_arm_from_environment() < 0)
            _exit(100);
        status = status_of_second_child();
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 101);
    }
    must(waitpid(parent, &status, 0) == parent);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void an_abort_is_an_abort(void **state UNUSED)
{
    int status = status_of_child("pause:abort");

    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
#else
static void a_release_build_ignores_orders(void **state UNUSED)
{
    setenv("REPLICATOR_FAILPOINT", "pause:kill", 1);
    assert_int_equal(failpoint_arm_from_environment(), 0);
    FAILPOINT(pause);
    unsetenv("REPLICATOR_FAILPOINT");
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_place_has_a_name_of_its_own),
        cmocka_unit_test(a_number_beyond_the_list_still_has_something_to_print),
        cmocka_unit_test(the_name_is_that_of_the_place),
#ifdef REPLICATOR_FAILPOINTS
        cmocka_unit_test(a_place_calls_the_hook_with_its_number),
        cmocka_unit_test(without_an_order_nothing_is_armed),
        cmocka_unit_test(an_order_that_names_nothing_known_is_refused),
        cmocka_unit_test(a_refused_order_leaves_nothing_for_the_next),
        cmocka_unit_test(an_armed_place_strikes_on_its_nth_pass),
        cmocka_unit_test(one_order_is_one_strike),
        cmocka_unit_test(an_abort_is_an_abort),
#else
        cmocka_unit_test(a_release_build_ignores_orders),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A program as arbiter: its exit status decides, and whatever else it does decides nothing. */
#include "replicator/fence/fence.h"

#include <errno.h>
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

#define LONG_NS (60 * NS_PER_S)

static char folder[64], program[80], note[80];
static const struct fence_question question = {
    .domain = "web1", .lineage = 0xabc, .term = 7, .side = FENCE_BACKUP,
};

static void write_program(const char *body)
{
    FILE *f = fopen(program, "w");

    assert_non_null(f);
    fprintf(f, "#!/bin/sh\nnote=%s\n%s\n", note, body);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(program, 0700), 0);
}

static struct fence *open_fence(uint64_t timeout_ns)
{
    char arbiter[96];
    struct err e = { 0 };
    struct fence *f = NULL;

    snprintf(arbiter, sizeof(arbiter), "exec:%s", program);
    assert_int_equal(fence_open(&f, arbiter, timeout_ns, &e), 0);
    assert_false(f->ops->primary_owns);
    return f;
}

static enum fence_answer wait_for_answer(struct fence *f, struct err *e)
{
    enum fence_answer answer;

    while ((answer = f->ops->answer(f, e)) == FENCE_PENDING)
        poll(&(struct pollfd){ f->ops->fd(f), POLLIN, 0 }, 1, 10);
    return answer;
}

/* What the arbiter `body` answers; asks twice, for the answer must be the same. */
static enum fence_answer answer_of(const char *body, uint64_t timeout_ns, struct err *e)
{
    struct fence *f;
    enum fence_answer answer;

    write_program(body);
    f = open_fence(timeout_ns);
    assert_int_equal(f->ops->answer(f, e), FENCE_PENDING);
    assert_int_equal(f->ops->ask(f, &question, e), 0);
    answer = wait_for_answer(f, e);
    assert_int_equal(f->ops->answer(f, e), answer);
    assert_int_equal(f->ops->fd(f), -1);
    assert_int_equal(f->ops->ask(f, &question, e), 0);
    assert_int_equal(wait_for_answer(f, e), answer);
    f->ops->close(f);
    return answer;
}

static void exit_0_grants_and_1_denies(void **state)
{
    struct err e = { 0 };

    (void)state;
    assert_int_equal(answer_of("exit 0", LONG_NS, &e), FENCE_GRANTED);
    assert_int_equal(answer_of("exit 1", LONG_NS, &e), FENCE_DENIED);
    assert_int_equal(e.code, 0);
}

static void any_other_end_is_no_answer(void **state)
{
    struct err e = { 0 };

    (void)state;
    assert_int_equal(answer_of("exit 2", LONG_NS, &e), FENCE_NO_ANSWER);
    assert_non_null(strstr(e.text, "exit status 2"));
    assert_int_equal(answer_of("exit 255", LONG_NS, &e), FENCE_NO_ANSWER);
    assert_int_equal(answer_of("kill -KILL $$", LONG_NS, &e), FENCE_NO_ANSWER);
    assert_non_null(strstr(e.text, "signal 9"));
}

static void it_is_told_domain_lineage_term_and_side(void **state)
{
    char text[128] = "";
    struct err e = { 0 };
    FILE *f;

    (void)state;
    assert_int_equal(answer_of("echo \"$# $*\" > $note", LONG_NS, &e), FENCE_GRANTED);
    f = fopen(note, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    assert_string_equal(text, "4 web1 0000000000000abc 7 backup\n");
}

/* The whole group must go: the program's children too. It gets the time to have one. */
static void a_slow_program_is_killed_and_is_no_answer(void **state)
{
    struct err e = { 0 };
    int child = 0;
    FILE *f;

    (void)state;
    unlink(note);
    write_program("trap '' TERM\nsleep 1000 & echo $! > $note.part; mv $note.part $note; wait");
    for (uint64_t patience_ns = 200 * NS_PER_MS; !(f = fopen(note, "r")); patience_ns *= 2) {
        struct fence *slow = open_fence(patience_ns);

        assert_int_equal(slow->ops->ask(slow, &question, &e), 0);
        assert_int_equal(wait_for_answer(slow, &e), FENCE_NO_ANSWER);
        assert_int_equal(e.code, ETIMEDOUT);
        slow->ops->close(slow);
    }
    assert_int_equal(fscanf(f, "%d", &child), 1);
    fclose(f);
    while (kill(child, 0) == 0) {
        char path[40], line[64] = "";
        FILE *stat;

        snprintf(path, sizeof(path), "/proc/%d/stat", child);
        stat = fopen(path, "r");
        if (stat && fgets(line, sizeof(line), stat) && strstr(line, ") Z "))
            child = 0; /* dead; whoever adopted it reaps it or not */
        if (stat)
            fclose(stat);
        if (!child)
            break;
        poll(NULL, 0, 1);
    }
}

static void a_missing_program_is_said_at_once(void **state)
{
    struct err e = { 0 };
    struct fence *f;

    (void)state;
    assert_int_equal(fence_open(&f, "exec:/nowhere/arbiter", LONG_NS, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/nowhere/arbiter"));
}

static void a_program_that_vanished_is_no_answer(void **state)
{
    struct err e = { 0 };
    struct fence *f;

    (void)state;
    write_program("exit 0");
    f = open_fence(LONG_NS);
    unlink(program);
    assert_int_equal(f->ops->ask(f, &question, &e), 0);
    assert_int_equal(wait_for_answer(f, &e), FENCE_NO_ANSWER);
    assert_int_equal(e.code, ENOENT);
    f->ops->close(f);
}

static void a_new_question_replaces_an_unanswered_one(void **state)
{
    struct fence_question other = question;
    struct err e = { 0 };
    struct fence *f;

    (void)state;
    other.term = 8;
    write_program("[ $3 = 8 ] && exit 1\nexec sleep 1000");
    f = open_fence(LONG_NS);
    assert_int_equal(f->ops->ask(f, &question, &e), 0);
    assert_int_equal(f->ops->answer(f, &e), FENCE_PENDING);
    assert_int_equal(f->ops->ask(f, &other, &e), 0);
    assert_int_equal(wait_for_answer(f, &e), FENCE_DENIED);
    f->ops->close(f);
}

static void closing_while_asked_leaves_no_process(void **state)
{
    struct err e = { 0 };
    struct fence *f;

    (void)state;
    write_program("exec sleep 1000");
    f = open_fence(LONG_NS);
    assert_int_equal(f->ops->ask(f, &question, &e), 0);
    f->ops->close(f);
    /* The reaper waits for its own child only; when all are gone there is none to wait for. */
    while (waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT) == 0)
        poll(NULL, 0, 1);
    assert_int_equal(errno, ECHILD);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/fence_exec_test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(program, sizeof(program), "%.64s/arbiter", folder);
    snprintf(note, sizeof(note), "%.64s/note", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char part[sizeof(note) + 8];

    snprintf(part, sizeof(part), "%s.part", note); /* of a program that was killed before it came so far */
    unlink(part);
    unlink(program);
    unlink(note);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_0_grants_and_1_denies),
        cmocka_unit_test(any_other_end_is_no_answer),
        cmocka_unit_test(it_is_told_domain_lineage_term_and_side),
        cmocka_unit_test(a_slow_program_is_killed_and_is_no_answer),
        cmocka_unit_test(a_missing_program_is_said_at_once),
        cmocka_unit_test(a_program_that_vanished_is_no_answer),
        cmocka_unit_test(a_new_question_replaces_an_unanswered_one),
        cmocka_unit_test(closing_while_asked_leaves_no_process),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

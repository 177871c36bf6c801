/* A folder as arbiter: never two owners, the same answer for ever, and no answer when in doubt. */
#include "replicator/fence/fence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#include "base/rng.h"

#define ROUNDS 200

static char folder[64];

static struct fence *open_fence(const char *where)
{
    char arbiter[128];
    struct err e = { 0 };
    struct fence *f = NULL;

    snprintf(arbiter, sizeof(arbiter), "file:%s", where);
    assert_int_equal(fence_open(&f, arbiter, 60 * NS_PER_S, &e), 0);
    assert_false(f->ops->primary_owns);
    return f;
}

static enum fence_answer ask(struct fence *f, uint32_t term, enum fence_side side, struct err *e)
{
    struct fence_question q = { .domain = "web1", .lineage = 0xabc, .term = term, .side = side };
    enum fence_answer answer;

    assert_int_equal(f->ops->ask(f, &q, e), 0);
    while ((answer = f->ops->answer(f, e)) == FENCE_PENDING)
        poll(&(struct pollfd){ f->ops->fd(f), POLLIN, 0 }, 1, -1);
    return answer;
}

static enum fence_answer ask_afresh(uint32_t term, enum fence_side side)
{
    struct err e = { 0 };
    struct fence *f = open_fence(folder);
    enum fence_answer answer = ask(f, term, side, &e);

    f->ops->close(f);
    return answer;
}

static void token_path(char path[128], uint32_t term)
{
    snprintf(path, 128, "%.64s/web1.0000000000000abc.%u", folder, term);
}

static void the_first_to_ask_gets_it_and_keeps_it(void **state)
{
    struct err e = { 0 };
    struct fence *f = open_fence(folder);

    (void)state;
    assert_int_equal(f->ops->answer(f, &e), FENCE_PENDING);
    assert_int_equal(ask(f, 1, FENCE_BACKUP, &e), FENCE_GRANTED);
    assert_int_equal(ask(f, 1, FENCE_PRIMARY, &e), FENCE_DENIED);
    assert_int_equal(ask(f, 1, FENCE_BACKUP, &e), FENCE_GRANTED);
    assert_int_equal(ask(f, 1, FENCE_PRIMARY, &e), FENCE_DENIED);
    f->ops->close(f);
    assert_int_equal(ask_afresh(1, FENCE_BACKUP), FENCE_GRANTED);
}

static void each_term_has_a_token_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(ask_afresh(2, FENCE_PRIMARY), FENCE_GRANTED);
    assert_int_equal(ask_afresh(3, FENCE_BACKUP), FENCE_GRANTED);
    assert_int_equal(ask_afresh(2, FENCE_BACKUP), FENCE_DENIED);
}

static void the_file_names_its_owner(void **state)
{
    char path[128], text[160] = "";
    struct stat file;
    int fd;

    (void)state;
    assert_int_equal(ask_afresh(4, FENCE_PRIMARY), FENCE_GRANTED);
    token_path(path, 4);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    assert_int_equal(strncmp(text, "primary ", 8), 0);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_nlink, 1);
}

/* A process of its own, which spins a while and asks; the answer is its exit status. */
static pid_t start_asker(uint32_t term, enum fence_side side, uint64_t spin)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (volatile uint64_t i = 0; i < spin; i++)
            ;
        _exit((int)ask_afresh(term, side));
    }
    assert_true(pid > 0);
    return pid;
}

static enum fence_answer answer_from(pid_t asker)
{
    int status = 0;

    assert_int_equal(waitpid(asker, &status, 0), asker);
    assert_true(WIFEXITED(status));
    return (enum fence_answer)WEXITSTATUS(status);
}

static void two_askers_never_both_get_it(void **state)
{
    unsigned granted[2] = { 0 };
    struct rng r;

    (void)state;
    rng_seed(&r, 1);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t term = 1000 + round;
        pid_t first = start_asker(term, FENCE_PRIMARY, rng_below(&r, 800000));
        pid_t second = start_asker(term, FENCE_BACKUP, rng_below(&r, 100000));
        enum fence_answer primary = answer_from(first), backup = answer_from(second);

        assert_true((primary == FENCE_GRANTED && backup == FENCE_DENIED) ||
                    (primary == FENCE_DENIED && backup == FENCE_GRANTED));
        assert_int_equal(answer_from(start_asker(term, FENCE_PRIMARY, 0)), primary);
        assert_int_equal(answer_from(start_asker(term, FENCE_BACKUP, 0)), backup);
        granted[primary == FENCE_GRANTED ? 0 : 1]++;
    }
    print_message("# %u rounds: primary first in %u, backup in %u\n", ROUNDS, granted[0], granted[1]);
}

static void claims_leave_nothing_behind(void **state)
{
    DIR *d = opendir(folder);
    struct dirent *entry;

    (void)state;
    assert_non_null(d);
    while ((entry = readdir(d)))
        assert_true(entry->d_name[0] != '.' || strcmp(entry->d_name, ".") == 0 ||
                    strcmp(entry->d_name, "..") == 0);
    closedir(d);
}

static void a_file_that_names_nobody_decides_nothing(void **state)
{
    static const char *const contents[] = { "", "primary", "primary host 1", "primar\n", "neither x\n",
                                            "primaryx\n", "\n" };
    char path[128];

    (void)state;
    token_path(path, 5);
    for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
        int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

        assert_int_equal(write(fd, contents[i], strlen(contents[i])), strlen(contents[i]));
        close(fd);
        assert_int_equal(ask_afresh(5, FENCE_PRIMARY), FENCE_NO_ANSWER);
        assert_int_equal(ask_afresh(5, FENCE_BACKUP), FENCE_NO_ANSWER);
    }
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(ask_afresh(5, FENCE_PRIMARY), FENCE_NO_ANSWER);
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(ask_afresh(5, FENCE_PRIMARY), FENCE_NO_ANSWER);
    unlink(path);
}

static void a_folder_that_is_away_is_no_answer_and_may_come_back(void **state)
{
    char away[96];
    struct err e = { 0 };
    struct fence *f;

    (void)state;
    snprintf(away, sizeof(away), "%.64s/away", folder);
    f = open_fence(away);
    assert_int_equal(ask(f, 1, FENCE_PRIMARY, &e), FENCE_NO_ANSWER);
    assert_int_equal(e.code, ENOENT);
    assert_non_null(strstr(e.text, away));
    assert_int_equal(mkdir(away, 0700), 0);
    assert_int_equal(ask(f, 1, FENCE_PRIMARY, &e), FENCE_GRANTED);
    f->ops->close(f);
}

static void a_name_that_leads_out_of_the_folder_is_refused(void **state)
{
    static const char *const wrong[] = { "", "../web1", "a/b", ".web1", "-rf", "a\nb" };
    struct fence *f = open_fence(folder);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct fence_question q = { .term = 1 };
        struct err e = { 0 };

        snprintf(q.domain, sizeof(q.domain), "%s", wrong[i]);
        assert_int_equal(f->ops->ask(f, &q, &e), -EINVAL);
    }
    f->ops->close(f);
}

static void closing_while_asked_is_no_harm(void **state)
{
    struct fence_question q = { .domain = "web1", .lineage = 1, .side = FENCE_PRIMARY };
    struct err e = { 0 };

    (void)state;
    for (q.term = 0; q.term < 20; q.term++) {
        struct fence *f = open_fence(folder);

        assert_int_equal(f->ops->ask(f, &q, &e), 0);
        assert_int_equal(f->ops->ask(f, &q, &e), 0);
        f->ops->close(f);
    }
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/fence_file_test.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

/* Askers that were left alone may still be writing: again until the folder goes. */
static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s 2>/dev/null", folder);
    while (access(folder, F_OK) == 0)
        if (system(command) < 0)
            return -1;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, while this process has no thread yet: it forks. */
        cmocka_unit_test(two_askers_never_both_get_it),
        cmocka_unit_test(the_first_to_ask_gets_it_and_keeps_it),
        cmocka_unit_test(each_term_has_a_token_of_its_own),
        cmocka_unit_test(the_file_names_its_owner),
        cmocka_unit_test(claims_leave_nothing_behind),
        cmocka_unit_test(a_file_that_names_nobody_decides_nothing),
        cmocka_unit_test(a_folder_that_is_away_is_no_answer_and_may_come_back),
        cmocka_unit_test(a_name_that_leads_out_of_the_folder_is_refused),
        cmocka_unit_test(closing_while_asked_is_no_harm),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

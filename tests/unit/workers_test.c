/* workers_test — every piece is done once, by threads or by nobody else, and seen done with its results. */
#include "base/workers.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rng.h"

enum { PIECES = 32, ROUNDS = 2000 };

struct piece {
    struct work work;
    uint64_t from, to;
    unsigned times;
};

static struct piece pieces[PIECES];
static struct err e;

static void compute(struct work *w)
{
    struct piece *p = (struct piece *)w;

    p->to = rng_mix(p->from);
    p->times++;
}

static struct workers *open_pool(unsigned threads)
{
    struct workers *pool = NULL;

    assert_int_equal(workers_open(&pool, threads, &e), 0);
    for (unsigned i = 0; i < PIECES; i++)
        pieces[i] = (struct piece){ .work.run = compute };
    return pool;
}

static void every_piece_is_done_once_and_in_any_number_of_threads(void **state UNUSED)
{
    for (unsigned threads = 0; threads <= 4; threads++) {
        struct workers *pool = open_pool(threads);

        for (unsigned round = 1; round <= ROUNDS; round++) {
            for (unsigned i = 0; i < PIECES; i++) {
                pieces[i].from = (uint64_t)round * PIECES + i;
                workers_submit(pool, &pieces[i].work);
            }
            for (unsigned i = PIECES; i-- > 0;) {
                workers_wait(pool, &pieces[i].work);
                assert_true(work_is_done(&pieces[i].work));
                assert_true(pieces[i].to == rng_mix(pieces[i].from));
                assert_int_equal(pieces[i].times, round);
            }
        }
        workers_close(pool);
    }
}

static void without_threads_a_piece_is_done_when_it_is_handed_over(void **state UNUSED)
{
    struct workers *pool = open_pool(0);

    workers_submit(pool, &pieces[0].work);
    assert_int_equal(pieces[0].times, 1);
    assert_true(work_is_done(&pieces[0].work));
    assert_int_equal(workers_fd(pool), -1);
    workers_calm(pool);
    workers_close(pool);
}

static void the_descriptor_tells_of_every_end(void **state UNUSED)
{
    struct workers *pool = open_pool(2);
    struct pollfd p = { .fd = workers_fd(pool), .events = POLLIN };

    for (unsigned round = 0; round < 200; round++) {
        unsigned done = 0;

        for (unsigned i = 0; i < PIECES; i++)
            workers_submit(pool, &pieces[i].work);
        while (done < PIECES) { /* nothing is ever waited for that would not be told */
            assert_int_equal(poll(&p, 1, -1), 1);
            workers_calm(pool);
            while (done < PIECES && work_is_done(&pieces[done].work))
                done++;
        }
    }
    workers_close(pool);
}

static void the_owner_may_help_and_never_does_a_piece_twice(void **state UNUSED)
{
    struct workers *pool = open_pool(2);

    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (unsigned i = 0; i < PIECES; i++) {
            pieces[i].from = (uint64_t)round * PIECES + i;
            workers_submit(pool, &pieces[i].work);
        }
        while (workers_help(pool))
            ;
        for (unsigned i = 0; i < PIECES; i++) {
            workers_wait(pool, &pieces[i].work);
            assert_int_equal(pieces[i].times, round);
            assert_true(pieces[i].to == rng_mix(pieces[i].from));
        }
    }
    workers_close(pool);
}

static void closing_finishes_what_was_handed_over(void **state UNUSED)
{
    for (unsigned round = 0; round < 100; round++) {
        struct workers *pool = open_pool(3);

        for (unsigned i = 0; i < PIECES; i++)
            workers_submit(pool, &pieces[i].work);
        workers_close(pool);
        for (unsigned i = 0; i < PIECES; i++)
            assert_int_equal(pieces[i].times, 1);
    }
    workers_close(NULL);
}

static void threads_take_no_signals(void **state UNUSED)
{
    struct workers *pool = open_pool(4);
    sigset_t term, before;
    int got = 0;

    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &term, &before), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0); /* whoever does not block it ends the process */
    assert_int_equal(sigwait(&term, &got), 0);
    assert_int_equal(got, SIGTERM);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    workers_close(pool);
}

static void too_many_threads_are_refused(void **state UNUSED)
{
    struct workers *pool = NULL;

    assert_int_equal(workers_open(&pool, WORKERS_MAX + 1, &e), -EINVAL);
    assert_null(pool);
    assert_true(workers_sensible(4) >= 1 && workers_sensible(4) <= 4);
    assert_int_equal(workers_sensible(1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_is_done_once_and_in_any_number_of_threads),
        cmocka_unit_test(without_threads_a_piece_is_done_when_it_is_handed_over),
        cmocka_unit_test(the_descriptor_tells_of_every_end),
        cmocka_unit_test(the_owner_may_help_and_never_does_a_piece_twice),
        cmocka_unit_test(closing_finishes_what_was_handed_over),
        cmocka_unit_test(threads_take_no_signals),
        cmocka_unit_test(too_many_threads_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

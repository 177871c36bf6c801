/* plug_state — its rules by themselves, and together with a model of the kernel's plug (plug_model). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/rng.h"
#include "netbuf/plug_state.h"
#include "tests/unit/plug_model.h"

static void first_mark_buffers_and_its_release_releases(UNUSED void **state)
{
    struct plug_state s = { .mode = PLUG_PASSING };

    assert_int_equal(plug_state_at_release(&s, 1), PLUG_ORDER_NONE);
    assert_int_equal(plug_state_at_mark(&s), PLUG_ORDER_BUFFER);
    assert_false(plug_state_marked(&s, 1, PLUG_ORDER_BUFFER, true));
    assert_int_equal(s.mode, PLUG_HOLDING);
    assert_int_equal(plug_state_at_release(&s, 1), PLUG_ORDER_RELEASE_ONE);
    assert_false(plug_state_released(&s, PLUG_ORDER_RELEASE_ONE, true));
    assert_int_equal(plug_state_at_release(&s, 1), PLUG_ORDER_NONE);
}

static void second_mark_before_the_release_is_not_sent_and_moves_the_release(UNUSED void **state)
{
    struct plug_state s = { .mode = PLUG_PASSING };

    assert_false(plug_state_marked(&s, 1, plug_state_at_mark(&s), true));
    assert_int_equal(plug_state_at_mark(&s), PLUG_ORDER_NONE);
    assert_false(plug_state_marked(&s, 2, PLUG_ORDER_NONE, true));
    assert_int_equal(plug_state_at_release(&s, 1), PLUG_ORDER_NONE);
    assert_int_equal(plug_state_at_release(&s, 2), PLUG_ORDER_RELEASE_ONE);
}

static void unsure_first_mark_is_repeated_and_a_later_one_is_not(UNUSED void **state)
{
    struct plug_state s = { .mode = PLUG_PASSING };

    assert_true(plug_state_marked(&s, 1, PLUG_ORDER_BUFFER, false));
    assert_int_equal(s.mode, PLUG_PASSING);
    assert_false(plug_state_marked(&s, 1, PLUG_ORDER_BUFFER, true));
    assert_false(plug_state_released(&s, PLUG_ORDER_RELEASE_ONE, true));
    assert_false(plug_state_marked(&s, 2, PLUG_ORDER_BUFFER, false));
    assert_int_equal(plug_state_at_mark(&s), PLUG_ORDER_NONE);
}

static void unsure_release_is_repeated(UNUSED void **state)
{
    struct plug_state s = { .mode = PLUG_HOLDING, .is_finished = true, .newest = 4 };

    assert_true(plug_state_released(&s, PLUG_ORDER_RELEASE_ONE, false));
    assert_int_equal(plug_state_at_release(&s, 4), PLUG_ORDER_RELEASE_ONE);
}

static void dropping_asks_for_nothing(UNUSED void **state)
{
    struct plug_state s = { .mode = PLUG_DROPPING };

    assert_int_equal(plug_state_at_mark(&s), PLUG_ORDER_NONE);
    assert_int_equal(plug_state_at_release(&s, UINT64_MAX), PLUG_ORDER_NONE);
}

static void renewed_plug_has_nothing_to_release(UNUSED void **state)
{
    struct plug_state s = { .mode = PLUG_HOLDING, .is_finished = true, .newest = 4 };

    plug_state_renewed(&s);
    assert_int_equal(plug_state_at_release(&s, 4), PLUG_ORDER_NONE);
    assert_int_equal(plug_state_at_mark(&s), PLUG_ORDER_BUFFER);
}

/* ---- with the kernel's counters --------------------------------------------------------------------- */

#define RUNS     2000u
#define STEPS    200u

struct world {
    struct plug_state state;
    struct plug_model model;
    struct rng rng;
    uint64_t epoch;      /* being filled; the newest mark's number plus one */
    uint64_t released;   /* newest epoch that may be seen */
    bool is_marked;      /* ever */
    bool is_sure;        /* no answer is lost any more */
};

/* The kernel carries an order out, and now and then its answer is lost, or the order itself. Frames are
 * numbered by the epoch they belong to. */
static bool carry_out(struct world *w, enum plug_order order)
{
    uint64_t luck = w->is_sure ? 19 : rng_below(&w->rng, 20);

    if (order == PLUG_ORDER_BUFFER && luck != 0)
        plug_model_buffer(&w->model);
    if (order == PLUG_ORDER_RELEASE_ONE && luck != 0)
        plug_model_release_one(&w->model);
    return luck > 1;
}

static void mark(struct world *w)
{
    enum plug_order order;
    bool again = true;

    for (unsigned tries = 0; again && tries < 100; tries++) {
        order = plug_state_at_mark(&w->state);
        again = plug_state_marked(&w->state, w->epoch, order, carry_out(w, order));
    }
    assert_false(again);
    w->is_marked = true;
    w->epoch++;
}

static void release(struct world *w)
{
    enum plug_order order;
    bool again = true;

    w->released = w->epoch - 1;
    for (unsigned tries = 0; again && tries < 100; tries++) {
        order = plug_state_at_release(&w->state, w->released);
        again = plug_state_released(&w->state, order, carry_out(w, order));
    }
}

static void look(struct world *w)
{
    uint64_t frame;

    while (plug_model_dequeue(&w->model, &frame))
        if (w->is_marked)
            assert_true(frame <= w->released);
}

static void no_order_of_events_lets_a_frame_of_an_unreleased_epoch_out(UNUSED void **state)
{
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->epoch = 1;
        rng_seed(&w->rng, seed);
        plug_model_init(&w->model, UINT32_MAX);
        plug_model_release_indefinite(&w->model);
        for (unsigned i = 0; i < STEPS; i++) {
            uint64_t what = rng_below(&w->rng, 8);

            if (what < 4)
                (void)plug_model_enqueue(&w->model, w->epoch, 100);
            else if (what < 6) {
                if (!w->is_marked)
                    look(w); /* frames that pass are let leave first */
                mark(w);
            }
            else if (w->is_marked)
                release(w);
            if (rng_below(&w->rng, 4) == 0)
                look(w);
        }
        w->is_sure = true; /* then nothing stays for ever */
        for (unsigned i = 0; i < 3; i++) {
            mark(w);
            release(w);
            look(w);
        }
        assert_int_equal(w->model.count, 0);
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_mark_buffers_and_its_release_releases),
        cmocka_unit_test(second_mark_before_the_release_is_not_sent_and_moves_the_release),
        cmocka_unit_test(unsure_first_mark_is_repeated_and_a_later_one_is_not),
        cmocka_unit_test(unsure_release_is_repeated),
        cmocka_unit_test(dropping_asks_for_nothing),
        cmocka_unit_test(renewed_plug_has_nothing_to_release),
        cmocka_unit_test(no_order_of_events_lets_a_frame_of_an_unreleased_epoch_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

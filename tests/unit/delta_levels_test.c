/* delta_levels_test — every level of the processor makes the same octets and takes and refuses the
 * same ones, so that hosts of different age can protect each other.
 * CODEC_PAIRS=N tries N pairs of pages instead of a few thousand, CODEC_SEED=S others,
 * CODEC_TEST='all_levels_make*' only some of the tests. */
#include "compress/delta.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "tests/unit/page_shapes.h"

#define OUT_ROOM (PAGE_BYTES + GUARD_BYTES)

static uint64_t pairs = 8000, seed = 0;

static const struct codec *delta(void)
{
    return codec_by_id(CODEC_DELTA);
}

static void use(enum cpu_level level)
{
    struct err e;

    assert_int_equal(cpu_choose(cpu_level_name(level), &e), 0);
}

static size_t encode_at(enum cpu_level level, const uint8_t *page, const uint8_t *prior,
                        uint8_t *out, size_t room)
{
    size_t bytes;

    use(level);
    memset(out, GUARD, OUT_ROOM);
    bytes = delta()->encode(page, prior, out, room);
    assert_true(all_guard(out + room, OUT_ROOM - room));
    return bytes;
}

/* From a block that ends where the payload ends, so that a sanitizer sees a read beyond. */
static int decode_at(enum cpu_level level, const uint8_t *payload, size_t bytes, const uint8_t *prior,
                     struct boxed_page *ret)
{
    uint8_t *exact = malloc(bytes > 0 ? bytes : 1);
    int rc;

    must(exact);
    memcpy(exact, payload, bytes);
    box(ret, prior);
    use(level);
    rc = delta()->decode(exact, bytes, ret->page);
    free(exact);
    assert_true(box_is_whole(ret));
    return rc;
}

static void all_levels_make_the_same_octets_and_read_each_others(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES], page[PAGE_BYTES], first[OUT_ROOM], out[OUT_ROOM];
    struct rng r;

    rng_seed(&r, seed + 11);
    for (uint64_t i = 0; i < pairs; i++) {
        size_t bytes, room = rng_chance(&r, 900000) ? PAGE_BYTES : (size_t)rng_below(&r, PAGE_BYTES);

        next_pair(&r, prior, page);
        bytes = encode_at(CPU_PORTABLE, page, prior, first, room);
        for (unsigned level = CPU_AVX2; level <= cpu_best(); level++) {
            assert_true(encode_at((enum cpu_level)level, page, prior, out, room) == bytes);
            if (bytes != CODEC_NOT_WORTH)
                assert_memory_equal(out, first, bytes);
        }
        if (bytes == CODEC_NOT_WORTH)
            continue;
        for (unsigned level = 0; level <= cpu_best(); level++) {
            struct boxed_page b;

            assert_int_equal(decode_at((enum cpu_level)level, first, bytes, prior, &b), 0);
            assert_memory_equal(b.page, page, PAGE_BYTES);
        }
    }
}

/* Every level says the same about a payload and leaves the same page behind. */
static void assert_same_answer(const uint8_t *payload, size_t bytes, const uint8_t *prior)
{
    struct boxed_page first, b;
    int rc = decode_at(CPU_PORTABLE, payload, bytes, prior, &first);

    assert_true(rc == 0 || (rc == -EPROTO && memcmp(first.page, prior, PAGE_BYTES) == 0));
    for (unsigned level = CPU_AVX2; level <= cpu_best(); level++) {
        assert_int_equal(decode_at((enum cpu_level)level, payload, bytes, prior, &b), rc);
        assert_memory_equal(b.page, first.page, PAGE_BYTES);
    }
}

static void all_levels_answer_the_same_to_broken_payloads(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES], page[PAGE_BYTES], out[OUT_ROOM];
    struct rng r;

    rng_seed(&r, seed + 12);
    for (uint64_t i = 0; i < pairs; i++) {
        size_t bytes;

        next_pair(&r, prior, page);
        bytes = encode_at(CPU_PORTABLE, page, prior, out, PAGE_BYTES);
        if (bytes == CODEC_NOT_WORTH || bytes == 0)
            continue;
        assert_same_answer(out, (size_t)rng_below(&r, bytes), prior);
        assert_same_answer(out, bytes + 1 + (size_t)rng_below(&r, GUARD_BYTES - 1), prior);
        for (unsigned flips = 0; flips < 4; flips++) {
            uint64_t front = rng_chance(&r, 700000) && bytes > 24 ? 24 : bytes;

            out[rng_below(&r, front)] ^= (uint8_t)(1u << rng_below(&r, 8));
            assert_same_answer(out, bytes, prior);
        }
    }
}

static void all_levels_answer_the_same_to_noise(void **state UNUSED)
{
    uint8_t prior[PAGE_BYTES], noise[256];
    struct rng r;

    rng_seed(&r, seed + 13);
    fill_text(&r, prior);
    for (uint64_t i = 0; i < pairs * 4; i++) {
        size_t bytes = (size_t)rng_below(&r, rng_chance(&r, 800000) ? 24 : sizeof(noise));

        rng_fill(&r, noise, bytes);
        if (bytes > 1) {
            noise[0] = (uint8_t)(1 + rng_below(&r, 2));
            noise[1] = (uint8_t)(1u << rng_below(&r, 8));
        }
        assert_same_answer(noise, bytes, prior);
    }
}

/* ---- batches */

struct batch {
    uint8_t pages[CODEC_BATCH][PAGE_BYTES], priors[CODEC_BATCH][PAGE_BYTES];
    uint8_t kept[CODEC_BATCH][PAGE_BYTES];
    struct codec_job jobs[CODEC_BATCH];
    size_t n;
};

static void next_batch(struct rng *r, struct batch *b)
{
    b->n = rng_chance(r, 700000) ? CODEC_BATCH : 1 + (size_t)rng_below(r, CODEC_BATCH);
    for (size_t i = 0; i < b->n; i++) {
        bool has_prior = rng_chance(r, 850000);

        next_pair(r, b->priors[i], b->pages[i]);
        b->jobs[i] = (struct codec_job){ .page = b->pages[i] };
        if (has_prior)
            b->jobs[i].prior = b->priors[i];
        if (rng_chance(r, 700000))
            b->jobs[i].keep = has_prior && rng_chance(r, 800000) ? b->priors[i] : b->kept[i];
    }
}

static void a_batch_is_its_pages_one_by_one_and_keeps_what_it_is_told_to(void **state UNUSED)
{
    static uint8_t out[CODEC_BATCH * PAGE_BYTES + GUARD_BYTES];
    static struct batch b, before;
    struct rng r;

    rng_seed(&r, seed + 14);
    for (uint64_t i = 0; i < pairs; i++) {
        struct codec_choice allowed = { rng_chance(&r, 850000), rng_chance(&r, 300000),
                                        rng_chance(&r, 300000) };
        const uint8_t *at = out;
        size_t bytes;

        next_batch(&r, &b);
        before = b;
        memset(out, GUARD, sizeof(out));
        use((enum cpu_level)rng_below(&r, cpu_best() + 1));
        bytes = codec_encode_batch(allowed, b.jobs, b.n, out);
        assert_true(all_guard(out + b.n * PAGE_BYTES, GUARD_BYTES));
        use((enum cpu_level)rng_below(&r, cpu_best() + 1));
        for (size_t k = 0; k < b.n; k++) {
            const struct codec_job *job = &b.jobs[k];
            const struct codec *c;
            uint8_t one[PAGE_BYTES];

            assert_int_equal(codec_encode_best(allowed, b.pages[k],
                                               job->prior ? before.priors[k] : NULL, one, &c),
                             job->bytes);
            assert_ptr_equal(job->codec, c);
            assert_memory_equal(job->payload, one, job->bytes);
            if (allowed.raw_in_place && c->id == CODEC_RAW) {
                assert_ptr_equal(job->payload, job->page);
            } else {
                assert_ptr_equal(job->payload, at);
                at += job->bytes;
            }
            assert_memory_equal(b.pages[k], before.pages[k], PAGE_BYTES);
            if (job->keep)
                assert_memory_equal(job->keep, b.pages[k], PAGE_BYTES);
            if (job->keep != b.priors[k])
                assert_memory_equal(b.priors[k], before.priors[k], PAGE_BYTES);
        }
        assert_int_equal(at - out, bytes);
    }
}

/* ---- the choice of a level */

static void a_level_is_chosen_by_name_and_the_best_is_the_default(void **state UNUSED)
{
    struct err e;

    assert_int_equal(cpu_choose("portable", &e), 0);
    assert_int_equal(cpu_level(), CPU_PORTABLE);
    assert_int_equal(cpu_choose(NULL, &e), 0);
    assert_int_equal(cpu_level(), cpu_best());
    for (int level = 0; level < CPU_LEVELS; level++) {
        int rc = cpu_choose(cpu_level_name((enum cpu_level)level), &e);

        assert_int_equal(rc, level <= (int)cpu_best() ? 0 : -ENOTSUP);
    }
    assert_int_equal(cpu_choose("", &e), 0);
    assert_int_equal(cpu_level(), cpu_best());
}

static void an_unknown_level_is_refused_by_name_and_changes_nothing(void **state UNUSED)
{
    struct err e;

    use(CPU_PORTABLE);
    assert_int_equal(cpu_choose("sse9", &e), -EINVAL);
    assert_non_null(strstr(e.text, "sse9"));
    assert_int_equal(cpu_choose("avx", &e), -EINVAL);
    assert_int_equal(cpu_level(), CPU_PORTABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_levels_make_the_same_octets_and_read_each_others),
        cmocka_unit_test(all_levels_answer_the_same_to_broken_payloads),
        cmocka_unit_test(all_levels_answer_the_same_to_noise),
        cmocka_unit_test(a_batch_is_its_pages_one_by_one_and_keeps_what_it_is_told_to),
        cmocka_unit_test(a_level_is_chosen_by_name_and_the_best_is_the_default),
        cmocka_unit_test(an_unknown_level_is_refused_by_name_and_changes_nothing),
    };
    const char *asked = getenv("CODEC_PAIRS"), *where = getenv("CODEC_SEED");

    if (asked)
        pairs = strtoull(asked, NULL, 10);
    cmocka_set_test_filter(getenv("CODEC_TEST"));
    if (where)
        seed = strtoull(where, NULL, 10) << 32; /* far from the seeds of every other */
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* pagecopy_test — what is copied is what was there, on every level of the processor, whatever the number
 * of pages, their order and where the target lies. */
#include "checkpoint/pagecopy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/rng.h"
#include "compress/codec.h"
#include "compress/cpu.h"

#define MEMORY_PAGES 1024u
#define GUARD        0xc3

typedef void copy_fn(uint8_t *const *to, const uint8_t *memory, const uint64_t *pfns, size_t n);

static uint8_t *memory, *target;
static uint64_t pfns[MEMORY_PAGES];

static void copy_and_compare(copy_fn *copy, uint8_t *to, const uint8_t *from, size_t n)
{
    static uint8_t *places[MEMORY_PAGES];

    for (size_t i = 0; i < n; i++) /* anywhere: the last page first */
        places[i] = to + (n - 1 - i) * PAGE_BYTES;
    memset(to, 0, n * PAGE_BYTES);
    memset(to + n * PAGE_BYTES, GUARD, 64);
    copy(places, from, pfns, n);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(places[i], from + pfns[i] * PAGE_BYTES, PAGE_BYTES);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(to[n * PAGE_BYTES + i], GUARD);
}

static void use(unsigned level)
{
    struct err e;

    assert_int_equal(cpu_choose(cpu_level_name((enum cpu_level)level), &e), 0);
}

static void every_level_copies_any_number_of_pages_in_any_order(void **state UNUSED)
{
    static const size_t counts[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 255, PAGECOPY_STREAM_PAGES - 1,
                                     PAGECOPY_STREAM_PAGES, PAGECOPY_STREAM_PAGES + 3, MEMORY_PAGES };

    for (unsigned level = 0; level <= cpu_best(); level++) {
        use(level);
        for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
            copy_and_compare(pagecopy, target, memory, counts[i]);
            copy_and_compare(pagecopy_stream, target, memory, counts[i]);
        }
    }
}

static void targets_and_sources_that_are_not_aligned_are_copied_too(void **state UNUSED)
{
    for (unsigned level = 0; level <= cpu_best(); level++) {
        use(level);
        copy_and_compare(pagecopy, target + 8, memory, MEMORY_PAGES);
        for (size_t i = 0; i < MEMORY_PAGES; i++) /* the last page ends where the memory does */
            pfns[i] = pfns[i] == MEMORY_PAGES - 1 ? 0 : pfns[i];
        copy_and_compare(pagecopy, target, memory + 16, MEMORY_PAGES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_copies_any_number_of_pages_in_any_order),
        cmocka_unit_test(targets_and_sources_that_are_not_aligned_are_copied_too),
    };
    struct rng r;
    int rc;

    memory = aligned_alloc(PAGE_BYTES, MEMORY_PAGES * PAGE_BYTES);
    target = aligned_alloc(PAGE_BYTES, (MEMORY_PAGES + 1) * PAGE_BYTES);
    must(memory && target);
    rng_seed(&r, 1);
    rng_fill(&r, memory, MEMORY_PAGES * PAGE_BYTES);
    for (size_t i = 0; i < MEMORY_PAGES; i++)
        pfns[i] = rng_below(&r, MEMORY_PAGES);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(memory);
    free(target);
    return rc;
}

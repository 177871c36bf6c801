/* replica_sim_test — what was committed is what wakes up; nothing else does. */
#include "checkpoint/sim/replica_sim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "checkpoint/sim/guest_sim.h"
#include "checkpoint/record.h"
#include "compress/codec.h"

#define SPEC  "sim:web1?mib=17&dirty=max&vcpus=3&workload=kv"
#define PAGES (17u * 256u)

static struct err e;
static uint8_t state_octets[8192];

static struct guest *open_guest(const char *spec)
{
    struct guest *g = NULL;

    if (guest_sim_open(&g, spec, &e) < 0)
        fail_msg("%s", e.text);
    return g;
}

static struct replica *open_replica(const char *spec)
{
    struct replica *r = NULL;

    if (replica_sim_open(&r, spec, PAGES, &e) < 0)
        fail_msg("%s", e.text);
    return r;
}

static size_t capture(struct guest *g)
{
    struct sink to = { state_octets, sizeof(state_octets) };

    assert_int_equal(g->ops->state(g, &to, &e), 0);
    return sizeof(state_octets) - to.left;
}

/* One epoch: lets the guest work, then commits all that it logged. */
static void epoch(struct guest *g, struct replica *r, uint64_t least)
{
    struct dirty d;
    size_t bytes;

    assert_int_equal(dirty_open(&d, PAGES, &e), 0);
    assert_int_equal(guest_go_on(g, &e), 0);
    while (dirty_count(&d) < least)
        assert_int_equal(g->ops->dirty(g, &d, &e), 0);
    assert_int_equal(g->ops->pause(g, &e), 0);
    assert_int_equal(g->ops->dirty(g, &d, &e), 0);
    for (uint64_t pfn = dirty_next(&d, 0); pfn < PAGES; pfn = dirty_next(&d, pfn + 1)) {
        uint8_t *page = r->ops->page(r, pfn, &e), type;

        assert_non_null(page);
        assert_int_equal(g->ops->copy(g, &pfn, 1, &page, &type, &e), 0);
    }
    bytes = capture(g);
    assert_int_equal(r->ops->check_state(r, state_octets, bytes, &e), 0);
    r->ops->commit_state(r, state_octets, bytes);
    dirty_close(&d);
}

static void the_last_committed_epoch_wakes_up_and_goes_on(void **state)
{
    struct guest *g = open_guest(SPEC), *b = NULL;
    struct guest_sim_registers before, after;
    struct replica *r = open_replica(SPEC);

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        epoch(g, r, 100);
    assert_int_equal(r->ops->activate(r, &b, &e), 0);
    assert_int_equal(r->ops->activate(r, &b, &e), -EALREADY);
    r->ops->close(r); /* the memory is the guest's now */
    assert_memory_equal(guest_sim_memory(b), guest_sim_memory(g), PAGES * PAGE_BYTES);
    if (guest_sim_check(b, &e) < 0)
        fail_msg("%s", e.text);
    guest_sim_registers(g, &before);
    guest_sim_registers(b, &after);
    assert_int_equal(after.boot, before.boot + 1);
    assert_memory_equal(before.cpus, after.cpus, sizeof(before.cpus));
    r = open_replica(SPEC);
    for (uint64_t pfn = 0; pfn < PAGES; pfn++)
        memcpy(r->ops->page(r, pfn, &e), guest_sim_memory(b) + pfn * PAGE_BYTES, PAGE_BYTES);
    epoch(b, r, 100); /* the survivor can be protected in its turn */
    g->ops->close(g);
    assert_int_equal(r->ops->activate(r, &g, &e), 0);
    assert_int_equal(guest_sim_check(g, &e), 0);
    r->ops->close(r);
    b->ops->close(b);
    g->ops->close(g);
}

static void a_page_written_after_the_commit_is_noticed(void **state)
{
    struct guest *g = open_guest(SPEC), *b = NULL;
    struct replica *r = open_replica(SPEC);

    (void)state;
    epoch(g, r, 100);
    r->ops->page(r, 5, &e)[100] ^= 1;
    assert_int_equal(r->ops->activate(r, &b, &e), 0);
    assert_int_equal(guest_sim_check(b, &e), -EUCLEAN);
    assert_non_null(strstr(e.text, "pfn 0x5 "));
    r->ops->close(r);
    b->ops->close(b);
    g->ops->close(g);
}

static void nothing_wakes_up_before_the_first_commit(void **state)
{
    struct replica *r = open_replica(SPEC);
    struct guest *g = NULL;

    (void)state;
    assert_non_null(r->ops->page(r, 0, &e));
    assert_int_equal(r->ops->activate(r, &g, &e), -ENOENT);
    assert_null(g);
    r->ops->close(r);
}

static void a_guest_that_had_shut_down_wakes_up_dead(void **state)
{
    static const char spec[] = "sim:web1?mib=17&dirty=max&steps=100";
    struct guest *g = open_guest(spec), *b = NULL;
    struct replica *r = open_replica(spec);
    size_t bytes;

    (void)state;
    assert_int_equal(guest_go_on(g, &e), 0);
    while (g->ops->life(g) == GUEST_RUNS)
        ;
    assert_int_equal(g->ops->pause(g, &e), -ECANCELED);
    bytes = capture(g);
    assert_int_equal(r->ops->check_state(r, state_octets, bytes, &e), 0);
    r->ops->commit_state(r, state_octets, bytes);
    assert_int_equal(r->ops->activate(r, &b, &e), 0);
    assert_int_equal(b->ops->life(b), GUEST_SHUT_DOWN);
    assert_int_equal(guest_go_on(b, &e), 0);
    assert_int_equal(b->ops->pause(b, &e), -ECANCELED);
    r->ops->close(r);
    b->ops->close(b);
    g->ops->close(g);
}

static void wrong_state_is_refused_and_harms_nothing(void **state)
{
    struct guest *g = open_guest(SPEC), *other = open_guest("sim:web1?mib=17&dirty=max"), *b = NULL;
    struct replica *r = open_replica(SPEC);
    uint8_t spoilt[sizeof(state_octets)];
    size_t bytes;

    (void)state;
    epoch(g, r, 10);
    bytes = capture(g);
    for (size_t n = 0; n < bytes; n++) /* only a cut after the context leaves a whole state */
        if (r->ops->check_state(r, state_octets, n, &e) == 0)
            assert_true(n == bytes - 32);
    for (size_t i = 32; i < 32 + 8 + 24; i++) { /* the context's header and fixed part */
        memcpy(spoilt, state_octets, bytes);
        spoilt[i] ^= 0x40;
        assert_true(r->ops->check_state(r, spoilt, bytes, &e) < 0);
    }
    memcpy(spoilt, state_octets, bytes);
    memcpy(spoilt + bytes, state_octets, bytes);
    assert_int_equal(r->ops->check_state(r, spoilt, 2 * bytes, &e), -EPROTO); /* two contexts */
    bytes = capture(other);
    assert_int_equal(r->ops->check_state(r, state_octets, bytes, &e), -EPROTO);
    assert_int_equal(r->ops->activate(r, &b, &e), 0);
    assert_int_equal(guest_sim_check(b, &e), 0);
    r->ops->close(r);
    b->ops->close(b);
    other->ops->close(other);
    g->ops->close(g);
}

static void a_page_once_had_is_in_memory(void **state)
{
    static const uint64_t pfns[] = { 0, 511, 512, 4095, 4096, PAGES - 1 };
    struct replica *r = open_replica(SPEC);
    unsigned char resident;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pfns); i++) {
        uint8_t *page = r->ops->page(r, pfns[i], &e);

        assert_non_null(page);
        assert_int_equal(mincore(page, PAGE_BYTES, &resident), 0);
        assert_true(resident & 1);
        assert_ptr_equal(page, r->ops->page(r, pfns[i], &e));
    }
    assert_null(r->ops->page(r, PAGES, &e));
    assert_null(r->ops->page(r, UINT64_MAX, &e));
    assert_int_equal(r->ops->pages(r), PAGES);
    r->ops->close(r);
}

static void specs_that_do_not_fit_are_refused(void **state)
{
    struct replica *r = NULL;

    (void)state;
    assert_int_equal(replica_sim_open(&r, SPEC, PAGES + 1, &e), -EINVAL);
    assert_int_equal(replica_sim_open(&r, "xen:web1", PAGES, &e), -EINVAL);
    assert_null(r);
}

static void a_preamble_may_hold_policies_only(void **state)
{
    struct replica *r = open_replica(SPEC);
    uint8_t octets[256] = { 0 };
    struct sink to = { octets, sizeof(octets) };

    (void)state;
    assert_int_equal(r->ops->preamble(r, octets, 0, &e), 0);
    assert_int_equal(record_put(&to, (uint32_t)RECORD_X86_CPUID_POLICY, state_octets, 24), 0);
    assert_int_equal(r->ops->preamble(r, octets, sizeof(octets) - to.left, &e), 0);
    assert_int_equal(r->ops->preamble(r, octets, sizeof(octets) - to.left - 1, &e), -EPROTO);
    assert_int_equal(record_put(&to, (uint32_t)RECORD_CHECKPOINT, NULL, 0), 0);
    assert_int_equal(r->ops->preamble(r, octets, sizeof(octets) - to.left, &e), -EPROTO);
    r->ops->close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_committed_epoch_wakes_up_and_goes_on),
        cmocka_unit_test(a_page_written_after_the_commit_is_noticed),
        cmocka_unit_test(nothing_wakes_up_before_the_first_commit),
        cmocka_unit_test(a_guest_that_had_shut_down_wakes_up_dead),
        cmocka_unit_test(wrong_state_is_refused_and_harms_nothing),
        cmocka_unit_test(a_page_once_had_is_in_memory),
        cmocka_unit_test(specs_that_do_not_fit_are_refused),
        cmocka_unit_test(a_preamble_may_hold_policies_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

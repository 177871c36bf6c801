/* netbuf_none_test — passes everything, says that it holds nothing, falls silent when dropped. */
#include "netbuf/netbuf_none.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err e;

static void count(void *context, const uint8_t *frame, size_t bytes)
{
    (void)frame, (void)bytes;
    ++*(unsigned *)context;
}

static void frames_leave_at_once_whatever_is_marked(void **state)
{
    unsigned seen = 0;
    struct netbuf *n = NULL;
    struct netbuf_stats stats;

    (void)state;
    assert_int_equal(netbuf_none_open(&n, (struct netbuf_sink){ count, &seen }, &e), 0);
    assert_false(n->ops->holds);
    netbuf_none_push(n, (const uint8_t *)"x", 1);
    assert_int_equal(n->ops->mark(n, 1, &e), 0);
    netbuf_none_push(n, (const uint8_t *)"x", 1);
    assert_int_equal(n->ops->release(n, 1, 0, &e), 0);
    assert_int_equal(n->ops->open(n, &e), 0);
    assert_int_equal(seen, 2);
    n->ops->stats(n, &stats);
    assert_int_equal(stats.released_frames, 2);
    n->ops->close(n);
}

static void after_drop_nothing_leaves(void **state)
{
    unsigned seen = 0;
    struct netbuf *n = NULL;
    struct netbuf_stats stats;

    (void)state;
    assert_int_equal(netbuf_none_open(&n, (struct netbuf_sink){ count, &seen }, &e), 0);
    assert_int_equal(n->ops->drop(n, &e), 0);
    netbuf_none_push(n, (const uint8_t *)"x", 1);
    assert_int_equal(seen, 0);
    n->ops->stats(n, &stats);
    assert_int_equal(stats.dropped_frames, 1);
    n->ops->close(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_leave_at_once_whatever_is_marked),
        cmocka_unit_test(after_drop_nothing_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

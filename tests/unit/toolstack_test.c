/* toolstack_test — the device model's mappings, from the old chunk to the emulator's keys. */
#include "checkpoint/formats/toolstack.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

static size_t chunk_make(uint8_t *to, size_t room, unsigned width, uint32_t version)
{
    static const char name[] = "vga.vram", padding[4];
    struct sink out = { to, room };

    assert_true(sink_u32(&out, version) == 0 && sink_u32(&out, 1) == 0);
    assert_true(sink_u64(&out, 0xf1000000) == 0 && sink_u64(&out, 0xf0000000) == 0);
    assert_true(sink_u64(&out, 0x800000) == 0 && sink_u32(&out, sizeof(name)) == 0);
    assert_true(sink_put(&out, name, sizeof(name)) == 0);
    assert_true(sink_put(&out, padding, width == 8 ? 4 : 0) == 0);
    return room - out.left;
}

static void both_widths_make_the_same_keys(void **state)
{
    static const char want[] = "physmap/f1000000/start_addr\0f0000000\0physmap/f1000000/size\0"
                               "800000\0physmap/f1000000/name\0vga.vram";

    (void)state;
    for (unsigned width = 4; width <= 8; width += 4) {
        uint8_t chunk[128], keys[TOOLSTACK_KEYS_MAX(sizeof(chunk))];
        size_t bytes = chunk_make(chunk, sizeof(chunk), width, 1);
        struct sink out = { keys, TOOLSTACK_KEYS_MAX(bytes) };

        assert_int_equal(toolstack_keys((struct view){ chunk, bytes }, width, &out), 0);
        assert_int_equal(TOOLSTACK_KEYS_MAX(bytes) - out.left, sizeof(want));
        assert_memory_equal(keys, want, sizeof(want));
    }
}

static void what_is_cut_short_or_of_another_version_is_refused(void **state)
{
    uint8_t chunk[128], keys[TOOLSTACK_KEYS_MAX(sizeof(chunk))];
    size_t bytes = chunk_make(chunk, sizeof(chunk), 8, 1);

    (void)state;
    for (size_t n = 0; n < bytes; n++) {
        struct sink out = { keys, sizeof(keys) };

        assert_int_equal(toolstack_keys((struct view){ chunk, n }, 8, &out), -EPROTO);
    }
    bytes = chunk_make(chunk, sizeof(chunk), 8, 2);
    assert_int_equal(toolstack_keys((struct view){ chunk, bytes }, 8, &(struct sink){ keys, sizeof(keys) }),
                     -EPROTO);
    (void)chunk_make(chunk, sizeof(chunk), 8, 1);
    chunk[bytes - 5] = 'x'; /* the name's NUL */
    assert_int_equal(toolstack_keys((struct view){ chunk, bytes }, 8, &(struct sink){ keys, sizeof(keys) }),
                     -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_widths_make_the_same_keys),
        cmocka_unit_test(what_is_cut_short_or_of_another_version_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* attr_test — a descriptor is closed once, however often its owner is told to. */
#include "base/attr.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static int any_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* Its number is somebody else's by then: another thread's, the next file's. */
static void closing_twice_closes_nobody_elses(void **state)
{
    int fd = any_descriptor();
    int number = fd, other;

    (void)state;
    auto_close(&fd);
    other = any_descriptor();
    assert_int_equal(other, number);
    auto_close(&fd);
    assert_int_equal(fd, -1);
    assert_true(fcntl(other, F_GETFD) >= 0);
    auto_close(&other);
    assert_int_equal(fcntl(number, F_GETFD), -1);
}

static void what_was_stolen_stays_open(void **state)
{
    int stolen;

    (void)state;
    {
        AUTO_CLOSE int fd = any_descriptor();

        stolen = fd_steal(&fd);
    }
    assert_true(fcntl(stolen, F_GETFD) >= 0);
    auto_close(&stolen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_twice_closes_nobody_elses),
        cmocka_unit_test(what_was_stolen_stays_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

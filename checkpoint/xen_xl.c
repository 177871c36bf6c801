/* xen_xl — see xen_xl.h. */
#include "checkpoint/xen_xl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"

#define CONFIG_TIMEOUT_NS (30 * NS_PER_S)
#define CONFIG_FORMAT     (JSON_COMPACT | JSON_ENSURE_ASCII)

const char *xen_xl_path(void)
{
    static const char *const usual[] = { "/usr/sbin/xl", "/usr/local/sbin/xl", "/sbin/xl" };

    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (access(usual[i], X_OK) == 0)
            return usual[i];
    return NULL;
}

static bool wait_readable(int fd, uint64_t until_ns)
{
    uint64_t now = clock_now_ns();
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return now < until_ns && poll(&p, 1, (int)((until_ns - now) / NS_PER_MS) + 1) != 0;
}

/* All that comes until the end, as a string. */
static int read_all(int fd, uint64_t until_ns, char *to, struct err *e)
{
    size_t bytes = 0;

    for (ssize_t got; bytes < XEN_XL_OUTPUT_MAX; bytes += (size_t)got) {
        if (!wait_readable(fd, until_ns))
            return err_set(e, ETIMEDOUT, "xl says nothing");
        got = read(fd, to + bytes, XEN_XL_OUTPUT_MAX - bytes);
        if (got < 0 && errno != EINTR)
            return err_set(e, errno, "from xl: %m");
        if (got == 0) {
            to[bytes] = '\0';
            return 0;
        }
        got = got < 0 ? 0 : got;
    }
    return err_set(e, E2BIG, "xl says more than %u octets", XEN_XL_OUTPUT_MAX);
}

/* Its end; ended by force when it takes too long. */
static int wait_for(pid_t pid, uint64_t until_ns, struct err *e)
{
    AUTO_CLOSE int fd = pidfd_open(pid, 0);
    bool is_late = fd >= 0 && !wait_readable(fd, until_ns);
    int status;

    if (is_late)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_set(e, errno, "xl: %m");
    if (is_late)
        return err_set(e, ETIMEDOUT, "xl took too long and was ended");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(e, EIO, "xl failed with %s %d", WIFEXITED(status) ? "exit status" : "signal",
                       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return 0;
}

int xen_xl_run(const char *const arguments[], uint64_t timeout_ns, char **ret, struct err *e)
{
    uint64_t until_ns = clock_now_ns() + timeout_ns;
    AUTO_FREE char *said = malloc(XEN_XL_OUTPUT_MAX + 1);
    AUTO_CLOSE int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    AUTO_CLOSE int from = -1;
    AUTO_CLOSE int out = -1;
    int pipe_fds[2], rc, read_rc;
    struct err unread = { 0 };
    pid_t pid;

    if (!xen_xl_path())
        return err_set(e, ENOENT, "xl is not installed: install xen-utils");
    if (!said || in < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_set(e, errno, "xl can't be run: %m");
    from = pipe_fds[0];
    out = pipe_fds[1];
    rc = child_start(&pid, xen_xl_path(), arguments, in, out);
    if (rc < 0)
        return err_set(e, -rc, "xl can't be run: %m");
    auto_close(&out);
    read_rc = read_all(from, until_ns, said, &unread);
    rc = wait_for(pid, read_rc < 0 ? 0 : until_ns, e);
    if (rc == 0 && read_rc < 0) {
        *e = unread;
        rc = read_rc;
    }
    if (rc == 0 && ret) {
        *ret = said;
        said = NULL;
    }
    return rc;
}

int xen_xl_config_of(const char *listing, char *to, size_t most, struct err *e)
{
    json_t *all = json_loads(listing, 0, NULL);
    const json_t *one = json_is_array(all) ? json_array_get(all, 0) : all;
    const json_t *config = json_object_get(one, "config");
    AUTO_FREE char *text = json_is_object(config) ? json_dumps(config, CONFIG_FORMAT) : NULL;

    json_decref(all);
    if (!text)
        return err_set(e, EPROTO, "xl list -l shows no configuration");
    if (strlen(text) > most)
        return err_set(e, E2BIG, "a configuration of %zu octets: at most %zu are possible", strlen(text),
                       most);
    strcpy(to, text);
    return 0;
}

int xen_xl_check_devices(const char *config, struct err *e)
{
    static const char *const kinds[] = { "pcidevs", "dtdevs", "usbdevs", "vtpms" };
    json_t *object = json_loads(config, 0, NULL);
    const char *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(kinds) && !found; i++)
        if (json_array_size(json_object_get(object, kinds[i])) > 0)
            found = kinds[i];
    json_decref(object);
    return found ? err_set(e, EOPNOTSUPP, "the domain has %s: devices that are passed through have state that "
                           "can't be read; detach them first", found)
                 : 0;
}

int xen_xl_config(uint32_t domid, char *to, size_t most, struct err *e)
{
    char number[16];
    const char *const arguments[] = { "xl", "list", "-l", number, NULL };
    AUTO_FREE char *listing = NULL;
    int rc;

    snprintf(number, sizeof(number), "%" PRIu32, domid);
    rc = xen_xl_run(arguments, CONFIG_TIMEOUT_NS, &listing, e);
    if (rc == 0)
        rc = xen_xl_config_of(listing, to, most, e);
    return rc < 0 ? err_wrap(e, "configuration of domain %" PRIu32, domid) : 0;
}

/* tap — see tap.h. */
#include "replicator/domain/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "checkpoint/sim/frame.h"

#define HEAD_BYTES 14u

static int set_up(const char *name, struct err *e)
{
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = { .ifr_flags = 0 };

    strcpy(r.ifr_name, name);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r) < 0)
        return err_set(e, errno, "interface %s: %m", name);
    if (r.ifr_flags & IFF_UP)
        return 0;
    r.ifr_flags = (short)(r.ifr_flags | IFF_UP);
    return ioctl(fd, SIOCSIFFLAGS, &r) < 0 ? err_set(e, errno, "set %s up: %m", name) : 0;
}

int tap_open(int *ret_fd, const char *name, struct err *e)
{
    AUTO_CLOSE int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    int rc;

    if (strlen(name) >= sizeof(r.ifr_name) || !*name)
        return err_set(e, EINVAL, "tap:%.40s: no name of an interface", name);
    if (fd < 0)
        return err_set(e, errno == ENOENT || errno == ENODEV ? ENOPROTOOPT : errno,
                       "/dev/net/tun: %m (module tun, CONFIG_TUN)");
    strcpy(r.ifr_name, name);
    if (ioctl(fd, TUNSETIFF, &r) < 0)
        return err_set(e, errno, "tap:%s: %m%s", name, errno == EPERM ? ": CAP_NET_ADMIN is missing" : "");
    if ((rc = set_up(name, e)) < 0)
        return rc;
    *ret_fd = fd_steal(&fd);
    return 0;
}

/* The sender's address is that of the words' own domain. */
size_t tap_frame_put(uint8_t to[TAP_FRAME_MAX], const uint8_t *words, size_t bytes)
{
    if (bytes > TAP_FRAME_MAX - HEAD_BYTES)
        return 0;
    memset(to, 0xff, 6);
    frame_ethernet_address(to + 6, bytes >= 16 ? load_u64(words + 8) : 0);
    store_be16(to + 12, TAP_ETHERTYPE);
    memcpy(to + HEAD_BYTES, words, bytes);
    return HEAD_BYTES + bytes;
}

const uint8_t *tap_frame_get(const uint8_t *frame, size_t bytes, size_t *ret_bytes)
{
    if (bytes <= HEAD_BYTES || load_be16(frame + 12) != TAP_ETHERTYPE)
        return NULL;
    *ret_bytes = bytes - HEAD_BYTES;
    return frame + HEAD_BYTES;
}

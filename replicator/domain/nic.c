/* nic — see nic.h. */
#include "replicator/domain/nic.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "checkpoint/sim/guest_sim.h"
#include "replicator/domain/tap.h"

#define HOST_BYTES_MAX    256u
#define FRAMES_A_CALL_MAX 64u
#define FRAME_IN_MAX      2048u /* what a simulated guest listens to is far shorter */

static int place_parse(const char *place, char host[HOST_BYTES_MAX], const char **ret_port, struct err *e)
{
    const char *from, *colon = strrchr(place, ':'), *end = colon;

    if (strncmp(place, "udp:", 4) != 0 || colon <= place + 4)
        return err_set(e, EINVAL, "nic=%s: want udp:HOST:PORT, tap:NAME or none", place);
    from = place + 4;
    if (*from == '[' && end[-1] == ']')
        from++, end--;
    if ((size_t)(end - from) >= HOST_BYTES_MAX)
        return err_set(e, EINVAL, "nic=%.40s…: the host's name is too long", place);
    memcpy(host, from, (size_t)(end - from));
    host[end - from] = '\0';
    *ret_port = colon + 1;
    return 0;
}

const char *nic_tap_name(const char *place)
{
    return strncmp(place, "tap:", strlen("tap:")) == 0 ? place + strlen("tap:") : NULL;
}

/* Put: the packed frame and its length, 0: it can't be sent. Get: what is for the guest; NULL: nothing. */
struct nic_packing {
    size_t (*put)(uint8_t to[TAP_FRAME_MAX], const uint8_t *words, size_t bytes);
    const uint8_t *(*get)(const uint8_t *frame, size_t bytes, size_t *ret_bytes);
};

static size_t whole_put(uint8_t to[TAP_FRAME_MAX], const uint8_t *frame, size_t bytes)
{
    if (bytes > TAP_FRAME_MAX)
        return 0;
    memcpy(to, frame, bytes);
    return bytes;
}

static const uint8_t *whole_get(const uint8_t *frame, size_t bytes, size_t *ret_bytes)
{
    *ret_bytes = bytes;
    return frame;
}

static const struct nic_packing as_it_is = { whole_put, whole_get };
static const struct nic_packing in_frames = { tap_frame_put, tap_frame_get };

int nic_open(struct nic *n, const char *place, bool speaks_ethernet, struct err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV }, *all;
    char host[HOST_BYTES_MAX];
    const char *port = "";
    int rc;

    n->fd = -1;
    n->is_tap = nic_tap_name(place) != NULL;
    n->packing = n->is_tap && !speaks_ethernet ? &in_frames : &as_it_is;
    if (strcmp(place, "none") == 0)
        return 0;
    if (n->is_tap)
        return tap_open(&n->fd, nic_tap_name(place), e);
    if ((rc = place_parse(place, host, &port, e)) < 0)
        return rc;
    rc = getaddrinfo(host, port, &hints, &all);
    if (rc != 0)
        return err_set(e, EHOSTUNREACH, "nic=%s: %s", place, gai_strerror(rc));
    n->fd = socket(all->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    rc = n->fd < 0 || connect(n->fd, all->ai_addr, all->ai_addrlen) < 0 ? -errno : 0;
    freeaddrinfo(all);
    if (rc < 0) {
        nic_close(n);
        return err_set(e, -rc, "nic=%s: %m", place);
    }
    return 0;
}

void nic_close(struct nic *n)
{
    auto_close(&n->fd);
}

static void tap_send(const struct nic *n, const uint8_t *words, size_t bytes)
{
    uint8_t frame[TAP_FRAME_MAX];
    size_t whole = n->packing->put(frame, words, bytes);

    if (whole > 0 && write(n->fd, frame, whole) < 0)
        return;
}

void nic_send(void *nic, const uint8_t *frame, size_t bytes)
{
    const struct nic *n = nic;

    if (n->fd >= 0 && n->is_tap)
        tap_send(n, frame, bytes);
    else if (n->fd >= 0 && send(n->fd, frame, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

static void hand_over(const struct nic *n, struct guest *g, const uint8_t *frame, size_t bytes)
{
    const uint8_t *words = n->packing->get(frame, bytes, &bytes);

    if (words)
        guest_sim_input(g, words, bytes);
}

void nic_receive(struct nic *n, struct guest *g)
{
    uint8_t frame[FRAME_IN_MAX];

    for (unsigned i = 0; i < FRAMES_A_CALL_MAX; i++) {
        ssize_t got = read(n->fd, frame, sizeof(frame));

        if (got < 0 && errno != ECONNREFUSED)
            return;
        if (got > 0)
            hand_over(n, g, frame, (size_t)got);
    }
}

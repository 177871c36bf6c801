/* link — see link.h. Finds the transport by the address's first word; the rest is the transport's. */
#include "replicator/link/link.h"

#include <errno.h>
#include <string.h>

#include "replicator/link/link_rows.h"

static const struct transport {
    const char *prefix;
    int (*connect)(struct link **ret, const char *place, uint64_t timeout_ns, struct err *e);
    int (*listen)(int *ret_fd, const char *place, char *bound, struct err *e);
} transports[] = {
    { "tcp:", link_tcp_connect, link_tcp_listen },
    { "unix:", link_unix_connect, link_unix_listen },
    { "exec:", link_exec_connect, link_exec_listen },
};

/* The row for an address, and where its own part starts; NULL with *e filled when there is none. */
static const struct transport *transport_of(const char *address, const char **ret_place, struct err *e)
{
    if (strlen(address) >= LINK_ADDRESS_MAX) {
        err_set(e, EINVAL, "address of more than %u octets", LINK_ADDRESS_MAX - 1);
        return NULL;
    }
    for (size_t t = 0; t < ARRAY_LEN(transports); t++) {
        size_t prefix = strlen(transports[t].prefix);

        if (strncmp(address, transports[t].prefix, prefix) == 0) {
            *ret_place = address + prefix;
            return &transports[t];
        }
    }
    err_set(e, EINVAL, "address \"%.80s\": want tcp:HOST:PORT, unix:PATH or exec:COMMAND", address);
    return NULL;
}

ssize_t link_send_first_piece(struct link *l, const struct view *pieces, size_t n, struct err *e)
{
    must(n >= 1);
    return l->ops->send(l, pieces[0].at, pieces[0].left, e);
}

int link_connect(struct link **ret, const char *address, uint64_t timeout_ns, struct err *e)
{
    const char *place;
    const struct transport *t = transport_of(address, &place, e);

    return t ? t->connect(ret, place, timeout_ns, e) : -e->code;
}

int link_listen(int *ret_fd, const char *address, char *bound, struct err *e)
{
    const char *place;
    const struct transport *t = transport_of(address, &place, e);

    return t ? t->listen(ret_fd, place, bound, e) : -e->code;
}

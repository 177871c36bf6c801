/* netbuf_alone — see netbuf_alone.h. */
#include "netbuf/netbuf_alone.h"

unsigned netbuf_alone_ports(UNUSED struct netbuf *n, UNUSED struct netbuf_port *ret)
{
    return 0;
}

int netbuf_alone_fd(UNUSED const struct netbuf *n)
{
    return -1;
}

int netbuf_alone_watch(UNUSED struct netbuf *n, UNUSED struct err *e)
{
    return 0;
}

void netbuf_alone_health(UNUSED const struct netbuf *n, struct netbuf_health *ret)
{
    *ret = (struct netbuf_health){ .is_whole = true };
}

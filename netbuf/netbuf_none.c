/* netbuf_none — see netbuf_none.h. Even without holding, a fenced side must fall silent at once: the
 * lock makes drop a barrier. */
#include "netbuf/netbuf_none.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "netbuf/netbuf_alone.h"

struct none {
    struct netbuf base;
    struct netbuf_sink to;
    pthread_mutex_t lock;
    bool dropping;
    struct netbuf_stats stats;
};

static struct none *none_of(struct netbuf *n);

void netbuf_none_push(void *netbuf, const uint8_t *frame, size_t bytes)
{
    struct none *o = none_of(netbuf);

    pthread_mutex_lock(&o->lock);
    if (o->dropping) {
        o->stats.dropped_frames++;
    } else {
        o->to.send(o->to.context, frame, bytes);
        o->stats.released_frames++;
    }
    pthread_mutex_unlock(&o->lock);
}

static int none_mark(struct netbuf *n, uint64_t epoch, struct err *e)
{
    (void)n, (void)epoch, (void)e;
    return 0;
}

static int none_release(struct netbuf *n, uint64_t epoch, uint64_t not_after_ns, struct err *e)
{
    (void)n, (void)epoch, (void)not_after_ns, (void)e;
    return 0;
}

static int none_open(struct netbuf *n, struct err *e)
{
    (void)n, (void)e;
    return 0;
}

static int none_drop(struct netbuf *n, struct err *e)
{
    struct none *o = none_of(n);

    (void)e;
    pthread_mutex_lock(&o->lock);
    o->dropping = true;
    pthread_mutex_unlock(&o->lock);
    return 0;
}

static void none_stats(struct netbuf *n, struct netbuf_stats *ret)
{
    struct none *o = none_of(n);

    pthread_mutex_lock(&o->lock);
    *ret = o->stats;
    pthread_mutex_unlock(&o->lock);
}

static void none_close(struct netbuf *n)
{
    struct none *o = none_of(n);

    pthread_mutex_destroy(&o->lock);
    free(o);
}

static const struct netbuf_ops none_ops = {
    .kind = "none",
    .holds = false,
    .mark = none_mark,
    .release = none_release,
    .open = none_open,
    .drop = none_drop,
    .stats = none_stats,
    .ports = netbuf_alone_ports,
    .fd = netbuf_alone_fd,
    .watch = netbuf_alone_watch,
    .health = netbuf_alone_health,
    .close = none_close,
};

static struct none *none_of(struct netbuf *n)
{
    must(n->ops == &none_ops);
    return (struct none *)(void *)n;
}

int netbuf_none_open(struct netbuf **ret, struct netbuf_sink to, struct err *e)
{
    struct none *o = calloc(1, sizeof(*o));

    if (!o)
        return err_set(e, ENOMEM, "no memory for an output path");
    o->base.ops = &none_ops;
    o->to = to;
    pthread_mutex_init(&o->lock, NULL);
    *ret = &o->base;
    return 0;
}

/* netbuf_queue — see netbuf_queue.h. The lock is held while a frame is sent, so that drop() is a
 * barrier: once it returned, no thread is about to send. */
#include "netbuf/netbuf_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "netbuf/netbuf_alone.h"

/* Stands before each frame in the ring; the frame follows, padded to 8. `bytes` 0: nothing more up
 * to the ring's end, the next one is at its start. */
struct slot {
    uint64_t bytes;
    uint64_t since_ns;
    uint64_t reserved;
};
_Static_assert(sizeof(struct slot) == 24, "as the limit's comment says");

enum mode { PASSING, HOLDING, DROPPING };

struct queue {
    struct netbuf base;
    struct netbuf_sink to;
    pthread_mutex_t lock; /* everything below */
    enum mode mode;
    uint8_t *ring;
    size_t limit;         /* multiple of 8 */
    size_t head, tail;    /* push at head, take at tail; offsets in the ring */
    size_t used;          /* octets between, skipped ends included */
    uint64_t pushed, taken;              /* frames that ever entered and left the ring */
    uint64_t marked_epoch, marked_until; /* frames below marked_until belong to marked_epoch */
    struct netbuf_stats stats;
    struct histogram holds;
};

static struct queue *queue_of(struct netbuf *n);

static size_t slot_bytes(size_t frame)
{
    return sizeof(struct slot) + ((frame + 7) & ~(size_t)7);
}

/* Marks the rest of the ring as skipped when `need` octets do not fit before its end. Only called
 * when there is room for both. */
static void skip_end(struct queue *q, size_t need)
{
    size_t to_end = q->limit - q->head;
    const struct slot skip = { 0 };

    if (need <= to_end)
        return;
    if (to_end >= sizeof(skip))
        memcpy(q->ring + q->head, &skip, sizeof(skip));
    q->used += to_end;
    q->head = 0;
}

static bool has_room(const struct queue *q, size_t need)
{
    size_t to_end = q->limit - q->head;

    return need <= q->limit - q->used &&
           (need <= to_end || need <= q->limit - q->used - to_end);
}

static void hold(struct queue *q, const uint8_t *frame, size_t bytes)
{
    struct slot slot = { .bytes = bytes };

    if (!has_room(q, slot_bytes(bytes))) {
        q->stats.dropped_frames++;
        return;
    }
    skip_end(q, slot_bytes(bytes));
    slot.since_ns = clock_now_ns();
    memcpy(q->ring + q->head, &slot, sizeof(slot));
    memcpy(q->ring + q->head + sizeof(slot), frame, bytes);
    q->head = (q->head + slot_bytes(bytes)) % q->limit;
    q->used += slot_bytes(bytes);
    q->pushed++;
    q->stats.held_frames++;
    q->stats.held_bytes += bytes;
}

/* The oldest frame; there must be one. */
static const uint8_t *oldest(struct queue *q, struct slot *ret)
{
    size_t to_end = q->limit - q->tail;

    *ret = (struct slot){ 0 };
    if (to_end >= sizeof(*ret))
        memcpy(ret, q->ring + q->tail, sizeof(*ret));
    if (ret->bytes == 0) {
        q->used -= to_end;
        q->tail = 0;
        memcpy(ret, q->ring, sizeof(*ret));
    }
    return q->ring + q->tail + sizeof(*ret);
}

static void forget_oldest(struct queue *q, const struct slot *slot)
{
    q->tail = (q->tail + slot_bytes((size_t)slot->bytes)) % q->limit;
    q->used -= slot_bytes((size_t)slot->bytes);
    q->taken++;
    q->stats.held_frames--;
    q->stats.held_bytes -= slot->bytes;
}

static void send_oldest(struct queue *q, uint64_t now_ns)
{
    struct slot slot;
    const uint8_t *frame = oldest(q, &slot);

    q->to.send(q->to.context, frame, (size_t)slot.bytes);
    histogram_add(&q->holds, now_ns - slot.since_ns);
    forget_oldest(q, &slot);
    q->stats.released_frames++;
}

void netbuf_queue_push(void *netbuf, const uint8_t *frame, size_t bytes)
{
    struct queue *q = queue_of(netbuf);

    pthread_mutex_lock(&q->lock);
    if (q->mode == DROPPING || bytes == 0 || bytes > NETBUF_QUEUE_FRAME_MAX) {
        q->stats.dropped_frames++;
    } else if (q->mode == HOLDING) {
        hold(q, frame, bytes);
    } else {
        q->to.send(q->to.context, frame, bytes);
        q->stats.released_frames++;
    }
    pthread_mutex_unlock(&q->lock);
}

static int queue_mark(struct netbuf *n, uint64_t epoch, struct err *e)
{
    struct queue *q = queue_of(n);
    uint64_t newest;

    pthread_mutex_lock(&q->lock);
    newest = q->marked_epoch;
    if (epoch >= newest) {
        if (q->mode == PASSING)
            q->mode = HOLDING;
        q->marked_epoch = epoch;
        q->marked_until = q->pushed;
    }
    pthread_mutex_unlock(&q->lock);
    if (epoch < newest)
        return err_set(e, EINVAL, "mark of epoch %" PRIu64 " after %" PRIu64, epoch, newest);
    return 0;
}

/* One step of a release: 1 when a frame left, 0 when none is due, -ETIME. The lock is free between
 * frames, so that the guest's pushes wait for one frame only. */
static int release_one(struct queue *q, uint64_t epoch, uint64_t not_after_ns)
{
    uint64_t now_ns;
    int rc = 0;

    pthread_mutex_lock(&q->lock);
    if (q->mode == HOLDING && epoch >= q->marked_epoch && q->taken < q->marked_until) {
        now_ns = clock_now_ns(); /* anew for each frame: this process may have been stopped */
        rc = now_ns > not_after_ns ? -ETIME : 1;
        if (rc == 1)
            send_oldest(q, now_ns);
    }
    pthread_mutex_unlock(&q->lock);
    return rc;
}

static int queue_release(struct netbuf *n, uint64_t epoch, uint64_t not_after_ns, struct err *e)
{
    int rc;

    do
        rc = release_one(queue_of(n), epoch, not_after_ns);
    while (rc == 1);
    if (rc < 0)
        return err_set(e, ETIME, "the lease ran out before all output of epoch %" PRIu64 " left",
                       epoch);
    return 0;
}

static int queue_open(struct netbuf *n, struct err *e)
{
    struct queue *q = queue_of(n);
    bool may;

    pthread_mutex_lock(&q->lock);
    may = q->mode != DROPPING;
    while (may && q->taken < q->pushed)
        send_oldest(q, clock_now_ns());
    if (may)
        q->mode = PASSING; /* in the same breath: nothing new may overtake what was held */
    pthread_mutex_unlock(&q->lock);
    return may ? 0 : err_set(e, EPERM, "the output was dropped for good");
}

static int queue_drop(struct netbuf *n, struct err *e)
{
    struct queue *q = queue_of(n);

    (void)e;
    pthread_mutex_lock(&q->lock);
    q->mode = DROPPING;
    q->head = q->tail = q->used = 0;
    q->taken = q->pushed;
    q->stats.held_frames = q->stats.held_bytes = 0;
    pthread_mutex_unlock(&q->lock);
    return 0;
}

static void queue_stats(struct netbuf *n, struct netbuf_stats *ret)
{
    struct queue *q = queue_of(n);

    pthread_mutex_lock(&q->lock);
    *ret = q->stats;
    ret->limit_bytes = q->limit;
    pthread_mutex_unlock(&q->lock);
}

void netbuf_queue_holds(struct netbuf *n, struct histogram *ret)
{
    struct queue *q = queue_of(n);

    pthread_mutex_lock(&q->lock);
    *ret = q->holds;
    pthread_mutex_unlock(&q->lock);
}

uint64_t netbuf_queue_hold_quantile(struct netbuf *n, double q)
{
    struct histogram holds;

    netbuf_queue_holds(n, &holds);
    return histogram_quantile(&holds, q);
}

static void queue_close(struct netbuf *n)
{
    struct queue *q = queue_of(n);

    pthread_mutex_destroy(&q->lock);
    free(q->ring);
    free(q);
}

static const struct netbuf_ops queue_ops = {
    .kind = "queue",
    .holds = true,
    .mark = queue_mark,
    .release = queue_release,
    .open = queue_open,
    .drop = queue_drop,
    .stats = queue_stats,
    .ports = netbuf_alone_ports,
    .fd = netbuf_alone_fd,
    .watch = netbuf_alone_watch,
    .health = netbuf_alone_health,
    .close = queue_close,
};

static struct queue *queue_of(struct netbuf *n)
{
    must(n->ops == &queue_ops);
    return (struct queue *)(void *)n;
}

int netbuf_queue_open(struct netbuf **ret, size_t limit_bytes, struct netbuf_sink to,
                      struct err *e)
{
    struct queue *q;

    if (limit_bytes < NETBUF_QUEUE_LIMIT_LEAST || limit_bytes > NETBUF_QUEUE_LIMIT_MOST)
        return err_set(e, EINVAL, "an output queue of %zu octets: %u … %" PRIu64 " are possible",
                       limit_bytes, NETBUF_QUEUE_LIMIT_LEAST, NETBUF_QUEUE_LIMIT_MOST);
    q = calloc(1, sizeof(*q));
    if (!q)
        return err_set(e, ENOMEM, "no memory for an output queue");
    q->limit = limit_bytes & ~(size_t)7;
    q->ring = malloc(q->limit);
    if (!q->ring) {
        free(q);
        return err_set(e, ENOMEM, "no memory for an output queue of %zu octets", limit_bytes);
    }
    q->base.ops = &queue_ops;
    q->to = to;
    pthread_mutex_init(&q->lock, NULL);
    *ret = &q->base;
    return 0;
}

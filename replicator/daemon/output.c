/* output — see output.h. */
#include "replicator/daemon/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "netbuf/netbuf_plug.h"

#define RESIZE_AT 4u /* when the limit is off by more than a quarter */

uint64_t output_limit(uint64_t interval_ns, uint64_t commit_ns)
{
    uint64_t limit = netbuf_plug_limit(OUTPUT_RATE_BYTES, interval_ns, commit_ns ? commit_ns : interval_ns);

    return limit < OUTPUT_LIMIT_LEAST ? OUTPUT_LIMIT_LEAST : limit > OUTPUT_LIMIT_MOST ? OUTPUT_LIMIT_MOST : limit;
}

void output_open(struct output *o, const struct domain *d, bool is_auto, uint64_t interval_ns, uint64_t now_ns)
{
    *o = (struct output){ .netbuf = d->netbuf, .is_sized = is_auto && d->is_plugged,
                          .interval_ns = interval_ns, .look_at_ns = now_ns + OUTPUT_LOOK_NS };
}

unsigned output_watch(const struct output *o, struct loop *loop)
{
    return loop_watch(loop, o->netbuf->ops->fd(o->netbuf), POLLIN);
}

uint64_t output_deadline(const struct output *o)
{
    return o->look_at_ns;
}

static void say(struct told *told, const char *name, int level, const char *event, const char *reason)
{
    char text[NETBUF_WORDS_MAX + GUEST_NAME_MAX + 64];

    snprintf(text, sizeof(text), "event=netbuf domain=%s role=primary output=%s reason=\"%s\"", name, event,
             reason);
    told_say(told, level, text);
}

bool output_count(struct output *o, const struct netbuf_stats *s, uint64_t now_ns)
{
    bool had = o->overflow[0] != '\0';
    uint64_t more = s->dropped_frames > o->dropped ? s->dropped_frames - o->dropped : 0;

    o->dropped = s->dropped_frames;
    if (more > 0) {
        o->lost_frames = (had ? o->lost_frames : 0) + more;
        o->lost_at_ns = now_ns;
        snprintf(o->overflow, sizeof(o->overflow), "%" PRIu64 " frames of the guest found no room and are "
                 "lost: --netbuf-limit is %" PRIu64 " octets", o->lost_frames, s->limit_bytes);
    } else if (had && now_ns >= o->lost_at_ns + OUTPUT_CALM_NS) {
        o->overflow[0] = '\0';
    }
    return had != (o->overflow[0] != '\0');
}

/* A fenced side drops all on purpose. */
static void look(struct output *o, const struct primary_engine *engine, uint64_t now_ns)
{
    struct primary_status s;
    uint64_t limit;
    struct err ignored; /* the watch finds out what is wrong with an interface */

    primary_engine_status(engine, &s);
    if (s.state == P_FENCED)
        return;
    (void)output_count(o, &s.netbuf, now_ns);
    limit = output_limit(o->interval_ns, histogram_quantile(s.commit_ns, 0.99));
    if (o->is_sized && (limit > s.netbuf.limit_bytes + s.netbuf.limit_bytes / RESIZE_AT ||
                        limit < s.netbuf.limit_bytes - s.netbuf.limit_bytes / RESIZE_AT))
        (void)!netbuf_plug_resize(o->netbuf, limit, &ignored);
}

/* Troubles are said one by one, mended or not; the state that they leave when it changes. Of an overflow
 * only begin and end are said: its numbers are in the status. */
static void tell(struct output *o, struct told *told, const char *name)
{
    struct netbuf_health h;
    const char *degraded;
    bool is_same;

    o->netbuf->ops->health(o->netbuf, &h);
    if (h.troubles != o->troubles)
        say(told, name, LOG_LEVEL_WARNING, "disturbed", h.newest);
    o->troubles = h.troubles;
    degraded = h.degraded[0] ? h.degraded : o->overflow;
    is_same = degraded == o->overflow && degraded[0] && o->says_overflow;
    o->says_overflow = degraded == o->overflow && degraded[0];
    if (!is_same && strcmp(degraded, o->degraded) != 0)
        say(told, name, degraded[0] ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, degraded[0] ? "degraded" : "whole",
            degraded);
    memcpy(o->degraded, degraded, sizeof(o->degraded));
}

void output_turn(struct output *o, bool is_ready, const struct primary_engine *engine, struct told *told,
                 const char *name, uint64_t now_ns)
{
    struct err ignored; /* health has it */

    if (is_ready || now_ns >= o->look_at_ns)
        (void)!o->netbuf->ops->watch(o->netbuf, &ignored);
    if (now_ns >= o->look_at_ns) {
        look(o, engine, now_ns);
        o->look_at_ns = now_ns + OUTPUT_LOOK_NS;
    }
    tell(o, told, name);
}

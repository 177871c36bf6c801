/* observer — see observer.h. */
#include "replicator/demo/observer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum observer_promise promise;
    const char *words;
} faults[OBSERVER_FAULT_COUNT] = {
#define X(name, promise, words) [OBSERVER_##name] = { OBSERVER_##promise, words },
    OBSERVER_FAULTS(X)
#undef X
};

void observer_init(struct observer *o, uint64_t domain)
{
    memset(o, 0, sizeof(*o));
    o->domain = domain;
}

static void condemn(struct observer *o, enum observer_fault fault, const struct frame *f)
{
    if (!o->words[0])
        snprintf(o->words, sizeof(o->words),
                 "%s: vcpu %u frame %" PRIu64 " payload %" PRIu64 " boot %" PRIu32 ", frame %" PRIu64
                 " of all",
                 faults[fault].words, f->vcpu, f->number, f->seq, f->boot, o->frames);
    o->faults[fault]++;
}

/* The source's place in the order of their first frames; it is o->sources of now when the source has
 * been followed by another. False: one too many. */
static bool find_source(struct observer *o, uint64_t id, const struct frame *f, unsigned *ret)
{
    for (unsigned i = 0; i < o->sources; i++)
        if (o->source_id[i] == id) {
            *ret = i;
            return true;
        }
    if (o->sources == OBSERVER_SOURCES_MAX)
        return false;
    o->source_id[o->sources] = id;
    o->source_boot[o->sources] = f->boot;
    *ret = o->sources++;
    return true;
}

static void judge_source(struct observer *o, unsigned source, bool is_first, const struct frame *f,
                         uint64_t now_ns)
{
    if (source + 1 < o->sources)
        condemn(o, OBSERVER_STALE, f);
    if (is_first) {
        o->source_first_ns[source] = now_ns;
        if (source > 0 && f->boot <= o->source_boot[source - 1])
            condemn(o, OBSERVER_BOOT, f);
        for (unsigned i = 0; i < FRAME_VCPUS_MAX; i++)
            o->vcpus[i].newest_before = o->vcpus[i].newest;
    } else if (f->boot != o->source_boot[source]) {
        condemn(o, OBSERVER_BOOT, f);
    }
    o->source_last_ns[source] = now_ns;
    o->source_frames[source]++;
}

static void judge_number(struct observer *o, struct observer_vcpu *c, unsigned source,
                         const struct frame *f)
{
    if (f->number <= c->number) {
        condemn(o, OBSERVER_NUMBER, f);
        return;
    }
    if (f->number != c->number + 1) {
        if (c->source != source)
            o->held_died += f->number - c->number - 1;
        else
            condemn(o, OBSERVER_GAP, f);
    }
    c->number = f->number;
    c->source = source;
}

static struct observer_payload *slot(struct observer_vcpu *c, uint64_t seq)
{
    return &c->window[seq % OBSERVER_WINDOW];
}

static const struct observer_payload *known(struct observer_vcpu *c, uint64_t seq)
{
    const struct observer_payload *p = slot(c, seq);

    return seq > 0 && p->seq == seq ? p : NULL;
}

/* Whether the payload fits between its neighbours, as far as they were seen. */
static void judge_chain(struct observer *o, struct observer_vcpu *c, const struct frame *f)
{
    const struct observer_payload *before = known(c, f->seq - 1), *after = known(c, f->seq + 1);
    bool has_start = before || f->seq == 1;
    uint64_t start = before ? before->chain : frame_chain_start(o->domain, f->vcpu);

    if ((has_start && f->chain != frame_chain(start, f->payload)) ||
        (after && after->chain != frame_chain(f->chain, after->payload)))
        condemn(o, OBSERVER_CHAIN, f);
    if ((before && f->steps < before->steps) || (after && after->steps < f->steps))
        condemn(o, OBSERVER_STEPS, f);
}

static void remember(struct observer_vcpu *c, const struct frame *f)
{
    *slot(c, f->seq) = (struct observer_payload){ f->seq, f->chain, f->payload, f->steps };
    if (f->seq > c->newest)
        c->newest = f->seq;
    while (known(c, c->complete + 1))
        c->complete++;
}

static void judge_payload(struct observer *o, struct observer_vcpu *c, const struct frame *f)
{
    const struct observer_payload *seen = known(c, f->seq);

    if (seen) {
        if (seen->chain != f->chain || seen->payload != f->payload || seen->steps != f->steps)
            condemn(o, OBSERVER_CONTENT, f);
        return;
    }
    if (f->seq <= c->complete) { /* what left the window can't be compared any more */
        condemn(o, OBSERVER_FORGOTTEN, f);
        return;
    }
    if (f->seq - c->complete >= OBSERVER_WINDOW) { /* nor kept: the guest's outbox is far smaller */
        condemn(o, OBSERVER_CHAIN, f);
        return;
    }
    judge_chain(o, c, f);
    remember(c, f);
}

bool observer_frame(struct observer *o, uint64_t source, const uint8_t *octets, size_t bytes,
                    uint64_t now_ns, struct frame_ack *ret_ack)
{
    unsigned place, sources = o->sources;
    struct observer_vcpu *c;
    struct frame f;

    if (frame_get(octets, bytes, &f) < 0 || f.domain != o->domain || f.seq == 0 || f.number == 0) {
        o->strangers++;
        return false;
    }
    if (o->frames++ == 0)
        o->first_ns = now_ns;
    o->last_ns = now_ns;
    o->again += f.flags & FRAME_AGAIN;
    if (!find_source(o, source, &f, &place)) {
        condemn(o, OBSERVER_SOURCES, &f);
        return false;
    }
    c = &o->vcpus[f.vcpu];
    judge_source(o, place, o->sources != sources, &f, now_ns);
    judge_number(o, c, place, &f);
    judge_payload(o, c, &f);
    *ret_ack = (struct frame_ack){ .domain = o->domain, .vcpu = f.vcpu, .seq = c->complete };
    return true;
}

uint64_t observer_missing(const struct observer *o)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < FRAME_VCPUS_MAX; i++) {
        const struct observer_vcpu *c = &o->vcpus[i];

        for (uint64_t seq = c->complete + 1; seq <= c->newest; seq++)
            n += c->window[seq % OBSERVER_WINDOW].seq != seq;
    }
    return n;
}

uint64_t observer_new_payloads(const struct observer *o)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < FRAME_VCPUS_MAX; i++)
        n += o->vcpus[i].newest - o->vcpus[i].newest_before;
    return n;
}

bool observer_keeps(const struct observer *o, enum observer_promise promise)
{
    if (promise == OBSERVER_LOST && observer_missing(o) > 0)
        return false;
    for (unsigned i = 0; i < OBSERVER_FAULT_COUNT; i++)
        if (faults[i].promise == promise && o->faults[i] > 0)
            return false;
    return true;
}

/* status_json — see status_json.h. */
#include "replicator/stats/status_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compress/codec.h"
#include "replicator/control/control.h"

#define SCORE_PRIMARY 10000
#define SCORE_BACKUP  1000

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

/* 64 bits don't survive most JSON readers as a number. */
static json_t *hex(uint64_t value)
{
    return json_sprintf("%016" PRIx64, value);
}

static json_t *uuid_text(const uint8_t u[16])
{
    return json_sprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
                        u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
                        u[14], u[15]);
}

static json_t *quantiles_us(const struct histogram *ns)
{
    return json_pack("{s:f, s:f, s:f}", "p50", (double)histogram_quantile(ns, 0.50) / 1e3, "p99",
                     (double)histogram_quantile(ns, 0.99) / 1e3, "max", (double)ns->max / 1e3);
}

static json_t *pause_parts(const struct pause_parts *p)
{
    json_t *o = json_object();

    for (unsigned part = 0; part < PAUSE_PARTS; part++)
        json_object_set_new(o, pause_part_name((enum pause_part)part), quantiles_us(&p->ns[part]));
    return o;
}

static json_t *codecs(const struct pages_tally *t)
{
    json_t *o = json_object();

    for (unsigned id = 0; id < CODEC_COUNT; id++)
        json_object_set_new(o, codec_by_id(id)->name, number(t->by_codec[id]));
    return o;
}

static const char *output_word(const struct primary_status *s, const struct primary_facts *f)
{
    if (s->state == P_FENCED)
        return "dropped";
    if (!f->holds_output)
        return "unsafe";
    return s->is_held ? "held" : "open";
}

static json_t *why_unprotected(const struct primary_status *s, const struct primary_facts *f)
{
    const char *loss = f->last_loss[0] ? f->last_loss : "no backup was reached yet";

    if (s->is_protected)
        return json_null();
    if (s->is_given && s->state != P_ENDED)
        return json_string("given to the backup by a switchover that it has not confirmed");
    switch (s->state) {
    case P_FENCED:
        return json_string("fenced: the other side owns the guest");
    case P_ENDED:
        return json_sprintf("ended: %s", detach_reason_words(s->end_reason));
    case P_DETACHING:
        return json_string("protection is being ended");
    case P_ASKING:
        return json_sprintf("the arbiter is asked who owns the guest; %s", loss);
    case P_OFF:
    case P_CONNECTING:
    case P_GREETING:
        return json_sprintf("no session with the backup: %s", loss);
    default:
        break;
    }
    if (!s->output.is_whole)
        return json_sprintf("not all output is held: %s", s->output.degraded);
    return json_string(f->holds_output ? "no checkpoint of this session is acknowledged yet"
                                       : "output is not held (--unsafe no-netbuf)");
}

static json_t *cache_json(const struct pagecache_stats *c)
{
    uint64_t looks = c->hits + c->misses;

    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:f}", "slots", number(c->slots), "used",
                     number(c->used), "hits", number(c->hits), "misses", number(c->misses), "evictions",
                     number(c->evictions), "hit_ratio",
                     looks > 0 ? (double)c->hits / (double)looks : 0.0);
}

static json_t *port_json(const struct netbuf_port *p)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "name", p->name, "state", p->state, "held_frames",
                     number(p->held_frames), "held_bytes", number(p->held_bytes), "released",
                     number(p->released_frames), "dropped", number(p->dropped_frames));
}

static json_t *netbuf_json(const struct primary_status *s, const struct primary_facts *f)
{
    const struct netbuf_stats *n = &s->netbuf;
    json_t *ports = json_array();

    for (unsigned i = 0; i < f->port_count; i++)
        json_array_append_new(ports, port_json(&f->ports[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "held_frames", number(n->held_frames),
                     "held_bytes", number(n->held_bytes), "released", number(n->released_frames), "dropped",
                     number(n->dropped_frames), "lost", number(n->lost_frames), "limit_bytes",
                     number(n->limit_bytes), "troubles", number(s->output.troubles), "newest_trouble",
                     s->output.newest, "interfaces", ports);
}

static json_t *verified_json(uint64_t epochs, uint64_t epoch, uint64_t pages, uint64_t differing)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "epochs", number(epochs), "epoch", number(epoch), "pages",
                     number(pages), "differing", number(differing));
}

static void add_primary_verified(json_t *o, const struct primary_verified *v)
{
    json_t *verified;

    if (v->every == 0)
        return;
    verified = verified_json(v->epochs, v->epoch, v->pages, v->differing);
    json_object_set_new(verified, "every", number(v->every));
    json_object_set_new(o, "verified", verified);
}

static void add_primary_work(json_t *o, const struct primary_status *s, const struct primary_facts *f)
{
    json_object_set_new(o, "dirty_pages", number(s->dirty_last));
    json_object_set_new(o, "guest_pages", number(s->guest_pages));
    json_object_set_new(o, "copied_pages", number(s->copied_pages));
    json_object_set_new(o, "todo_pages", number(s->todo_pages));
    json_object_set_new(o, "raw_bytes", number(s->tally.raw_bytes));
    json_object_set_new(o, "wire_bytes", number(s->tally.wire_bytes));
    json_object_set_new(o, "sent_bytes", number(s->sent_bytes));
    json_object_set_new(o, "codec", codecs(&s->tally));
    json_object_set_new(o, "cache", cache_json(&s->cache));
    json_object_set_new(o, "pause_us", quantiles_us(s->pause_ns));
    json_object_set_new(o, "pause_parts_us", pause_parts(s->pause_parts));
    json_object_set_new(o, "commit_us", quantiles_us(s->commit_ns));
    json_object_set_new(o, "gap_us", quantiles_us(s->gap_ns));
    json_object_set_new(o, "netbuf", netbuf_json(s, f));
    add_primary_verified(o, &s->verified);
}

json_t *status_json_primary(const struct primary_status *s, const struct primary_facts *f)
{
    bool runs_here = s->state != P_FENCED && s->state != P_ENDED;
    json_t *o = json_pack("{s:i, s:s, s:s, s:o, s:i, s:s, s:b, s:o, s:s}", "schema", 1, "role",
                          "primary", "domain", f->guest->name, "uuid", uuid_text(f->guest->uuid),
                          "pid", (int)getpid(), "state", primary_state_name(s->state), "protected",
                          s->is_protected, "reason", why_unprotected(s, f), "output",
                          output_word(s, f));

    json_object_set_new(o, "degraded", f->degraded[0] ? json_string(f->degraded) : json_null());
    json_object_set_new(o, "spec", json_string(f->guest->spec));
    json_object_set_new(o, "epoch", number(s->epoch));
    json_object_set_new(o, "acked", number(s->acked));
    json_object_set_new(o, "epochs", number(s->epochs_acked));
    json_object_set_new(o, "lineage", hex(s->lineage));
    json_object_set_new(o, "term", number(s->term));
    json_object_set_new(o, "session", number(s->session));
    add_primary_work(o, s, f);
    json_object_set_new(o, "hold_us", quantiles_us(f->hold_ns));
    json_object_set_new(o, "last_ack_age_ms", json_real((double)s->since_ack_ns / 1e6));
    json_object_set_new(o, "refused",
                        s->refused ? json_string(hello_verdict_words(s->refused)) : json_null());
    json_object_set_new(o, "promotion_score", runs_here ? json_integer(SCORE_PRIMARY) : json_null());
    return o;
}

json_t *status_json_backup(const struct backup_status *s)
{
    json_t *o = json_pack("{s:i, s:s, s:s, s:i, s:s, s:b}", "schema", 1, "role", "backup", "domain",
                          s->name, "pid", (int)getpid(), "state", backup_state_name(s->state), "ready",
                          s->is_ready);
    bool ended = s->state == B_ENDED;

    json_object_set_new(o, "committed", number(s->committed));
    json_object_set_new(o, "epochs", number(s->epochs_committed));
    json_object_set_new(o, "lineage", hex(s->lineage));
    json_object_set_new(o, "term", number(s->term));
    json_object_set_new(o, "session", number(s->session));
    json_object_set_new(o, "guest_pages", number(s->guest_pages));
    json_object_set_new(o, "received_bytes", number(s->received_bytes));
    if (s->verified.epoch > 0)
        json_object_set_new(o, "verified", verified_json(s->verified.epochs, s->verified.epoch,
                                                         s->verified.pages, s->verified.differing));
    json_object_set_new(o, "stage_high_water", number(s->stage_high_water));
    json_object_set_new(o, "last_heard_ms", json_real((double)s->since_heard_ns / 1e6));
    json_object_set_new(o, "ended", ended ? json_string(backup_end_words(s->end_reason)) : json_null());
    json_object_set_new(o, "promotion_score",
                        s->state == B_ACTIVE ? json_integer(SCORE_PRIMARY)
                        : s->is_ready        ? json_integer(SCORE_BACKUP)
                                             : json_null());
    return o;
}

json_t *status_json_primary_epoch(const struct primary_status *s, const char *domain)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "event", "epoch", "domain", domain,
                     "role", "primary", "epoch", number(s->acked), "dirty_pages",
                     number(s->dirty_last), "raw_bytes", number(s->tally.raw_bytes), "wire_bytes",
                     number(s->tally.wire_bytes), "held_bytes", number(s->netbuf.held_bytes));
}

json_t *status_json_backup_epoch(const struct backup_status *s)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "event", "epoch", "domain", s->name, "role", "backup",
                     "epoch", number(s->committed), "received_bytes", number(s->received_bytes));
}

const json_t *status_json_find(const json_t *at, const char *path)
{
    char name[64];

    for (;;) {
        size_t bytes = strcspn(path, ".");

        snprintf(name, sizeof(name), "%.*s", (int)bytes, path);
        at = json_object_get(at, name);
        if (!at || path[bytes] == '\0')
            return at;
        path += bytes + 1;
    }
}

/* ---- events --------------------------------------------------------------------------------------- */

/* Names that look like numbers stay text. */
static bool is_counter(const char *key)
{
    return strcmp(key, "epoch") == 0 || strcmp(key, "term") == 0 || strcmp(key, "session") == 0 ||
           strcmp(key, "pid") == 0 || strcmp(key, "pages") == 0;
}

static json_t *event_value(const char *key, const char *from, size_t bytes)
{
    return is_counter(key) ? number(strtoull(from, NULL, 10)) : control_text(from, bytes);
}

/* A quoted value reaches to the line's last quote: reasons may quote something themselves. */
static const char *take_pair(json_t *o, const char *at)
{
    const char *equals = strchr(at, '='), *end;
    char key[32];

    if (!equals || (size_t)(equals - at) >= sizeof(key) || strcspn(at, " ") < (size_t)(equals - at))
        return NULL;
    memcpy(key, at, (size_t)(equals - at));
    key[equals - at] = '\0';
    at = equals + 1;
    if (*at == '"') {
        end = strrchr(++at, '"');
        if (!end)
            end = at + strlen(at);
        json_object_set_new(o, key, control_text(at, (size_t)(end - at)));
        return end + strlen(end);
    }
    end = at + strcspn(at, " ");
    json_object_set_new(o, key, event_value(key, at, (size_t)(end - at)));
    return end + strspn(end, " ");
}

json_t *status_json_event(int level, const char *text)
{
    json_t *o = json_object();
    const char *at = strncmp(text, "event=", 6) == 0 ? text : NULL;

    while (at && *at)
        at = take_pair(o, at);
    if (!at) {
        json_object_clear(o);
        json_object_set_new(o, "event", json_string("message"));
        json_object_set_new(o, "text", control_text(text, strlen(text)));
    }
    json_object_set_new(o, "level", json_integer(level));
    return o;
}

/* status_words — see status_words.h. */
#include "replicator/stats/status_words.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>


static const char *text(const json_t *o, const char *key)
{
    const char *value = json_string_value(json_object_get(o, key));

    return value ? value : "";
}

static long long whole(const json_t *o, const char *key)
{
    return (long long)json_integer_value(json_object_get(o, key));
}

static double real(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void quantiles(FILE *to, const char *label, const json_t *q)
{
    fprintf(to, "  %-10s p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", label, real(q, "p50") / 1e3,
            real(q, "p99") / 1e3, real(q, "max") / 1e3);
}

/* One line: half of the pauses have each part shorter than that. */
static void part_words(FILE *to, const json_t *parts)
{
    const char *name, *between = "";
    json_t *one;

    fprintf(to, "  %-10s ", "  of it");
    json_object_foreach((json_t *)(uintptr_t)parts, name, one) {
        fprintf(to, "%s%s %.2f", between, name, real(one, "p50") / 1e3);
        between = ", ";
    }
    fputs(" ms (p50)\n", to);
}

static void port_words(FILE *to, const json_t *ports)
{
    const json_t *one;
    size_t i;

    json_array_foreach(ports, i, one)
        fprintf(to, "  %-10s %s, %lld frames (%lld octets) held, %lld dropped\n", text(one, "name"),
                text(one, "state"), whole(one, "held_frames"), whole(one, "held_bytes"), whole(one, "dropped"));
}

static void primary_words(FILE *to, const json_t *s)
{
    const json_t *netbuf = json_object_get(s, "netbuf"), *cache = json_object_get(s, "cache");
    double raw = real(s, "raw_bytes"), wire = real(s, "wire_bytes");

    fprintf(to, "%s  primary, %s, pid %lld\n", text(s, "domain"),
            json_is_true(json_object_get(s, "protected")) ? "protected" : "NOT PROTECTED", whole(s, "pid"));
    if (*text(s, "reason"))
        fprintf(to, "  %-10s %s\n", "because", text(s, "reason"));
    if (*text(s, "refused"))
        fprintf(to, "  %-10s %s\n", "refused", text(s, "refused"));
    if (*text(s, "degraded"))
        fprintf(to, "  %-10s %s\n", "DEGRADED", text(s, "degraded"));
    fprintf(to, "  %-10s %s, %lld frames (%lld octets) held, %lld dropped, %lld lost; room for %.1f MiB\n",
            "output", text(s, "output"), whole(netbuf, "held_frames"), whole(netbuf, "held_bytes"),
            whole(netbuf, "dropped"), whole(netbuf, "lost"), real(netbuf, "limit_bytes") / 1048576);
    port_words(to, json_object_get(netbuf, "interfaces"));
    if (*text(netbuf, "newest_trouble"))
        fprintf(to, "  %-10s %lld, the newest: %s\n", "troubles", whole(netbuf, "troubles"),
                text(netbuf, "newest_trouble"));
    fprintf(to, "  %-10s %lld acknowledged of %lld, term %lld, newest %.0f ms ago\n", "epochs",
            whole(s, "acked"), whole(s, "epoch"), whole(s, "term"), real(s, "last_ack_age_ms"));
    fprintf(to, "  %-10s %lld of %lld pages in the newest epoch; sent %.1f MiB for %.1f MiB (%.1f : 1)\n",
            "memory", whole(s, "dirty_pages"), whole(s, "guest_pages"), wire / 1048576, raw / 1048576,
            wire > 0 ? raw / wire : 0.0);
    fprintf(to, "  %-10s %.0f %% of the pages had a prior version; %lld of %lld places used\n", "cache",
            100 * real(cache, "hit_ratio"), whole(cache, "used"), whole(cache, "slots"));
    quantiles(to, "pause", json_object_get(s, "pause_us"));
    part_words(to, json_object_get(s, "pause_parts_us"));
    quantiles(to, "hold", json_object_get(s, "hold_us"));
}

static void backup_words(FILE *to, const json_t *s)
{
    bool is_active = strcmp(text(s, "state"), "active") == 0;
    bool is_ready = json_is_true(json_object_get(s, "ready"));

    fprintf(to, "%s  backup, %s, pid %lld\n", text(s, "domain"),
            is_active  ? "active: the guest runs here"
            : is_ready ? "ready to take over"
                       : "NOT READY",
            whole(s, "pid"));
    fprintf(to, "  %-10s %s\n", "state", text(s, "state"));
    if (*text(s, "ended"))
        fprintf(to, "  %-10s %s\n", "because", text(s, "ended"));
    fprintf(to, "  %-10s %lld committed, term %lld, session %lld\n", "epochs", whole(s, "committed"),
            whole(s, "term"), whole(s, "session"));
    fprintf(to, "  %-10s %lld pages; %.1f MiB received, %.1f MiB staged at most\n", "memory",
            whole(s, "guest_pages"), real(s, "received_bytes") / 1048576,
            real(s, "stage_high_water") / 1048576);
    fprintf(to, "  %-10s %.0f ms ago\n", "heard", real(s, "last_heard_ms"));
}

void status_words(FILE *to, const json_t *status)
{
    if (strcmp(text(status, "role"), "primary") == 0)
        primary_words(to, status);
    else
        backup_words(to, status);
}

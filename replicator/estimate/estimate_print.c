/* estimate_print — an estimate for people and for programs. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "compress/codec.h"
#include "replicator/estimate/estimate.h"

#define MIB (1024.0 * 1024.0)

static double per_epoch(const struct estimate_row *r, uint64_t sum)
{
    return r->epochs ? (double)sum / (double)r->epochs : 0;
}

static double mib_per_s(const struct estimate_row *r, double octets)
{
    return r->elapsed_ns ? octets / MIB / ((double)r->elapsed_ns / (double)NS_PER_S) : 0;
}

static double pause_ms(const struct estimate *s, const struct estimate_row *r)
{
    return (per_epoch(r, r->log_ns + r->copy_ns) + (double)s->stop_ns) / (double)NS_PER_MS;
}

static double ratio(const struct estimate_row *r)
{
    return r->wire_bytes ? (double)r->pages * PAGE_BYTES / (double)r->wire_bytes : 1;
}

void estimate_print(const struct estimate *s)
{
    printf("%s: first copy %" PRIu64 " pages, %.1f MiB on the wire, %.1f s; working set %" PRIu64 " pages\n",
           s->about.name, s->seed_pages, (double)s->seed_wire_bytes / MIB,
           (double)s->seed_ns / (double)NS_PER_S, s->working_pages);
    printf("interval    pages     most   dirty      wire     ratio   pause\n"
           "     ms   an epoch           MiB/s     MiB/s                ms\n");
    for (unsigned i = 0; i < s->row_count; i++) {
        const struct estimate_row *r = &s->rows[i];

        printf("%7" PRIu64 " %10.0f %8" PRIu64 " %7.1f %9.2f %9.1f %7.1f\n", r->interval_ns / NS_PER_MS,
               per_epoch(r, r->pages), r->pages_most, mib_per_s(r, (double)r->pages * PAGE_BYTES),
               mib_per_s(r, (double)r->wire_bytes), ratio(r), pause_ms(s, r));
    }
    if (s->stop_ns)
        printf("pause: %.1f ms of it are suspend and resume\n", (double)s->stop_ns / (double)NS_PER_MS);
    else
        printf("pause: without suspend and resume, which were not tried (--pauses N tries them)\n");
}

static json_t *row_json(const struct estimate *s, const struct estimate_row *r)
{
    return json_pack("{s:I, s:I, s:f, s:I, s:f, s:f, s:f, s:f}", "interval_us",
                     (json_int_t)(r->interval_ns / NS_PER_US), "epochs", (json_int_t)r->epochs,
                     "pages_per_epoch", per_epoch(r, r->pages), "pages_most", (json_int_t)r->pages_most,
                     "dirty_mib_per_s", mib_per_s(r, (double)r->pages * PAGE_BYTES), "wire_mib_per_s",
                     mib_per_s(r, (double)r->wire_bytes), "ratio", ratio(r), "pause_ms", pause_ms(s, r));
}

json_t *estimate_json(const struct estimate *s)
{
    json_t *rows = json_array(), *object;

    for (unsigned i = 0; i < s->row_count; i++)
        json_array_append_new(rows, row_json(s, &s->rows[i]));
    object = json_pack("{s:i, s:s, s:{s:I, s:I, s:I}, s:I, s:o}", "schema", 1, "domain", s->about.name,
                       "seed", "pages", (json_int_t)s->seed_pages, "wire_bytes",
                       (json_int_t)s->seed_wire_bytes, "us", (json_int_t)(s->seed_ns / NS_PER_US),
                       "working_pages", (json_int_t)s->working_pages, "intervals", rows);
    json_object_set_new(object, "suspend_and_resume_us",
                        s->stop_ns ? json_integer((json_int_t)(s->stop_ns / NS_PER_US)) : json_null());
    return object;
}

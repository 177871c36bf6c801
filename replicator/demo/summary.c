/* summary — see summary.h. */
#include "replicator/demo/summary.h"

#include <inttypes.h>
#include <stdio.h>

void summary_open(struct summary *s, bool is_json)
{
    *s = (struct summary){ .is_json = is_json, .list = json_array() };
}

void summary_close(struct summary *s)
{
    json_decref(s->list);
    s->list = NULL;
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static uint64_t since(uint64_t later, uint64_t earlier)
{
    return later > earlier ? later - earlier : 0;
}

static json_t *round_json(const struct round *r, bool is_good, int rc, const struct err *e)
{
    const struct round_times *t = &r->times;
    json_t *times = json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "protected_for", ms(t->protected_for),
                              "detection", ms(t->lost), "token", ms(since(t->token, t->lost)),
                              "activation", ms(since(t->active, t->token)), "takeover",
                              ms(t->outside), "all_well", ms(t->well));

    return json_pack("{s:b, s:I, s:o, s:O?, s:O?, s:s?, s:s?}", "ok", is_good, "seed",
                     (json_int_t)r->seed, "ms", times, "primary", r->status, "observer", r->judgement,
                     "memory_fault", r->check[0] ? r->check : NULL, "error", rc < 0 ? e->text : NULL);
}

bool summary_add(struct summary *s, const struct round *r, int rc, const struct err *e)
{
    bool is_good = rc == 0 && round_is_good(r);

    s->rounds++;
    s->good += is_good;
    s->frames += (uint64_t)table_number(r->judgement, "frames", NULL);
    s->epochs += (uint64_t)table_number(r->status, "epochs", NULL);
    if (is_good) {
        histogram_add(&s->detection_ns, r->times.lost);
        histogram_add(&s->takeover_ns, r->times.outside);
        histogram_add(&s->silence_ns, (uint64_t)table_number(r->judgement, "silence_ns", NULL));
    }
    if (s->is_json)
        json_array_append_new(s->list, round_json(r, is_good, rc, e));
    return is_good;
}

static const char *verdict(const json_t *judgement, const char *promise)
{
    if (!judgement)
        return "UNJUDGED";
    return json_is_true(json_object_get(judgement, promise)) ? "kept" : "BROKEN";
}

static void print_pace(const json_t *status)
{
    double raw = table_number(status, "raw_bytes", NULL), wire = table_number(status, "wire_bytes", NULL);

    printf("  epochs            %.0f acknowledged\n"
           "  pages             %.1f MiB raw, %.1f MiB sent, ratio %.1f\n"
           "  pause             p50 %.0f us, p99 %.0f us\n"
           "  output held for   p50 %.1f ms, p99 %.1f ms\n",
           table_number(status, "epochs", NULL), raw / (1 << 20), wire / (1 << 20),
           wire > 0 ? raw / wire : 0.0, table_number(status, "pause_us", "p50"),
           table_number(status, "pause_us", "p99"), table_number(status, "hold_us", "p50") / 1e3,
           table_number(status, "hold_us", "p99") / 1e3);
}

static void print_takeover(const struct round_times *t)
{
    printf("  detection         %.0f ms after the kill\n"
           "  token             %.1f ms after that\n"
           "  activation        %.1f ms after that\n"
           "  first frame out   %.0f ms after the kill\n",
           ms(t->lost), ms(since(t->token, t->lost)), ms(since(t->active, t->token)), ms(t->outside));
}

void summary_print_round(const struct round *r)
{
    const json_t *j = r->judgement;
    const char *words = json_string_value(json_object_get(j, "words"));

    printf("\n");
    print_pace(r->status);
    print_takeover(&r->times);
    printf("\n  judged from outside, by %.0f frames (%.0f of them sent again; %.0f held ones died with the "
           "primary unseen)\n"
           "  P1 output commit      %s\n"
           "  P2 whole checkpoints  %s\n"
           "  P3 one master         %s\n"
           "  nothing lost          %s\n",
           table_number(j, "frames", NULL), table_number(j, "again", NULL),
           table_number(j, "held_died", NULL), verdict(j, "p1"), verdict(j, "p2"), verdict(j, "p3"),
           verdict(j, "nothing_lost"));
    if (words && *words)
        printf("  first fault           %s\n", words);
    printf("  guest's own memory    %s\n", r->check[0] ? r->check : "whole, every page");
}

void summary_print_line(const struct summary *s, const struct round *r, const char *failure)
{
    const json_t *j = r->judgement;
    const char *words = json_string_value(json_object_get(j, "words"));

    printf("  %4" PRIu64 "  protected %4.2f s  detection %4.0f ms  takeover %4.0f ms  frames %5.0f  "
           "P1 %s P2 %s P3 %s  lost %s  memory %s%s%s\n",
           s->rounds, (double)r->times.protected_for / 1e9, ms(r->times.lost), ms(r->times.outside),
           table_number(j, "frames", NULL), verdict(j, "p1"), verdict(j, "p2"), verdict(j, "p3"),
           json_is_true(json_object_get(j, "nothing_lost")) ? "none" : "SOME",
           r->check[0] ? r->check : r->times.well ? "whole" : "NOT CHECKED",
           failure ? "  " : words && *words ? "  " : "", failure ? failure : words ? words : "");
    fflush(stdout);
}

void summary_print(const struct summary *s)
{
    if (s->is_json) {
        json_t *all = json_pack("{s:i, s:b, s:I, s:I, s:O}", "schema", 1, "ok", s->good == s->rounds,
                                "kills", (json_int_t)s->rounds, "good", (json_int_t)s->good, "rounds",
                                s->list);

        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
        return;
    }
    if (s->rounds > 1)
        printf("\n  %" PRIu64 " kills, %" PRIu64 " good; %" PRIu64 " epochs, %" PRIu64 " frames\n"
               "  detection p50 %.0f ms, p99 %.0f ms; takeover p50 %.0f ms, p99 %.0f ms; "
               "silence outside p50 %.0f ms, p99 %.0f ms\n",
               s->rounds, s->good, s->epochs, s->frames, ms(histogram_quantile(&s->detection_ns, 0.5)),
               ms(histogram_quantile(&s->detection_ns, 0.99)),
               ms(histogram_quantile(&s->takeover_ns, 0.5)),
               ms(histogram_quantile(&s->takeover_ns, 0.99)),
               ms(histogram_quantile(&s->silence_ns, 0.5)),
               ms(histogram_quantile(&s->silence_ns, 0.99)));
    printf("\n  %s\n", s->rounds > 0 && s->good == s->rounds ? "every promise kept" : "FAILED");
}

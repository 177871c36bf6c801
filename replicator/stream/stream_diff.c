/* stream_diff — `replicator stream diff`: two streams compared as what they restore to, whatever their
 * framings. Exit status 0: the same, 1: they differ, 2: one of them could not be read. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compress/codec.h"
#include "replicator/commands.h"
#include "replicator/stream/stream_open.h"
#include "replicator/stream/stream_tools.h"

struct chosen {
    struct stream_choice stream;
};

static const struct option_row rows[] = { STREAM_ROWS, { .name = NULL } };

static const struct usage usage = {
    STREAM_USAGE(diff),
    .rows = rows,
    .words = "Exit status: 0 the same, 1 they differ, 2 one could not be read or was refused.\n",
    .least = 2,
    .most = 2,
};

struct difference {
    bool is_json;
    json_t *states, *params, *pages; /* lists */
    uint64_t pages_n, others_n;      /* that differ */
    uint64_t run_from, run_end;      /* of pfns, not told yet; empty when equal */
};

static void tell(struct difference *d, json_t *list, const char *what, const char *name, const char *how)
{
    d->others_n++;
    if (d->is_json)
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "in", how));
    else
        printf("%-6s %-40s %s\n", what, name, how);
}

static void run_tell(struct difference *d)
{
    if (d->run_from == d->run_end)
        return;
    if (d->is_json)
        (void)json_array_append_new(d->pages, json_pack("{s:I, s:I}", "pfn", (json_int_t)d->run_from, "count",
                                                        (json_int_t)(d->run_end - d->run_from)));
    else
        printf("pages  0x%" PRIx64 " to 0x%" PRIx64 " (%" PRIu64 ")\n", d->run_from, d->run_end - 1,
               d->run_end - d->run_from);
    d->run_from = d->run_end = 0;
}

static void page_differs(struct difference *d, uint64_t pfn)
{
    d->pages_n++;
    if (d->run_from == d->run_end || pfn != d->run_end) {
        run_tell(d);
        d->run_from = pfn;
    }
    d->run_end = pfn + 1;
}

static int pages_compare(struct opened *a, struct opened *b, struct difference *d, struct err *e)
{
    const struct pagetable *ta = a->reading.facts.table, *tb = b->reading.facts.table;
    /* Page types of an HVM guest say nothing about its memory. */
    bool has_types = a->reading.facts.guest == STREAM_GUEST_PV;
    uint64_t pa = pagetable_next(ta, 0), pb = pagetable_next(tb, 0);

    while (pa != UINT64_MAX || pb != UINT64_MAX) {
        uint64_t pfn = pa < pb ? pa : pb;
        uint8_t page_a[PAGE_BYTES], page_b[PAGE_BYTES];
        int rc;

        if ((rc = image_page(&a->image, pfn, page_a, e)) < 0 ||
            (rc = image_page(&b->image, pfn, page_b, e)) < 0)
            return rc;
        if (pa != pb || (has_types && pagetable_get(ta, pfn).type != pagetable_get(tb, pfn).type) ||
            memcmp(page_a, page_b, PAGE_BYTES) != 0)
            page_differs(d, pfn);
        if (pa == pfn)
            pa = pagetable_next(ta, pfn + 1);
        if (pb == pfn)
            pb = pagetable_next(tb, pfn + 1);
    }
    run_tell(d);
    return 0;
}

static void states_compare(const struct image *a, const struct image *b, struct difference *d)
{
    char name[IMAGE_STATE_NAME_MAX];
    size_t i = 0, k = 0;

    while (i < a->now.states_n || k < b->now.states_n) {
        const struct image_state *sa = i < a->now.states_n ? &a->now.states[i] : NULL;
        const struct image_state *sb = k < b->now.states_n ? &b->now.states[k] : NULL;
        int order = !sa ? 1 : !sb ? -1 : image_state_compare(sa, sb);

        if (order < 0)
            tell(d, d->states, "state", image_state_name(sa, name), "A only");
        else if (order > 0)
            tell(d, d->states, "state", image_state_name(sb, name), "B only");
        else if (strcmp(sa->sha256, sb->sha256) != 0)
            tell(d, d->states, "state", image_state_name(sa, name), "both, different");
        i += order <= 0;
        k += order >= 0;
    }
}

static void params_compare(const struct image *a, const struct image *b, struct difference *d)
{
    size_t i = 0, k = 0;

    while (i < a->now.params_n || k < b->now.params_n) {
        uint64_t ia = i < a->now.params_n ? a->now.params[i].index : UINT64_MAX;
        uint64_t ib = k < b->now.params_n ? b->now.params[k].index : UINT64_MAX;
        uint64_t index = ia < ib ? ia : ib;
        bool in_a = i < a->now.params_n && ia == index, in_b = k < b->now.params_n && ib == index;
        char name[24];

        snprintf(name, sizeof(name), "%" PRIu64, index);
        if (in_a && in_b && a->now.params[i].value != b->now.params[k].value)
            tell(d, d->params, "param", name, "both, different");
        else if (in_a != in_b)
            tell(d, d->params, "param", name, in_a ? "A only" : "B only");
        i += in_a;
        k += in_b;
    }
}

static int compare(struct opened *a, struct opened *b, bool is_json)
{
    struct difference d = { .is_json = is_json, .states = json_array(), .params = json_array(),
                            .pages = json_array() };
    struct err e;
    bool is_same;
    json_t *object;

    states_compare(&a->image, &b->image, &d);
    params_compare(&a->image, &b->image, &d);
    if (pages_compare(a, b, &d, &e) < 0) {
        fprintf(stderr, "replicator %s: %s\n", usage.command, e.text);
        return EXIT_USAGE;
    }
    is_same = d.pages_n == 0 && d.others_n == 0;
    object = json_pack("{s:b, s:I, s:o, s:o, s:o}", "same", is_same, "pages_differ", (json_int_t)d.pages_n,
                       "pages", d.pages, "states", d.states, "params", d.params);
    if (is_json) {
        (void)json_dumpf(object, stdout, 0);
        putchar('\n');
    }
    json_decref(object);
    return is_same ? EXIT_OK : EXIT_FAILED;
}

int stream_diff(int argc, char **argv)
{
    struct chosen c = { .stream = { .json = false } };
    struct stream_wishes wishes;
    struct opened a, b;
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if ((rc = stream_choice_wishes(&usage, &c.stream, &wishes)) != EXIT_OK)
        return rc;
    rc = opened_open(&a, usage.command, argv[first], &wishes, &e);
    if (rc == EXIT_OK) {
        rc = opened_open(&b, usage.command, argv[first + 1], &wishes, &e);
        rc = rc == EXIT_OK ? compare(&a, &b, c.stream.json) : EXIT_USAGE;
        opened_close(&b);
    } else {
        rc = EXIT_USAGE;
    }
    opened_close(&a);
    return rc;
}

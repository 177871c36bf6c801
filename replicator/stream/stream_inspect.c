/* stream_inspect — `replicator stream inspect`: every record with its place and size, then totals: page
 * types, epochs and the octets of each. Lists what is there up to the record that is refused, too. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "checkpoint/formats/reading.h"
#include "replicator/commands.h"
#include "replicator/stream/stream_source.h"
#include "replicator/stream/stream_tools.h"

#define TYPES 16u

struct chosen {
    struct stream_choice stream;
    bool summary;
};

static const struct option_row rows[] = {
    STREAM_ROWS,
    { "summary", NULL, "totals only, no list of records", option_flag, offsetof(struct chosen, summary),
      { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    STREAM_USAGE(inspect),
    .rows = rows,
    .words = "Exit status: 0 read to its end, 1 refused (listed up to there), 2 neither.\n",
    .least = 1,
    .most = 1,
};

struct epoch {
    uint64_t from, octets, pages, contents;
};

struct kind { /* of record */
    enum stream_framing layer;
    uint32_t type;
    const char *name;
    uint64_t count, octets;
};

#define KINDS_MAX  128u
#define EPOCHS_MAX (1u << 20) /* that are told one by one (7 hours of 40 a second); the last is all others */

struct inspection {
    bool is_json, lists, is_first;
    const struct reading *reading;
    uint64_t types[TYPES];
    struct epoch now;
    struct epoch *epochs;
    size_t epochs_n;
    uint64_t epochs_closed;
    struct kind kinds[KINDS_MAX];
    size_t kinds_n;
    uint64_t states, params;
};

/* ---- records ------------------------------------------------------------------------------------- */

static void count_kind(struct inspection *p, const struct stream_item *item)
{
    struct kind *kind = p->kinds;

    while (kind < p->kinds + p->kinds_n && (kind->layer != item->layer || kind->type != item->type))
        kind++;
    if (kind == p->kinds + p->kinds_n) {
        if (p->kinds_n == KINDS_MAX)
            return; /* a hostile stream of unknown optional types: the list has them */
        *kind = (struct kind){ .layer = item->layer, .type = item->type, .name = item->name };
        p->kinds_n++;
    }
    kind->count++;
    kind->octets += item->bytes;
}

static void list_item(struct inspection *p, const struct stream_item *item)
{
    if (p->is_json)
        printf("%s\n{\"number\": %" PRIu64 ", \"offset\": %" PRIu64 ", \"layer\": \"%s\", \"name\": \"%s\", "
               "\"type\": %" PRIu32 ", \"octets\": %" PRIu64 ", \"epoch\": %" PRIu64 "}", p->is_first ? "" : ",",
               item->number, item->offset, stream_framing_name(item->layer), item->name, item->type,
               item->bytes, p->epochs_closed + 1);
    else
        printf("%6" PRIu64 "  0x%010" PRIx64 "  %-6s %-28s 0x%08" PRIx32 "  %10" PRIu64 "\n", item->number,
               item->offset, stream_framing_name(item->layer), item->name, item->type, item->bytes);
    p->is_first = false;
}

#define P ((struct inspection *)c)

static int take_begin(UNUSED void *c, UNUSED const struct stream_facts *facts, UNUSED struct err *e)
{
    return 0;
}

static int take_item(void *c, const struct stream_item *item, UNUSED struct err *e)
{
    count_kind(P, item);
    if (P->lists)
        list_item(P, item);
    return 0;
}

static int take_page(void *c, const struct stream_page *page, UNUSED struct err *e)
{
    P->types[page->type % TYPES]++;
    P->now.pages++;
    P->now.contents += page->content != NULL;
    return 0;
}

static int take_state(void *c, const struct stream_state *piece, UNUSED struct err *e)
{
    P->states += piece->at == 0;
    return 0;
}

static int take_param(void *c, UNUSED uint64_t index, UNUSED uint64_t value, UNUSED struct err *e)
{
    P->params++;
    return 0;
}

static int take_note(UNUSED void *c, UNUSED enum stream_note note, UNUSED struct err *e)
{
    return 0;
}

static int take_recall(UNUSED void *c, UNUSED uint64_t pfn, UNUSED uint8_t *page, struct err *e)
{
    return err_set(e, EOPNOTSUPP, "pages are not kept");
}

/* Closes the epoch at hand; the list has room for the next power of two. */
static int epoch_close(struct inspection *p, struct err *e)
{
    size_t n = p->epochs_n;

    p->epochs_closed++;
    p->now.octets = reading_offset(p->reading) - p->now.from;
    if (n == EPOCHS_MAX) {
        p->epochs[n - 1].octets += p->now.octets;
        p->epochs[n - 1].pages += p->now.pages;
        p->epochs[n - 1].contents += p->now.contents;
        p->now = (struct epoch){ .from = reading_offset(p->reading) };
        return 0;
    }
    if ((n & (n - 1)) == 0) {
        struct epoch *grown = realloc(p->epochs, (n ? 2 * n : 1) * sizeof(*grown));

        if (!grown)
            return err_set(e, ENOMEM, "epochs: %m");
        p->epochs = grown;
    }
    p->epochs[p->epochs_n++] = p->now;
    p->now = (struct epoch){ .from = reading_offset(p->reading) };
    return 0;
}

static int take_commit(void *c, UNUSED uint64_t n, struct err *e)
{
    return epoch_close(P, e);
}

static int take_drop(UNUSED void *c, UNUSED struct err *e)
{
    return 0;
}

static int take_end(UNUSED void *c, UNUSED const struct stream_facts *facts, UNUSED bool is_complete,
                    UNUSED struct err *e)
{
    return 0;
}

static const struct consumer_ops inspector = {
    .begin = take_begin,
    .item = take_item,
    .page = take_page,
    .state = take_state,
    .param = take_param,
    .note = take_note,
    .recall = take_recall,
    .commit = take_commit,
    .drop = take_drop,
    .end = take_end,
};

/* ---- totals -------------------------------------------------------------------------------------- */

static const char *type_name(size_t type)
{
    static const char *const names[TYPES] = { "normal", "L1", "L2", "L3", "L4", "0x5", "0x6", "0x7", "0x8",
                                              "L1-pinned", "L2-pinned", "L3-pinned", "L4-pinned", "broken",
                                              "xalloc", "xtab" };

    return names[type];
}

static json_t *json_types(const struct inspection *p)
{
    json_t *all = json_object();

    for (size_t i = 0; i < TYPES; i++)
        if (p->types[i])
            (void)json_object_set_new(all, type_name(i), json_integer((json_int_t)p->types[i]));
    return all;
}

static json_t *json_kinds(const struct inspection *p)
{
    json_t *all = json_array();

    for (const struct kind *k = p->kinds; k < p->kinds + p->kinds_n; k++)
        (void)json_array_append_new(all, json_pack("{s:s, s:s, s:I, s:I, s:I}", "layer",
                                                   stream_framing_name(k->layer), "name", k->name, "type",
                                                   (json_int_t)k->type, "count", (json_int_t)k->count,
                                                   "octets", (json_int_t)k->octets));
    return all;
}

/* Printed as they are: as objects of the library they would take more memory than the stream. */
static void print_json_epochs(const struct inspection *p)
{
    printf("\"epochs\": [");
    for (size_t i = 0; i < p->epochs_n; i++)
        printf("%s{\"offset\": %" PRIu64 ", \"octets\": %" PRIu64 ", \"pages\": %" PRIu64 ", \"contents\": %" PRIu64
               "}", i ? ", " : "", p->epochs[i].from, p->epochs[i].octets, p->epochs[i].pages,
               p->epochs[i].contents);
    printf("]");
}

/* The rest of the object whose list of records was printed as it came. */
static void print_json_totals(const struct inspection *p, const struct reading *r, int rc,
                              const struct err *e)
{
    const char *guest = stream_guest_name(r->facts.guest);
    json_t *object = json_pack("{s:s, s:s, s:i, s:o, s:I, s:b, s:I, s:o, s:o, s:{s:I, s:I, s:I, s:I}}",
                               "status", rc == EXIT_OK ? "ok" : "reject", "framing",
                               stream_framing_name(r->facts.framing), "version", (int)r->facts.version,
                               "guest", guest ? json_string(guest) : json_null(), "checkpoints",
                               (json_int_t)r->checkpoints, "complete", rc == EXIT_OK && r->is_complete,
                               "octets", (json_int_t)reading_offset(r), "page_types", json_types(p),
                               "kinds", json_kinds(p), "totals", "records",
                               (json_int_t)r->items, "states", (json_int_t)p->states, "params",
                               (json_int_t)p->params, "pages", (json_int_t)0);
    uint64_t pages = 0;
    char *text;

    for (size_t i = 0; i < TYPES; i++)
        pages += p->types[i];
    (void)json_object_set_new(json_object_get(object, "totals"), "pages", json_integer((json_int_t)pages));
    if (rc != EXIT_OK) {
        (void)json_object_set_new(object, "reason", json_string(e->text));
        (void)json_object_set_new(object, "offset", json_integer((json_int_t)r->refusal.offset));
    }
    text = json_dumps(object, 0);
    printf("], ");
    print_json_epochs(p);
    if (text)
        printf(", %s\n", text + 1);
    free(text);
    json_decref(object);
}

#define BAR_COLUMNS 40u

static void print_timeline(const struct inspection *p)
{
    uint64_t most = 1;

    for (size_t i = 0; i < p->epochs_n; i++)
        if (p->epochs[i].octets > most)
            most = p->epochs[i].octets;
    if (p->epochs_n > 0)
        printf("\n epoch       octets    pages\n");
    for (size_t i = 0; i < p->epochs_n; i++)
        printf("%6zu %12" PRIu64 " %8" PRIu64 "  %.*s\n", i + 1, p->epochs[i].octets, p->epochs[i].pages,
               (int)(p->epochs[i].octets * BAR_COLUMNS / most), "########################################");
}

static void print_totals(const struct inspection *p, const struct reading *r)
{
    const char *guest = stream_guest_name(r->facts.guest);

    printf("\n%s, version %" PRIu32 ", %s guest, %" PRIu64 " records, %" PRIu64 " octets, %" PRIu64
           " checkpoints%s\n\n", stream_framing_name(r->facts.framing), r->facts.version,
           guest ? guest : "no", r->items, reading_offset(r), r->checkpoints,
           r->is_complete ? "" : ", broke off after the last one");
    for (const struct kind *k = p->kinds; k < p->kinds + p->kinds_n; k++)
        printf("%-6s %-28s %8" PRIu64 " records %14" PRIu64 " octets\n", stream_framing_name(k->layer),
               k->name, k->count, k->octets);
    for (size_t i = 0; i < TYPES; i++)
        if (p->types[i])
            printf("pages  %-28s %8" PRIu64 "\n", type_name(i), p->types[i]);
    print_timeline(p);
}

int stream_inspect(int argc, char **argv)
{
    struct chosen c = { .summary = false };
    struct inspection p = { .is_first = true };
    struct stream_wishes wishes;
    struct stream_source source;
    struct reading reading;
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if ((rc = stream_choice_wishes(&usage, &c.stream, &wishes)) != EXIT_OK ||
        (rc = stream_source_open(&source, usage.command, argv[first])) != EXIT_OK)
        return rc;
    p.reading = &reading;
    p.is_json = c.stream.json;
    p.lists = !c.summary;
    if (p.is_json)
        printf("{\"records\": [");
    rc = stream_source_run(&source, usage.command, &reading, &wishes, (struct consumer){ &inspector, &p }, &e);
    if (p.is_json)
        print_json_totals(&p, &reading, rc, &e);
    else
        print_totals(&p, &reading);
    free(p.epochs);
    reading_close(&reading);
    stream_source_close(&source);
    return rc;
}

/* stream_source — see stream_source.h. */
#include "replicator/stream/stream_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "replicator/commands.h"

#define PROGRESS_LEAST (UINT64_C(64) << 20)

/* The place of a word in a list that ends with NULL; -1 when it is not there. */
static int place_of(const char *word, const char *const words[])
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

int stream_choice_wishes(const struct usage *u, const struct stream_choice *c, struct stream_wishes *ret)
{
    static const char *const framings[] = { "auto", "libxc", "libxl", "xl", "legacy", NULL };
    static const char *const modes[] = { "auto", "plain", "remus", NULL };
    static const char *const guests[] = { "auto", "pv", "hvm", NULL };
    int framing = place_of(c->framing ? c->framing : "auto", framings);
    int mode = place_of(c->mode ? c->mode : "auto", modes);
    int guest = place_of(c->guest ? c->guest : "auto", guests);

    if (framing < 0)
        return options_refuse(u, "--framing %.40s: want auto, libxc, libxl, xl or legacy", c->framing);
    if (mode < 0)
        return options_refuse(u, "--mode %.40s: want plain or remus", c->mode);
    if (guest < 0)
        return options_refuse(u, "--guest %.40s: want pv or hvm", c->guest);
    if (c->toolstack_width != 0 && c->toolstack_width != 32 && c->toolstack_width != 64)
        return options_refuse(u, "--toolstack-width: want 32 or 64");
    if (c->guest_width != 0 && c->guest_width != 4 && c->guest_width != 8)
        return options_refuse(u, "--guest-width: want 4 or 8");
    *ret = (struct stream_wishes){ .framing = (enum stream_framing)framing, .mode = (enum stream_mode)mode,
                                   .guest = (unsigned)guest,
                                   .toolstack_width = (unsigned)c->toolstack_width / 8,
                                   .guest_width = (unsigned)c->guest_width, .strict = c->strict };
    return EXIT_OK;
}

_Static_assert(STREAM_GUEST_PV == 1 && STREAM_GUEST_HVM == 2, "guests are numbered as in the list");

const char *stream_guest_name(unsigned guest)
{
    return guest == STREAM_GUEST_PV ? "pv" : guest == STREAM_GUEST_HVM ? "hvm" : NULL;
}

int stream_source_open(struct stream_source *s, const char *command, const char *path)
{
    struct err e;

    *s = (struct stream_source){ .path = path, .fd = STDIN_FILENO };
    if (strcmp(path, "-") != 0)
        s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0) {
        fprintf(stderr, "replicator %s: %s: %s\n", command, path, strerror(errno));
        return EXIT_USAGE;
    }
    if (stream_input_open(&s->in, s->fd, &e) < 0) {
        fprintf(stderr, "replicator %s: %s: %s\n", command, path, e.text);
        stream_source_close(s);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

void stream_source_close(struct stream_source *s)
{
    stream_input_close(s->in);
    s->in = NULL;
    if (s->fd > STDIN_FILENO)
        (void)close(s->fd);
    s->fd = -1;
}

int stream_source_run(struct stream_source *s, const char *command, struct reading *r,
                      const struct stream_wishes *w, struct consumer to, struct err *e)
{
    struct stream_progress progress;
    int rc = reading_run(r, s->in, w, stream_progress_over(&progress, s->in, to), e);

    stream_progress_end(&progress);
    if (rc == 0)
        return EXIT_OK;
    fprintf(stderr, "replicator %s: %s: %s\n", command, s->path, e->text);
    return rc == -EPROTO ? EXIT_FAILED : EXIT_USAGE;
}

void stream_print_refused(FILE *to, const struct reading *r, const struct err *e)
{
    const char *guest = stream_guest_name(r->facts.guest);
    json_t *object = json_pack("{s:s, s:s, s:I, s:s, s:o, s:o, s:n, s:n, s:n, s:I, s:b, s:n, s:n}", "status",
                               "reject", "reason", e->text, "offset", (json_int_t)r->refusal.offset, "framing",
                               stream_framing_name(r->facts.framing), "version",
                               r->facts.version ? json_integer(r->facts.version) : json_null(), "guest",
                               guest ? json_string(guest) : json_null(), "image_sha256", "image_pages",
                               "pages_populated", "checkpoints", (json_int_t)r->checkpoints, "complete", 0,
                               "state", "hvm_params");

    (void)json_dumpf(object, to, 0);
    putc('\n', to);
    json_decref(object);
}

/* ---- the bar ------------------------------------------------------------------------------------- */

#define P ((struct stream_progress *)c)

static int pass_begin(void *c, const struct stream_facts *facts, struct err *e)
{
    return P->to.ops->begin(P->to.self, facts, e);
}

static int pass_item(void *c, const struct stream_item *item, struct err *e)
{
    uint64_t size = stream_input_size(P->in);

    if (P->shown <= 100 && size > 0) {
        unsigned now = (unsigned)(item->offset * 100 / size);

        if (now != P->shown) {
            P->shown = now;
            fprintf(stderr, "\r[%-50.*s] %3u%%", (int)now / 2,
                    "##################################################", now);
        }
    }
    return P->to.ops->item(P->to.self, item, e);
}

static int pass_page(void *c, const struct stream_page *page, struct err *e)
{
    return P->to.ops->page(P->to.self, page, e);
}

static int pass_state(void *c, const struct stream_state *piece, struct err *e)
{
    return P->to.ops->state(P->to.self, piece, e);
}

static int pass_param(void *c, uint64_t index, uint64_t value, struct err *e)
{
    return P->to.ops->param(P->to.self, index, value, e);
}

static int pass_note(void *c, enum stream_note note, struct err *e)
{
    return P->to.ops->note(P->to.self, note, e);
}

static int pass_recall(void *c, uint64_t pfn, uint8_t *page, struct err *e)
{
    return P->to.ops->recall(P->to.self, pfn, page, e);
}

static int pass_commit(void *c, uint64_t n, struct err *e)
{
    return P->to.ops->commit(P->to.self, n, e);
}

static int pass_drop(void *c, struct err *e)
{
    return P->to.ops->drop(P->to.self, e);
}

static int pass_end(void *c, const struct stream_facts *facts, bool is_complete, struct err *e)
{
    return P->to.ops->end(P->to.self, facts, is_complete, e);
}

struct consumer stream_progress_over(struct stream_progress *p, struct stream_input *in,
                                     struct consumer to)
{
    static const struct consumer_ops ops = {
        .begin = pass_begin,
        .item = pass_item,
        .page = pass_page,
        .state = pass_state,
        .param = pass_param,
        .note = pass_note,
        .recall = pass_recall,
        .commit = pass_commit,
        .drop = pass_drop,
        .end = pass_end,
    };

    *p = (struct stream_progress){ .to = to, .in = in, .shown = 101 };
    if (stream_input_size(in) < PROGRESS_LEAST || !isatty(STDERR_FILENO))
        return to;
    p->shown = 0;
    return (struct consumer){ &ops, p };
}

void stream_progress_end(struct stream_progress *p)
{
    if (p->shown <= 100)
        fprintf(stderr, "\r%60s\r", "");
}

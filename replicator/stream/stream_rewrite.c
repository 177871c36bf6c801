/* stream_rewrite — see stream_rewrite.h. All checkpoints are written as they come; one of them is made
 * an image first, and that is written. The target gets its name only when everything was right. */
#include "replicator/stream/stream_rewrite.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/formats/image_replay.h"
#include "replicator/commands.h"
#include "replicator/stream/stream_target.h"

struct work {
    const struct rewrite *rw;
    struct stream_source source;
    struct stream_target target;
    struct stream_output output;
    struct stream_writer *writer;
    struct reading reading;
    struct image image;
};

static int said(const struct work *k, const struct err *e)
{
    fprintf(stderr, "replicator %s: %s: %s\n", k->rw->command, k->rw->to, e->text);
    return EXIT_USAGE;
}

/* The framing that the input shows by its first octets, which stay in the input. */
static enum stream_framing framing_of(struct work *k)
{
    struct reading r = { .in = k->source.in };
    enum stream_framing framing = k->rw->wishes.framing;
    struct err e;

    if (framing == FRAMING_AUTO && reading_detect(&r, &framing, &e) < 0)
        framing = FRAMING_LIBXC;
    return framing == FRAMING_LIBXL || framing == FRAMING_XL ? framing : FRAMING_LIBXC;
}

static int open_all(struct work *k)
{
    struct writer_wishes wishes = k->rw->writer;
    struct err e;
    int rc;

    if ((rc = stream_source_open(&k->source, k->rw->command, k->rw->from)) != EXIT_OK ||
        (rc = stream_target_open(&k->target, k->rw->command, k->rw->to)) != EXIT_OK)
        return rc;
    if (k->rw->keeps_framing)
        wishes.framing = framing_of(k);
    image_open(&k->image, k->source.in, (struct image_wishes){ .has_pages = true, .has_states = true });
    if (stream_output_open(&k->output, k->target.fd, &e) < 0 ||
        stream_writer_open(&k->writer, &k->output, &wishes, &e) < 0)
        return said(k, &e);
    return EXIT_OK;
}

static void close_all(struct work *k)
{
    stream_writer_close(k->writer);
    stream_output_close(&k->output);
    image_close(&k->image);
    reading_close(&k->reading);
    stream_target_close(&k->target);
    stream_source_close(&k->source);
}

/* An image that has heard enough at checkpoint `stop`. */
struct until {
    struct consumer image;
    uint64_t stop;
};

#define U ((struct until *)c)

static int until_begin(void *c, const struct stream_facts *facts, struct err *e)
{
    return U->image.ops->begin(U->image.self, facts, e);
}

static int until_item(UNUSED void *c, UNUSED const struct stream_item *item, UNUSED struct err *e)
{
    return 0;
}

static int until_page(void *c, const struct stream_page *page, struct err *e)
{
    return U->image.ops->page(U->image.self, page, e);
}

static int until_state(void *c, const struct stream_state *piece, struct err *e)
{
    return U->image.ops->state(U->image.self, piece, e);
}

static int until_param(void *c, uint64_t index, uint64_t value, struct err *e)
{
    return U->image.ops->param(U->image.self, index, value, e);
}

static int until_note(UNUSED void *c, UNUSED enum stream_note note, UNUSED struct err *e)
{
    return 0;
}

static int until_recall(void *c, uint64_t pfn, uint8_t *page, struct err *e)
{
    return U->image.ops->recall(U->image.self, pfn, page, e);
}

static int until_commit(void *c, uint64_t n, struct err *e)
{
    int rc = U->image.ops->commit(U->image.self, n, e);

    return rc == 0 && n == U->stop ? -ECANCELED : rc;
}

static int until_drop(void *c, struct err *e)
{
    return U->image.ops->drop(U->image.self, e);
}

static int until_end(void *c, const struct stream_facts *facts, bool is_complete, struct err *e)
{
    return U->image.ops->end(U->image.self, facts, is_complete, e);
}

static struct consumer until(struct until *u)
{
    static const struct consumer_ops ops = {
        .begin = until_begin,
        .item = until_item,
        .page = until_page,
        .state = until_state,
        .param = until_param,
        .note = until_note,
        .recall = until_recall,
        .commit = until_commit,
        .drop = until_drop,
        .end = until_end,
    };

    return (struct consumer){ &ops, u };
}

static int write_one(struct work *k, struct err *e)
{
    struct until u = { image_consumer(&k->image), k->rw->checkpoint };
    int rc = stream_source_run(&k->source, k->rw->command, &k->reading, &k->rw->wishes, until(&u), e);

    if (rc != EXIT_OK)
        return rc;
    if (k->rw->checkpoint != CHECKPOINT_LAST && k->reading.checkpoints < k->rw->checkpoint) {
        fprintf(stderr, "replicator %s: %s: has %" PRIu64 " checkpoints\n", k->rw->command, k->rw->from,
                k->reading.checkpoints);
        return EXIT_FAILED;
    }
    if (image_replay(&k->image, &k->reading.facts, stream_writer_consumer(k->writer, NULL), e) < 0)
        return said(k, e);
    return EXIT_OK;
}

static int write_all(struct work *k, struct err *e)
{
    struct consumer memory = image_consumer(&k->image);

    return stream_source_run(&k->source, k->rw->command, &k->reading, &k->rw->wishes,
                             stream_writer_consumer(k->writer, k->rw->writer.is_packed ? &memory : NULL), e);
}

/* Where the object goes: stdout, unless that is where the stream goes. */
static FILE *json_to(const struct rewrite *rw)
{
    return strcmp(rw->to, "-") == 0 ? stderr : stdout;
}

static void report(const struct work *k)
{
    json_t *object;

    if (stream_writer_left_out(k->writer))
        fprintf(stderr, "replicator %s: %" PRIu64 " blobs that the target has no record for were left out\n",
                k->rw->command, stream_writer_left_out(k->writer));
    if (!k->rw->json)
        return;
    object = json_pack("{s:s, s:I, s:I, s:b, s:I}", "status", "ok", "checkpoints",
                       (json_int_t)k->reading.checkpoints, "octets", (json_int_t)k->output.offset,
                       "complete", k->reading.is_complete, "left_out",
                       (json_int_t)stream_writer_left_out(k->writer));
    (void)json_dumpf(object, json_to(k->rw), 0);
    putc('\n', json_to(k->rw));
    json_decref(object);
}

int stream_rewrite(const struct rewrite *rw)
{
    struct work k = { .rw = rw, .source = { .fd = -1 }, .target = { .fd = -1 } };
    struct err e;
    int rc;

    image_open(&k.image, NULL, (struct image_wishes){ .has_pages = false });
    rc = open_all(&k);
    if (rc == EXIT_OK)
        rc = rw->checkpoint == CHECKPOINT_ALL ? write_all(&k, &e) : write_one(&k, &e);
    if (rc == EXIT_OK && rw->wants_image && !k.reading.is_image) {
        fprintf(stderr, "replicator %s: %s: is no packed image\n", rw->command, rw->from);
        rc = EXIT_FAILED;
    }
    if (rc == EXIT_OK)
        rc = stream_target_keep(&k.target, rw->command, !rw->no_sync);
    if (rc == EXIT_OK)
        report(&k);
    else if (rw->json && rc == EXIT_FAILED && k.reading.refusal.rule[0])
        stream_print_refused(json_to(rw), &k.reading, &e);
    close_all(&k);
    return rc;
}

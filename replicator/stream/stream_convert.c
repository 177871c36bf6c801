/* stream_convert — `replicator stream convert`, `pack` and `unpack`: options of the three rewriters. */
#include <stdio.h>
#include <string.h>

#include "replicator/commands.h"
#include "replicator/stream/stream_rewrite.h"
#include "replicator/stream/stream_target.h"
#include "replicator/stream/stream_tools.h"

struct chosen {
    struct stream_choice stream;
    const char *to, *checkpoint, *codecs;
    bool no_extras, no_sync;
};

#define OPTION(field) offsetof(struct chosen, field)
#define CHECKPOINT_ROW                                                                               \
    { "checkpoint", "N", "only this checkpoint, or \"last\" (all are kept)", option_text, OPTION(checkpoint), \
      { 0, 0 } }
#define EXTRAS_ROW                                                                                   \
    { "no-extras", NULL, "leave out what needs an optional record of ours", option_flag,             \
      OPTION(no_extras), { 0, 0 } }

#define SYNC_ROW NO_SYNC_ROW(OPTION(no_sync))

static const struct option_row convert_rows[] = {
    { "to", "KIND", "v3, v2, libxl or xl", option_text, OPTION(to), { 0, 0 } },
    CHECKPOINT_ROW,
    EXTRAS_ROW,
    SYNC_ROW,
    STREAM_ROWS,
    { .name = NULL },
};

static const struct option_row pack_rows[] = {
    { "codecs", "LIST", "of delta,lz4; or none (delta,lz4)", option_text, OPTION(codecs), { 0, 0 } },
    CHECKPOINT_ROW,
    SYNC_ROW,
    STREAM_ROWS,
    { .name = NULL },
};

static const struct option_row unpack_rows[] = { CHECKPOINT_ROW, SYNC_ROW, STREAM_ROWS, { .name = NULL } };

static const struct usage convert_usage = {
    STREAM_USAGE(convert),
    .rows = convert_rows,
    .words = "The target gets its name only when the whole source was right.\n"
             "Exit status: 0 written, 1 the source was refused, 2 neither.\n",
    .least = 2,
    .most = 2,
};
static const struct usage pack_usage = {
    STREAM_USAGE(pack),
    .rows = pack_rows,
    .words = "The framing stays that of the source; legacy becomes bare libxc.\n",
    .least = 2,
    .most = 2,
};
static const struct usage unpack_usage = {
    STREAM_USAGE(unpack),
    .rows = unpack_rows,
    .words = "A damaged image is refused, and nothing of it is written.\n",
    .least = 2,
    .most = 2,
};

static int target_of(const struct usage *u, const char *word, struct writer_wishes *ret)
{
    static const struct {
        const char *word;
        struct writer_wishes wishes;
    } targets[] = {
        { "v3", { .framing = FRAMING_LIBXC, .version = 3 } },
        { "v2", { .framing = FRAMING_LIBXC, .version = 2 } },
        { "libxl", { .framing = FRAMING_LIBXL, .version = 3 } },
        { "xl", { .framing = FRAMING_XL, .version = 3 } },
    };

    for (size_t i = 0; word && i < ARRAY_LEN(targets); i++)
        if (strcmp(targets[i].word, word) == 0) {
            *ret = targets[i].wishes;
            return EXIT_OK;
        }
    return options_refuse(u, "--to: want v3, v2, libxl or xl");
}

static int checkpoint_of(const struct usage *u, const char *word, uint64_t *ret)
{
    struct err e;

    *ret = CHECKPOINT_ALL;
    if (!word)
        return EXIT_OK;
    *ret = CHECKPOINT_LAST;
    if (strcmp(word, "last") == 0)
        return EXIT_OK;
    if (units_parse_count(word, (struct units_range){ 1, UINT64_MAX - 1 }, ret, &e) < 0)
        return options_refuse(u, "--checkpoint: want a number from 1, or \"last\"");
    return EXIT_OK;
}

static int codecs_of(const struct usage *u, const char *list, struct codec_choice *ret)
{
    if (!list || strcmp(list, "delta,lz4") == 0 || strcmp(list, "lz4,delta") == 0)
        *ret = (struct codec_choice){ .delta = true, .lz4 = true };
    else if (strcmp(list, "delta") == 0)
        *ret = (struct codec_choice){ .delta = true };
    else if (strcmp(list, "lz4") == 0)
        *ret = (struct codec_choice){ .lz4 = true };
    else if (strcmp(list, "none") != 0)
        return options_refuse(u, "--codecs: want delta, lz4, both with a comma between, or none");
    return EXIT_OK;
}

/* What all three have: files, wishes, checkpoint. Negative: stop with EXIT_OK (help). */
static int common(const struct usage *u, int argc, char **argv, struct chosen *c, struct rewrite *rw)
{
    int first, rc = options_parse(u, argc, argv, c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : -1;
    rw->command = u->command;
    rw->from = argv[first];
    rw->to = argv[first + 1];
    rw->json = c->stream.json;
    rw->no_sync = c->no_sync;
    rw->writer.version = 3;
    rw->writer.has_extras = !c->no_extras;
    if ((rc = stream_choice_wishes(u, &c->stream, &rw->wishes)) != EXIT_OK)
        return rc;
    return checkpoint_of(u, c->checkpoint, &rw->checkpoint);
}

int stream_convert(int argc, char **argv)
{
    struct chosen c = { .no_extras = false };
    struct rewrite rw = { .json = false };
    int rc = common(&convert_usage, argc, argv, &c, &rw);

    if (rc != EXIT_OK)
        return rc < 0 ? EXIT_OK : rc;
    if ((rc = target_of(&convert_usage, c.to, &rw.writer)) != EXIT_OK)
        return rc;
    rw.writer.has_extras = !c.no_extras;
    return stream_rewrite(&rw);
}

int stream_pack(int argc, char **argv)
{
    struct chosen c = { .no_extras = false };
    struct rewrite rw = { .keeps_framing = true };
    int rc = common(&pack_usage, argc, argv, &c, &rw);

    if (rc != EXIT_OK)
        return rc < 0 ? EXIT_OK : rc;
    rw.writer.is_packed = true;
    if ((rc = codecs_of(&pack_usage, c.codecs, &rw.writer.codecs)) != EXIT_OK)
        return rc;
    return stream_rewrite(&rw);
}

int stream_unpack(int argc, char **argv)
{
    struct chosen c = { .no_extras = false };
    struct rewrite rw = { .keeps_framing = true, .wants_image = true };
    int rc = common(&unpack_usage, argc, argv, &c, &rw);

    return rc != EXIT_OK ? (rc < 0 ? EXIT_OK : rc) : stream_rewrite(&rw);
}

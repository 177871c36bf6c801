/* stream_verify — `replicator stream verify`: accepted or refused, as one object that other programs can
 * rely on. Exit status 0: accepted, 1: refused, 2: the command line is wrong or the file unreadable. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/formats/image.h"
#include "replicator/commands.h"
#include "replicator/stream/stream_source.h"
#include "replicator/stream/stream_tools.h"

/* A few octets can name a guest of a thousand GiB. Digesting so many zeros takes minutes, so an image with
 * more of them than this, and this many times what has memory, is not digested unasked. */
#define ZEROS_MAX_PAGES (UINT64_C(16) << 18) /* 16 GiB */
#define ZEROS_MAX_RATIO 64u

struct chosen {
    struct stream_choice stream;
    bool no_image, huge_image;
};

static const struct option_row rows[] = {
    STREAM_ROWS,
    { "no-image", NULL, "no digest of the image: its pages are not read", option_flag,
      offsetof(struct chosen, no_image), { 0, 0 } },
    { "huge-image", NULL, "digest more than 16 GiB of zeros, too, however\nlittle memory is among them", option_flag,
      offsetof(struct chosen, huge_image), { 0, 0 } },
    { .name = NULL },
};

static const struct usage usage = {
    STREAM_USAGE(verify),
    .rows = rows,
    .words = "Exit status: 0 accepted, 1 refused, 2 neither (command line, unreadable file).\n",
    .least = 1,
    .most = 1,
};

static json_t *name_or_null(const char *name)
{
    return name ? json_string(name) : json_null();
}

/* Ranges of the p2m share a name, and stand side by side: the one that came last is shown. */
static json_t *json_states(const struct image *image)
{
    const struct image_state *states = image->now.states, *shown = NULL;
    char name[IMAGE_STATE_NAME_MAX];
    json_t *all = json_object();

    for (size_t i = 0; i < image->now.states_n; i++) {
        bool is_again = shown && !states[i].is_indexed && strcmp(states[i].name, shown->name) == 0;

        if (is_again && states[i].order < shown->order)
            continue;
        shown = &states[i];
        (void)json_object_set_new(all, image_state_name(shown, name), json_string(shown->sha256));
    }
    return all;
}

/* Parameters are any 64 bits, which the library's integers are not: printed by hand, last. */
static void print_params(const struct image *image)
{
    printf(", \"hvm_params\": {");
    for (size_t i = 0; i < image->now.params_n; i++)
        printf("%s\"%" PRIu64 "\": %" PRIu64, i ? ", " : "", image->now.params[i].index,
               image->now.params[i].value);
    printf("}}\n");
}

static void print_object(json_t *object, const struct image *image)
{
    char *text = json_dumps(object, 0);

    if (text) {
        printf("%.*s", (int)strlen(text) - 1, text);
        print_params(image);
    }
    free(text);
}

static void print_accepted(const struct reading *r, const struct image *image, const char *sha256)
{
    json_t *object =
        json_pack("{s:s, s:s, s:i, s:o, s:o, s:I, s:I, s:I, s:b, s:o}", "status", "ok", "framing",
                  stream_framing_name(r->facts.framing), "version", (int)r->facts.version, "guest",
                  name_or_null(stream_guest_name(r->facts.guest)), "image_sha256", name_or_null(sha256),
                  "image_pages", (json_int_t)image->pages, "pages_populated",
                  (json_int_t)image->populated, "checkpoints", (json_int_t)r->checkpoints, "complete",
                  r->is_complete, "state", json_states(image));

    print_object(object, image);
    json_decref(object);
}

static void print_words(const struct reading *r, const struct image *image, const char *sha256)
{
    char name[IMAGE_STATE_NAME_MAX];

    printf("ok: %s, version %" PRIu32 ", %s guest, %" PRIu64 " pages (%" PRIu64 " populated), %" PRIu64
           " checkpoints%s\n", stream_framing_name(r->facts.framing), r->facts.version,
           stream_guest_name(r->facts.guest), image->pages, image->populated, r->checkpoints,
           r->is_complete ? "" : ", broke off after the last one");
    if (sha256)
        printf("%s  image\n", sha256);
    for (size_t i = 0; i < image->now.states_n; i++)
        printf("%s  %s\n", image->now.states[i].sha256, image_state_name(&image->now.states[i], name));
}

static bool is_mostly_zeros(const struct image *image)
{
    uint64_t zeros = image->pages - image->populated;

    return zeros > ZEROS_MAX_PAGES && zeros / ZEROS_MAX_RATIO > image->populated;
}

/* Accepted: the digest of the image, then all that is known. An exit code. */
static int accepted(const struct chosen *c, const struct reading *r, struct image *image)
{
    bool is_huge = !c->huge_image && is_mostly_zeros(image), is_digested = !c->no_image && !is_huge;
    char sha256[SHA256_HEX_BYTES];
    struct err e;

    if (!c->no_image && is_huge)
        fprintf(stderr, "replicator stream verify: %" PRIu64 " MiB of image, %" PRIu64 " MiB of it memory: not "
                "digested; --huge-image does it all the same\n", image->pages >> 8, image->populated >> 8);
    if (is_digested && image_sha256(image, sha256, &e) < 0) {
        fprintf(stderr, "replicator stream verify: %s\n", e.text);
        return EXIT_USAGE;
    }
    if (c->stream.json)
        print_accepted(r, image, is_digested ? sha256 : NULL);
    else
        print_words(r, image, is_digested ? sha256 : NULL);
    return EXIT_OK;
}

int stream_verify(int argc, char **argv)
{
    struct chosen c = { .no_image = false };
    struct stream_wishes wishes;
    struct stream_source source;
    struct reading reading;
    struct image image;
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if ((rc = stream_choice_wishes(&usage, &c.stream, &wishes)) != EXIT_OK ||
        (rc = stream_source_open(&source, usage.command, argv[first])) != EXIT_OK)
        return rc;
    wishes.is_blind = c.no_image;
    image_open(&image, source.in, (struct image_wishes){ .has_pages = !c.no_image });
    rc = stream_source_run(&source, usage.command, &reading, &wishes, image_consumer(&image), &e);
    if (rc == EXIT_OK)
        rc = accepted(&c, &reading, &image);
    else if (rc == EXIT_FAILED && c.stream.json)
        stream_print_refused(stdout, &reading, &e);
    image_close(&image);
    reading_close(&reading);
    stream_source_close(&source);
    return rc;
}

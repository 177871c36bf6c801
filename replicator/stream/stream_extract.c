/* stream_extract — `replicator stream extract`: the memory image (a sparse file, a page at its pfn), or the
 * octets of one blob of state, as of the last commit. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compress/codec.h"
#include "replicator/commands.h"
#include "replicator/stream/stream_open.h"
#include "replicator/stream/stream_target.h"
#include "replicator/stream/stream_tools.h"

#define SLICE_BYTES 65536u

struct chosen {
    struct stream_choice stream;
    bool image, no_sync;
    const char *record;
};

static const struct option_row rows[] = {
    { "image", NULL, "the memory image (without --record)", option_flag, offsetof(struct chosen, image),
      { 0, 0 } },
    { "record", "NAME", "as verify names it: HVM_CONTEXT,\nX86_PV_VCPU_BASIC/0 …", option_text,
      offsetof(struct chosen, record), { 0, 0 } },
    NO_SYNC_ROW(offsetof(struct chosen, no_sync)),
    STREAM_ROWS,
    { .name = NULL },
};

static const struct usage usage = {
    STREAM_USAGE(extract),
    .rows = rows,
    .words = "Exit status: 0 written, 1 refused or no such record, 2 neither.\n",
    .least = 2,
    .most = 2,
};

static int write_at(int fd, const void *octets, size_t n, uint64_t offset, struct err *e)
{
    const char *at = octets;

    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(fd, at + done, n - done, (off_t)(offset + done));

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return err_set(e, put < 0 ? errno : ENOSPC, "write: %m");
        done += (size_t)put;
    }
    return 0;
}

static int write_image(struct opened *o, int fd, struct err *e)
{
    const struct pagetable *table = o->reading.facts.table;
    uint8_t page[PAGE_BYTES];
    int rc = 0;

    if (ftruncate(fd, (off_t)(o->image.pages * PAGE_BYTES)) < 0)
        return err_set(e, errno, "image: %m");
    for (uint64_t pfn = pagetable_next(table, 0); rc == 0 && pfn < o->image.pages;
         pfn = pagetable_next(table, pfn + 1)) {
        if (pagetable_get(table, pfn).place == PAGE_NOWHERE)
            continue;
        if ((rc = image_page(&o->image, pfn, page, e)) == 0)
            rc = write_at(fd, page, PAGE_BYTES, pfn * PAGE_BYTES, e);
    }
    return rc;
}

/* The newest blob of that name; NULL when there is none. */
static const struct image_state *state_named(const struct image *image, const char *wanted)
{
    const struct image_state *found = NULL;
    char name[IMAGE_STATE_NAME_MAX];

    for (size_t i = 0; i < image->now.states_n; i++) {
        const struct image_state *s = &image->now.states[i];

        if (strcmp(image_state_name(s, name), wanted) == 0 && (!found || s->order > found->order))
            found = s;
    }
    return found;
}

static int write_record(struct opened *o, const char *wanted, int fd, struct err *e)
{
    const struct image_state *s = state_named(&o->image, wanted);
    uint8_t octets[SLICE_BYTES];
    int rc = 0;

    if (!s)
        return err_set(e, ENOENT, "has no %s: verify lists what there is", wanted);
    for (uint64_t at = 0; rc == 0 && at < s->bytes; at += sizeof(octets)) {
        size_t n = s->bytes - at < sizeof(octets) ? (size_t)(s->bytes - at) : sizeof(octets);

        if ((rc = image_state_get(&o->image, s, at, octets, n, e)) == 0)
            rc = write_at(fd, octets, n, at, e);
    }
    return rc;
}

/* What was written, or why nothing was, as one object: on stdout unless that is the target. */
static void report(const struct opened *o, const struct stream_target *t, int rc, const struct err *e)
{
    FILE *to = strcmp(t->path, "-") == 0 ? stderr : stdout;
    off_t bytes = rc == EXIT_OK ? lseek(t->fd, 0, SEEK_END) : 0;

    if (rc == EXIT_OK)
        fprintf(to, "{\"status\": \"ok\", \"octets\": %lld}\n", (long long)bytes);
    else if (rc == EXIT_FAILED && o->reading.refusal.rule[0])
        stream_print_refused(to, &o->reading, e);
}

int stream_extract(int argc, char **argv)
{
    struct chosen c = { .record = NULL };
    struct stream_target target = { .fd = -1 };
    struct stream_wishes wishes;
    struct opened o;
    struct err e;
    int first, rc = options_parse(&usage, argc, argv, &c, &first);

    if (rc != 0)
        return rc < 0 ? EXIT_USAGE : EXIT_OK;
    if (c.image && c.record)
        return options_refuse(&usage, "--image and --record: one of them");
    if ((rc = stream_choice_wishes(&usage, &c.stream, &wishes)) != EXIT_OK)
        return rc;
    target.path = argv[first + 1];
    if ((rc = opened_open(&o, usage.command, argv[first], &wishes, &e)) == EXIT_OK &&
        (rc = stream_target_open(&target, usage.command, argv[first + 1])) == EXIT_OK) {
        if ((c.record ? write_record(&o, c.record, target.fd, &e) : write_image(&o, target.fd, &e)) < 0) {
            fprintf(stderr, "replicator %s: %s: %s\n", usage.command, argv[first], e.text);
            rc = e.code == ENOENT ? EXIT_FAILED : EXIT_USAGE;
        } else {
            rc = stream_target_keep(&target, usage.command, !c.no_sync);
        }
    }
    if (c.stream.json)
        report(&o, &target, rc, &e);
    stream_target_close(&target);
    opened_close(&o);
    return rc;
}

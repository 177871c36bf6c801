/* pause_trial — takes epochs of a real domain without sending them anywhere: what a pause is made of.
 *   pause_trial DOMAIN [EPOCHS [INTERVAL_MS]]
 * Prints a line a part (median, 90 %, most, in µs), the pages of an epoch, and what was wrong: types
 * that don't fit, state records that don't parse. In a control domain, as root. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "checkpoint/guest_xen.h"
#include "checkpoint/record.h"
#include "compress/codec.h"

#define BATCH      4096u
#define EPOCHS_MAX 1000u
#define PARTS      15u

static const char *const part_names[PARTS] = {
    "suspend",    "suspend-qemu", "log",         "types", "map",         "copy", "state",
    "state-qemu", "resume",       "resume-qemu", "whole-pause",
    "way",        "store",        "unmap",       "pages",
};

struct trial {
    struct guest *g;
    struct guest_info about;
    struct dirty todo;
    uint8_t *pages, *state;
    uint8_t *places[BATCH];
    uint64_t pfns[BATCH];
    uint8_t types[BATCH];
    uint64_t by_type[256];
    uint64_t parts[PARTS][EPOCHS_MAX];
};

static int fail(const struct err *e)
{
    fprintf(stderr, "pause_trial: %s\n", e->text);
    return 1;
}

static int open_trial(struct trial *t, const char *which, struct err *e)
{
    int rc = guest_xen_open(which, &t->g, e);

    if (rc < 0)
        return rc;
    t->g->ops->info(t->g, &t->about);
    t->pages = mmap(NULL, BATCH * PAGE_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    t->state = malloc(GUEST_STATE_MAX);
    if (t->pages == MAP_FAILED || !t->state)
        return err_set(e, ENOMEM, "no memory");
    for (size_t i = 0; i < BATCH; i++)
        t->places[i] = t->pages + i * PAGE_BYTES;
    return dirty_open(&t->todo, t->about.pages, e);
}

/* Copies what is in todo; DEFERRED pages stay in it. */
static int copy_all(struct trial *t, uint64_t *ret_pages, struct err *e)
{
    uint64_t cursor = 0;
    size_t n;

    *ret_pages = 0;
    while ((n = dirty_take(&t->todo, &cursor, t->pfns, BATCH)) > 0) {
        int rc = t->g->ops->copy(t->g, t->pfns, n, t->places, t->types, e);

        if (rc < 0)
            return rc;
        for (size_t i = 0; i < n; i++) {
            t->by_type[t->types[i]]++;
            *ret_pages += t->types[i] == PAGE_TYPE_NORMAL;
            if (t->types[i] != PAGE_TYPE_DEFERRED)
                dirty_unset(&t->todo, t->pfns[i]);
        }
    }
    return 0;
}

static int check_records(const uint8_t *at, size_t bytes, bool say, struct err *e)
{
    struct view in = { at, bytes };
    struct record r;

    while (in.left > 0) {
        int rc = record_take(&in, RECORD_BODY_MAX, &r, e);

        if (rc != 1)
            return rc < 0 ? rc : err_set(e, EPROTO, "records end within one");
        if (say)
            printf("record %-18s %" PRIu32 " octets\n", record_name(r.type), r.bytes);
    }
    return 0;
}

static int pause_guest(struct trial *t, struct err *e)
{
    struct pollfd p = { .fd = t->g->ops->event_fd(t->g), .events = POLLIN };
    int rc;

    while ((rc = t->g->ops->pause(t->g, e)) == -EAGAIN) {
        poll(&p, 1, 100);
        (void)t->g->ops->life(t->g);
    }
    return rc;
}

static void note(struct trial *t, unsigned n, const uint64_t *values)
{
    for (unsigned i = 0; i < PARTS; i++)
        t->parts[i][n] = values[i];
}

static int epoch(struct trial *t, unsigned n, struct err *e)
{
    struct sink to = { t->state, GUEST_STATE_MAX };
    struct guest_xen_times s;
    uint64_t began_ns = clock_now_ns(), whole_ns, pages = 0;
    int rc = pause_guest(t, e), rc2;
    struct err e2;

    if (rc == 0)
        rc = t->g->ops->dirty(t->g, &t->todo, e);
    if (rc == 0)
        rc = copy_all(t, &pages, e);
    if (rc == 0)
        rc = t->g->ops->state(t->g, &to, e);
    rc2 = t->g->ops->resume(t->g, rc < 0 ? &e2 : e);
    whole_ns = clock_now_ns() - began_ns;
    if (rc2 == 0)
        t->g->ops->settle(t->g);
    if (rc < 0 || (rc = rc2) < 0)
        return rc;
    s = guest_xen_last_pause(t->g);
    note(t, n, (const uint64_t[PARTS]){
        s.suspend_ns, s.emulator_stop_ns, s.log_ns, s.types_ns, s.map_ns,
        s.copy_ns - s.types_ns - s.map_ns, s.state_ns, s.emulator_state_ns, s.resume_ns,
        s.emulator_cont_ns, whole_ns, s.way_ns, s.tell_ns, s.unmap_ns, pages * 1000 });
    return check_records(t->state, GUEST_STATE_MAX - to.left, n == 0, e);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void report(struct trial *t, unsigned n)
{
    printf("%-14s %10s %10s %10s\n", "us", "median", "90%", "most");
    for (unsigned i = 0; i < PARTS; i++) {
        qsort(t->parts[i], n, sizeof(uint64_t), by_size);
        printf("%-14s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "\n", part_names[i],
               t->parts[i][n / 2] / 1000, t->parts[i][n * 9 / 10] / 1000, t->parts[i][n - 1] / 1000);
    }
    for (unsigned i = 0; i < 256; i++)
        if (t->by_type[i])
            printf("type 0x%x: %" PRIu64 "\n", i, t->by_type[i]);
}

static int run(struct trial *t, unsigned epochs, unsigned interval_ms, struct err *e)
{
    struct sink to = { t->state, GUEST_STATE_MAX };
    uint64_t began_ns = clock_now_ns(), pages;
    int rc = t->g->ops->preamble(t->g, &to, e);

    if (rc < 0 || (rc = check_records(t->state, GUEST_STATE_MAX - to.left, true, e)) < 0)
        return rc;
    for (unsigned pass = 0; pass < 2; pass++) {
        if ((rc = t->g->ops->dirty(t->g, &t->todo, e)) < 0 || (rc = copy_all(t, &pages, e)) < 0)
            return rc;
        printf("live pass %u: %" PRIu64 " pages, %" PRIu64 " ms\n", pass, pages,
               (clock_now_ns() - began_ns) / NS_PER_MS);
    }
    for (unsigned i = 0; i < epochs; i++) {
        if ((rc = epoch(t, i, e)) < 0)
            return err_wrap(e, "epoch %u", i);
        poll(NULL, 0, (int)interval_ms);
        if (t->g->ops->life(t->g) != GUEST_RUNS)
            return err_set(e, ECANCELED, "the guest ended: %d", t->g->ops->life(t->g));
    }
    report(t, epochs);
    return 0;
}

int main(int argc, char **argv)
{
    static struct trial t;
    unsigned epochs = argc > 2 ? (unsigned)atoi(argv[2]) : 60, interval_ms = argc > 3 ? (unsigned)atoi(argv[3]) : 200;
    struct err e;
    int rc;

    if (argc < 2 || epochs == 0 || epochs > EPOCHS_MAX) {
        fprintf(stderr, "usage: pause_trial DOMAIN [EPOCHS [INTERVAL_MS]]\n");
        return 2;
    }
    setlinebuf(stdout);
    rc = open_trial(&t, argv[1], &e);
    if (rc == 0)
        printf("%s: %" PRIu64 " pages, %zu octets of spec\n", t.about.name, t.about.pages,
               strlen(t.about.spec));
    if (rc == 0)
        rc = run(&t, epochs, interval_ms, &e);
    if (t.g)
        t.g->ops->close(t.g);
    return rc < 0 ? fail(&e) : 0;
}

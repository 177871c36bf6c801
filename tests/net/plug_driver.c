/* plug_driver — a process whose network buffer is driven by lines on stdin, one answer a line:
 *   open FOLDER DOMAIN LIMIT IF[,IF…] [over|other]   over: what a dead process holds; other: of another uuid
 *   mark N | release N | late N | pass | drop | watch | close | resize N
 *   health → ok whole|broken TROUBLES|NEWEST|DEGRADED
 *   stats → ok HELD_FRAMES HELD_BYTES RELEASED DROPPED
 *   bench N → ok MARK_NS RELEASE_NS (medians of N epochs)
 * "ok …" or "error ERRNO text". End of input ends it without close, as a death would. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/histogram.h"
#include "netbuf/netbuf_plug.h"

#define VIFS_MAX 64u

static struct netbuf *netbuf;

static int answer(int rc, const struct err *e)
{
    if (rc < 0)
        printf("error %d %s\n", -rc, e->text);
    else
        printf("ok\n");
    return rc;
}

static void drive_open(char *words)
{
    const char *names[VIFS_MAX];
    struct netbuf_plug_options o = { .vifs = names };
    char *rest = NULL, *vifs, *how;
    struct err e;

    o.folder = strtok_r(words, " ", &rest);
    o.domain = strtok_r(NULL, " ", &rest);
    o.limit_bytes = strtoull(strtok_r(NULL, " ", &rest), NULL, 10);
    vifs = strtok_r(NULL, " ", &rest);
    for (char *next = NULL, *one = strtok_r(vifs, ",", &next); one; one = strtok_r(NULL, ",", &next))
        names[o.count++] = one;
    how = strtok_r(NULL, " ", &rest);
    o.takes_over = how != NULL;
    o.uuid[0] = how && strcmp(how, "other") == 0;
    answer(netbuf_plug_open(&netbuf, &o, &e), &e);
}

static void drive_stats(void)
{
    struct netbuf_stats s;

    netbuf->ops->stats(netbuf, &s);
    printf("ok %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s.held_frames, s.held_bytes,
           s.released_frames, s.dropped_frames + s.lost_frames);
}

static void drive_health(void)
{
    struct netbuf_health h;

    netbuf->ops->health(netbuf, &h);
    printf("ok %s %" PRIu64 "|%s|%s\n", h.is_whole ? "whole" : "broken", h.troubles, h.newest, h.degraded);
}

static void drive_bench(uint64_t epochs)
{
    struct histogram marks, releases;
    struct err e;
    int rc = 0;

    memset(&marks, 0, sizeof(marks));
    memset(&releases, 0, sizeof(releases));
    for (uint64_t i = 1; rc == 0 && i <= epochs; i++) {
        uint64_t t0 = clock_now_ns(), t1;

        rc = netbuf->ops->mark(netbuf, i, &e);
        t1 = clock_now_ns();
        if (rc == 0)
            rc = netbuf->ops->release(netbuf, i, TIME_NEVER, &e);
        histogram_add(&marks, t1 - t0);
        histogram_add(&releases, clock_now_ns() - t1);
    }
    if (rc < 0)
        answer(rc, &e);
    else
        printf("ok %" PRIu64 " %" PRIu64 "\n", histogram_quantile(&marks, 0.5),
               histogram_quantile(&releases, 0.5));
}

static void drive(char *line)
{
    char *space = strchr(line, ' ');
    uint64_t n = space ? strtoull(space + 1, NULL, 10) : 0;
    struct err e;

    if (space)
        *space = '\0';
    if (strcmp(line, "open") == 0)
        drive_open(space + 1);
    else if (!netbuf)
        puts("error 22 nothing is open");
    else if (strcmp(line, "mark") == 0)
        answer(netbuf->ops->mark(netbuf, n, &e), &e);
    else if (strcmp(line, "release") == 0)
        answer(netbuf->ops->release(netbuf, n, TIME_NEVER, &e), &e);
    else if (strcmp(line, "late") == 0)
        answer(netbuf->ops->release(netbuf, n, clock_now_ns() - 1, &e), &e);
    else if (strcmp(line, "pass") == 0)
        answer(netbuf->ops->open(netbuf, &e), &e);
    else if (strcmp(line, "drop") == 0)
        answer(netbuf->ops->drop(netbuf, &e), &e);
    else if (strcmp(line, "watch") == 0)
        answer(netbuf->ops->watch(netbuf, &e), &e);
    else if (strcmp(line, "resize") == 0)
        answer(netbuf_plug_resize(netbuf, n, &e), &e);
    else if (strcmp(line, "health") == 0)
        drive_health();
    else if (strcmp(line, "stats") == 0)
        drive_stats();
    else if (strcmp(line, "bench") == 0)
        drive_bench(n);
    else if (strcmp(line, "close") == 0) {
        netbuf->ops->close(netbuf);
        netbuf = NULL;
        puts("ok");
    } else {
        puts("error 22 no such order");
    }
}

int main(void)
{
    char line[4096];

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (failpoint_arm_from_environment() < 0)
        return 2;
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        drive(line);
    }
    return 0;
}

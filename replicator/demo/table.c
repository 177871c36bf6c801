/* table — see table.h. */
#include "replicator/demo/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define BAR_WIDTH     40
#define TERMINAL_NS   (100 * NS_PER_MS)
#define ELSEWHERE_NS  NS_PER_S

void table_open(struct table *t, bool is_silent)
{
    *t = (struct table){ .is_silent = is_silent, .is_terminal = isatty(STDOUT_FILENO) == 1 };
}

double table_number(const json_t *status, const char *key, const char *inner)
{
    const json_t *value = json_object_get(status, key);

    return json_number_value(inner ? json_object_get(value, inner) : value);
}

/* Whether a line is due now; begins it. */
static bool begin(struct table *t, uint64_t now_ns)
{
    if (t->is_silent || now_ns < t->next_ns)
        return false;
    t->next_ns = now_ns + (t->is_terminal ? TERMINAL_NS : ELSEWHERE_NS);
    if (t->is_terminal)
        printf("\r\033[K");
    return true;
}

static void end(struct table *t)
{
    t->is_open = t->is_terminal;
    if (!t->is_terminal)
        putchar('\n');
    fflush(stdout);
}

static void leave_line(struct table *t)
{
    if (t->is_open)
        putchar('\n');
    t->is_open = false;
}

void table_copy(struct table *t, const json_t *status, uint64_t now_ns)
{
    double all = table_number(status, "guest_pages", NULL);
    double share = all > 0 ? table_number(status, "copied_pages", NULL) / all : 0;
    int full;

    if (!begin(t, now_ns))
        return;
    share = share > 1 ? 1 : share;
    full = (int)(share * BAR_WIDTH);
    printf("  copy      [%.*s%*s] %3.0f%% of %.0f MiB  %s", full,
           "########################################", BAR_WIDTH - full, "", share * 100, all / 256,
           json_string_value(json_object_get(status, "state")));
    end(t);
}

void table_epoch(struct table *t, const json_t *status, uint64_t now_ns)
{
    uint64_t raw = (uint64_t)table_number(status, "raw_bytes", NULL);
    uint64_t wire = (uint64_t)table_number(status, "wire_bytes", NULL);

    if (!t->is_silent && !t->has_head) {
        leave_line(t);
        printf("  %8s %8s %8s %10s %10s %8s  %s\n", "epoch", "dirty", "ratio", "pause p50", "hold p50",
               "held", "state");
        t->has_head = true;
        t->next_ns = 0;
    }
    if (!begin(t, now_ns))
        return;
    printf("  %8.0f %8.0f %7.1fx %7.0f us %7.1f ms %8.0f  %s", table_number(status, "acked", NULL),
           table_number(status, "dirty_pages", NULL),
           wire > t->wire_bytes ? (double)(raw - t->raw_bytes) / (double)(wire - t->wire_bytes) : 1.0,
           table_number(status, "pause_us", "p50"), table_number(status, "hold_us", "p50") / 1e3,
           table_number(status, "netbuf", "held_frames"),
           json_is_true(json_object_get(status, "protected")) ? "protected" : "UNPROTECTED");
    t->raw_bytes = raw;
    t->wire_bytes = wire;
    end(t);
}

void table_say(struct table *t, const char *format, ...)
{
    va_list args;

    if (t->is_silent)
        return;
    leave_line(t);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

/* bench_suite — see bench_suite.h. */
#include "replicator/bench/bench_suite.h"

#include <errno.h>
#include <string.h>

#include "compress/cpu.h"

#define LOAD_PAGES   1536u
#define MEMORY_PAGES 131072u /* 512 MiB */
#define COPY_PAGES   10240u

/* Whether one of the beginnings in the list is the name's. */
static bool is_chosen(const char *list, const char *name)
{
    if (!list)
        return true;
    for (size_t n; *list != '\0'; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        if (n > 0 && strncmp(list, name, n) == 0)
            return true;
    }
    return false;
}

static void choose_rows(struct bench_suite *s)
{
    size_t n = 1; /* the first is what all are measured by */

    for (size_t i = 1; i < s->row_count; i++)
        if (is_chosen(s->only_rows, s->rows[i].name))
            s->rows[n++] = s->rows[i];
    s->row_count = n;
}

static void close_loads(struct bench_load *loads, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bench_load_close(&loads[i]);
}

static int open_loads(const struct bench_suite *s, struct bench_load *loads, size_t *ret_n,
                      struct err *e)
{
    size_t n = 0;
    int rc = 0;

    if (s->trace_count > BENCH_LOADS_MAX - BENCH_LOADS)
        return err_set(e, EINVAL, "at most %u traces", BENCH_LOADS_MAX - BENCH_LOADS);
    for (unsigned i = 0; i < BENCH_LOADS && rc == 0; i++)
        if (is_chosen(s->only_loads, bench_load_name(i)) &&
            (rc = bench_load_make(&loads[n], i, LOAD_PAGES, e)) == 0)
            n++;
    for (size_t i = 0; i < s->trace_count && rc == 0; i++)
        if (is_chosen(s->only_loads, bench_load_base(s->traces[i])) &&
            (rc = bench_load_read(&loads[n], s->traces[i], e)) == 0)
            n++;
    if (rc == 0 && n == 0)
        rc = err_set(e, EINVAL, "no load's name begins with \"%.60s\": W1 to W7, or a trace's file",
                     s->only_loads);
    if (rc < 0)
        close_loads(loads, n);
    *ret_n = n;
    return rc;
}

static int run_table(struct bench_suite *s, struct bench_table *t, struct bench_load *loads, size_t n,
                     struct err *e)
{
    int rc = bench_compress(t, s->rows, s->row_count, loads, n, s->rounds, e);

    if (rc == 0)
        bench_print(t, stdout);
    fflush(stdout);
    return rc;
}

int bench_suite_compress(struct bench_suite *s, struct err *e)
{
    struct bench_load loads[BENCH_LOADS_MAX];
    enum cpu_level level = cpu_level();
    size_t n = 0;
    int rc = open_loads(s, loads, &n, e);

    if (rc < 0)
        return rc;
    choose_rows(s);
    s->cold.is_cold = s->cold_threads.is_cold = true;
    s->cold.threads = s->hot.threads = 1;
    s->cold_threads.threads = s->threads;
    rc = run_table(s, &s->cold, loads, n, e);
    if (rc == 0 && !s->is_quick)
        rc = run_table(s, &s->hot, loads, n, e);
    if (rc == 0 && !s->is_quick && s->threads > 1)
        rc = run_table(s, &s->cold_threads, loads, n, e);
    close_loads(loads, n);
    if (rc == 0)
        rc = cpu_choose(cpu_level_name(level), e);
    return rc;
}

int bench_suite_copy(struct bench_suite *s, struct err *e)
{
    enum cpu_level level = cpu_level();
    int rc;

    s->copy = (struct bench_copy){ .memory_pages = MEMORY_PAGES,
                                   .pages = COPY_PAGES,
                                   .rounds = s->rounds,
                                   .threads = s->threads };
    rc = bench_copy(&s->copy, e);
    if (rc == 0)
        bench_copy_print(&s->copy, stdout);
    return rc < 0 ? rc : cpu_choose(cpu_level_name(level), e);
}

static int write_json(const struct bench_suite *s, struct err *e)
{
    const struct bench_table *tables[] = { &s->cold, &s->hot, &s->cold_threads };
    FILE *to = fopen(s->json, "we");
    bool is_first = true;

    if (!to)
        return err_set(e, errno, "%s: %m", s->json);
    fputs("{\"tables\": [", to);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        if (tables[i]->load_count > 0) {
            fputs(is_first ? "" : ",\n", to);
            bench_json(tables[i], to);
            is_first = false;
        }
    fputs("]", to);
    if (s->copy.ways > 0) {
        fputs(",\n\"copy\": ", to);
        bench_copy_json(&s->copy, to);
    }
    fputs("}\n", to);
    return fclose(to) == 0 ? 0 : err_set(e, errno, "%s: %m", s->json);
}

int bench_suite_write(const struct bench_suite *s, struct err *e)
{
    FILE *to;
    int rc = s->json ? write_json(s, e) : 0;

    if (rc < 0 || !s->svg || s->cold.load_count == 0)
        return rc;
    to = fopen(s->svg, "we");
    if (!to)
        return err_set(e, errno, "%s: %m", s->svg);
    bench_svg(&s->cold, to);
    return fclose(to) == 0 ? 0 : err_set(e, errno, "%s: %m", s->svg);
}

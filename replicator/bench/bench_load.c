/* bench_load — see bench_load.h. */
#include "replicator/bench/bench_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/rng.h"

#define LINE         64u
#define LINES        (PAGE_BYTES / LINE)
#define RECORD_BYTES (1u + 2u * PAGE_BYTES)
#define TRACE_MAX    (UINT64_C(1) << 32)

/* ---- what is in guests' pages */

static void fill_words(struct rng *r, uint8_t *page)
{
    for (size_t at = 0; at < PAGE_BYTES; at += 8)
        store_u64(page + at, UINT64_C(0x00007f0000000000) | rng_below(r, UINT64_C(1) << 28) << 3);
}

static void fill_text(struct rng *r, uint8_t *page)
{
    static const char *const words[] = { "static ", "return ", "struct page ", "int ", "\n    ",
                                         "if (", ") {\n", "const ", "the ", "of ", "->next", "= 0;\n" };
    size_t at = 0;

    while (at < PAGE_BYTES) {
        char word[16];
        size_t n;

        if (rng_chance(r, 300000))
            snprintf(word, sizeof(word), "x%llu ", (unsigned long long)rng_below(r, 100000));
        else
            strcpy(word, words[rng_below(r, ARRAY_LEN(words))]);
        n = strlen(word) < PAGE_BYTES - at ? strlen(word) : PAGE_BYTES - at;
        memcpy(page + at, word, n);
        at += n;
    }
}

static void fill_noise(struct rng *r, uint8_t *page)
{
    rng_fill(r, page, PAGE_BYTES);
}

static void fill_counters(struct rng *r, uint8_t *page)
{
    for (size_t at = 0; at < PAGE_BYTES; at += 8)
        store_u64(page + at, rng_below(r, 100000));
}

static void fill_mixed(struct rng *r, uint8_t *page)
{
    static void (*const fills[])(struct rng *, uint8_t *) = { fill_words, fill_text, fill_noise,
                                                              fill_counters };

    fills[rng_below(r, ARRAY_LEN(fills))](r, page);
}

/* ---- what happens to them: page is a copy of the prior version on entry */

static void change_words(struct rng *r, uint8_t *page)
{
    for (uint64_t n = 1 + rng_below(r, 8); n > 0; n--) {
        uint8_t *word = page + rng_below(r, PAGE_BYTES / 8) * 8;

        if (rng_chance(r, 500000))
            store_u64(word, load_u64(word) + 1 + rng_below(r, 16));
        else
            rng_fill(r, word, 8);
    }
}

/* `count` different lines, each by `change`. */
static void change_lines(struct rng *r, uint8_t *page, size_t count,
                         void (*change)(struct rng *, uint8_t *line))
{
    for (size_t l = 0, left = count; left > 0; l++)
        if (rng_below(r, LINES - l) < left) {
            change(r, page + l * LINE);
            left--;
        }
}

static void renew_line(struct rng *r, uint8_t *line)
{
    rng_fill(r, line, LINE);
}

static void touch_line(struct rng *r, uint8_t *line)
{
    for (uint64_t n = 1 + rng_below(r, 3); n > 0; n--)
        rng_fill(r, line + rng_below(r, 8) * 8, 8);
}

static void change_half(struct rng *r, uint8_t *page)
{
    change_lines(r, page, LINES / 2, renew_line);
}

static void change_half_sparsely(struct rng *r, uint8_t *page)
{
    change_lines(r, page, LINES / 2, touch_line);
}

/* A tuple into a slotted page: its header, its line pointer, its octets. */
static void insert_tuple(struct rng *r, uint8_t *page)
{
    size_t bytes = 100 + (size_t)rng_below(r, 101);
    size_t lower = 24 + 4 * (size_t)rng_below(r, 60), upper = 1024 + (size_t)rng_below(r, 2048);

    store_u64(page, load_u64(page) + 64 + rng_below(r, 512));
    store_u16(page + 12, (uint16_t)(lower + 4));
    store_u16(page + 14, (uint16_t)(upper - bytes));
    store_u32(page + lower, (uint32_t)rng_next(r));
    rng_fill(r, page + ((upper - bytes) & ~(size_t)7), bytes);
}

static void make_zero(struct rng *r UNUSED, uint8_t *page)
{
    memset(page, 0, PAGE_BYTES);
}

static void move_text(struct rng *r, uint8_t *page)
{
    size_t by = 1 + (size_t)rng_below(r, 256);

    memmove(page + by, page, PAGE_BYTES - by);
    rng_fill(r, page, by);
}

static const struct {
    const char *name;
    void (*fill)(struct rng *r, uint8_t *prior);
    void (*change)(struct rng *r, uint8_t *page);
    bool is_new;
} shapes[BENCH_LOADS] = {
    { "W1 few words", fill_mixed, change_words, false },
    { "W2 half the lines", fill_mixed, change_half, false },
    { "W2b 1-3 words in 32", fill_mixed, change_half_sparsely, false },
    { "W3 database tuple", fill_words, insert_tuple, false },
    { "W4 new noise", fill_noise, fill_noise, false },
    { "W5 to zero", fill_mixed, make_zero, false },
    { "W6 moved text", fill_text, move_text, false },
    { "W7 new page", fill_mixed, change_words, true },
};

/* ---- loads */

/* Not zero pages, and none of them shared with another. */
static void touch(uint8_t *pages, size_t bytes)
{
    memset(pages, 1, bytes);
}

static int open_load(struct bench_load *load, const char *name, size_t n, struct err *e)
{
    struct rng r;

    *load = (struct bench_load){ .n = n };
    snprintf(load->name, sizeof(load->name), "%s", name);
    load->pages = aligned_alloc(PAGE_BYTES, n * PAGE_BYTES);
    load->originals = aligned_alloc(PAGE_BYTES, n * PAGE_BYTES);
    load->slots = calloc(n, sizeof(*load->slots));
    load->has_prior = calloc(n, sizeof(*load->has_prior));
    if (!load->pages || !load->originals || !load->slots || !load->has_prior) {
        bench_load_close(load);
        return err_set(e, ENOMEM, "no memory for a load of %zu pages", n);
    }
    touch(load->pages, n * PAGE_BYTES);
    touch(load->originals, n * PAGE_BYTES);
    rng_seed(&r, 99);
    for (size_t i = 0; i < n; i++) {
        size_t other = (size_t)rng_below(&r, i + 1);

        load->slots[i] = load->slots[other];
        load->slots[other] = (uint32_t)i;
    }
    return 0;
}

int bench_load_make(struct bench_load *ret, unsigned which, size_t n, struct err *e)
{
    struct rng r;
    int rc = open_load(ret, shapes[which].name, n, e);

    if (rc < 0)
        return rc;
    rng_seed(&r, which + 1);
    for (size_t i = 0; i < n; i++) {
        uint8_t *page = ret->pages + i * PAGE_BYTES;
        uint8_t *prior = ret->originals + (size_t)ret->slots[i] * PAGE_BYTES;

        shapes[which].fill(&r, prior);
        memcpy(page, prior, PAGE_BYTES);
        shapes[which].change(&r, page);
        ret->has_prior[i] = !shapes[which].is_new;
    }
    return 0;
}

const char *bench_load_name(unsigned which)
{
    return shapes[which].name;
}

const char *bench_load_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int bench_load_read(struct bench_load *ret, const char *path, struct err *e)
{
    const char *base = bench_load_base(path);
    FILE *file = fopen(path, "re");
    char name[32];
    long bytes;
    int rc;

    if (!file)
        return err_set(e, errno, "trace %s: %m", path);
    fseek(file, 0, SEEK_END);
    bytes = ftell(file);
    rewind(file);
    if (bytes < (long)RECORD_BYTES || bytes % (long)RECORD_BYTES != 0 || (uint64_t)bytes > TRACE_MAX) {
        fclose(file);
        return err_set(e, EINVAL, "trace %s: %ld octets are no whole records of %u", path, bytes,
                       RECORD_BYTES);
    }
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(base, "."), base);
    rc = open_load(ret, name, (size_t)bytes / RECORD_BYTES, e);
    for (size_t i = 0; rc == 0 && i < ret->n; i++) {
        int has_prior = fgetc(file);

        ret->has_prior[i] = has_prior == 1;
        if (fread(ret->originals + (size_t)ret->slots[i] * PAGE_BYTES, PAGE_BYTES, 1, file) != 1 ||
            fread(ret->pages + i * PAGE_BYTES, PAGE_BYTES, 1, file) != 1)
            rc = err_set(e, EIO, "trace %s: page %zu can't be read", path, i);
    }
    fclose(file);
    if (rc < 0)
        bench_load_close(ret);
    return rc;
}

void bench_load_close(struct bench_load *load)
{
    free(load->pages);
    free(load->originals);
    free(load->slots);
    free(load->has_prior);
    *load = (struct bench_load){ .n = 0 };
}

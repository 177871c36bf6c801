/* units — see units.h. Both kinds are one table of suffixes, largest first. */
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

struct unit {
    const char *suffix;
    uint64_t factor;
};

struct kind {
    const char *name, *example;
    const struct unit *units; /* largest first, the canonical suffix of a factor before its others */
    size_t n;
};

static const struct unit size_units[] = {
    { "T", UINT64_C(1) << 40 }, { "TiB", UINT64_C(1) << 40 }, { "G", UINT64_C(1) << 30 },
    { "GiB", UINT64_C(1) << 30 }, { "M", UINT64_C(1) << 20 }, { "MiB", UINT64_C(1) << 20 },
    { "K", UINT64_C(1) << 10 }, { "KiB", UINT64_C(1) << 10 }, { "B", 1 },
};
static const struct unit time_units[] = {
    { "min", 60 * NS_PER_S }, { "s", NS_PER_S }, { "ms", NS_PER_MS }, { "us", NS_PER_US }, { "ns", 1 },
};
static const struct unit count_units[] = { { "", 1 } };

static const struct kind size_kind = { "size", "64M, 512K or 4096B", size_units, ARRAY_LEN(size_units) };
static const struct kind time_kind = { "time", "25ms, 500us or 1s", time_units, ARRAY_LEN(time_units) };
static const struct kind count_kind = { "number", "64", count_units, ARRAY_LEN(count_units) };

static const struct unit *unit_named(const struct kind *k, const char *suffix)
{
    for (size_t i = 0; i < k->n; i++)
        if (strcmp(k->units[i].suffix, suffix) == 0)
            return &k->units[i];
    return NULL;
}

static const char *put(const struct kind *k, char text[UNITS_TEXT_MAX], uint64_t value)
{
    const struct unit *u = k->units;

    while (u < k->units + k->n - 1 && value % u->factor != 0)
        u++;
    snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 "%s", value / u->factor, value ? u->suffix : "");
    return text;
}

static int parse(const struct kind *k, const char *text, struct units_range range, uint64_t *ret,
                 struct err *e)
{
    char least[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
    const struct unit *u;
    uint64_t value = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return err_set(e, ERANGE, "\"%.40s\" is too large for a %s", text, k->name);
    u = unit_named(k, at);
    if (at == text || (!u && !(value == 0 && !*at)))
        return err_set(e, EINVAL, "\"%.40s\" is no %s: write it like %s", text, k->name, k->example);
    if ((u && __builtin_mul_overflow(value, u->factor, &value)) || value < range.least ||
        value > range.most)
        return err_set(e, ERANGE, "\"%.40s\" is out of range: %s to %s", text,
                       put(k, least, range.least), put(k, most, range.most));
    *ret = value;
    return 0;
}

int units_parse_size(const char *text, struct units_range range, uint64_t *ret, struct err *e)
{
    return parse(&size_kind, text, range, ret, e);
}

int units_parse_time(const char *text, struct units_range range, uint64_t *ret, struct err *e)
{
    return parse(&time_kind, text, range, ret, e);
}

int units_parse_count(const char *text, struct units_range range, uint64_t *ret, struct err *e)
{
    return parse(&count_kind, text, range, ret, e);
}

const char *units_put_size(char text[UNITS_TEXT_MAX], uint64_t octets)
{
    return put(&size_kind, text, octets);
}

const char *units_put_time(char text[UNITS_TEXT_MAX], uint64_t ns)
{
    return put(&time_kind, text, ns);
}

/* units — sizes and times as people write them: "512M", "25ms". A number without its unit is refused,
 * because nobody knows what it means; only 0 may stand alone. Whole numbers only. */
#ifndef REPLICATOR_BASE_UNITS_H
#define REPLICATOR_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct units_range {
    uint64_t least, most; /* inclusive, in octets or nanoseconds */
};

/* Octets from "4096B", "64K", "512M", "4G", "1T" (powers of 1024; "KiB", "MiB" … mean the same).
 * -EINVAL for what can't be read, -ERANGE outside the range; e says what would be right. */
MUST_CHECK int units_parse_size(const char *text, struct units_range range, uint64_t *ret,
                                struct err *e);

/* Nanoseconds from "500us", "25ms", "1s", "2min". Failures as above. */
MUST_CHECK int units_parse_time(const char *text, struct units_range range, uint64_t *ret,
                                struct err *e);

/* A plain number, decimal digits only. Failures as above. */
MUST_CHECK int units_parse_count(const char *text, struct units_range range, uint64_t *ret,
                                 struct err *e);

/* The shortest exact form that the parsers read back; UNITS_TEXT_MAX octets always suffice. */
#define UNITS_TEXT_MAX 24u
const char *units_put_size(char text[UNITS_TEXT_MAX], uint64_t octets);
const char *units_put_time(char text[UNITS_TEXT_MAX], uint64_t ns);

#endif

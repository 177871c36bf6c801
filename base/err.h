/* err — the one error contract of the program.
 * Functions return 0 or -errno; on failure they fill a struct err, on success they leave it alone.
 * The deepest function says what happened, callers wrap it outwards, only the top logs it. */
#ifndef REPLICATOR_BASE_ERR_H
#define REPLICATOR_BASE_ERR_H

#include "base/attr.h"

#define ERR_TEXT_MAX 320u

struct err {
    int code;                /* positive errno value, 0 while nothing failed */
    char text[ERR_TEXT_MAX]; /* one line for a person: what failed, where, what to do */
};

/* Fills e with errno value `code` (positive) and the formatted text (%m is `code`'s); returns -code. */
int err_set(struct err *e, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "formatted text: " before what e says; returns -e->code. */
int err_wrap(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

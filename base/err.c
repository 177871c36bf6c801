/* err — see err.h. Texts that do not fit are cut at the end, never overflow. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *format, ...)
{
    va_list args;

    e->code = code;
    errno = code; /* for %m */
    va_start(args, format);
    vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    return -code;
}

int err_wrap(struct err *e, const char *format, ...)
{
    char inner[ERR_TEXT_MAX];
    va_list args;
    size_t at;

    memcpy(inner, e->text, sizeof(inner));
    va_start(args, format);
    vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    at = strlen(e->text);
    if (at + 2 < sizeof(e->text)) {
        memcpy(e->text + at, ": ", 3);
        at += 2;
        strncpy(e->text + at, inner, sizeof(e->text) - at - 1);
        e->text[sizeof(e->text) - 1] = '\0';
    }
    return -e->code;
}

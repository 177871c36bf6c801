/* log — see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_WHO_MAX  64u
#define LOG_LINE_MAX 1024u

static char log_who[LOG_WHO_MAX] = "replicator";
static enum log_level log_most_verbose = LOG_LEVEL_INFO;

void log_open(const char *who, enum log_level most_verbose)
{
    snprintf(log_who, sizeof(log_who), "%s", who);
    log_most_verbose = most_verbose;
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[LOG_LINE_MAX];
    va_list args;

    if (level > log_most_verbose)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "%s: %s\n", log_who, text);
    else
        fprintf(stderr, "<%d>%s: %s\n", (int)level, log_who, text);
}

/* log — lines to stderr: journald priorities "<N>" when it is not a terminal, plain when it is.
 * One call, one line; called by the program's top layer only, leaf folders return errors instead. */
#ifndef REPLICATOR_BASE_LOG_H
#define REPLICATOR_BASE_LOG_H

#include "base/attr.h"

enum log_level { LOG_LEVEL_ERR = 3, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Sets what stands before every line ("protect web1"; copied, cut at 64) and the least level shown. */
void log_open(const char *who, enum log_level most_verbose);
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_err(...)     log_line(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif

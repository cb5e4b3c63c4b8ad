#ifndef IL_BASE_LOG_H
#define IL_BASE_LOG_H

#include "inlay/log.h"

/* One line, from any thread. Cheap when the level is off. */
__attribute__((format(printf, 2, 3))) void il_log(enum inlay_log_level level, const char *format, ...);

#define il_log_warn(...) il_log(INLAY_LOG_WARN, __VA_ARGS__)
#define il_log_info(...) il_log(INLAY_LOG_INFO, __VA_ARGS__)
#define il_log_debug(...) il_log(INLAY_LOG_DEBUG, __VA_ARGS__)

#endif

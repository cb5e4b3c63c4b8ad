/* Log lines of the library. Silent until a sink is set. */
#ifndef INLAY_LOG_H
#define INLAY_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

/* Faults come back as struct inlay_error to the caller, who says them; lines are what is worth knowing beside. */
enum inlay_log_level { INLAY_LOG_NONE, INLAY_LOG_WARN, INLAY_LOG_INFO, INLAY_LOG_DEBUG };

/* Called from any thread, one call at a time; text is one line without a newline. It must not call inlay. */
typedef void inlay_log_fn(void *ctx, enum inlay_log_level level, const char *text);

/* Lines above `level` are dropped. fn NULL silences. Call before other threads use the library. */
void inlay_log_set(inlay_log_fn *fn, void *ctx, enum inlay_log_level level);

#ifdef __cplusplus
}
#endif
#endif

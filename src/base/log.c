#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static struct {
	pthread_mutex_t lock; /* held while fn runs, so that lines do not mix */
	inlay_log_fn *fn;
	void *ctx;
	atomic_int level; /* read without the lock; -1 while there is no fn */
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = -1 };

void inlay_log_set(inlay_log_fn *fn, void *ctx, enum inlay_log_level level)
{
	pthread_mutex_lock(&sink.lock);
	sink.fn = fn;
	sink.ctx = ctx;
	atomic_store(&sink.level, fn ? (int)level : -1);
	pthread_mutex_unlock(&sink.lock);
}

void il_log(enum inlay_log_level level, const char *format, ...)
{
	if ((int)level > atomic_load_explicit(&sink.level, memory_order_relaxed))
		return;
	pthread_mutex_lock(&sink.lock);
	if (sink.fn) {
		char text[1024];
		va_list args;
		va_start(args, format);
		vsnprintf(text, sizeof text, format, args);
		va_end(args);
		sink.fn(sink.ctx, level, text);
	}
	pthread_mutex_unlock(&sink.lock);
}

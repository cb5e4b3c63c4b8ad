/* Messages as gRPC's buffers, in memory that is used again, and the library's beginning and end. */
#include "server/rpc/rpc_impl.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/support/log.h>

#include "base/log.h"
#include "server/buffers.h"

/* ---- the library ---- */

static _Thread_local char fault[256];

/* gRPC's errors are nested text; what the system said is in os_error:"...". */
static void keep_fault(const char *message)
{
	static const char key[] = "os_error:\"";
	const char *at = strstr(message, key);
	if (!at)
		return;
	at += sizeof key - 1;
	size_t n = strcspn(at, "\"");
	n = n < sizeof fault ? n : sizeof fault - 1;
	memcpy(fault, at, n);
	fault[n] = 0;
}

static void take_log(gpr_log_func_args *args)
{
	if (args->severity == GPR_LOG_SEVERITY_ERROR)
		keep_fault(args->message);
	il_log_debug("grpc: %s", args->message);
}

/* The system's resolver knows what the system knows; c-ares loses memory for each name. */
static void set_up(void)
{
	gpr_set_log_function(take_log);
	setenv("GRPC_DNS_RESOLVER", "native", 0);
}

void rpc_library_begin(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, set_up);
	grpc_init();
}

void rpc_library_end(void)
{
	grpc_shutdown_blocking();
}

const char *rpc_library_fault(bool clear)
{
	if (clear)
		fault[0] = 0;
	return fault;
}

grpc_arg rpc_int_arg(const char *key, int value)
{
	return (grpc_arg){ .type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value };
}

size_t rpc_common_args(grpc_arg *args, int64_t message_bytes)
{
	int limit = message_bytes > 0 && message_bytes < INT_MAX ? (int)message_bytes : INT_MAX;
	size_t n = 0;
	args[n++] = rpc_int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, limit);
	args[n++] = rpc_int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, limit);
	/* Pings keep connections through balancers, and find peers that are gone. */
	args[n++] = rpc_int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
	args[n++] = rpc_int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
	args[n++] = rpc_int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
	args[n++] = rpc_int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
	/* gRPC unpacks all of a message before it looks at the limit: 100 KB can be 100 MB. */
	args[n++] = rpc_int_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
	return n;
}

/* ---- messages ---- */

#define SMALL ((size_t)64 << 10) /* copied by gRPC itself */

grpc_byte_buffer *rpc_message(const void *data, size_t size)
{
	grpc_slice slice;
	if (size <= SMALL) {
		slice = grpc_slice_from_copied_buffer(size ? data : "", size);
	} else {
		void *memory = buffer_take(size);
		if (!memory)
			return NULL;
		memcpy(memory, data, size);
		slice = grpc_slice_new(memory, size, buffer_return);
	}
	grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return message;
}

const uint8_t *rpc_message_whole(const grpc_byte_buffer *message)
{
	const grpc_slice_buffer *slices = &message->data.raw.slice_buffer;
	if (message->type != GRPC_BB_RAW || slices->count > 1)
		return NULL;
	return slices->count ? GRPC_SLICE_START_PTR(slices->slices[0]) : (const uint8_t *)"";
}

void rpc_message_copy(grpc_byte_buffer *message, uint8_t *to)
{
	grpc_byte_buffer_reader reader;
	if (!grpc_byte_buffer_reader_init(&reader, message))
		return;
	grpc_slice slice;
	while (grpc_byte_buffer_reader_next(&reader, &slice)) {
		memcpy(to, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
		to += GRPC_SLICE_LENGTH(slice);
		grpc_slice_unref(slice);
	}
	grpc_byte_buffer_reader_destroy(&reader);
}

/* ---- waiting ---- */

bool rpc_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns)
{
	struct timespec until = { until_ns / 1000000000, until_ns % 1000000000 };
	return pthread_cond_timedwait(cond, lock, &until) == 0;
}

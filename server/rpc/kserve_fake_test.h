/* gRPC without a network: calls go straight to the handlers of fake servers, as bytes. */
#ifndef SERVER_RPC_KSERVE_FAKE_TEST_H
#define SERVER_RPC_KSERVE_FAKE_TEST_H

#include <stdatomic.h>

#include "base/clock.h"
#include "base/error.h"
#include "server/kserve_test.h"
#include "server/rpc/message.h"
#include "server/rpc/services.h"

/* A call under way: messages of the client, and what is written, one behind the other. */
struct rpc_call {
	struct il_bytes messages[32];
	unsigned n, next;
	struct il_bytes written;
	int64_t deadline_ns;
	bool (*cancelled)(void *ctx);
	void *cancel_ctx;
};

enum inlay_err rpc_read(struct rpc_call *call, const uint8_t **data, size_t *size, struct inlay_error *err)
{
	(void)err;
	if (call->next == call->n)
		return INLAY_EOF;
	*data = call->messages[call->next].data;
	*size = call->messages[call->next++].size;
	return INLAY_OK;
}

enum inlay_err rpc_write(struct rpc_call *call, const void *data, size_t size, struct inlay_error *err)
{
	(void)err;
	call->written.data = realloc(call->written.data, call->written.size + size + 1);
	if (size)
		memcpy(call->written.data + call->written.size, data, size);
	call->written.size += size;
	return INLAY_OK;
}

bool rpc_cancelled(void *ctx)
{
	struct rpc_call *call = ctx;
	return (call->cancelled && call->cancelled(call->cancel_ctx)) ||
	       (call->deadline_ns && il_clock_ns() >= call->deadline_ns);
}

int64_t rpc_deadline_ns(const struct rpc_call *call)
{
	return call->deadline_ns;
}

const char *rpc_peer(const struct rpc_call *call)
{
	(void)call;
	return "test";
}

static enum inlay_err fake_handle(struct fake *fake, const char *path, struct rpc_call *call, struct inlay_error *err)
{
	struct rpc_method methods[32];
	size_t n = kserve_methods((struct app *)fake, methods, 32);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(methods[i].path, path))
			return methods[i].handle(methods[i].ctx, call, err);
	return il_fail(err, INLAY_ERR_UNSUPPORTED, "no method %s", path);
}

/* A field of bytes. */
static inline void put_bytes(struct il_bytes *to, unsigned number, const void *data, size_t size)
{
	to->data = realloc(to->data, to->size + size + 12);
	to->data[to->size++] = (uint8_t)(number << 3 | 2);
	to->size += message_put_varint(to->data + to->size, size);
	if (size)
		memcpy(to->data + to->size, data, size);
	to->size += size;
}

#endif

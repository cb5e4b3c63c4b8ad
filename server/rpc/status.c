/* Our errors as gRPC's status codes, and back. */
#include "server/rpc/rpc.h"

static const struct {
	enum inlay_err code;
	enum rpc_status status;
} pairs[] = {
	{ INLAY_OK, RPC_OK },
	{ INLAY_ERR_INVALID, RPC_INVALID_ARGUMENT },
	{ INLAY_ERR_FORMAT, RPC_INVALID_ARGUMENT },
	{ INLAY_ERR_NOT_FOUND, RPC_NOT_FOUND },
	{ INLAY_ERR_EXISTS, RPC_ALREADY_EXISTS },
	{ INLAY_ERR_UNSUPPORTED, RPC_UNIMPLEMENTED },
	{ INLAY_ERR_CANCELLED, RPC_CANCELLED },
	{ INLAY_ERR_BUSY, RPC_RESOURCE_EXHAUSTED },
	{ INLAY_ERR_TIMEOUT, RPC_DEADLINE_EXCEEDED },
	{ INLAY_ERR_IO, RPC_UNAVAILABLE }, /* the way back alone: our own are RPC_INTERNAL */
	{ INLAY_ERR_UNAVAILABLE, RPC_UNAVAILABLE },
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

enum rpc_status rpc_status_of(enum inlay_err code)
{
	for (int i = 0; i < PAIRS; i++)
		if (pairs[i].code == code && code != INLAY_ERR_IO)
			return pairs[i].status;
	return RPC_INTERNAL;
}

enum inlay_err rpc_error_of(int status)
{
	for (int i = 0; i < PAIRS; i++)
		if ((int)pairs[i].status == status)
			return pairs[i].code;
	return INLAY_ERR_IO;
}

/* grpc.health.v1: whether requests can be served, for balancers and orchestrators. */
#include <stdatomic.h>
#include <string.h>

#include "server/rpc/descriptors.h"
#include "server/rpc/health.pb-c.h"
#include "server/rpc/proto_call.h"
#include "server/rpc/services.h"

typedef Grpc__Health__V1__HealthCheckResponse Response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus Status;

enum { LOOK_MS = 500, REQUEST_BYTES = 4096, WATCHERS = 16 /* so many calls of open methods stay for others */ };

static bool known(const char *service)
{
	if (!service[0])
		return true;
	for (const struct descriptor *file = descriptors; file->name; file++)
		for (const char *const *name = file->services; *name; name++)
			if (strcmp(*name, service) == 0)
				return true;
	return false;
}

static Status status_of(struct app *app)
{
	bool serving = !app_stopping(app) && app_ready(app, NULL, 0);
	return serving ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
	               : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
}

static enum inlay_err answer(struct rpc_call *call, Status status, struct inlay_error *err)
{
	Response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	response.status = status;
	return proto_write(call, &response.base, err);
}

static enum inlay_err read_known(struct rpc_call *call, bool *is_known, struct inlay_error *err)
{
	ProtobufCMessage *request;
	enum inlay_err code =
		proto_read(call, &grpc__health__v1__health_check_request__descriptor, REQUEST_BYTES, &request, err);
	if (code)
		return code;
	*is_known = known(((Grpc__Health__V1__HealthCheckRequest *)request)->service);
	protobuf_c_message_free_unpacked(request, NULL);
	return INLAY_OK;
}

static enum inlay_err check(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	bool is_known;
	enum inlay_err code = read_known(call, &is_known, err);
	if (code)
		return code;
	if (!is_known)
		return il_fail(err, INLAY_ERR_NOT_FOUND, "no such service");
	return answer(call, status_of(ctx), err);
}

/* The status now, and again when it has changed. */
static enum inlay_err go_on_watching(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	bool is_known;
	enum inlay_err code = read_known(call, &is_known, err);
	Status told = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN;
	bool going_on = true;
	while (!code && going_on) {
		Status now = is_known ? status_of(ctx)
		                      : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
		if (now != told)
			code = answer(call, now, err);
		told = now;
		going_on = !code && rpc_pause(call, LOOK_MS);
	}
	if (!code && !rpc_cancelled(call) && told == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING)
		code = answer(call, GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING, err);
	return code;
}

static enum inlay_err watch(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	static atomic_uint watching;
	enum inlay_err code = atomic_fetch_add(&watching, 1) < WATCHERS
	                              ? go_on_watching(ctx, call, err)
	                              : il_fail(err, INLAY_ERR_BUSY, "%d watch already: use Check", WATCHERS);
	atomic_fetch_sub(&watching, 1);
	return code;
}

size_t health_methods(struct app *app, struct rpc_method *methods, size_t room)
{
	const struct rpc_method all[] = { { "/grpc.health.v1.Health/Check", check, app, true, true },
		                          { "/grpc.health.v1.Health/Watch", watch, app, true, false } };
	size_t n = sizeof all / sizeof *all < room ? sizeof all / sizeof *all : room;
	memcpy(methods, all, n * sizeof *all);
	return n;
}

/* The methods of each gRPC service that inlay serve has: tables for rpc_server_params, NULL path at the end. */
#ifndef SERVER_RPC_SERVICES_H
#define SERVER_RPC_SERVICES_H

#include "server/app.h"
#include "server/rpc/rpc.h"

/* Each fills up to `room` methods of `app` and returns how many there are. */
size_t kserve_methods(struct app *app, struct rpc_method *methods, size_t room); /* inference.GRPCInferenceService */
size_t origin_methods(struct app *app, struct rpc_method *methods,
                      size_t room); /* compositing, monolithic, inference */
size_t lipsync_methods(struct app *app, struct rpc_method *methods, size_t room); /* inlay.v1.Lipsync */
size_t health_methods(struct app *app, struct rpc_method *methods, size_t room);  /* grpc.health.v1 */
/* grpc.reflection.v1 and v1alpha, of all .proto files above; knows them itself. */
size_t reflection_methods(struct app *app, struct rpc_method *methods, size_t room);

#endif

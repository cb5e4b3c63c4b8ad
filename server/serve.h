/* A server as a whole: what it can do (server/app.h), its videos, and its two doors, gRPC and HTTP. */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "server/config.h"

/* One thread, which has blocked the signals that it wants to wait for: all threads of the server inherit that. */
struct serve;

/* Returns once both doors are open. The config, checked (server_config_check), outlives the server. Role inference has
 * no videos and no state folder. */
enum inlay_err serve_start(struct serve **serve, const struct server_config *config, struct inlay_error *err);

/* What people can type: "http://127.0.0.1:8000", "grpc://..."; NULL where that door is off. */
const char *serve_http_url(const struct serve *serve);
const char *serve_grpc_url(const struct serve *serve);
int64_t serve_avatars(const struct serve *serve); /* how many there are */

/* Takes over what may change while it runs (app_reload). The config outlives the server. */
void serve_reload(struct serve *serve, const struct server_config *config);

/* Closes the doors to new work and lets what is under way end, for timeout_ms; then it is cancelled, and videos that
 * are not done are queued for the next start. */
void serve_stop(struct serve *serve, int64_t timeout_ms);
/* Stops at once, if it was not. */
void serve_destroy(struct serve **serve);

#endif

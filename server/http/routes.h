/* The routes of each part of the HTTP side. */
#ifndef SERVER_HTTP_ROUTES_H
#define SERVER_HTTP_ROUTES_H

#include "server/app.h"
#include "server/http/http.h"
#include "server/videos/videos.h"

/* Each fills up to `room` routes and returns how many there are; web/openapi.json describes them all. `app` and
 * `videos` outlive the server that the routes are given to. */
size_t kserve_routes(struct app *app, struct http_route *routes, size_t room);                       /* /v2/... */
size_t video_routes(struct app *app, struct videos *videos, struct http_route *routes, size_t room); /* /v1/videos */
/* /healthz /readyz /metrics /openapi.json, the page at /, and avatar_routes. */
size_t status_routes(struct app *app, struct http_route *routes, size_t room);
size_t avatar_routes(struct app *app, struct http_route *routes, size_t room); /* /v1/avatars */

/* Adds a route where there is room, and counts it anyway. */
static inline size_t add_route(struct http_route *routes, size_t room, size_t n, struct http_route route)
{
	if (n < room)
		routes[n] = route;
	return n + 1;
}

/* A number of a query or field: false, and answered with what was expected, unless it lies in low..high. Absent: as it
 * was. */
bool route_number(struct http_request *request, const char *name, const char *text, int64_t low, int64_t high,
                  int64_t *number);

#endif

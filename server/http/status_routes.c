/* How the server is: for those who watch it, and the page for people. */
#include <stdio.h>
#include <string.h>

#include "server/http/routes.h"
#include "server/http/web_files.h"

static void healthz(void *ctx, struct http_request *request)
{
	(void)ctx;
	http_answer_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

static void readyz(void *ctx, struct http_request *request)
{
	char why[512] = "";
	if (app_ready(ctx, why, sizeof why))
		http_answer_json(request, 200, json_pack("{s:s}", "status", "ready"));
	else
		http_answer_fault(request, 503, why[0] ? why : "not ready");
}

static void metrics(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	struct il_bytes text = { 0 };
	if (metrics_text(app_metrics(ctx), &text, &err))
		http_answer_error(request, &err);
	else
		http_answer(request, 200, "text/plain; version=0.0.4; charset=utf-8", text.data, text.size);
	il_bytes_destroy(&text);
}

static void send_web(struct http_request *request, const char *type, const void *data, size_t size)
{
	http_add_header(request, "Cache-Control", "no-cache");
	http_answer(request, 200, type, data, size);
}

static void page(void *ctx, struct http_request *request)
{
	(void)ctx;
	send_web(request, "text/html; charset=utf-8", web_index_html, web_index_html_size);
}

static void script(void *ctx, struct http_request *request)
{
	(void)ctx;
	send_web(request, "text/javascript; charset=utf-8", web_app_js, web_app_js_size);
}

static void style(void *ctx, struct http_request *request)
{
	(void)ctx;
	send_web(request, "text/css; charset=utf-8", web_style_css, web_style_css_size);
}

static void icon(void *ctx, struct http_request *request)
{
	(void)ctx;
	send_web(request, "image/svg+xml", web_icon_svg, web_icon_svg_size);
}

static void openapi(void *ctx, struct http_request *request)
{
	(void)ctx;
	send_web(request, "application/json", web_openapi_json, web_openapi_json_size);
}

size_t status_routes(struct app *app, struct http_route *routes, size_t room)
{
	/* The page is open because it is what asks for the token. */
	const struct http_route own[] = {
		{ "GET", "/healthz", healthz, app, .open = true },
		{ "GET", "/readyz", readyz, app, .open = true },
		{ "GET", "/metrics", metrics, app },
		{ "GET", "/openapi.json", openapi, app, .open = true },
		{ "GET", "/", page, app, .open = true },
		{ "GET", "/app.js", script, app, .open = true },
		{ "GET", "/icon.svg", icon, app, .open = true },
		{ "GET", "/style.css", style, app, .open = true },
	};
	size_t n = 0;
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		n = add_route(routes, room, n, own[i]);
	return n + avatar_routes(app, routes + (n < room ? n : room), n < room ? room - n : 0);
}

/* inlay loadgen */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "cli.h"
#include "server/config.h"
#include "server/loadgen.h"

enum {
	OPT_CLIENTS = 0x1000,
	OPT_AVATARS,
	OPT_ZIPF,
	OPT_FPS,
	OPT_SECONDS,
	OPT_BATCH,
	OPT_FRAMES,
	OPT_SENTENCE,
	OPT_SHARED_MEMORY,
	OPT_TOKEN_FILE,
	OPT_TLS_CA,
	OPT_JSON,
	OPT_SVG,
	OPT_PROGRESS,
};

static const struct argp_option options[] = {
	{ 0, 0, 0, 0, "The server:", 1 },
	{ "url", 'u', "URL", 0, "gRPC of the server: HOST:PORT, grpcs://HOST:PORT (default: 127.0.0.1:8001)", 0 },
	{ "token-file", OPT_TOKEN_FILE, "FILE", 0, "the token that it asks for", 0 },
	{ "tls-ca", OPT_TLS_CA, "FILE.pem", 0, "who signed its certificate (default: the system's list)", 0 },

	{ 0, 0, 0, 0, "The load:", 2 },
	{ "mode", 'm', "MODE", 0,
	  "infer: KServe v2, mouths; composite: CompositingService, JPEG frames; render: streams (default: composite)",
	  0 },
	{ "clients", OPT_CLIENTS, "N", 0, "at the same time (default: 4)", 0 },
	{ "avatars", OPT_AVATARS, "N", 0, "the first of the server's list (default: all)", 0 },
	{ "zipf", OPT_ZIPF, "S", 0, "popularity of the r-th avatar is 1 / r^S (default: 1)", 0 },
	{ "fps", OPT_FPS, "RATE", 0, "frames a second that each client wants, 0 flat out (default: 25)", 0 },
	{ "seconds", OPT_SECONDS, "S", 0, "how long (default: 10)", 0 },
	{ "batch", OPT_BATCH, "N", 0, "frames a request (default: 4)", 0 },
	{ "frames", OPT_FRAMES, "N", 0, "of an avatar, over and over (default: 25)", 0 },
	{ "sentence", OPT_SENTENCE, "S", 0, "after which a client takes another avatar (default: 4)", 0 },
	{ "shared-memory", OPT_SHARED_MEMORY, 0, 0, "tensors of infer cross in shared memory: the server is here", 0 },

	{ 0, 0, 0, 0, "Output:", 3 },
	{ "json", OPT_JSON, "FILE", 0, "the figures (replaced when it exists)", 0 },
	{ "svg", OPT_SVG, "FILE", 0, "a picture of them", 0 },
	{ "progress", OPT_PROGRESS, "WHEN", 0, "auto, always or never", 0 },
	{ 0 },
};

struct arguments {
	struct common common;
	struct loadgen_params params;
	const char *token_file, *json, *svg;
	int progress;
};

static const char *const modes[] = { "infer", "composite", "render", NULL };

static double parse_number(const struct argp_state *state, const char *option, const char *text, double max)
{
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end || !(value >= 0 && value <= max))
		argp_error(state, "--%s: \"%s\": expected a number from 0 to %g", option, text, max);
	return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	struct loadgen_params *p = &a->params;
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case 'u': p->url = arg; return 0;
	case 'm': p->mode = (enum loadgen_mode)parse_word(state, "mode", arg, modes); return 0;
	case OPT_TOKEN_FILE: a->token_file = arg; return 0;
	case OPT_TLS_CA: p->tls_ca = arg; return 0;
	case OPT_CLIENTS: p->clients = (unsigned)parse_integer(state, "clients", arg, 1, 4096); return 0;
	case OPT_AVATARS: p->avatars = (unsigned)parse_integer(state, "avatars", arg, 1, 1000000); return 0;
	case OPT_ZIPF: p->zipf = parse_number(state, "zipf", arg, 10); return 0;
	case OPT_FPS: p->fps = parse_number(state, "fps", arg, 1000); return 0;
	case OPT_SECONDS: p->seconds = parse_number(state, "seconds", arg, 86400); return 0;
	case OPT_BATCH: p->batch = (unsigned)parse_integer(state, "batch", arg, 1, 256); return 0;
	case OPT_FRAMES: p->frames = (unsigned)parse_integer(state, "frames", arg, 1, 1000000); return 0;
	case OPT_SENTENCE: p->sentence_s = parse_number(state, "sentence", arg, 3600); return 0;
	case OPT_SHARED_MEMORY: p->shared_memory = true; return 0;
	case OPT_JSON: a->json = arg; return 0;
	case OPT_SVG: a->svg = arg; return 0;
	case OPT_PROGRESS: a->progress = parse_word(state, "progress", arg, progress_words); return 0;
	case ARGP_KEY_ARG: argp_error(state, "\"%s\" is unexpected: the server is given with --url", arg); return 0;
	case ARGP_KEY_END:
		if (p->fps > 0 && p->fps < 1)
			argp_error(state, "--fps: expected 0 or from 1 to 1000");
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[--url HOST:PORT]",
	.doc = "Measures a server with many clients: frames a second, latency, late frames, errors.\v"
	       "Each client speaks a sentence with an avatar, then takes another. With --fps, latency counts from the "
	       "time when a request was due, not from when the client got round to it.\n\n"
	       "Examples:\n  inlay loadgen --clients 8 --seconds 30\n"
	       "  inlay loadgen --url 10.0.0.2:8001 --mode render --clients 100 --zipf 1.1 --svg load.svg",
	.children = children,
};

struct show {
	struct progress progress;
	bool quiet;
};

static bool show(void *ctx, double passed_s, int64_t frames, int64_t errors)
{
	struct show *s = ctx;
	(void)passed_s, (void)errors;
	if (!s->quiet)
		progress_show(&s->progress, frames, -1);
	return !interrupted();
}

static void say_result(const struct loadgen_params *p, const struct loadgen_result *r)
{
	const struct il_histogram *h = &r->latency;
	printf("%s, %u client%s, %u avatar%s, %.1f s: %lld frames, %.1f a second\n", loadgen_mode_name(p->mode),
	       p->clients, p->clients == 1 ? "" : "s", r->avatars, r->avatars == 1 ? "" : "s", r->wall_s,
	       (long long)r->frames, (double)r->frames / (r->wall_s > 0 ? r->wall_s : 1));
	printf("latency ms: p50 %.1f, p90 %.1f, p99 %.1f, max %.1f\n", (double)il_histogram_percentile_ns(h, 0.5) / 1e6,
	       (double)il_histogram_percentile_ns(h, 0.9) / 1e6, (double)il_histogram_percentile_ns(h, 0.99) / 1e6,
	       (double)h->max_ns / 1e6);
	printf("late: %lld frames (%.2f %%), errors: %lld\n", (long long)r->late,
	       r->frames ? 100 * (double)r->late / (double)r->frames : 0, (long long)r->errors);
	for (size_t i = 0; i < r->n_kinds; i++)
		printf("  %lld %s: %s\n", (long long)r->kinds[i].count, r->kinds[i].kind, r->kinds[i].text);
}

static enum inlay_err write_text(const char *path, char *text, struct inlay_error *err)
{
	if (!path) {
		free(text);
		return INLAY_OK;
	}
	enum inlay_err rc = text ? il_file_write(path, text, strlen(text), true, err) : il_fail_memory(err);
	free(text);
	return rc;
}

static enum inlay_err run(struct arguments *a, struct loadgen_result *result, struct inlay_error *err)
{
	struct show s = { .quiet = a->common.verbose < 0 };
	progress_begin(&s.progress, (enum progress_mode)a->progress);
	a->params.progress = show;
	a->params.progress_ctx = &s;
	enum inlay_err rc = loadgen_run(&a->params, result, err);
	progress_end(&s.progress);
	if (rc)
		return rc;
	say_result(&a->params, result);
	rc = write_text(a->json, a->json ? loadgen_json(&a->params, result) : NULL, err);
	return rc ? rc : write_text(a->svg, a->svg ? loadgen_svg(&a->params, result) : NULL, err);
}

int cmd_loadgen(int argc, char **argv)
{
	struct arguments a = {
		.params = { .url = "127.0.0.1:8001",
		            .mode = LOADGEN_COMPOSITE,
		            .clients = 4,
		            .zipf = 1,
		            .fps = 25,
		            .seconds = 10,
		            .batch = 4 },
	};
	struct inlay_error err = { 0 };
	char *token = NULL;
	parse_options(&argp, argc, argv, &a);
	catch_interrupts();
	struct loadgen_result *result = calloc(1, sizeof *result);
	enum inlay_err rc = result ? INLAY_OK : il_fail_memory(&err);
	if (!rc && a.token_file)
		rc = server_token_read(a.token_file, &token, &err);
	a.params.token = token;
	rc = rc ? rc : run(&a, result, &err);
	const bool nothing_came = !rc && !result->frames && result->errors;
	free(result);
	free(token);
	if (rc)
		return report_error(&err);
	return interrupted() ? 128 + interrupted() : nothing_came ? EXIT_FAILURE : EXIT_SUCCESS;
}

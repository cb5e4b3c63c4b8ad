/* inlay serve */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "cli.h"
#include "server/config.h"
#include "server/notify.h"
#include "server/serve.h"

enum { MAX_SETTINGS = 128, EXIT_INTERRUPTED = 130 };

enum {
	OPT_ROLE = 0x1000,
	OPT_INFERENCE,
	OPT_HTTP,
	OPT_GRPC,
	OPT_STATE,
	OPT_MEMORY_MB,
	OPT_MAX_MODELS,
	OPT_EVICTION,
	OPT_TOKEN_FILE,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_TLS_CLIENT_CA,
	OPT_SHARED_MEMORY,
	OPT_QUALITY,
	OPT_WORKERS,
	OPT_THREADS,
	OPT_BATCH,
	OPT_MAX_JOBS,
	OPT_DRAIN,
	OPT_SET,
};

static const struct argp_option options[] = {
	{ 0, 0, 0, 0, "What to serve:", 1 },
	{ "config", 'c', "FILE.yaml", 0,
	  "settings (deploy/serve.yaml lists them); options and INLAY_SERVE_... stand above them", 0 },
	{ "avatars", 'a', "DIR", 0, "folder of avatars: packs, NAME.inlay, and links to such", 0 },
	{ "role", OPT_ROLE, "ROLE", 0,
	  "all; inference: draws mouths; compositing: everything else, with --inference (default: all)", 0 },
	{ "inference", OPT_INFERENCE, "URL", 0, "a server that draws mouths, HOST:PORT of its gRPC; may be repeated",
	  0 },
	{ "state", OPT_STATE, "DIR", 0, "folder of jobs, videos and uploads (default: ~/.local/state/inlay)", 0 },

	{ 0, 0, 0, 0, "Doors:", 2 },
	{ "http", OPT_HTTP, "HOST:PORT", 0, "where HTTP listens, or off (default: 127.0.0.1:8000)", 0 },
	{ "grpc", OPT_GRPC, "HOST:PORT", 0, "where gRPC listens, or off (default: 127.0.0.1:8001)", 0 },
	{ "token-file", OPT_TOKEN_FILE, "FILE", 0, "clients must send what it holds: Authorization: Bearer TOKEN", 0 },
	{ "tls-cert", OPT_TLS_CERT, "FILE.pem", 0, "certificate, with --tls-key: both doors speak TLS", 0 },
	{ "tls-key", OPT_TLS_KEY, "FILE.pem", 0, "its key", 0 },
	{ "tls-client-ca", OPT_TLS_CLIENT_CA, "FILE.pem", 0, "gRPC clients need a certificate signed by this", 0 },
	{ "shared-memory", OPT_SHARED_MEMORY, 0, 0, "clients of this machine may name shared memory for tensors", 0 },

	{ 0, 0, 0, 0, "Speed and memory:", 3 },
	{ "memory-mb", OPT_MEMORY_MB, "N", 0, "for loaded avatars (default: half of the machine's)", 0 },
	{ "max-models", OPT_MAX_MODELS, "N", 0, "avatars loaded at a time (default: as memory allows)", 0 },
	{ "eviction", OPT_EVICTION, "KIND", 0, "lru or lfu (default: lru)", 0 },
	{ "workers", OPT_WORKERS, "N", 0, "networks run side by side (default: one a processor)", 0 },
	{ "threads", OPT_THREADS, "N", 0, "of a network (default: 1)", 0 },
	{ "batch", OPT_BATCH, "N", 0, "frames of an avatar drawn at a time (default: 4)", 0 },
	{ "quality", OPT_QUALITY, "N", 0, "of JPEG frames (default: the avatar's, else 90)", 0 },
	{ "max-jobs", OPT_MAX_JOBS, "N", 0, "videos queued and in progress (default: 1000)", 0 },
	{ "drain", OPT_DRAIN, "SECONDS", 0, "for what is under way, after SIGTERM (default: 30)", 0 },
	{ "set", OPT_SET, "KEY=VALUE", 0, "any key of the configuration, as in limits.renders=4", 0 },
	{ 0 },
};

static const struct {
	int option;
	const char *key;
} option_keys[] = {
	{ 'a', "avatars" },
	{ OPT_ROLE, "role" },
	{ OPT_STATE, "state" },
	{ OPT_HTTP, "http" },
	{ OPT_GRPC, "grpc" },
	{ OPT_TOKEN_FILE, "token_file" },
	{ OPT_TLS_CERT, "tls_cert" },
	{ OPT_TLS_KEY, "tls_key" },
	{ OPT_TLS_CLIENT_CA, "tls_client_ca" },
	{ OPT_SHARED_MEMORY, "shared_memory" },
	{ OPT_MEMORY_MB, "memory_mb" },
	{ OPT_MAX_MODELS, "max_models" },
	{ OPT_EVICTION, "eviction" },
	{ OPT_WORKERS, "workers" },
	{ OPT_THREADS, "threads" },
	{ OPT_BATCH, "batch" },
	{ OPT_QUALITY, "jpeg_quality" },
	{ OPT_MAX_JOBS, "limits.jobs" },
	{ OPT_DRAIN, "limits.drain_s" },
};

struct setting {
	char key[64];
	const char *value;
};

struct arguments {
	struct common common;
	const char *file;
	char *inference; /* URLs with commas between them */
	struct setting settings[MAX_SETTINGS];
	unsigned n_settings;
};

static void add_setting(const struct argp_state *state, struct arguments *a, const char *key, size_t length,
                        const char *value)
{
	if (a->n_settings == MAX_SETTINGS)
		argp_error(state, "more than %d settings", MAX_SETTINGS);
	struct setting *s = &a->settings[a->n_settings++];
	snprintf(s->key, sizeof s->key, "%.*s", (int)length, key);
	s->value = value;
}

static void add_inference(const struct argp_state *state, struct arguments *a, const char *url)
{
	char *list = NULL;
	if (asprintf(&list, "%s%s%s", a->inference ? a->inference : "", a->inference ? "," : "", url) < 0)
		argp_failure(state, EXIT_FAILURE, ENOMEM, "--inference");
	free(a->inference);
	a->inference = list;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	const char *equals;
	for (size_t i = 0; i < sizeof option_keys / sizeof *option_keys; i++) {
		if (option_keys[i].option == key) {
			add_setting(state, a, option_keys[i].key, 63, arg ? arg : "true");
			return 0;
		}
	}
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case 'c': a->file = arg; return 0;
	case OPT_INFERENCE: add_inference(state, a, arg); return 0;
	case OPT_SET:
		equals = strchr(arg, '=');
		if (!equals || equals - arg > 63)
			argp_error(state, "--set: \"%s\": expected KEY=VALUE", arg);
		add_setting(state, a, arg, (size_t)(equals - arg), equals + 1);
		return 0;
	case ARGP_KEY_ARG: argp_error(state, "\"%s\" is unexpected: avatars are given with --avatars", arg); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "--avatars DIR",
	.doc = "Serves lip-sync to many clients at a time: gRPC, KServe v2, videos over HTTP, and a page to try it.\v"
	       "Examples:\n  inlay serve --avatars avatars\n"
	       "  inlay serve --role inference --avatars avatars --grpc 0.0.0.0:9001 --http off\n"
	       "  inlay serve --role compositing --avatars avatars --inference 10.0.0.2:9001 --inference 10.0.0.3:9001",
	.children = children,
};

/* ---- the configuration ---- */

/* Configurations stay to the end: those who work with an older one need not be asked whether they still do. */
struct loaded {
	struct server_config config;
	struct loaded *older;
};

static enum inlay_err apply_layers(struct server_config *config, const struct arguments *a, struct inlay_error *err)
{
	enum inlay_err rc = server_config_init(config, err);
	if (!rc && a->file)
		rc = server_config_read(config, a->file, err);
	rc = rc ? rc : server_config_environment(config, err);
	for (unsigned i = 0; i < a->n_settings && !rc; i++)
		rc = server_config_set(config, a->settings[i].key, a->settings[i].value, err);
	if (!rc && a->inference)
		rc = server_config_set(config, "inference", a->inference, err);
	return rc ? rc : server_config_check(config, err);
}

static enum inlay_err load(struct loaded **newest, const struct arguments *a, struct inlay_error *err)
{
	struct loaded *l = calloc(1, sizeof *l);
	if (!l)
		return il_fail_memory(err);
	enum inlay_err rc = apply_layers(&l->config, a, err);
	if (rc) {
		server_config_clear(&l->config);
		free(l);
		return rc;
	}
	l->older = *newest;
	*newest = l;
	return INLAY_OK;
}

static void forget(struct loaded *l)
{
	while (l) {
		struct loaded *older = l->older;
		server_config_clear(&l->config);
		free(l);
		l = older;
	}
}

/* ---- signals ---- */

static void watched_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

/* What the server began with is what it goes on with, but for what may change while it runs. */
static void say_reloaded(const struct loaded *newest)
{
	char changed[512];
	const struct loaded *first = newest;
	while (first->older)
		first = first->older;
	if (server_config_needs_restart(&first->config, &newest->config, changed, sizeof changed))
		say("inlay: the configuration was read anew; what is new of %s needs a restart (docs/serve.md)",
		    changed);
	else
		say("inlay: the configuration was read anew");
}

static void reload(struct serve *serve, struct loaded **newest, const struct arguments *a)
{
	char state[64];
	struct inlay_error err = { 0 };
	snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(il_clock_ns() / 1000));
	notify_manager(state);
	if (load(newest, a, &err)) {
		il_log_warn("the configuration stays as it was: %s", err.text);
	} else {
		serve_reload(serve, &(*newest)->config);
		say_reloaded(*newest);
	}
	notify_manager("READY=1");
}

/* While the server drains: a second signal, or the end of patience, ends the process. */
static void *watch_drain(void *ctx)
{
	sigset_t set;
	unsigned drain_s = (unsigned)(uintptr_t)ctx;
	struct timespec patience = { .tv_sec = (time_t)drain_s + 2 };
	watched_signals(&set);
	sigdelset(&set, SIGHUP);
	for (;;) {
		int number = sigtimedwait(&set, NULL, &patience);
		if (number > 0)
			_exit(EXIT_INTERRUPTED);
		if (errno != EINTR) {
			say("inlay: not everything ended within %u s", drain_s);
			_exit(EXIT_SUCCESS);
		}
	}
}

static void drain(struct serve *serve, unsigned drain_s)
{
	pthread_t watch;
	notify_manager("STOPPING=1");
	say("inlay: stopping: what is under way may take %u s; a second signal stops at once", drain_s);
	if (!pthread_create(&watch, NULL, watch_drain, (void *)(uintptr_t)drain_s))
		pthread_detach(watch);
	serve_stop(serve, (int64_t)drain_s * 1000);
}

static void wait_for_end(struct serve *serve, struct loaded **newest, const struct arguments *a)
{
	sigset_t set;
	int number = 0;
	watched_signals(&set);
	while (sigwait(&set, &number) || number == SIGHUP) {
		if (number == SIGHUP)
			reload(serve, newest, a);
	}
}

/* ---- the command ---- */

static void say_where(const struct serve *serve, const struct server_config *c)
{
	static const char *const roles[] = { "", " (inference)", " (compositing)" };
	const char *http = serve_http_url(serve), *grpc = serve_grpc_url(serve);
	const char *token = c->token_file ? " -H \"Authorization: Bearer $TOKEN\"" : "";
	const int64_t avatars = serve_avatars(serve);
	const bool inference = c->role == SERVER_INFERENCE;
	say("inlay: serving %lld avatar%s of %s%s on %s%s%s", (long long)avatars, avatars == 1 ? "" : "s", c->avatars,
	    roles[c->role], http ? http : "", http && grpc ? " and " : "", grpc ? grpc : "");
	if (!avatars)
		say("inlay: put packs and compiled avatars there, as by: inlay avatar compile --demo -o "
		    "%s/presenter.inlay",
		    c->avatars);
	if (http && !inference)
		say("inlay: open %s, or: curl%s -F avatar=NAME -F audio=@speech.wav %s/v1/videos", http, token, http);
	else if (http)
		say("inlay: try: curl%s %s/v2/health/ready", token, http);
	else
		say("inlay: try: inlay loadgen --url %s%s%s%s", grpc, inference ? " --mode infer" : "",
		    c->token_file ? " --token-file " : "", c->token_file ? c->token_file : "");
}

static enum inlay_err serve(const struct arguments *a, struct loaded **newest, struct inlay_error *err)
{
	struct serve *serve = NULL;
	enum inlay_err rc = load(newest, a, err);
	rc = rc ? rc : serve_start(&serve, &(*newest)->config, err);
	if (rc)
		return rc;
	say_where(serve, &(*newest)->config);
	notify_manager("READY=1");
	wait_for_end(serve, newest, a);
	drain(serve, (*newest)->config.limits.drain_s);
	serve_destroy(&serve);
	return INLAY_OK;
}

int cmd_serve(int argc, char **argv)
{
	struct arguments a = { 0 };
	struct loaded *newest = NULL;
	struct inlay_error err = { 0 };
	sigset_t set;

	parse_options(&argp, argc, argv, &a);
	/* Before any thread: all of them inherit it. */
	watched_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	enum inlay_err rc = serve(&a, &newest, &err);
	forget(newest);
	free(a.inference);
	return rc ? report_error(&err) : EXIT_SUCCESS;
}

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "server/config.h"
#include "server/config_impl.h"

extern char **environ;

static const char PREFIX[] = "INLAY_SERVE_";

/* ---- keys ---- */

enum kind {
	TEXT,      /* char *, empty: NULL */
	ADDRESS,   /* char *, HOST:PORT or off */
	PORT,      /* char *, all of this machine's addresses */
	LIST,      /* config->inference */
	ROLE,      /* enum server_role */
	SWITCH,    /* bool */
	EVICTION,  /* bool lfu */
	COUNT,     /* unsigned */
	INTEGER,   /* int */
	MEGABYTES, /* int64_t bytes */
	GIGABYTES, /* int64_t bytes, with a fraction */
	SECONDS,   /* double */
	JPEG,      /* checked, and kept nowhere */
	MEANINGLESS,
};

struct key {
	const char *name;
	enum kind kind;
	size_t offset;
	int64_t min, max;
};

#define AT(member) offsetof(struct server_config, member)

/* A name that ends in a dot stands for all below it. */
static const struct key keys[] = {
	{ "role", ROLE, AT(role), 0, 0 },
	{ "inference", LIST, AT(inference), 0, 0 },
	{ "http", ADDRESS, AT(http), 0, 0 },
	{ "grpc", ADDRESS, AT(grpc), 0, 0 },
	{ "avatars", TEXT, AT(avatars), 0, 0 },
	{ "state", TEXT, AT(state), 0, 0 },
	{ "memory_mb", MEGABYTES, AT(memory_bytes), 1, 1 << 26 },
	{ "max_models", COUNT, AT(max_models), 0, 1000000 },
	{ "eviction", EVICTION, AT(lfu), 0, 0 },
	{ "token_file", TEXT, AT(token_file), 0, 0 },
	{ "tls_cert", TEXT, AT(tls_cert), 0, 0 },
	{ "tls_key", TEXT, AT(tls_key), 0, 0 },
	{ "tls_client_ca", TEXT, AT(tls_client_ca), 0, 0 },
	{ "inference_ca", TEXT, AT(inference_ca), 0, 0 },
	{ "shared_memory", SWITCH, AT(shared_memory), 0, 0 },
	{ "jpeg_quality", INTEGER, AT(jpeg_quality), 0, 100 },
	{ "workers", COUNT, AT(workers), 0, 1024 },
	{ "threads", COUNT, AT(threads), 0, 1024 },
	{ "batch", COUNT, AT(batch), 0, 64 },
	{ "limits.message_mb", MEGABYTES, AT(limits.message_bytes), 1, 2047 },
	{ "limits.upload_mb", MEGABYTES, AT(limits.upload_bytes), 1, 1 << 20 },
	{ "limits.audio_s", SECONDS, AT(limits.audio_s), 1, 86400 },
	{ "limits.jobs", COUNT, AT(limits.jobs), 1, 1000000 },
	{ "limits.renders", COUNT, AT(limits.renders), 1, 1024 },
	{ "limits.connections", COUNT, AT(limits.connections), 1, 100000 },
	{ "limits.waiting_frames", COUNT, AT(limits.waiting_frames), 1, 1000000 },
	{ "limits.drain_s", COUNT, AT(limits.drain_s), 0, 86400 },
	{ "limits.keep_h", COUNT, AT(limits.keep_h), 1, 87600 },
};

/* Of the services that inlay serve takes the place of. */
static const struct key origin_keys[] = {
	{ "server.port", PORT, AT(grpc), 1, 65535 },
	{ "server.max_message_size_mb", MEGABYTES, AT(limits.message_bytes), 1, 2047 },
	{ "server.worker_count_per_gpu", COUNT, AT(workers), 0, 1024 },
	{ "capacity.max_models", COUNT, AT(max_models), 0, 1000000 },
	{ "capacity.max_memory_gb", GIGABYTES, AT(memory_bytes), 0, 1 << 16 },
	{ "capacity.eviction_policy", EVICTION, AT(lfu), 0, 0 },
	{ "output.format", JPEG, 0, 0, 0 },
	{ "output.jpeg_quality", INTEGER, AT(jpeg_quality), 0, 100 },
	{ "models_root", TEXT, AT(avatars), 0, 0 },
	{ "background_root", MEANINGLESS, 0, 0, 0 },
	{ "gpus.", MEANINGLESS, 0, 0, 0 },
	{ "models.", MEANINGLESS, 0, 0, 0 },
};

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static const struct key *find_in(const struct key *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(list[i].name);
		bool group = list[i].name[length - 1] == '.';
		/* The group's own name stands for it where it is empty. */
		if (group ? !strncmp(name, list[i].name, length - 1) && (name[length - 1] == '.' || !name[length - 1])
		          : !strcmp(name, list[i].name))
			return &list[i];
	}
	return NULL;
}

static const struct key *find_key(const char *name)
{
	const struct key *key = find_in(keys, LENGTH(keys), name);
	return key ? key : find_in(origin_keys, LENGTH(origin_keys), name);
}

/* ---- values ---- */

static enum inlay_err set_text(char **member, const char *value, struct inlay_error *err)
{
	char *copy = *value ? strdup(value) : NULL;
	if (*value && !copy)
		return il_fail_memory(err);
	free(*member);
	*member = copy;
	return INLAY_OK;
}

bool config_split_address(const char *address, size_t *host_length, int *port)
{
	const char *colon = strrchr(address, ':');
	if (!colon || colon == address || !colon[1] || strlen(colon) > 6 ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	*host_length = (size_t)(colon - address);
	*port = atoi(colon + 1);
	bool bracketed = address[0] == '[' && colon[-1] == ']';
	return *port <= 65535 && (bracketed || !memchr(address, ':', *host_length));
}

static enum inlay_err set_address(char **member, const char *value, const struct key *key, struct inlay_error *err)
{
	size_t host_length;
	int port;
	if (strcmp(value, "off") && !config_split_address(value, &host_length, &port))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: \"%s\": expected HOST:PORT such as 127.0.0.1:8000, or off",
		               key->name, value);
	return set_text(member, value, err);
}

static enum inlay_err parse_whole(const struct key *key, const char *value, int64_t *number, struct inlay_error *err)
{
	char *end;
	errno = 0;
	*number = strtoll(value, &end, 10);
	if (errno || end == value || *end || *number < key->min || *number > key->max)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: \"%s\": expected a whole number from %lld to %lld",
		               key->name, value, (long long)key->min, (long long)key->max);
	return INLAY_OK;
}

static enum inlay_err parse_number(const struct key *key, const char *value, double *number, struct inlay_error *err)
{
	char *end;
	*number = strtod(value, &end);
	if (end == value || *end || !(*number >= (double)key->min && *number <= (double)key->max))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: \"%s\": expected a number from %lld to %lld", key->name,
		               value, (long long)key->min, (long long)key->max);
	return INLAY_OK;
}

static enum inlay_err set_port(char **member, const char *value, const struct key *key, struct inlay_error *err)
{
	int64_t port;
	char address[32];
	enum inlay_err rc = parse_whole(key, value, &port, err);
	if (rc)
		return rc;
	snprintf(address, sizeof address, "0.0.0.0:%d", (int)port);
	return set_text(member, address, err);
}

/* Index of the value in the words, or -1 with an error that lists them. */
static int parse_word(const struct key *key, const char *value, const char *const *words, struct inlay_error *err)
{
	char list[128] = "";
	for (int i = 0; words[i]; i++) {
		if (!strcasecmp(value, words[i]))
			return i;
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", words[i]);
	}
	il_fail(err, INLAY_ERR_FORMAT, "%s: \"%s\": expected one of %s", key->name, value, list);
	return -1;
}

static void free_list(char **list, unsigned n)
{
	for (unsigned i = 0; list && i < n; i++)
		free(list[i]);
	free(list);
}

static enum inlay_err set_list(struct server_config *config, const char *value, struct inlay_error *err)
{
	static const char between[] = ", \t\n";
	size_t room = 1;
	for (const char *c = value; *c; c++)
		room += strchr(between, *c) != NULL;
	char *copy = strdup(value), **list = calloc(room, sizeof *list), *save = NULL;
	unsigned n = 0;
	bool complete = copy && list;
	for (char *part = copy ? strtok_r(copy, between, &save) : NULL; part && complete;
	     part = strtok_r(NULL, between, &save)) {
		complete = n < room && (list[n] = strdup(part));
		n += complete;
	}
	free(copy);
	if (!complete) {
		free_list(list, n);
		return il_fail_memory(err);
	}
	free_list(config->inference, config->n_inference);
	config->inference = list;
	config->n_inference = n;
	return INLAY_OK;
}

static enum inlay_err set_word(struct server_config *config, const struct key *key, const char *value,
                               struct inlay_error *err)
{
	static const char *const roles[] = { "all", "inference", "compositing", NULL };
	static const char *const switches[] = { "false", "true", "no", "yes", "off", "on", "0", "1", NULL };
	static const char *const evictions[] = { "lru", "lfu", NULL };
	static const char *const formats[] = { "jpeg", "jpg", NULL };
	int word = parse_word(key, value,
	                      key->kind == ROLE       ? roles
	                      : key->kind == SWITCH   ? switches
	                      : key->kind == EVICTION ? evictions
	                                              : formats,
	                      err);
	if (word < 0)
		return INLAY_ERR_FORMAT;
	if (key->kind == ROLE)
		config->role = (enum server_role)word;
	else if (key->kind != JPEG)
		*(bool *)((char *)config + key->offset) = word & 1;
	return INLAY_OK;
}

static enum inlay_err set_number(void *member, const struct key *key, const char *value, struct inlay_error *err)
{
	int64_t whole = 0;
	double number = 0;
	bool fraction = key->kind == GIGABYTES || key->kind == SECONDS;
	enum inlay_err rc = fraction ? parse_number(key, value, &number, err) : parse_whole(key, value, &whole, err);
	if (rc)
		return rc;
	switch (key->kind) {
	case COUNT: *(unsigned *)member = (unsigned)whole; break;
	case INTEGER: *(int *)member = (int)whole; break;
	case MEGABYTES: *(int64_t *)member = whole << 20; break;
	case GIGABYTES: *(int64_t *)member = (int64_t)(number * (1 << 30)); break;
	default: *(double *)member = number; break;
	}
	return INLAY_OK;
}

static enum inlay_err set_value(struct server_config *config, const struct key *key, const char *value,
                                struct inlay_error *err)
{
	void *member = (char *)config + key->offset;
	switch (key->kind) {
	case TEXT: return set_text(member, value, err);
	case ADDRESS: return set_address(member, value, key, err);
	case PORT: return set_port(member, value, key, err);
	case LIST: return set_list(config, value, err);
	case ROLE:
	case SWITCH:
	case EVICTION:
	case JPEG: return set_word(config, key, value, err);
	case MEANINGLESS: return INLAY_OK;
	default: return set_number(member, key, value, err);
	}
}

enum inlay_err server_config_set(struct server_config *config, const char *name, const char *value,
                                 struct inlay_error *err)
{
	const struct key *key = find_key(name);
	if (!key)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: there is no such key (deploy/serve.yaml lists them)", name);
	return set_value(config, key, value, err);
}

enum config_key_kind config_key_kind(const char *name)
{
	const struct key *key = find_key(name);
	return !key                       ? CONFIG_UNKNOWN
	       : key->kind == MEANINGLESS ? CONFIG_MEANINGLESS
	       : key->kind == LIST        ? CONFIG_LIST
	                                  : CONFIG_VALUE;
}

bool config_is_group(const char *name)
{
	size_t length = strlen(name);
	for (size_t i = 0; i < LENGTH(keys) + LENGTH(origin_keys); i++) {
		const char *known = i < LENGTH(keys) ? keys[i].name : origin_keys[i - LENGTH(keys)].name;
		if (!strncmp(name, known, length) && known[length] == '.')
			return true;
	}
	return false;
}

/* ---- layers ---- */

static char *default_state(void)
{
	const char *base = getenv("XDG_STATE_HOME");
	if (base && base[0] == '/')
		return il_path_join(base, "inlay");
	base = getenv("HOME");
	return base && base[0] == '/' ? il_path_join(base, ".local/state/inlay") : strdup("");
}

enum inlay_err server_config_init(struct server_config *config, struct inlay_error *err)
{
	unsigned renders = 2 * il_cpu_count();
	*config = (struct server_config){
		.memory_bytes = il_memory_bytes() / 2,
		.http = strdup("127.0.0.1:8000"),
		.grpc = strdup("127.0.0.1:8001"),
		.state = default_state(),
		.limits = {
			.message_bytes = INT64_C(100) << 20,
			.upload_bytes = INT64_C(512) << 20,
			.audio_s = 3600,
			.jobs = 1000,
			.renders = renders > 4 ? renders : 4,
			.connections = 1024,
			.waiting_frames = 4096,
			.drain_s = 30,
			.keep_h = 168,
		},
	};
	if (config->http && config->grpc && config->state)
		return INLAY_OK;
	server_config_clear(config);
	return il_fail_memory(err);
}

/* Upper-case, with _ for dots. */
static void environment_name(const char *key, char *name, size_t size)
{
	snprintf(name, size, "%s%s", PREFIX, key);
	for (char *c = name; *c; c++)
		*c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
}

/* A warning and no error: some put variables of this form into every environment (INLAY_SERVE_SERVICE_HOST). */
static void warn_of_unknown(void)
{
	for (char **entry = environ; entry && *entry; entry++) {
		size_t length = strcspn(*entry, "=");
		bool known = strncmp(*entry, PREFIX, sizeof PREFIX - 1) != 0;
		char name[96];
		for (size_t i = 0; i < LENGTH(keys) && !known; i++) {
			environment_name(keys[i].name, name, sizeof name);
			known = strlen(name) == length && !strncmp(*entry, name, length);
		}
		if (!known)
			il_log_warn("%.*s is set in the environment, and no key of the configuration is called so",
			            (int)length, *entry);
	}
}

enum inlay_err server_config_environment(struct server_config *config, struct inlay_error *err)
{
	warn_of_unknown();
	for (size_t i = 0; i < LENGTH(keys); i++) {
		char name[96];
		struct inlay_error cause = { 0 };
		environment_name(keys[i].name, name, sizeof name);
		const char *value = getenv(name);
		if (value && set_value(config, &keys[i], value, &cause))
			return il_fail(err, cause.code, "%s: %s", name, cause.text);
	}
	return INLAY_OK;
}

/* ---- what changed ---- */

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool same_list(const struct server_config *a, const struct server_config *b)
{
	bool same = a->n_inference == b->n_inference;
	for (unsigned i = 0; same && i < a->n_inference; i++)
		same = same_text(a->inference[i], b->inference[i]);
	return same;
}

static bool same_value(const struct key *key, const struct server_config *a, const struct server_config *b)
{
	const void *x = (const char *)a + key->offset, *y = (const char *)b + key->offset;
	switch (key->kind) {
	case TEXT:
	case ADDRESS: return same_text(*(char *const *)x, *(char *const *)y);
	case LIST: return same_list(a, b);
	case ROLE: return a->role == b->role;
	case SWITCH:
	case EVICTION: return *(const bool *)x == *(const bool *)y;
	case MEGABYTES: return *(const int64_t *)x == *(const int64_t *)y;
	case SECONDS: return !(*(const double *)x < *(const double *)y || *(const double *)x > *(const double *)y);
	default: return *(const int *)x == *(const int *)y;
	}
}

static bool follows(const char *name)
{
	static const char *const names[] = { "memory_mb", "max_models", "jpeg_quality", "limits.renders",
		                             "limits.drain_s" };
	for (size_t i = 0; i < LENGTH(names); i++) {
		if (!strcmp(name, names[i]))
			return true;
	}
	return false;
}

bool server_config_needs_restart(const struct server_config *running, const struct server_config *config, char *names,
                                 size_t size)
{
	size_t used = 0;
	*names = 0;
	for (size_t i = 0; i < LENGTH(keys) && used < size; i++) {
		if (!follows(keys[i].name) && !same_value(&keys[i], running, config))
			used += (size_t)snprintf(names + used, size - used, "%s%s", used ? ", " : "", keys[i].name);
	}
	return used > 0;
}

void server_config_clear(struct server_config *config)
{
	for (size_t i = 0; i < LENGTH(keys); i++) {
		if (keys[i].kind == TEXT || keys[i].kind == ADDRESS)
			free(*(char **)((char *)config + keys[i].offset));
	}
	free_list(config->inference, config->n_inference);
	*config = (struct server_config){ 0 };
}

/* The configuration's layers: defaults, file, environment, single keys, and what each refuses. */
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "inlay/log.h"
#include "server/config.h"
#include "tests/test.h"

static struct server_config config;

static int begin(void **state)
{
	struct inlay_error err = { 0 };
	(void)state;
	return server_config_init(&config, &err);
}

static int end(void **state)
{
	(void)state;
	server_config_clear(&config);
	return 0;
}

static enum inlay_err read_text(const char *text, struct inlay_error *err)
{
	const char *path = test_scratch("serve.yaml");
	enum inlay_err rc = il_file_write(path, text, strlen(text), true, err);
	if (!rc)
		rc = server_config_read(&config, path, err);
	unlink(path);
	return rc;
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(config.role, SERVER_ALL);
	assert_string_equal(config.http, "127.0.0.1:8000");
	assert_string_equal(config.grpc, "127.0.0.1:8001");
	assert_null(config.avatars);
	assert_true(config.memory_bytes == il_memory_bytes() / 2);
	assert_true(config.limits.message_bytes == 100 << 20);
	assert_true(config.limits.upload_bytes == 512 << 20);
	assert_true(config.limits.audio_s == 3600);
	assert_int_equal(config.limits.jobs, 1000);
	assert_true(config.limits.renders >= 4);
	assert_int_equal(config.limits.drain_s, 30);
	assert_int_equal(config.limits.keep_h, 168);
}

static void state_folder(void **state)
{
	struct inlay_error err;
	(void)state;
	server_config_clear(&config);
	setenv("XDG_STATE_HOME", "/some/state", 1);
	assert_ok(server_config_init(&config, &err));
	assert_string_equal(config.state, "/some/state/inlay");
	server_config_clear(&config);
	unsetenv("XDG_STATE_HOME");
	setenv("HOME", "/home/anna", 1);
	assert_ok(server_config_init(&config, &err));
	assert_string_equal(config.state, "/home/anna/.local/state/inlay");
}

static void every_key_of_the_file(void **state)
{
	struct inlay_error err;
	(void)state;
	assert_ok(read_text("# all of them\n"
	                    "role: compositing\n"
	                    "inference: [grpc://a:1, \"b:2\"]\n"
	                    "http: off\n"
	                    "grpc: \"[::1]:8001\"\n"
	                    "avatars: /srv/avatars\n"
	                    "state: /srv/state\n"
	                    "memory_mb: 2048\n"
	                    "max_models: 20\n"
	                    "eviction: lfu\n"
	                    "token_file: /run/token\n"
	                    "tls_cert: c.pem\n"
	                    "tls_key: k.pem\n"
	                    "tls_client_ca: ca.pem\n"
	                    "shared_memory: true\n"
	                    "jpeg_quality: 75\n"
	                    "workers: 3\nthreads: 2\nbatch: 8\n"
	                    "limits:\n"
	                    "  message_mb: 10\n  upload_mb: 20\n  audio_s: 12.5\n  jobs: 7\n  renders: 2\n"
	                    "  connections: 64\n  waiting_frames: 99\n  drain_s: 0\n  keep_h: 1\n",
	                    &err));
	assert_int_equal(config.role, SERVER_COMPOSITING);
	assert_int_equal(config.n_inference, 2);
	assert_string_equal(config.inference[0], "grpc://a:1");
	assert_string_equal(config.inference[1], "b:2");
	assert_string_equal(config.http, "off");
	assert_string_equal(config.grpc, "[::1]:8001");
	assert_string_equal(config.avatars, "/srv/avatars");
	assert_string_equal(config.state, "/srv/state");
	assert_true(config.memory_bytes == INT64_C(2048) << 20);
	assert_int_equal(config.max_models, 20);
	assert_true(config.lfu);
	assert_string_equal(config.token_file, "/run/token");
	assert_string_equal(config.tls_cert, "c.pem");
	assert_string_equal(config.tls_key, "k.pem");
	assert_string_equal(config.tls_client_ca, "ca.pem");
	assert_true(config.shared_memory);
	assert_int_equal(config.jpeg_quality, 75);
	assert_int_equal(config.workers, 3);
	assert_int_equal(config.threads, 2);
	assert_int_equal(config.batch, 8);
	assert_true(config.limits.message_bytes == 10 << 20);
	assert_true(config.limits.upload_bytes == 20 << 20);
	assert_true(config.limits.audio_s == 12.5);
	assert_int_equal(config.limits.jobs, 7);
	assert_int_equal(config.limits.renders, 2);
	assert_int_equal(config.limits.connections, 64);
	assert_int_equal(config.limits.waiting_frames, 99);
	assert_int_equal(config.limits.drain_s, 0);
	assert_int_equal(config.limits.keep_h, 1);
}

/* A file as people have it for the servers that this one takes the place of. */
static void origin_file(void **state)
{
	struct inlay_error err;
	(void)state;
	assert_ok(read_text("server:\n  port: 50052\n  max_message_size_mb: 50\n  worker_count_per_gpu: 8\n"
	                    "gpus:\n  enabled: true\n  count: 1\n  memory_gb_per_gpu: 24\n"
	                    "capacity:\n  max_models: 40\n  max_memory_gb: 1.5\n  eviction_policy: LFU\n"
	                    "output:\n  format: jpeg\n  jpeg_quality: 75\n"
	                    "models_root: /data/models\nbackground_root: /data/backgrounds\n"
	                    "models:\n  sanders:\n    model_path: sanders/m.onnx\n    background_dir: sanders/frames\n"
	                    "    crop_rects_path: sanders/crop_rects.json\n    num_frames: 523\n"
	                    "    preload_backgrounds: true\n"
	                    "  anna: {model_path: a.onnx, source_video: a.mp4, list: [1, {a: b}]}\n"
	                    "eviction: lru\n",
	                    &err));
	assert_string_equal(config.grpc, "0.0.0.0:50052");
	assert_true(config.limits.message_bytes == 50 << 20);
	assert_int_equal(config.workers, 8);
	assert_int_equal(config.max_models, 40);
	assert_true(config.memory_bytes == 3 << 29);
	assert_int_equal(config.jpeg_quality, 75);
	assert_string_equal(config.avatars, "/data/models");
	assert_false(config.lfu);
}

static void empty_files(void **state)
{
	struct inlay_error err;
	(void)state;
	assert_ok(read_text("", &err));
	assert_ok(read_text("# nothing\n", &err));
	assert_ok(read_text("limits:\n  # drain_s: 5\nmodels:\ntoken_file: ~\n", &err));
	assert_int_equal(config.limits.drain_s, 30);
	assert_null(config.token_file);
}

static void faults_name_file_and_line(void **state)
{
	static const struct {
		const char *text, *line, *part;
	} cases[] = {
		{ "role: all\nhttps: x:1\n", ".yaml:2: ", "https: there is no such key" },
		{ "limits:\n  jobs: 1\n  job: 2\n", ".yaml:3: ", "limits.job: there is no such key" },
		{ "server:\n  ports: 1\n", ".yaml:2: ", "server.ports" },
		{ "role: both\n", ".yaml:1: ", "expected one of all, inference, compositing" },
		{ "\n\nmemory_mb: 0\n", ".yaml:3: ", "expected a whole number from 1" },
		{ "memory_mb: 1e3\n", ".yaml:1: ", "memory_mb: \"1e3\"" },
		{ "memory_mb: 99999999999999999999\n", ".yaml:1: ", "memory_mb" },
		{ "memory_mb: [1]\n", ".yaml:1: ", "memory_mb: expected one value" },
		{ "memory_mb:\n", ".yaml:1: ", "memory_mb" },
		{ "memory_mb: {a: 1}\n", ".yaml:1: ", "memory_mb: expected one value" },
		{ "limits:\n  audio_s: nan\n", ".yaml:2: ", "limits.audio_s" },
		{ "limits: 5\n", ".yaml:1: ", "limits: expected keys below it" },
		{ "limits.jobs: [5]\n", ".yaml:1: ", "limits.jobs" },
		{ "inference: [[a]]\n", ".yaml:1: ", "expected a list of texts" },
		{ "shared_memory: maybe\n", ".yaml:1: ", "shared_memory: \"maybe\"" },
		{ "http: 8000\n", ".yaml:1: ", "expected HOST:PORT" },
		{ "http: localhost:99999\n", ".yaml:1: ", "expected HOST:PORT" },
		{ "http: \":8000\"\n", ".yaml:1: ", "expected HOST:PORT" },
		{ "http: \"::1:8000\"\n", ".yaml:1: ", "expected HOST:PORT" },
		{ "role: all\nrole: all\n", ".yaml:2: ", "role is there twice" },
		{ "output: {format: png}\n", ".yaml:1: ", "output.format: \"png\"" },
		{ "- a\n", ".yaml:1: ", "expected keys and values" },
		{ "role: all\n---\nrole: all\n", ".yaml:2: ", "second document" },
		{ "avatars: \"a\\0b\"\n", ".yaml:1: ", "avatars" },
		{ "a: &x 1\nb: *x\n", ".yaml:1: ", "a: there is no such key" },
		{ "role: all\nhttp: \"b\n", ".yaml:3: ", "not YAML" },
		{ "\xff\xfe\xff", ".yaml:1: ", "not YAML" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_error err;
		assert_fails(read_text(cases[i].text, &err), INLAY_ERR_FORMAT, cases[i].part);
		if (!strstr(err.text, cases[i].line))
			fail_msg("\"%s\" lacks \"%s\"", err.text, cases[i].line);
	}
	struct inlay_error err;
	assert_fails(server_config_read(&config, "/nowhere/serve.yaml", &err), INLAY_ERR_NOT_FOUND, "/nowhere");
}

static void environment_over_file(void **state)
{
	struct inlay_error err;
	(void)state;
	assert_ok(read_text("http: 127.0.0.1:1\ngrpc: 127.0.0.1:2\nlimits: {jobs: 3}\n", &err));
	setenv("INLAY_SERVE_HTTP", "127.0.0.1:4", 1);
	setenv("INLAY_SERVE_LIMITS_JOBS", "5", 1);
	setenv("INLAY_SERVE_INFERENCE", "a:1,b:2", 1);
	setenv("INLAY_SERVE_SERVICE_HOST", "10.0.0.1", 1); /* Kubernetes: a warning, and nothing else */
	assert_ok(server_config_environment(&config, &err));
	assert_string_equal(config.http, "127.0.0.1:4");
	assert_string_equal(config.grpc, "127.0.0.1:2");
	assert_int_equal(config.limits.jobs, 5);
	assert_int_equal(config.n_inference, 2);
	assert_ok(server_config_set(&config, "inference", "a:1 b:2\nc:3,, d:4", &err));
	assert_int_equal(config.n_inference, 4);
	assert_string_equal(config.inference[3], "d:4");
	setenv("INLAY_SERVE_MEMORY_MB", "much", 1);
	assert_fails(server_config_environment(&config, &err), INLAY_ERR_FORMAT, "INLAY_SERVE_MEMORY_MB: memory_mb");
	unsetenv("INLAY_SERVE_HTTP");
	unsetenv("INLAY_SERVE_LIMITS_JOBS");
	unsetenv("INLAY_SERVE_INFERENCE");
	unsetenv("INLAY_SERVE_SERVICE_HOST");
	unsetenv("INLAY_SERVE_MEMORY_MB");
	assert_ok(server_config_set(&config, "limits.jobs", "6", &err));
	assert_int_equal(config.limits.jobs, 6);
	assert_ok(server_config_set(&config, "inference", "", &err));
	assert_int_equal(config.n_inference, 0);
	assert_fails(server_config_set(&config, "limits", "6", &err), INLAY_ERR_FORMAT, "no such key");
	assert_fails(server_config_set(&config, "", "6", &err), INLAY_ERR_FORMAT, "no such key");
}

static void set(const char *key, const char *value)
{
	struct inlay_error err = { 0 };
	if (server_config_set(&config, key, value, &err))
		fail_msg("%s: %s", key, err.text);
}

static void checks(void **state)
{
	struct inlay_error err;
	(void)state;
	set("state", "/tmp");
	assert_fails(server_config_check(&config, &err), INLAY_ERR_INVALID, "--avatars");
	set("avatars", "/nowhere");
	assert_fails(server_config_check(&config, &err), INLAY_ERR_NOT_FOUND, "/nowhere");
	const char *pack = test_scratch("pack");
	mkdir(pack, 0700);
	char *manifest = il_path_join(pack, "avatar.json");
	set("avatars", pack);
	assert_ok(server_config_check(&config, &err));
	assert_ok(il_file_write(manifest, "{}", 2, true, &err));
	assert_fails(server_config_check(&config, &err), INLAY_ERR_INVALID, "is an avatar; give the folder");
	unlink(manifest);
	rmdir(pack);
	free(manifest);
	set("avatars", "/tmp");
	assert_ok(server_config_check(&config, &err));
	set("role", "compositing");
	assert_fails(server_config_check(&config, &err), INLAY_ERR_INVALID, "--inference");
	set("inference", "a:1");
	assert_ok(server_config_check(&config, &err));
	set("role", "all");
	assert_fails(server_config_check(&config, &err), INLAY_ERR_INVALID, "role all");
	set("inference", "");
	set("tls_cert", "/dev/null");
	assert_fails(server_config_check(&config, &err), INLAY_ERR_INVALID, "tls_key is missing");
	set("tls_key", "/nowhere");
	assert_fails(server_config_check(&config, &err), INLAY_ERR_NOT_FOUND, "tls_key: /nowhere");
	set("tls_key", "/dev/null");
	assert_ok(server_config_check(&config, &err));
	set("tls_cert", "");
	set("tls_key", "");
	set("tls_client_ca", "/dev/null");
	assert_fails(server_config_check(&config, &err), INLAY_ERR_INVALID, "tls_client_ca needs");
	set("tls_client_ca", "");
	set("token_file", "/nowhere");
	assert_fails(server_config_check(&config, &err), INLAY_ERR_NOT_FOUND, "token_file");
	set("token_file", "");
	set("http", "off");
	assert_ok(server_config_check(&config, &err));
	set("grpc", "off");
	assert_fails(server_config_check(&config, &err), INLAY_ERR_INVALID, "both off");
	set("grpc", "0.0.0.0:8001");
	set("state", "");
	assert_fails(server_config_check(&config, &err), INLAY_ERR_INVALID, "--state");
	set("role", "inference");
	assert_ok(server_config_check(&config, &err));
}

static void what_needs_a_restart(void **state)
{
	struct server_config running;
	struct inlay_error err;
	char names[64];
	(void)state;
	assert_ok(server_config_init(&running, &err));
	set("memory_mb", "1");
	set("max_models", "2");
	set("jpeg_quality", "3");
	set("limits.renders", "400");
	set("limits.drain_s", "5");
	assert_false(server_config_needs_restart(&running, &config, names, sizeof names));
	assert_string_equal(names, "");
	set("role", "compositing");
	set("inference", "a:1");
	set("http", "off");
	set("token_file", "x");
	set("limits.audio_s", "6.5");
	assert_true(server_config_needs_restart(&running, &config, names, sizeof names));
	assert_string_equal(names, "role, inference, http, token_file, limits.audio_s");
	assert_true(server_config_needs_restart(&running, &config, names, 8));
	assert_string_equal(names, "role, i");
	server_config_clear(&running);
}

static unsigned warnings;
static char last_warning[512];

static void note_warning(void *ctx, enum inlay_log_level level, const char *text)
{
	(void)ctx, (void)level;
	warnings++;
	snprintf(last_warning, sizeof last_warning, "%s", text);
}

static void warned_of(const char *part)
{
	if (warnings != 1 || !strstr(last_warning, part))
		fail_msg("%u warnings, the last \"%s\": expected one of \"%s\"", warnings, last_warning, part);
	warnings = 0;
}

static void tokens(void **state)
{
	static const char two_words[] = "one two\n", zero[] = "one\0", empty[] = " \n";
	static const struct {
		const char *text;
		size_t size;
	} bad[] = { { two_words, sizeof two_words - 1 }, { zero, sizeof zero }, { empty, sizeof empty - 1 } };
	const char *path = test_scratch("token");
	struct inlay_error err;
	char *token;
	(void)state;
	assert_ok(server_config_token(&config, &token, &err));
	assert_null(token);
	set("token_file", path);
	assert_fails(server_config_token(&config, &token, &err), INLAY_ERR_NOT_FOUND, "token");
	assert_ok(il_file_write(path, "  secret\r\n", 10, true, &err));
	assert_ok(server_config_token(&config, &token, &err));
	assert_string_equal(token, "secret");
	free(token);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_ok(il_file_write(path, bad[i].text, bad[i].size, true, &err));
		assert_fails(server_config_token(&config, &token, &err), INLAY_ERR_FORMAT, "one word");
		assert_null(token);
	}
	unlink(path);
}

static void warnings_are_given(void **state)
{
	struct inlay_error err;
	(void)state;
	inlay_log_set(note_warning, NULL, INLAY_LOG_WARN);
	assert_ok(read_text("models: {a: {model_path: b}}\n", &err));
	warned_of("models has no meaning");
	setenv("INLAY_SERVE_TOKENFILE", "x", 1);
	assert_ok(server_config_environment(&config, &err));
	unsetenv("INLAY_SERVE_TOKENFILE");
	warned_of("INLAY_SERVE_TOKENFILE");
	set("avatars", "/tmp");
	set("http", "localhost:8000");
	assert_ok(server_config_check(&config, &err));
	assert_int_equal(warnings, 0);
	set("http", "0.0.0.0:8000");
	assert_ok(server_config_check(&config, &err));
	warned_of("whoever reaches 0.0.0.0:8000");
	set("token_file", "/dev/null");
	assert_ok(server_config_check(&config, &err));
	warned_of("clear text");
	set("tls_cert", "/dev/null");
	set("tls_key", "/dev/null");
	assert_ok(server_config_check(&config, &err));
	assert_int_equal(warnings, 0);
	set("token_file", "");
	set("tls_client_ca", "/dev/null"); /* of gRPC alone */
	set("grpc", "0.0.0.0:8001");
	assert_ok(server_config_check(&config, &err));
	warned_of("http: whoever reaches 0.0.0.0:8000");
	inlay_log_set(NULL, NULL, INLAY_LOG_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults),
		TEST(state_folder),
		TEST(every_key_of_the_file),
		TEST(origin_file),
		TEST(empty_files),
		TEST(faults_name_file_and_line),
		TEST(environment_over_file),
		TEST(checks),
		TEST(what_needs_a_restart),
		TEST(tokens),
		TEST(warnings_are_given),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

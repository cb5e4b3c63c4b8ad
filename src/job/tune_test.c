#include "tests/test_models.h"

#include <sys/stat.h>

#include "base/file.h"
#include "job/measure.h"

static struct inlay_error err;

/* A cache of this test's own. Returns the path of its file. */
static const char *fresh_cache(const char *name)
{
	static char path[1200];
	const char *folder = test_scratch(name);
	assert_int_equal(mkdir(folder, 0700), 0);
	setenv("XDG_CACHE_HOME", folder, 1);
	snprintf(path, sizeof path, "%s/inlay/tuning.json", folder);
	return path;
}

static void forget_cache(const char *path)
{
	char folder[1200];
	unlink(path);
	snprintf(folder, sizeof folder, "%.*s", (int)(strlen(path) - strlen("/tuning.json")), path);
	rmdir(folder);
	*strrchr(folder, '/') = 0;
	assert_int_equal(rmdir(folder), 0);
}

static void what_is_given_is_taken(void **state)
{
	(void)state;
	struct il_tuning tuning;
	const char *cache = fresh_cache("given");
	const struct il_lipsync_net_params net = { .path = "/no/such/model.onnx" };
	assert_ok(il_tune(&net, 8, 3, 5, 1000, &tuning, &err));
	assert_int_equal(tuning.workers, 3);
	assert_int_equal(tuning.batch, 5);
	assert_int_equal(tuning.threads, 2);
	assert_false(tuning.measured);
	/* A short job is not worth measuring. */
	assert_ok(il_tune(&net, 2, 0, 0, 20, &tuning, &err));
	assert_int_equal(tuning.workers * tuning.batch, 1);
	assert_int_equal(tuning.threads, 2);
	assert_false(tuning.measured);
	assert_false(il_path_exists(cache));
	rmdir(getenv("XDG_CACHE_HOME"));
}

static void threads_are_shared_out(void **state)
{
	(void)state;
	assert_int_equal(il_session_threads(8, 1), 8);
	assert_int_equal(il_session_threads(8, 3), 2);
	assert_int_equal(il_session_threads(2, 5), 1);
	assert_int_equal(il_session_threads(1000, 1), 64);
}

static void outcomes_are_kept(void **state)
{
	(void)state;
	struct il_tuning first, again;
	const char *cache = fresh_cache("kept");
	const struct il_lipsync_net_params net = { .path = test_model("talker") };
	assert_ok(il_tune(&net, 2, 0, 0, 1000, &first, &err));
	assert_true(first.measured);
	assert_in_range(first.workers, 1, 2);
	assert_in_range(first.batch, 1, 8);
	assert_int_equal(first.threads, first.workers == 1 ? 2 : 1);

	/* What stands there is believed: another number shows that nothing was measured again. */
	struct il_bytes bytes;
	assert_ok(il_file_read(cache, 1 << 16, &bytes, &err));
	char *batch = strstr((char *)bytes.data, "\"batch\": ");
	assert_non_null(batch);
	batch[strlen("\"batch\": ")] = '7';
	assert_ok(il_file_write(cache, bytes.data, bytes.size, true, &err));
	assert_ok(il_tune(&net, 2, 0, 0, 1000, &again, &err));
	assert_int_equal(again.batch, 7);

	/* A broken file is as good as none, and is replaced. */
	assert_ok(il_file_write(cache, "{ \"", 3, true, &err));
	assert_ok(il_tune(&net, 2, 0, 1, 1000, &again, &err));
	assert_int_equal(again.batch, 1);
	il_bytes_destroy(&bytes);
	assert_ok(il_file_read(cache, 1 << 16, &bytes, &err));
	assert_non_null(strstr((char *)bytes.data, "frames_per_s"));
	il_bytes_destroy(&bytes);
	forget_cache(cache);
}

static void a_model_that_does_not_run_is_an_error(void **state)
{
	(void)state;
	struct il_tuning tuning;
	double rate;
	const char *cache = fresh_cache("broken");
	struct il_lipsync_net_params net = { .path = test_model("wrong_size_at_run") };
	assert_fails(il_tune(&net, 2, 0, 0, 1000, &tuning, &err), INLAY_ERR_FORMAT, "wrong_size_at_run");
	assert_false(il_path_exists(cache));
	net.path = "/no/such/model.onnx";
	assert_fails(il_measure_network(&net, 2, 10, &rate, &err), INLAY_ERR_NOT_FOUND, "/no/such/model.onnx");
	forget_cache(cache);
}

static void measures_whole_batches(void **state)
{
	(void)state;
	double rate = 0;
	const struct il_lipsync_net_params net = { .path = test_model("lipsync_batch4"), .batch = 4 };
	assert_ok(il_measure_network(&net, 2, 9, &rate, &err));
	assert_true(rate > 0.1 && rate < 1e6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_given_is_taken), cmocka_unit_test(threads_are_shared_out),
		cmocka_unit_test(outcomes_are_kept),      cmocka_unit_test(a_model_that_does_not_run_is_an_error),
		cmocka_unit_test(measures_whole_batches),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

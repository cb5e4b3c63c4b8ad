/* The public API, as a program outside this tree uses it: public headers and the shared library alone. */
#include "tests/test.h"

#include <pthread.h>
#include <time.h>

#include "inlay/lipsync.h"
#include "inlay/log.h"
#include "inlay/version.h"

static struct inlay_error err;

static const char *given(const char *name)
{
	const char *value = getenv(name);
	if (!value || !*value)
		fail_msg("%s is not set", name);
	return value;
}

static struct inlay_lipsync_params params(void)
{
	return (struct inlay_lipsync_params){ .avatar = given("INLAY_TEST_PACK"),
		                              .audio = given("INLAY_TEST_SPEECH"),
		                              .format = "null",
		                              .workers = 2,
		                              .batch = 1 };
}

struct seen {
	struct inlay_lipsync *job;
	int64_t done, expected;
	int calls, stop_after;
};

static bool look(void *ctx, int64_t done, int64_t expected)
{
	struct seen *s = ctx;
	assert_true(done >= s->done);
	assert_int_equal(expected, inlay_lipsync_expected_frames(s->job));
	s->done = done;
	s->expected = expected;
	return ++s->calls < s->stop_after || !s->stop_after;
}

static void a_job_runs_and_counts(void **state)
{
	(void)state;
	struct inlay_lipsync_params p = params();
	struct inlay_lipsync_stats stats;
	struct seen seen = { 0 };
	assert_ok(inlay_lipsync_create(&seen.job, &p, &err));
	assert_true(strlen(inlay_lipsync_describe(seen.job)) > 20);
	assert_ok(inlay_lipsync_run(seen.job, look, &seen, &err));
	inlay_lipsync_stats(seen.job, &stats);
	assert_true(stats.frames > 20);
	assert_in_range(inlay_lipsync_expected_frames(seen.job), stats.frames - 1, stats.frames + 1);
	assert_int_equal(stats.workers, 2);
	static const char *const names[] = { "speech", "decode", "inference", "composite", "encode" };
	for (int i = 0; i < INLAY_LIPSYNC_STAGES; i++) {
		assert_string_equal(stats.stages[i].name, names[i]);
		assert_int_equal(stats.stages[i].count, stats.frames);
	}
	char *json = inlay_lipsync_stats_json(seen.job);
	assert_non_null(strstr(json, "\"peak_rss_bytes\""));
	free(json);
	inlay_lipsync_destroy(&seen.job);
	assert_null(seen.job);
	inlay_lipsync_destroy(&seen.job);
}

static void faults_leave_no_job(void **state)
{
	(void)state;
	struct inlay_lipsync *job = (void *)&err;
	struct inlay_lipsync_params p = { 0 };
	assert_fails(inlay_lipsync_create(&job, &p, &err), INLAY_ERR_INVALID, "no avatar");
	assert_null(job);
	p = params();
	p.avatar = "/nowhere";
	job = (void *)&err;
	assert_fails(inlay_lipsync_create(&job, &p, &err), INLAY_ERR_NOT_FOUND, "/nowhere");
	assert_null(job);
	p = params();
	p.features = p.audio_encoder = "x";
	assert_fails(inlay_lipsync_create(&job, &p, &err), INLAY_ERR_INVALID, "both");
	p = params();
	p.fps = (struct inlay_rational){ INT32_MAX, 1 };
	assert_fails(inlay_lipsync_create(&job, &p, &err), INLAY_ERR_INVALID, "expected 0.1 to 1000");
	p = params();
	p.start_frame = 100000;
	assert_fails(inlay_lipsync_create(&job, &p, &err), INLAY_ERR_INVALID, "100000");
	/* A caller may do without the text. */
	assert_int_equal(inlay_lipsync_create(&job, &p, NULL), INLAY_ERR_INVALID);
}

static void progress_cancels(void **state)
{
	(void)state;
	struct inlay_lipsync_params p = params();
	struct seen seen = { .stop_after = 1 };
	p.audio = NULL;
	p.features = given("INLAY_TEST_LONG_FEATURES");
	assert_ok(inlay_lipsync_create(&seen.job, &p, &err));
	assert_fails(inlay_lipsync_run(seen.job, look, &seen, &err), INLAY_ERR_CANCELLED, "cancelled after");
	assert_int_equal(seen.calls, 1);
	inlay_lipsync_destroy(&seen.job);
}

static void *cancel_soon(void *job)
{
	nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	inlay_lipsync_cancel(job);
	return NULL;
}

static void any_thread_cancels_at_any_time(void **state)
{
	(void)state;
	struct inlay_lipsync_params p = params();
	p.audio = NULL;
	p.features = given("INLAY_TEST_LONG_FEATURES");
	for (int before = 0; before < 2; before++) {
		struct inlay_lipsync *job;
		pthread_t thread;
		assert_ok(inlay_lipsync_create(&job, &p, &err));
		if (before)
			inlay_lipsync_cancel(job);
		else
			assert_int_equal(pthread_create(&thread, NULL, cancel_soon, job), 0);
		assert_fails(inlay_lipsync_run(job, NULL, NULL, &err), INLAY_ERR_CANCELLED, "cancelled after");
		if (!before)
			pthread_join(thread, NULL);
		inlay_lipsync_cancel(job); /* after the end: nothing */
		inlay_lipsync_destroy(&job);
	}
}

static void count_lines(void *ctx, enum inlay_log_level level, const char *text)
{
	assert_true(level >= INLAY_LOG_WARN && level <= INLAY_LOG_INFO);
	assert_null(strchr(text, '\n'));
	++*(int *)ctx;
}

static void log_goes_where_it_is_sent(void **state)
{
	(void)state;
	int lines = 0;
	struct inlay_lipsync *job;
	struct inlay_lipsync_params p = params();
	inlay_log_set(count_lines, &lines, INLAY_LOG_INFO);
	assert_ok(inlay_lipsync_create(&job, &p, &err));
	inlay_log_set(NULL, NULL, INLAY_LOG_NONE);
	inlay_lipsync_destroy(&job);
	assert_true(lines > 0);
	int before = lines;
	assert_ok(inlay_lipsync_create(&job, &p, &err));
	inlay_lipsync_destroy(&job);
	assert_int_equal(lines, before);
}

static void names_and_versions(void **state)
{
	(void)state;
	assert_string_equal(inlay_err_name(INLAY_OK), "ok");
	assert_string_equal(inlay_err_name((enum inlay_err)999), "unknown error");
	assert_true(strlen(inlay_version()) >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_runs_and_counts),     cmocka_unit_test(faults_leave_no_job),
		cmocka_unit_test(progress_cancels),          cmocka_unit_test(any_thread_cancels_at_any_time),
		cmocka_unit_test(log_goes_where_it_is_sent), cmocka_unit_test(names_and_versions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

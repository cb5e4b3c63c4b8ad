#include "media/sink.h"

#include <sys/stat.h>

#include "media/sink_test.h"

/* FOLDER/%03d.png */
static struct il_sink_params picture_params(const char *folder, char pattern[1100])
{
	snprintf(pattern, 1100, "%s/%%03d.png", folder);
	return params_for(pattern);
}

static const char *picture(const char *folder, int number)
{
	static char path[1100];
	snprintf(path, sizeof path, "%s/%03d.png", folder, number);
	return path;
}

static void make_old(const char *folder, int number)
{
	assert_ok(il_file_write(picture(folder, number), "old", 3, false, &err));
}

static bool is_old(const char *folder, int number)
{
	struct il_bytes bytes;
	assert_ok(il_file_read(picture(folder, number), 1 << 20, &bytes, &err));
	bool old = !strcmp((const char *)bytes.data, "old");
	il_bytes_destroy(&bytes);
	return old;
}

/* Removes these pictures and the folder, in which there is nothing else. */
static void remove_pictures(const char *folder, const int *numbers, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(unlink(picture(folder, numbers[i])), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void overwriting_pictures_waits_for_the_end(void **state)
{
	static const int left[] = { 0, 1, 2, 3, 900 };
	const char *folder = test_scratch("rows");
	char pattern[1100];
	struct il_sink *sink;
	struct il_sink_params params = picture_params(folder, pattern);
	(void)state;
	params.overwrite = true;
	assert_int_equal(mkdir(folder, 0700), 0);
	for (int i = 0; i <= 7; i++)
		make_old(folder, i);
	make_old(folder, 900);
	assert_ok(il_sink_open(&sink, &params, &err));
	for (int k = 0; k < 3; k++)
		assert_ok(write_one(sink, &small, k));
	il_sink_destroy(&sink); /* abandoned */
	for (int i = 0; i <= 7; i++)
		assert_true(is_old(folder, i));
	write_all(&params, 3); /* what follows it is gone, a stranger behind a gap is not */
	for (int i = 0; i <= 7; i++)
		if (i > 3)
			assert_false(il_path_exists(picture(folder, i)));
		else
			assert_int_equal(is_old(folder, i), i == 0);
	assert_true(is_old(folder, 900));
	remove_pictures(folder, left, 5);
}

static void no_picture_may_be_there(void **state)
{
	static const int numbers[] = { 0, 1, 500, 123456 };
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		const char *folder = test_scratch("taken");
		char pattern[1100];
		struct il_sink *sink;
		struct il_sink_params params = picture_params(folder, pattern);
		assert_int_equal(mkdir(folder, 0700), 0);
		make_old(folder, numbers[i]);
		assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_EXISTS, picture(folder, numbers[i]));
		remove_pictures(folder, &numbers[i], 1);
	}
}

/* Neither a picture that another program makes meanwhile is lost, nor anything of ours left. */
static void a_late_collision_is_found(void **state)
{
	const char *folder = test_scratch("late");
	char pattern[1100];
	struct il_sink *sink;
	struct il_sink_params params = picture_params(folder, pattern);
	(void)state;
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_ok(il_sink_open(&sink, &params, &err));
	for (int k = 0; k < 4; k++)
		assert_ok(write_one(sink, &small, k));
	make_old(folder, 3);
	assert_fails(il_sink_finish(sink, &err), INLAY_ERR_EXISTS, picture(folder, 3));
	il_sink_destroy(&sink);
	assert_true(is_old(folder, 3));
	remove_pictures(folder, (const int[]){ 3 }, 1);
}

static void pictures_are_made_by_one_run(void **state)
{
	const char *folder = test_scratch("single");
	char pattern[1100], part[1200], rest[1300];
	struct il_sink *sink, *second;
	struct il_sink_params params = picture_params(folder, pattern);
	(void)state;
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(part, sizeof part, "%s.part", pattern);
	assert_int_equal(mkdir(part, 0700), 0);
	snprintf(rest, sizeof rest, "%s/001.png", part); /* of a run that was killed */
	assert_ok(il_file_write(rest, "rest", 4, false, &err));
	assert_ok(il_sink_open(&sink, &params, &err));
	assert_fails(il_sink_open(&second, &params, &err), INLAY_ERR_IO, "another run is writing it");
	assert_ok(write_one(sink, &small, 0));
	assert_ok(il_sink_finish(sink, &err));
	il_sink_destroy(&sink);
	remove_pictures(folder, (const int[]){ 1 }, 1);

	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(mkdir(picture(folder, 2), 0700), 0);
	params.overwrite = true;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_INVALID, "002.png: is in the way");
	rmdir(picture(folder, 2));
	assert_ok(il_sink_open(&sink, &params, &err));
	assert_fails(il_sink_finish(sink, &err), INLAY_ERR_INVALID, "no frame was written");
	il_sink_destroy(&sink);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overwriting_pictures_waits_for_the_end),
		cmocka_unit_test(no_picture_may_be_there),
		cmocka_unit_test(a_late_collision_is_found),
		cmocka_unit_test(pictures_are_made_by_one_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/pattern.h"

#include "tests/test.h"

static void wrong_patterns_are_named(void **state)
{
	static const struct {
		const char *pattern, *text;
	} bad[] = {
		{ "", "no number" },
		{ "a.jpg", "a.jpg: no number" },
		{ "%d%d", "%d%d: more than one number" },
		{ "%s", "\"%s\" cannot" },
		{ "%n%d", "\"%n\" cannot" },
		{ "%-3d", "\"%-\" cannot" },
		{ "%ld", "\"%l\" cannot" },
		{ "%*d", "\"%*\" cannot" },
		{ "%", "\"%\" cannot" },
		{ "%d%", "\"%\" cannot" },
		{ "%21d", "\"%2\" cannot" },
		{ "%9999d", "\"%9\" cannot" },
		{ "%%", "no number" },
		{ "%%d", "no number" },
		{ "%1$d", "\"%1\" cannot" },
		{ "%+d", "\"%+\" cannot" },
		{ "% d", "\"% \" cannot" },
		{ "%.3d", "\"%.\" cannot" },
		{ "%00021d", "\"%0\" cannot" },
	};
	struct inlay_error err;
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_fails(il_pattern_check(bad[i].pattern, &err), INLAY_ERR_INVALID, bad[i].text);
		assert_false(il_pattern_valid(bad[i].pattern));
	}
}

static void patterns_expand_and_match(void **state)
{
	static const struct {
		const char *pattern;
		int64_t number;
		const char *path;
	} good[] = {
		{ "%d", 0, "0" },
		{ "%06d.jpg", 42, "000042.jpg" },
		{ "%06d.jpg", 1234567, "1234567.jpg" },
		{ "a/%3d", 7, "a/  7" },
		{ "100%%/%d.png", 17, "100%/17.png" },
		{ "1%d5%%.png", 25, "1255%.png" },
		{ "%020d", 1234567, "00000000000001234567" },
		{ "%d", INT64_MAX, "9223372036854775807" },
	};
	char path[IL_PATTERN_PATH];
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		int64_t number = -1;
		assert_true(il_pattern_valid(good[i].pattern));
		assert_string_equal(il_pattern_path(good[i].pattern, good[i].number, path), good[i].path);
		assert_true(il_pattern_match(good[i].pattern, good[i].path, &number));
		assert_int_equal(number, good[i].number);
	}
}

static void other_names_do_not_match(void **state)
{
	static const char *const cases[][2] = {
		{ "%06d.jpg", "42.jpg" },
		{ "%06d.jpg", "000042.png" },
		{ "%06d.jpg", "000042.jpg.part" },
		{ "%06d.jpg", "0000042.jpg" },
		{ "%06d.jpg", ".jpg" },
		{ "%06d.jpg", "" },
		{ "%d.jpg", "042.jpg" },
		{ "%d.jpg", "-1.jpg" },
		{ "%d.jpg", "+1.jpg" },
		{ "%d.jpg", " 1.jpg" },
		{ "%d.jpg", "1a.jpg" },
		{ "%d.jpg", "99999999999999999999.jpg" },
		{ "a%d", "b1" },
		{ "a%d%%", "a1%%" },
		{ "%d", "1234567890123456789012345" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t number;
		if (il_pattern_match(cases[i][0], cases[i][1], &number))
			fail_msg("%s matches %s", cases[i][1], cases[i][0]);
	}
}

static void folders_are_joined(void **state)
{
	struct inlay_error err;
	char path[IL_PATTERN_PATH], *joined;
	(void)state;
	assert_ok(il_pattern_join(&joined, "/data/50%d", "f/%02d.jpg", &err));
	assert_string_equal(il_pattern_path(joined, 5, path), "/data/50%d/f/05.jpg");
	free(joined);
	assert_ok(il_pattern_join(&joined, "folder/", "%d", &err));
	assert_string_equal(joined, "folder/%d");
	free(joined);
	assert_ok(il_pattern_join(&joined, "folder", "/abs/%d", &err));
	assert_string_equal(joined, "/abs/%d");
	free(joined);
}

/* The longest that is taken still fits with the longest number; one more is refused, and not as lack of memory. */
static void long_paths_are_refused(void **state)
{
	struct inlay_error err;
	char path[IL_PATTERN_PATH], *joined, *folder = calloc(1, IL_PATTERN_PATH + 1);
	(void)state;
	memset(folder, 'x', IL_PATTERN_PATH);
	assert_fails(il_pattern_join(&joined, folder, "%d", &err), INLAY_ERR_INVALID,
	             "characters for numbered files, expected at most");
	assert_null(joined);
	folder[IL_PATTERN_PATH - 24] = 0;
	assert_ok(il_pattern_join(&joined, folder, "%d", &err));
	assert_true(il_pattern_valid(joined));
	assert_int_equal(strlen(il_pattern_path(joined, INT64_MIN, path)), IL_PATTERN_PATH - 24 + 1 + 20);
	free(joined);
	memcpy(folder, "%d", 2);
	assert_true(il_pattern_valid(folder));
	memset(folder, '%', IL_PATTERN_PATH);
	assert_fails(il_pattern_check(folder, &err), INLAY_ERR_INVALID,
	             "characters for numbered files, expected at most");
	free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_patterns_are_named), cmocka_unit_test(patterns_expand_and_match),
		cmocka_unit_test(other_names_do_not_match), cmocka_unit_test(folders_are_joined),
		cmocka_unit_test(long_paths_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

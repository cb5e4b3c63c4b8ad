#include "tests/test.h"

#include <errno.h>

#include "base/error.h"

static void first_fault_wins(void **state)
{
	(void)state;
	struct inlay_error err = { 0 };
	assert_int_equal(il_fail(&err, INLAY_ERR_FORMAT, "%s: expected %d, found %d", "a.npy", 1, 2), INLAY_ERR_FORMAT);
	assert_string_equal(err.text, "a.npy: expected 1, found 2");
	assert_int_equal(il_fail(&err, INLAY_ERR_IO, "later"), INLAY_ERR_IO);
	assert_int_equal(il_fail_memory(&err), INLAY_ERR_MEMORY);
	errno = ENOENT;
	assert_int_equal(il_fail_errno(&err, "later"), INLAY_ERR_NOT_FOUND);
	assert_int_equal(err.code, INLAY_ERR_FORMAT);
	assert_string_equal(err.text, "a.npy: expected 1, found 2");
}

static void null_is_allowed(void **state)
{
	(void)state;
	errno = EACCES;
	assert_int_equal(il_fail(NULL, INLAY_ERR_INVALID, "x"), INLAY_ERR_INVALID);
	assert_int_equal(il_fail_errno(NULL, "x"), INLAY_ERR_IO);
	assert_int_equal(il_fail_memory(NULL), INLAY_ERR_MEMORY);
}

static void errno_gives_code_and_reason(void **state)
{
	(void)state;
	static const struct {
		int number;
		enum inlay_err code;
	} cases[] = { { ENOENT, INLAY_ERR_NOT_FOUND }, { ENOMEM, INLAY_ERR_MEMORY }, { EACCES, INLAY_ERR_IO } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_error err = { 0 };
		char expected[256];
		snprintf(expected, sizeof expected, "f.mp4: cannot open: %s", strerror(cases[i].number));
		errno = cases[i].number;
		assert_int_equal(il_fail_errno(&err, "%s: cannot open", "f.mp4"), cases[i].code);
		assert_string_equal(err.text, expected);
		assert_int_equal(err.code, cases[i].code);
	}
}

static void long_texts_are_cut(void **state)
{
	(void)state;
	char name[2000];
	struct inlay_error err = { 0 };
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	errno = EIO;
	il_fail_errno(&err, "%s: cannot read", name);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void every_code_has_a_name(void **state)
{
	(void)state;
	for (int i = INLAY_OK; i <= INLAY_ERR_CANCELLED; i++) {
		for (int k = INLAY_OK; k < i; k++)
			assert_string_not_equal(inlay_err_name((enum inlay_err)i), inlay_err_name((enum inlay_err)k));
		assert_int_equal(il_is_fault((enum inlay_err)i), i > INLAY_EOF);
	}
	assert_string_equal(inlay_err_name(INLAY_ERR_NOT_FOUND), "not found");
	assert_string_equal(inlay_err_name((enum inlay_err)99), "unknown error");
	assert_string_equal(inlay_err_name((enum inlay_err) - 1), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_fault_wins),
		cmocka_unit_test(null_is_allowed),
		cmocka_unit_test(errno_gives_code_and_reason),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(every_code_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

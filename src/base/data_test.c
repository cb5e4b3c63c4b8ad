#include "tests/test.h"

#include <sys/stat.h>

#include "base/data.h"
#include "base/file.h"

static struct inlay_error err;

/* A scratch tree: every folder on the way to `name` is made, and an empty file `name` where it ends without a slash. */
static void make(const char *root, const char *name)
{
	char path[2048];
	snprintf(path, sizeof path, "%s/%s", root, name);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(path, 0700);
		*slash = '/';
	}
	if (path[strlen(path) - 1] != '/')
		assert_ok(il_file_write(path, "", 0, true, &err));
}

static const char *in(const char *root, const char *name)
{
	static char paths[8][2048];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s", root, name);
	return path;
}

static const char *root;

static int make_root(void **state)
{
	(void)state;
	unsetenv("INLAY_DATA");
	root = test_scratch("data");
	return mkdir(root, 0700);
}

static int remove_root(void **state)
{
	(void)state;
	char command[2048];
	snprintf(command, sizeof command, "rm -r '%s'", root);
	return system(command);
}

static void expect_found(const char *name, const char *program, const char *expected)
{
	char *path;
	assert_ok(il_data_find(&path, name, program, &err));
	assert_string_equal(path, expected);
	free(path);
}

static void an_installed_tree_may_be_moved(void **state)
{
	(void)state;
	make(root, "opt/bin/inlay");
	make(root, "opt/share/inlay/thing/speech");
	expect_found("thing", in(root, "opt/bin/inlay"), in(root, "opt/share/inlay/thing"));
	expect_found("thing/speech", in(root, "opt/bin/inlay"), in(root, "opt/share/inlay/thing/speech"));
	/* A link to the program leads to the program's own data. */
	make(root, "bin/");
	assert_int_equal(symlink("../opt/bin/inlay", in(root, "bin/inlay")), 0);
	expect_found("thing", in(root, "bin/inlay"), in(root, "opt/share/inlay/thing"));
}

static void a_build_folder_uses_its_own_tree(void **state)
{
	(void)state;
	char *path;
	make(root, "tree/build/inlay");
	make(root, "tree/models/thing");
	assert_fails(il_data_find(&path, "thing", in(root, "tree/build/inlay"), &err), INLAY_ERR_NOT_FOUND, "thing");
	make(root, "tree/build/build.ninja");
	expect_found("thing", in(root, "tree/build/inlay"), in(root, "tree/models/thing"));
}

static void the_environment_wins_alone(void **state)
{
	(void)state;
	char *path;
	make(root, "opt/bin/inlay");
	make(root, "opt/share/inlay/thing");
	make(root, "mine/other");
	setenv("INLAY_DATA", in(root, "mine"), 1);
	expect_found("other", in(root, "opt/bin/inlay"), in(root, "mine/other"));
	assert_fails(il_data_find(&path, "thing", in(root, "opt/bin/inlay"), &err), INLAY_ERR_NOT_FOUND,
	             in(root, "mine, the data folder that INLAY_DATA names"));
	assert_null(path);
	setenv("INLAY_DATA", "", 1);
	expect_found("thing", in(root, "opt/bin/inlay"), in(root, "opt/share/inlay/thing"));
	unsetenv("INLAY_DATA");
}

static void the_error_tells_every_place(void **state)
{
	(void)state;
	char *path;
	make(root, "tree/build/inlay");
	make(root, "tree/build/build.ninja");
	const char *program = in(root, "tree/build/inlay");
	assert_fails(il_data_find(&path, "no-such-thing", program, &err), INLAY_ERR_NOT_FOUND,
	             "no-such-thing: not found");
	assert_null(path);
	assert_non_null(strstr(err.text, in(root, "tree/share/inlay, ")));
	assert_non_null(strstr(err.text, in(root, "tree/models, ")));
	assert_non_null(strstr(err.text, INLAY_DATA_FOLDER " ("));
	/* Without a program's path, of the one that runs; where there is none, of nothing. */
	assert_fails(il_data_find(&path, "no-such-thing", NULL, &err), INLAY_ERR_NOT_FOUND, "/share/inlay, ");
	assert_fails(il_data_find(&path, "no-such-thing", "/no/such/program", &err), INLAY_ERR_NOT_FOUND,
	             "looked in " INLAY_DATA_FOLDER " (");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_installed_tree_may_be_moved, make_root, remove_root),
		cmocka_unit_test_setup_teardown(a_build_folder_uses_its_own_tree, make_root, remove_root),
		cmocka_unit_test_setup_teardown(the_environment_wins_alone, make_root, remove_root),
		cmocka_unit_test_setup_teardown(the_error_tells_every_place, make_root, remove_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/test.h"

#include <sys/stat.h>

#include "base/file.h"
#include "catalogue/catalogue.h"

static struct inlay_error err;

/* ---- the catalogue ---- */

static char *column(char **line)
{
	return strsep(line, "\t");
}

/* Each word of our short form is one of the manifest's. */
static void check_licence(const char *ours, const char *theirs)
{
	char words[128], *rest = words;
	snprintf(words, sizeof words, "%s", ours);
	for (char *word; (word = strsep(&rest, "; "));)
		if (!strstr(theirs, word))
			fail_msg("\"%s\" of \"%s\" is not in \"%s\"", word, ours, theirs);
}

/* `source` is "github:OWNER/REPO PATH @ COMMIT". */
static void check_url(const char *url, const char *source)
{
	char repository[128], path[128], commit[64], expected[512];
	assert_int_equal(sscanf(source, "github:%127s %127s @ %63s", repository, path, commit), 3);
	snprintf(expected, sizeof expected, "https://raw.githubusercontent.com/%s/%s/%s", repository, commit, path);
	assert_string_equal(url, expected);
}

/* A row of the manifest; true for a model that can be fetched. */
static bool check_row(char *line)
{
	const char *path = column(&line), *bytes = column(&line), *sha256 = column(&line), *source = column(&line);
	const char *licence = column(&line);
	if (strncmp(path, "models/matting/", 15) != 0)
		return false;
	const struct il_catalogue_entry *e = il_catalogue_find(path + 15);
	if (!strncmp(source, "DERIVED", 7)) {
		assert_null(e);
		return false;
	}
	assert_non_null(e);
	assert_int_equal(e->bytes, atoll(bytes));
	assert_string_equal(e->sha256, sha256);
	check_url(e->url, source);
	check_licence(e->licence, licence);
	return true;
}

static void the_catalogue_agrees_with_the_manifest(void **state)
{
	(void)state;
	struct il_bytes manifest;
	int count = 0, rows = 0;
	assert_ok(il_file_read(test_data("MANIFEST.tsv"), 1 << 20, &manifest, &err));
	char *rest = (char *)manifest.data;
	for (char *line; (line = strsep(&rest, "\n")) && *line;)
		rows += check_row(line);
	for (const struct il_catalogue_entry *e = il_catalogue; e->name; e++) {
		char file[128];
		snprintf(file, sizeof file, "%s.onnx", e->name);
		assert_string_equal(e->file, file);
		assert_ptr_equal(il_catalogue_find(e->name), e);
		count++;
	}
	assert_int_equal(rows, 7);
	assert_int_equal(count, rows);
	il_bytes_destroy(&manifest);
}

/* ---- folders ---- */

static const char *root;

static const char *in_root(const char *name)
{
	static char paths[16][1200];
	static unsigned next;
	char *path = paths[next++ % 16];
	snprintf(path, sizeof paths[0], "%s/%s", root, name);
	return path;
}

/* A file of `size` bytes, and the folders on the way to it. */
static void make(const char *name, size_t size)
{
	static const char bytes[64];
	char path[1200];
	snprintf(path, sizeof path, "%s", in_root(name));
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(path, 0700);
		*slash = '/';
	}
	assert_ok(il_file_write(path, bytes, size, true, &err));
}

static int make_root(void **state)
{
	char models[3000];
	(void)state;
	root = test_scratch("find");
	if (mkdir(root, 0700))
		return -1;
	snprintf(models, sizeof models, "%s:%s::%s", in_root("a"), in_root("none"), in_root("b"));
	setenv("INLAY_MODELS", models, 1);
	setenv("XDG_DATA_HOME", in_root("home"), 1);
	setenv("INLAY_DATA", in_root("data"), 1);
	return 0;
}

static int remove_root(void **state)
{
	(void)state;
	char command[1300];
	snprintf(command, sizeof command, "rm -r '%s'", root);
	return system(command);
}

static void expect_found(const char *name, const char *expected)
{
	char *path;
	assert_ok(il_model_find(&path, name, &err));
	assert_string_equal(path, expected);
	free(path);
}

static void folders_are_looked_into_in_order(void **state)
{
	(void)state;
	static const char *const places[] = { "data/models/m.onnx", "home/inlay/models/m.onnx", "b/m.onnx", "a/m.onnx",
		                              "a/m" };
	for (size_t i = 0; i < 5; i++) {
		make(places[i], 1);
		expect_found("m", in_root(places[i]));
		expect_found("m.onnx", in_root(places[i < 4 ? i : 3]));
	}
	/* A folder of that name is no model. */
	assert_int_equal(unlink(in_root("a/m")), 0);
	assert_int_equal(mkdir(in_root("a/m"), 0700), 0);
	expect_found("m", in_root("a/m.onnx"));
}

static void without_an_xdg_folder_it_is_that_of_home(void **state)
{
	(void)state;
	make("home/.local/share/inlay/models/m.onnx", 1);
	setenv("HOME", in_root("home"), 1);
	setenv("XDG_DATA_HOME", "relative", 1); /* as the XDG specification has it: ignored */
	expect_found("m", in_root("home/.local/share/inlay/models/m.onnx"));
	unsetenv("XDG_DATA_HOME");
	expect_found("m", in_root("home/.local/share/inlay/models/m.onnx"));
}

static void a_path_is_a_path(void **state)
{
	(void)state;
	char *path, before[1024];
	make("a/m.onnx", 1);
	make("here/m", 1);
	expect_found(in_root("here/m"), in_root("here/m"));
	assert_fails(il_model_find(&path, "no/m", &err), INLAY_ERR_NOT_FOUND, "no/m: no such file");
	assert_null(path);
	assert_fails(il_model_find(&path, in_root("here"), &err), INLAY_ERR_NOT_FOUND, "no such file");
	/* A file of the current folder comes before any model of that name. */
	assert_non_null(getcwd(before, sizeof before));
	assert_int_equal(chdir(in_root("here")), 0);
	expect_found("m", "m");
	assert_int_equal(chdir(before), 0);
	expect_found("m", in_root("a/m.onnx"));
}

static void an_error_tells_what_to_do(void **state)
{
	(void)state;
	char *path;
	make("a/talking_head.onnx", 1);
	make("data/models/x.onnx", 1);
	assert_fails(il_model_find(&path, "SINet_logits", &err), INLAY_ERR_NOT_FOUND,
	             "\"inlay models get SINet_logits\" fetches it");
	assert_non_null(strstr(err.text, in_root("a, ")));
	assert_non_null(strstr(err.text, in_root("home/inlay/models, ")));
	assert_non_null(strstr(err.text, in_root("data/models (INLAY_MODELS names more)")));
	assert_fails(il_model_find(&path, "SINet_logits.onnx", &err), INLAY_ERR_NOT_FOUND, "models get SINet_logits\"");
	assert_fails(il_model_find(&path, "sinet_logit", &err), INLAY_ERR_NOT_FOUND, "did you mean \"SINet_logits\"?");
	assert_fails(il_model_find(&path, "talking_haed.onnx", &err), INLAY_ERR_NOT_FOUND,
	             "did you mean \"talking_head\"?");
	assert_fails(il_model_find(&path, "alphas", &err), INLAY_ERR_NOT_FOUND,
	             "did you mean \"selfie_alphas_256_nchw\", \"selfie_alphas_256_nchw_int8dyn\"?");
	assert_fails(il_model_find(&path, "nothing like it", &err), INLAY_ERR_NOT_FOUND, "\"inlay models list\"");
	assert_fails(il_model_find(&path, "", &err), INLAY_ERR_NOT_FOUND, "no such");
	char long_name[2000];
	memset(long_name, 'q', sizeof long_name);
	long_name[sizeof long_name - 1] = 0;
	assert_fails(il_model_find(&path, long_name, &err), INLAY_ERR_NOT_FOUND, "qqq");
}

static void the_best_that_is_here_is_the_default(void **state)
{
	(void)state;
	char *path;
	assert_fails(il_model_default(&path, &err), INLAY_ERR_NOT_FOUND,
	             "\"inlay models get selfie_alphas_256_nchw\" fetches one, --model NAME|FILE names another");
	assert_null(path);
	make("a/rvm_mobilenetv3_192x320_dq.onnx", 1);
	assert_ok(il_model_default(&path, &err));
	assert_string_equal(path, in_root("a/rvm_mobilenetv3_192x320_dq.onnx"));
	free(path);
	make("data/models/selfie_segmentation_256.onnx", 1);
	assert_ok(il_model_default(&path, &err));
	assert_string_equal(path, in_root("data/models/selfie_segmentation_256.onnx"));
	free(path);
}

static void a_list_has_each_name_once(void **state)
{
	(void)state;
	struct il_model_list list;
	assert_ok(il_model_list_read(&list, &err));
	assert_int_equal(list.file_count, 0);
	il_model_list_destroy(&list);
	make("b/m.onnx", 1);
	make("b/z.onnx", 3);
	make("a/m.onnx", 2);
	make("a/m.json", 2);
	make("a/.hidden.onnx", 2);
	make("a/.onnx", 2);
	make("a/n.onnx.part", 2);
	make("home/inlay/models/c.onnx", 4);
	assert_int_equal(mkdir(in_root("a/folder.onnx"), 0700), 0);
	assert_int_equal(symlink("nowhere", in_root("a/lost.onnx")), 0);
	assert_ok(il_model_list_read(&list, &err));
	assert_int_equal(list.folder_count, 4); /* the data folder has no models */
	assert_int_equal(list.file_count, 3);
	assert_string_equal(list.files[0].name, "c");
	assert_string_equal(list.files[1].path, in_root("a/m.onnx"));
	assert_int_equal(list.files[1].bytes, 2);
	assert_string_equal(list.files[2].path, in_root("b/z.onnx"));
	il_model_list_destroy(&list);
	il_model_list_destroy(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_catalogue_agrees_with_the_manifest),
		cmocka_unit_test_setup_teardown(folders_are_looked_into_in_order, make_root, remove_root),
		cmocka_unit_test_setup_teardown(without_an_xdg_folder_it_is_that_of_home, make_root, remove_root),
		cmocka_unit_test_setup_teardown(a_path_is_a_path, make_root, remove_root),
		cmocka_unit_test_setup_teardown(an_error_tells_what_to_do, make_root, remove_root),
		cmocka_unit_test_setup_teardown(the_best_that_is_here_is_the_default, make_root, remove_root),
		cmocka_unit_test_setup_teardown(a_list_has_each_name_once, make_root, remove_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

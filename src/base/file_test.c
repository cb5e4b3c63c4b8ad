#include "tests/test.h"

#include <sys/stat.h>

#include "base/file.h"

static struct inlay_error err;

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void expect_content(const char *path, const char *text)
{
	struct il_bytes bytes;
	assert_ok(il_file_read(path, 1000, &bytes, &err));
	assert_string_equal((char *)bytes.data, text);
	assert_int_equal(bytes.size, strlen(text));
	il_bytes_destroy(&bytes);
}

static void folders_are_made(void **state)
{
	(void)state;
	char path[1200], below[1300];
	snprintf(path, sizeof path, "%s", test_scratch("made"));
	snprintf(below, sizeof below, "%s//b/c/", path);
	for (int again = 0; again < 2; again++)
		assert_ok(il_path_make_folders(below, &err));
	assert_true(il_path_is_folder(below));
	assert_int_equal(rmdir(below), 0);
	snprintf(below, sizeof below, "%s/b", path);
	assert_int_equal(rmdir(below), 0);
	put(below, "");
	snprintf(below, sizeof below, "%s/b/c", path);
	assert_fails(il_path_make_folders(below, &err), INLAY_ERR_IO, below);
	assert_fails(il_path_make_folders("", &err), INLAY_ERR_NOT_FOUND, "cannot be made");
	snprintf(below, sizeof below, "%s/b", path);
	unlink(below);
	rmdir(path);
}

static void read_has_a_limit(void **state)
{
	(void)state;
	struct il_bytes bytes;
	const char *path = test_scratch("limit");
	put(path, "0123456789");
	assert_ok(il_file_read(path, 10, &bytes, &err));
	assert_int_equal(bytes.size, 10);
	assert_int_equal(bytes.data[10], 0);
	il_bytes_destroy(&bytes);
	assert_fails(il_file_read(path, 9, &bytes, &err), INLAY_ERR_FORMAT, "larger than the 9 bytes");
	assert_null(bytes.data);
	put(path, "");
	assert_ok(il_file_read(path, 0, &bytes, &err));
	assert_int_equal(bytes.size, 0);
	il_bytes_destroy(&bytes);
	unlink(path);
}

static void read_names_what_is_wrong(void **state)
{
	(void)state;
	struct il_bytes bytes;
	const char *path = test_scratch("missing");
	assert_fails(il_file_read(path, 10, &bytes, &err), INLAY_ERR_NOT_FOUND, path);
	assert_fails(il_file_read("/", 10, &bytes, &err), INLAY_ERR_INVALID, "/: is a folder");
}

/* Files in /proc say they are empty: their size cannot be trusted. */
static void read_files_of_unknown_size(void **state)
{
	(void)state;
	struct il_bytes bytes;
	assert_ok(il_file_read("/proc/self/maps", 1 << 24, &bytes, &err));
	assert_true(bytes.size > 1000);
	assert_int_equal(bytes.size, strlen((char *)bytes.data));
	il_bytes_destroy(&bytes);
	assert_fails(il_file_read("/dev/zero", 10000, &bytes, &err), INLAY_ERR_FORMAT, "larger than the 10000 bytes");
}

static void expect_text(char *text, const char *expected)
{
	assert_string_equal(text, expected);
	free(text);
}

static void paths(void **state)
{
	(void)state;
	expect_text(il_path_join("a/b", "c"), "a/b/c");
	expect_text(il_path_join("a/b/", "c"), "a/b/c");
	expect_text(il_path_join("a/b", "/c"), "/c");
	expect_text(il_path_join("", "c"), "c");
	expect_text(il_path_join("/", "c"), "/c");
	expect_text(il_path_folder("a/b/c"), "a/b");
	expect_text(il_path_folder("c"), ".");
	expect_text(il_path_folder("/c"), "/");
	assert_string_equal(il_path_extension("a.b/c.MP4"), "mp4");
	assert_string_equal(il_path_extension("a.tar.gz"), "gz");
	assert_string_equal(il_path_extension("a.b/c"), "");
	assert_string_equal(il_path_extension("a/.hidden"), "");
	assert_string_equal(il_path_extension("a."), "");
	assert_string_equal(il_path_extension("a.this is no extension at all"), "");
	assert_true(il_path_is_folder("/"));
	assert_false(il_path_is_folder("/proc/self/maps"));
	assert_true(il_path_exists("/proc/self/maps"));
	assert_false(il_path_exists("/proc/self/nothing"));
}

static void part_appears_only_when_committed(void **state)
{
	(void)state;
	struct il_part *part;
	const char *path = test_scratch("out.bin");
	assert_ok(il_part_open(&part, path, false, &err));
	assert_false(il_path_exists(path));
	assert_true(il_path_exists(il_part_path(part)));
	assert_int_equal(strcmp(il_part_path(part) + strlen(path), ".part"), 0);
	put(il_part_path(part), "whole");
	assert_ok(il_part_commit(part, &err));
	assert_false(il_path_exists(il_part_path(part)));
	il_part_destroy(&part);
	assert_null(part);
	il_part_destroy(&part);
	expect_content(path, "whole");
	unlink(path);
}

static void part_discards(void **state)
{
	(void)state;
	struct il_part *part;
	const char *path = test_scratch("dropped.bin"), *beside = test_scratch("dropped.bin.part");
	put(path, "old");
	assert_ok(il_part_open(&part, path, true, &err));
	put(il_part_path(part), "new");
	il_part_destroy(&part);
	assert_false(il_path_exists(beside));
	expect_content(path, "old");
	unlink(path);
}

static void part_does_not_replace_unasked(void **state)
{
	(void)state;
	struct il_part *part;
	const char *path = test_scratch("kept.bin");
	put(path, "old");
	assert_fails(il_part_open(&part, path, false, &err), INLAY_ERR_EXISTS, path);
	assert_null(part);
	unlink(path);

	assert_ok(il_part_open(&part, path, false, &err));
	put(path, "came between");
	assert_fails(il_part_commit(part, &err), INLAY_ERR_EXISTS, "appeared while");
	il_part_destroy(&part);
	expect_content(path, "came between");

	assert_ok(il_file_write(path, "new", 3, true, &err));
	expect_content(path, "new");
	assert_fails(il_file_write(path, "newer", 5, false, &err), INLAY_ERR_EXISTS, path);
	expect_content(path, "new");
	unlink(path);
}

static void part_finds_bad_places_at_once(void **state)
{
	(void)state;
	struct il_part *part;
	char path[1200];
	snprintf(path, sizeof path, "%s/out.mp4", test_scratch("no-such-folder"));
	assert_fails(il_part_open(&part, path, false, &err), INLAY_ERR_NOT_FOUND, "out.mp4: cannot create");
	assert_fails(il_part_open(&part, "/", true, &err), INLAY_ERR_INVALID, "/: is a folder");
	assert_null(part);
}

static void part_belongs_to_one_run(void **state)
{
	(void)state;
	struct il_part *first, *second;
	const char *path = test_scratch("shared.bin");
	assert_ok(il_part_open(&first, path, false, &err));
	assert_ok(il_part_write(first, "one", 3, &err));
	assert_fails(il_part_open(&second, path, true, &err), INLAY_ERR_IO, "another run is writing it");
	assert_null(second);
	assert_ok(il_part_commit(first, &err));
	il_part_destroy(&first);
	expect_content(path, "one");
	assert_ok(il_part_open(&second, path, true, &err));
	il_part_destroy(&second);
	unlink(path);
}

static void part_takes_over_what_a_killed_run_left(void **state)
{
	(void)state;
	const char *path = test_scratch("killed.bin"), *part = test_scratch("killed.bin.part");
	put(part, "half of something long");
	assert_ok(il_file_write(path, "whole", 5, false, &err));
	expect_content(path, "whole");
	assert_false(il_path_exists(part));
	unlink(path);
}

/* Renaming over /dev/null would be the end of it. */
static void part_replaces_files_only(void **state)
{
	(void)state;
	struct il_part *part;
	const char *path = test_scratch("fifo"), *target = test_scratch("kept.txt"), *link = test_scratch("link.part");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_fails(il_part_open(&part, path, true, &err), INLAY_ERR_INVALID, "is a device or pipe");
	unlink(path);
	assert_fails(il_part_open(&part, "/dev/null", true, &err), INLAY_ERR_INVALID, "/dev/null: is a device");

	put(target, "kept");
	assert_int_equal(symlink(target, link), 0);
	assert_fails(il_part_open(&part, test_scratch("link"), true, &err), INLAY_ERR_IO, "link: cannot create");
	expect_content(target, "kept");
	unlink(link);
	unlink(target);

	/* A link to nowhere is in the way as well, and is found before the work. */
	assert_int_equal(symlink("/no/such/place", path), 0);
	assert_fails(il_part_open(&part, path, false, &err), INLAY_ERR_EXISTS, path);
	unlink(path);
}

static void commit_without_the_part_fails(void **state)
{
	(void)state;
	struct il_part *part;
	const char *path = test_scratch("lost.bin");
	assert_ok(il_part_open(&part, path, false, &err));
	unlink(il_part_path(part));
	assert_fails(il_part_commit(part, &err), INLAY_ERR_NOT_FOUND, "lost.bin.part");
	il_part_destroy(&part);
	assert_false(il_path_exists(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders_are_made),
		cmocka_unit_test(read_has_a_limit),
		cmocka_unit_test(read_names_what_is_wrong),
		cmocka_unit_test(read_files_of_unknown_size),
		cmocka_unit_test(paths),
		cmocka_unit_test(part_appears_only_when_committed),
		cmocka_unit_test(part_discards),
		cmocka_unit_test(part_does_not_replace_unasked),
		cmocka_unit_test(part_finds_bad_places_at_once),
		cmocka_unit_test(part_belongs_to_one_run),
		cmocka_unit_test(part_takes_over_what_a_killed_run_left),
		cmocka_unit_test(part_replaces_files_only),
		cmocka_unit_test(commit_without_the_part_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

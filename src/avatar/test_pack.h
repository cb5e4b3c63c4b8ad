/* Packs made up for tests, in scratch folders; the includer defines _GNU_SOURCE for nftw. */
#ifndef IL_AVATAR_TEST_PACK_H
#define IL_AVATAR_TEST_PACK_H

#include "tests/test.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/npy.h"

static inline int pack_remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static inline void pack_remove(const char *folder)
{
	nftw(folder, pack_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* An empty folder. */
static inline const char *pack_make(const char *name)
{
	const char *folder = test_scratch(name);
	pack_remove(folder);
	assert_int_equal(mkdir(folder, 0777), 0);
	return folder;
}

/* The path of folder/name, whose own folder is made. A ring of 4 static buffers. */
static inline const char *pack_path(const char *folder, const char *name)
{
	static char paths[4][2048];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	char *slash = strrchr(path, '/');
	*slash = 0;
	assert_true(!mkdir(path, 0777) || errno == EEXIST);
	*slash = '/';
	return path;
}

static inline void pack_write(const char *folder, const char *name, const char *text)
{
	struct inlay_error err;
	assert_ok(il_file_write(pack_path(folder, name), text, strlen(text), true, &err));
}

static inline void pack_link(const char *folder, const char *name, const char *to)
{
	assert_int_equal(symlink(to, pack_path(folder, name)), 0);
}

/* The .lms text of one frame of landmarks_523x110x2.npy. */
static inline void pack_lms_text(const struct il_npy *marks, size_t frame, char text[4096])
{
	size_t used = 0;
	const int16_t *point = (const int16_t *)marks->data + frame * 220;
	for (int i = 0; i < 110; i++, point += 2)
		used += (size_t)sprintf(text + used, "%d %d\n", point[0], point[1]);
}

/* A SyncTalk_2D folder of the first n <= 12 pictures of lipsync_sanders, numbered from `first` on. */
static inline const char *pack_make_dataset(const char *name, int first, int n)
{
	struct inlay_error err;
	struct il_npy marks = { 0 };
	assert_ok(il_npy_open(&marks, test_data("lipsync_sanders/landmarks_523x110x2.npy"), &err));
	const char *folder = pack_make(name);
	for (int i = 0; i < n; i++) {
		char from[64], to[64], text[4096];
		snprintf(from, sizeof from, "lipsync_sanders/full_body_img/%d.jpg", i + 1);
		snprintf(to, sizeof to, "full_body_img/%d.jpg", first + i);
		pack_link(folder, to, test_data(from));
		snprintf(to, sizeof to, "landmarks/%d.lms", first + i);
		pack_lms_text(&marks, (size_t)i, text);
		pack_write(folder, to, text);
	}
	il_npy_close(&marks);
	return folder;
}

#endif

/* Folders as SyncTalk_2D trains on them: full_body_img/N.jpg (or .png), landmarks/N.lms, and perhaps parsing/N.png. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/pack_impl.h"
#include "base/pattern.h"
#include "avatar/rects.h"
#include "base/file.h"

#define PICTURES "full_body_img"

static bool probe(const char *path)
{
	return il_pack_has(path, PICTURES);
}

/* Numbers of the files N.EXTENSION in a folder. */
struct numbering {
	const char *extension;
	int64_t lowest, highest, count;
};

/* The number of "17.jpg", or -1 for a name of another kind. */
static int64_t number_of(const char *name, const char *extension)
{
	size_t digits = strspn(name, "0123456789");
	if (!digits || digits > 9 || (name[0] == '0' && digits > 1) || name[digits] != '.' ||
	    strcmp(name + digits + 1, extension))
		return -1;
	return strtol(name, NULL, 10);
}

static enum inlay_err number_folder(const char *folder, struct numbering *numbering, struct inlay_error *err)
{
	DIR *dir = opendir(folder);
	if (!dir)
		return il_fail_errno(err, "%s", folder);
	numbering->count = 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		int64_t n = number_of(entry->d_name, numbering->extension);
		if (n < 0)
			continue;
		if (!numbering->count || n < numbering->lowest)
			numbering->lowest = n;
		if (!numbering->count || n > numbering->highest)
			numbering->highest = n;
		numbering->count++;
	}
	closedir(dir);
	return INLAY_OK;
}

static enum inlay_err number_pictures(const char *folder, struct numbering *numbering, struct inlay_error *err)
{
	static const char *const extensions[] = { "jpg", "png" };
	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
		numbering->extension = extensions[i];
		enum inlay_err rc = number_folder(folder, numbering, err);
		if (rc || numbering->count)
			return rc;
	}
	return il_fail(err, INLAY_ERR_NOT_FOUND, "%s: no pictures; expected 0.jpg (or .png), 1.jpg, 2.jpg, ...",
	               folder);
}

static enum inlay_err load_pictures(struct il_avatar *avatar, struct il_faults *faults)
{
	struct numbering numbers = { 0 };
	char pattern[sizeof PICTURES + 16];
	char *folder = il_path_join(avatar->path, PICTURES);
	enum inlay_err rc = folder ? number_pictures(folder, &numbers, faults->err) : il_fail_memory(faults->err);
	if (!rc && numbers.lowest > 1)
		rc = il_fail(faults->err, INLAY_ERR_NOT_FOUND,
		             "%s: 0.%s or 1.%s is missing; the first picture there is %d.%s", folder, numbers.extension,
		             numbers.extension, (int)numbers.lowest, numbers.extension);
	free(folder);
	if (rc)
		return rc;
	snprintf(pattern, sizeof pattern, PICTURES "/%%d.%s", numbers.extension);
	char *joined;
	rc = il_pattern_join(&joined, avatar->path, pattern, faults->err);
	if (rc)
		return rc;
	return il_pack_use_pictures(avatar, joined, (int)numbers.lowest, numbers.highest - numbers.lowest + 1, faults);
}

static enum inlay_err load_rects(struct il_avatar *avatar, struct il_faults *faults)
{
	char *pattern;
	enum inlay_err rc = il_pattern_join(&pattern, avatar->path, "landmarks/%d.lms", faults->err);
	if (!rc)
		rc = il_rects_read_landmarks(avatar, pattern, avatar->first, faults);
	free(pattern);
	return rc;
}

static enum inlay_err load_parsing(struct il_avatar *avatar, struct il_faults *faults)
{
	if (!il_pack_has(avatar->path, "parsing"))
		return INLAY_OK;
	enum inlay_err rc = il_pattern_join(&avatar->parsing, avatar->path, "parsing/%d.png", faults->err);
	if (rc)
		return rc;
	return il_pack_check_files(avatar->parsing, avatar->first, avatar->frames, "parsing masks", faults);
}

static enum inlay_err load(struct il_avatar *avatar, struct il_faults *faults)
{
	enum inlay_err rc = load_pictures(avatar, faults);
	if (!rc)
		rc = load_rects(avatar, faults);
	if (!rc)
		rc = load_parsing(avatar, faults);
	if (!rc)
		rc = il_pack_find_models(avatar, avatar->path, faults->err);
	return rc;
}

const struct il_pack_layout il_pack_dataset = { "SyncTalk_2D folder", probe, load };

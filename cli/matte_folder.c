/* inlay matte DIR -o DIR: file by file; one that fails is told, and the rest is done. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "cmd_matte.h"

static const char *const videos[] = { "mp4", "mov", "mkv", "webm", "m4v", "avi", "mpg", "mpeg",
	                              "ts",  "mts", "wmv", "flv",  "gif", "3gp", "y4m", NULL };
static const char *const containers[] = { "mp4", "mov", "mkv", "webm", NULL };
static const char *const pictures[] = { "png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", NULL };

struct tally {
	int done, partial, failed, there;
};

static bool is_one_of(const char *word, const char *const *list)
{
	while (*list && strcmp(word, *list) != 0)
		list++;
	return *list;
}

/* How the output's name ends: as --format says, or the input's kind and whether alpha must be held. */
static const char *output_extension(const struct matte_arguments *a, const char *input)
{
	const char *extension = il_path_extension(input);
	const bool alpha = a->params.settings->alpha;
	if (is_one_of(extension, pictures))
		return a->params.preview || alpha || extension[0] != 'j' ? "png" : "jpg";
	return a->params.preview ? "png" : a->params.format ? a->params.format : alpha ? "webm" : "mp4";
}

/* OUT/STEM.EXT. Where two inputs differ in their extension alone, OUT/NAME.EXT. */
static char *output_path(const struct matte_arguments *a, struct dirent *const *entries, int n, int k)
{
	const char *name = entries[k]->d_name, *dot = strrchr(name, '.');
	const char *extension = output_extension(a, name);
	int stem = (int)(dot - name);
	for (int i = 0; i < n; i++)
		if (i != k && !strncmp(entries[i]->d_name, name, (size_t)stem + 1) &&
		    !strchr(entries[i]->d_name + stem + 1, '.'))
			stem = (int)strlen(name);
	char file[512];
	snprintf(file, sizeof file, "%.*s.%s", stem, name, extension);
	return il_path_join(a->params.output, file);
}

static int is_wanted(const struct dirent *entry)
{
	const char *extension = il_path_extension(entry->d_name);
	return entry->d_name[0] != '.' && (is_one_of(extension, videos) || is_one_of(extension, pictures));
}

static enum inlay_err make_folder(const char *path, struct inlay_error *err)
{
	if (il_path_is_folder(path) || mkdir(path, 0777) == 0)
		return INLAY_OK;
	return errno == EEXIST ? il_fail(err, INLAY_ERR_INVALID, "%s: is a file; a folder's output is a folder", path)
	                       : il_fail_errno(err, "%s: cannot be made", path);
}

static enum inlay_err do_file(const struct matte_arguments *a, struct dirent *const *entries, int n, int k,
                              struct tally *tally, struct inlay_error *err)
{
	struct inlay_matte_params params = a->params;
	char *input = il_path_join(a->params.input, entries[k]->d_name), *output = output_path(a, entries, n, k);
	bool lossy = false;
	enum inlay_err rc = input && output ? INLAY_OK : il_fail_memory(err);
	params.input = input;
	params.output = output;
	params.format = NULL;
	const bool there = !rc && a->skip_existing && il_path_exists(output);
	if (there)
		say("[%d/%d] %s: %s is there", k + 1, n, input, output);
	else if (!rc) {
		say("[%d/%d] %s", k + 1, n, input);
		rc = matte_one(a, &params, NULL, &lossy, err);
	}
	if (rc)
		tally->failed++;
	else if (there)
		tally->there++;
	else if (lossy)
		tally->partial++;
	else
		tally->done++;
	free(input);
	free(output);
	return rc;
}

static int report(const struct matte_arguments *a, const struct tally *t, int n)
{
	char there[64] = "";
	if (t->there)
		snprintf(there, sizeof there, ", %d were there", t->there);
	say("%s: %d of %d files done%s", a->params.output, t->done + t->partial, n, there);
	if (t->failed)
		fprintf(stderr, "inlay: error: %d of %d files failed, see above\n", t->failed, n);
	if (t->partial)
		fprintf(stderr, "inlay: warning: %d of %d files are damaged, see above\n", t->partial, n);
	return t->failed ? EXIT_FAILURE : t->partial ? EXIT_PARTIAL : EXIT_SUCCESS;
}

int matte_folder(const struct matte_arguments *a)
{
	struct inlay_error err = { 0 };
	struct tally tally = { 0 };
	struct dirent **entries = NULL;
	if (!a->params.output || !strcmp(a->params.output, "-") || a->stats) {
		il_fail(&err, INLAY_ERR_INVALID, "%s: is a folder; %s", a->params.input,
		        a->stats ? "--stats is for one file" : "give a folder for the output too, -o FOLDER");
		return report_error(&err);
	}
	if (a->params.format && !is_one_of(a->params.format, containers)) {
		il_fail(&err, INLAY_ERR_INVALID, "--format %s: the videos of a folder become mp4, mov, mkv or webm",
		        a->params.format);
		return report_error(&err);
	}
	int n = scandir(a->params.input, &entries, is_wanted, alphasort);
	if (n < 0)
		il_fail_errno(&err, "%s: cannot be read", a->params.input);
	else if (n == 0)
		il_fail(&err, INLAY_ERR_NOT_FOUND, "%s: holds no video and no picture", a->params.input);
	else
		make_folder(a->params.output, &err);
	int status = err.code ? report_error(&err) : EXIT_SUCCESS;
	for (int k = 0; k < n && !status; k++) {
		struct inlay_error why = { 0 };
		enum inlay_err rc = do_file(a, entries, n, k, &tally, &why);
		if (rc == INLAY_ERR_CANCELLED && interrupted())
			status = 128 + interrupted();
		else if (rc)
			report_error(&why);
	}
	for (int k = 0; k < n; k++)
		free(entries[k]);
	free(entries);
	return status ? status : report(a, &tally, n);
}

#define _GNU_SOURCE /* strcasestr */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/data.h"
#include "base/file.h"
#include "base/log.h"
#include "catalogue/catalogue.h"
#include "catalogue/find.h"

#define EXTENSION ".onnx"

/* What inlay recommends, the best first: the one place that says so. */
static const char *const recommended[] = { "selfie_alphas_256_nchw", "selfie_segmentation_256",
	                                   "rvm_mobilenetv3_192x320_dq" };
enum { N_RECOMMENDED = sizeof recommended / sizeof *recommended };

static bool is_file(const char *path)
{
	return il_path_exists(path) && !il_path_is_folder(path);
}

/* ---- the folders ---- */

enum inlay_err il_model_user_folder(char **path, struct inlay_error *err)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	*path = NULL;
	if (data && data[0] == '/') /* the XDG specification has relative ones ignored */
		*path = il_path_join(data, "inlay/models");
	else if (home && *home)
		*path = il_path_join(home, ".local/share/inlay/models");
	else
		return il_fail(err, INLAY_ERR_NOT_FOUND,
		               "no folder for models: neither XDG_DATA_HOME nor HOME is set; name one with --output");
	return *path ? INLAY_OK : il_fail_memory(err);
}

/* Takes over `folder`. */
static enum inlay_err add_folder(struct il_model_list *list, char *folder, struct inlay_error *err)
{
	char **grown = folder ? realloc(list->folders, sizeof *grown * ((size_t)list->folder_count + 1)) : NULL;
	if (!grown) {
		free(folder);
		return il_fail_memory(err);
	}
	list->folders = grown;
	list->folders[list->folder_count++] = folder;
	return INLAY_OK;
}

static enum inlay_err add_named_folders(struct il_model_list *list, struct inlay_error *err)
{
	const char *names = getenv("INLAY_MODELS");
	enum inlay_err rc = INLAY_OK;
	while (names && *names && !rc) {
		size_t length = strcspn(names, ":");
		if (length)
			rc = add_folder(list, strndup(names, length), err);
		names += length + (names[length] == ':');
	}
	return rc;
}

/* The folders alone; to be destroyed even after an error. */
static enum inlay_err list_folders(struct il_model_list *list, struct inlay_error *err)
{
	char *folder;
	*list = (struct il_model_list){ 0 };
	enum inlay_err rc = add_named_folders(list, err);
	if (!rc && !il_model_user_folder(&folder, NULL))
		rc = add_folder(list, folder, err);
	if (!rc && !il_data_find(&folder, "models", NULL, NULL))
		rc = add_folder(list, folder, err);
	return rc;
}

/* ---- the files in them ---- */

static bool listed(const struct il_model_list *list, const char *name)
{
	for (int i = 0; i < list->file_count; i++)
		if (!strcmp(list->files[i].name, name))
			return true;
	return false;
}

/* A file that comes first under its name; what is not a file any more, or a folder, is passed over. */
static enum inlay_err add_file(struct il_model_list *list, const char *folder, const char *file,
                               struct inlay_error *err)
{
	struct stat st;
	enum inlay_err rc = INLAY_OK;
	char *path = il_path_join(folder, file);
	char *name = strndup(file, strlen(file) - strlen(EXTENSION));
	if (!path || !name) {
		rc = il_fail_memory(err);
	} else if (!listed(list, name) && stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		struct il_model_file *grown = realloc(list->files, sizeof *grown * ((size_t)list->file_count + 1));
		if (grown) {
			list->files = grown;
			list->files[list->file_count++] = (struct il_model_file){ name, path, st.st_size };
			return INLAY_OK;
		}
		rc = il_fail_memory(err);
	}
	free(path);
	free(name);
	return rc;
}

static bool is_model(const char *file)
{
	size_t length = strlen(file);
	return file[0] != '.' && length > strlen(EXTENSION) && !strcmp(file + length - strlen(EXTENSION), EXTENSION);
}

static enum inlay_err add_files(struct il_model_list *list, const char *folder, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	const struct dirent *entry;
	DIR *dir = opendir(folder);
	if (!dir) {
		if (errno != ENOENT)
			il_log_warn("%s: cannot look for models here: %s", folder, strerror(errno));
		return INLAY_OK;
	}
	while (!rc && (entry = readdir(dir)))
		if (is_model(entry->d_name))
			rc = add_file(list, folder, entry->d_name, err);
	closedir(dir);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct il_model_file *)a)->name, ((const struct il_model_file *)b)->name);
}

enum inlay_err il_model_list_read(struct il_model_list *list, struct inlay_error *err)
{
	enum inlay_err rc = list_folders(list, err);
	for (int i = 0; !rc && i < list->folder_count; i++)
		rc = add_files(list, list->folders[i], err);
	if (rc)
		il_model_list_destroy(list);
	else if (list->file_count)
		qsort(list->files, (size_t)list->file_count, sizeof *list->files, by_name);
	return rc;
}

void il_model_list_destroy(struct il_model_list *list)
{
	for (int i = 0; i < list->folder_count; i++)
		free(list->folders[i]);
	for (int i = 0; i < list->file_count; i++) {
		free(list->files[i].name);
		free(list->files[i].path);
	}
	free(list->folders);
	free(list->files);
	*list = (struct il_model_list){ 0 };
}

/* ---- names that are nearly right ---- */

enum { NEAR_LENGTH = 63, MAX_NEAR = 4 };

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance, capitals and small letters alike; names beyond NEAR_LENGTH are far from everything. */
static int distance(const char *a, const char *b)
{
	int row[NEAR_LENGTH + 1], n = (int)strnlen(b, NEAR_LENGTH + 1);
	if (n > NEAR_LENGTH || strnlen(a, NEAR_LENGTH + 1) > NEAR_LENGTH)
		return NEAR_LENGTH;
	for (int k = 0; k <= n; k++)
		row[k] = k;
	for (int i = 0; a[i]; i++) {
		int diagonal = row[0];
		row[0] = i + 1;
		for (int k = 0; k < n; k++) {
			int changed = diagonal + (tolower((unsigned char)a[i]) != tolower((unsigned char)b[k]));
			diagonal = row[k + 1];
			row[k + 1] = least(changed, 1 + least(row[k], row[k + 1]));
		}
	}
	return row[n];
}

static bool is_near(const char *name, const char *known)
{
	return (strlen(name) >= 3 && strcasestr(known, name)) || distance(name, known) <= 1 + (int)strlen(name) / 8;
}

static void append(char *text, size_t size, const char *more)
{
	size_t used = strlen(text);
	snprintf(text + used, size - used, "%s", more);
}

static void append_near(char *text, size_t size, int *count, const char *name)
{
	if (*count == MAX_NEAR)
		return;
	append(text, size, (*count)++ ? ", \"" : "did you mean \"");
	append(text, size, name);
	append(text, size, "\"");
}

char *il_model_advise(const char *name, char *text, size_t size)
{
	struct il_model_list list;
	int count = 0;
	size_t length = strlen(name) - (is_model(name) ? strlen(EXTENSION) : 0);
	char *stem = strndup(name, length);
	text[0] = 0;
	if (!stem || il_model_list_read(&list, NULL)) {
		free(stem);
		return text;
	}
	for (int i = 0; i < list.file_count; i++)
		if (is_near(stem, list.files[i].name))
			append_near(text, size, &count, list.files[i].name);
	for (const struct il_catalogue_entry *e = il_catalogue; e->name; e++)
		if (!listed(&list, e->name) && is_near(stem, e->name))
			append_near(text, size, &count, e->name);
	append(text, size, count ? "?" : "\"inlay models list\" shows what there is");
	il_model_list_destroy(&list);
	free(stem);
	return text;
}

/* ---- finding ---- */

/* FOLDER/NAME or FOLDER/NAME.onnx, if one is a file. */
static enum inlay_err find_in(char **path, const char *folder, const char *name, struct inlay_error *err)
{
	char *stem = il_path_join(folder, name);
	char *full = stem ? malloc(strlen(stem) + sizeof EXTENSION) : NULL;
	if (!full) {
		free(stem);
		return il_fail_memory(err);
	}
	sprintf(full, "%s" EXTENSION, stem);
	char *found = is_file(stem) ? stem : is_file(full) ? full : NULL;
	free(found == stem ? full : stem);
	if (!found)
		free(full);
	*path = found;
	return INLAY_OK;
}

static enum inlay_err find_in_folders(char **path, const char *name, const struct il_model_list *list,
                                      struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (int i = 0; !rc && !*path && i < list->folder_count; i++)
		rc = find_in(path, list->folders[i], name, err);
	return rc;
}

static char *name_folders(const struct il_model_list *list, char *text, size_t size)
{
	text[0] = 0;
	for (int i = 0; i < list->folder_count; i++) {
		append(text, size, i ? ", " : "");
		append(text, size, list->folders[i]);
	}
	append(text, size, list->folder_count ? " " : "any folder ");
	append(text, size, "(INLAY_MODELS names more)");
	return text;
}

static enum inlay_err fail_to_find(const char *name, const struct il_model_list *list, struct inlay_error *err)
{
	char folders[INLAY_ERROR_TEXT / 2], advice[INLAY_ERROR_TEXT / 4];
	const struct il_catalogue_entry *known = il_catalogue_find(name);
	if (known)
		snprintf(advice, sizeof advice, "\"inlay models get %s\" fetches it", known->name);
	else
		il_model_advise(name, advice, sizeof advice);
	return il_fail(err, INLAY_ERR_NOT_FOUND, "%s: no such file here, and no such model in %s; %s", name,
	               name_folders(list, folders, sizeof folders), advice);
}

enum inlay_err il_model_find(char **path, const char *name, struct inlay_error *err)
{
	struct il_model_list list;
	*path = NULL;
	if (strchr(name, '/') || is_file(name)) {
		if (!is_file(name))
			return il_fail(err, INLAY_ERR_NOT_FOUND,
			               "%s: no such file; expected a model file, or a model's name without \"/\"",
			               name);
		*path = strdup(name);
		return *path ? INLAY_OK : il_fail_memory(err);
	}
	enum inlay_err rc = list_folders(&list, err);
	if (!rc)
		rc = find_in_folders(path, name, &list, err);
	if (!rc && !*path)
		rc = fail_to_find(name, &list, err);
	il_model_list_destroy(&list);
	return rc;
}

/* The best that can be had for the asking. */
static const char *first_to_get(void)
{
	int i = 0;
	while (i < N_RECOMMENDED - 1 && !il_catalogue_find(recommended[i]))
		i++;
	return recommended[i];
}

enum inlay_err il_model_default(char **path, struct inlay_error *err)
{
	struct il_model_list list;
	char folders[INLAY_ERROR_TEXT / 2];
	*path = NULL;
	enum inlay_err rc = list_folders(&list, err);
	for (int i = 0; !rc && !*path && i < N_RECOMMENDED; i++)
		rc = find_in_folders(path, recommended[i], &list, err);
	if (!rc && !*path)
		rc = il_fail(
			err, INLAY_ERR_NOT_FOUND,
			"no model is named, and none that inlay recommends is in %s; \"inlay models get %s\" fetches "
			"one, --model NAME|FILE names another",
			name_folders(&list, folders, sizeof folders), first_to_get());
	il_model_list_destroy(&list);
	return rc;
}

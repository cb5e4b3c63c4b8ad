#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "catalogue/catalogue.h"
#include "catalogue/fetch.h"
#include "catalogue/find.h"

/* The mirror's URL of the file, or the published one; in fresh memory. */
static enum inlay_err make_url(char **url, const struct il_catalogue_entry *entry, struct inlay_error *err)
{
	const char *mirror = getenv("INLAY_MODELS_MIRROR");
	*url = mirror && *mirror ? il_path_join(mirror, entry->file) : strdup(entry->url);
	if (!*url)
		return il_fail_memory(err);
	if (!il_fetch_allows(*url))
		return il_fail(err, INLAY_ERR_INVALID,
		               "INLAY_MODELS_MIRROR: \"%s\": expected https://HOST/FOLDER (http is for 127.0.0.1 and "
		               "localhost alone)",
		               mirror);
	return INLAY_OK;
}

/* mkdir -p */
static enum inlay_err make_folders(char *path, struct inlay_error *err)
{
	for (char *slash = path; slash;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = 0;
		if (mkdir(path, 0777) < 0 && errno != EEXIST)
			return il_fail_errno(err, "%s: cannot make this folder", path);
		if (slash)
			*slash = '/';
	}
	return INLAY_OK;
}

/* Where the file is to be, in fresh memory. */
static enum inlay_err make_path(char **path, const struct il_catalogue_entry *entry, const char *output,
                                struct inlay_error *err)
{
	char *folder = NULL;
	enum inlay_err rc = INLAY_OK;
	if (!output) {
		rc = il_model_user_folder(&folder, err);
		if (!rc)
			rc = make_folders(folder, err);
		if (!rc)
			*path = il_path_join(folder, entry->file);
	} else if (il_path_is_folder(output) || output[strlen(output) - 1] == '/') {
		*path = il_path_join(output, entry->file);
	} else {
		*path = strdup(output);
	}
	free(folder);
	return rc || *path ? rc : il_fail_memory(err);
}

enum inlay_err il_model_get(char **path, bool *fetched, const struct il_model_get_params *params,
                            struct inlay_error *err)
{
	const struct il_catalogue_entry *entry = il_catalogue_find(params->name);
	const char *environment = getenv("SSL_CERT_FILE");
	char *url = NULL, advice[INLAY_ERROR_TEXT / 4];
	*path = NULL;
	*fetched = false;
	if (!entry)
		return il_fail(err, INLAY_ERR_NOT_FOUND, "%s: no public model that inlay knows; %s", params->name,
		               il_model_advise(params->name, advice, sizeof advice));
	enum inlay_err rc = make_url(&url, entry, err);
	if (!rc)
		rc = make_path(path, entry, params->output, err);
	const struct il_fetch_params fetch = { .url = url,
		                               .path = *path,
		                               .sha256 = entry->sha256,
		                               .bytes = entry->bytes,
		                               .cafile = params->cafile                ? params->cafile
		                                         : environment && *environment ? environment
		                                                                       : NULL,
		                               .overwrite = params->overwrite,
		                               .progress = params->progress,
		                               .ctx = params->ctx };
	if (!rc)
		rc = il_fetch(&fetch, fetched, err);
	if (rc) {
		free(*path);
		*path = NULL;
	}
	free(url);
	return rc;
}

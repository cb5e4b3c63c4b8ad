/* Models by name: the public ones that inlay can fetch, the folders where models are kept, and finding one there. */
#ifndef IL_CATALOGUE_CATALOGUE_H
#define IL_CATALOGUE_CATALOGUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A public model, as it lies at one commit of its repository: the sum says which bytes it is. */
struct il_catalogue_entry {
	const char *name, *file, *url, *sha256, *licence, *what;
	int64_t bytes;
};

/* Ends with an entry whose name is NULL. */
extern const struct il_catalogue_entry il_catalogue[];

/* By name, with or without ".onnx"; NULL if it is not known. */
const struct il_catalogue_entry *il_catalogue_find(const char *name);

/* ---- where models are ---- */

/* The functions below read the environment; any thread, as long as none changes it.
 *
 * Models are looked for in the folders of INLAY_MODELS (separated by colons), the user's own folder
 * ($XDG_DATA_HOME/inlay/models, or ~/.local/share/inlay/models), and models/ of the data folder (base/data.h), in this
 * order. Folders that do not exist are no fault. */

struct il_model_file {
	char *name; /* without ".onnx" */
	char *path;
	int64_t bytes;
};

/* All *.onnx files of those folders, by name; of two with one name, the one that would be found. */
struct il_model_list {
	char **folders; /* those that are looked into, in order */
	struct il_model_file *files;
	int folder_count, file_count;
};

enum inlay_err il_model_list_read(struct il_model_list *list, struct inlay_error *err);
void il_model_list_destroy(struct il_model_list *list);

/* Path of the model in fresh memory. `name` is a path where it holds a '/' or where a file is called so; else the first
 * file `name` or `name`.onnx in those folders counts. INLAY_ERR_NOT_FOUND tells where it was looked for, and what to
 * do. */
enum inlay_err il_model_find(char **path, const char *name, struct inlay_error *err);

/* The first model that is found, of those that inlay recommends, the best first. */
enum inlay_err il_model_default(char **path, struct inlay_error *err);

/* ---- getting one ---- */

struct il_model_get_params {
	const char *name;   /* of the catalogue */
	const char *output; /* file, or folder that is there; NULL: the user's own folder, which is made */
	const char *cafile; /* PEM file of the authorities to trust; NULL: SSL_CERT_FILE, else the system's */
	bool overwrite;     /* of a file with other content */
	/* NULL or called once a second or more often, on the caller's thread, with bytes; false stops. */
	bool (*progress)(void *ctx, int64_t done, int64_t expected);
	void *ctx;
};

/* Fetches a model of the catalogue (see il_fetch) from its URL, or as `file` from the folder that INLAY_MODELS_MIRROR
 * names ("https://host/folder"; http only on this machine, as 127.0.0.1 or localhost). *path, in fresh memory, is where
 * it is; *fetched is false if it was there before. Any thread. */
enum inlay_err il_model_get(char **path, bool *fetched, const struct il_model_get_params *params,
                            struct inlay_error *err);

#endif

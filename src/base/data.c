#include "base/data.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* The folder of the program that runs, or of `program`; links are followed. In fresh memory, or NULL. */
static char *program_folder(const char *program)
{
	char *real = realpath(program ? program : "/proc/self/exe", NULL);
	char *folder = real ? il_path_folder(real) : NULL;
	free(real);
	return folder;
}

static bool holds(const char *folder, const char *name)
{
	char *path = il_path_join(folder, name);
	bool found = path && il_path_exists(path);
	free(path);
	return found;
}

/* A folder beside the program's own: "/opt/inlay/bin" and "share/inlay" give "/opt/inlay/share/inlay". */
static char *beside(const char *folder, const char *name)
{
	char *parent = il_path_folder(folder);
	char *path = parent ? il_path_join(parent, name) : NULL;
	free(parent);
	return path;
}

enum inlay_err il_data_find(char **path, const char *name, const char *program, struct inlay_error *err)
{
	*path = NULL;
	const char *chosen = getenv("INLAY_DATA");
	if (chosen && *chosen) {
		if (!holds(chosen, name))
			return il_fail(err, INLAY_ERR_NOT_FOUND,
			               "%s: not found in %s, the data folder that INLAY_DATA names", name, chosen);
		*path = il_path_join(chosen, name);
		return *path ? INLAY_OK : il_fail_memory(err);
	}
	char *own = program_folder(program);
	char *folders[] = {
		own ? beside(own, "share/inlay") : NULL,
		own && holds(own, "build.ninja") ? beside(own, "models") : NULL,
		strdup(INLAY_DATA_FOLDER),
	};
	char looked[INLAY_ERROR_TEXT / 2] = "";
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		if (folders[i] && !*path && holds(folders[i], name))
			*path = il_path_join(folders[i], name);
		size_t used = strlen(looked);
		if (folders[i])
			snprintf(looked + used, sizeof looked - used, "%s%s", used ? ", " : "", folders[i]);
		free(folders[i]);
	}
	free(own);
	if (*path)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_NOT_FOUND,
	               "%s: not found in inlay's data folder; looked in %s (INLAY_DATA names another)", name, looked);
}

#include <stdlib.h>
#include <string.h>

#include "avatar/avatar.h"
#include "base/pattern.h"

struct list {
	char **paths;
	size_t count, room;
};

static bool add(struct list *list, const char *path)
{
	if (!path)
		return true;
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		char **paths = realloc(list->paths, room * sizeof *paths);
		if (!paths)
			return false;
		list->paths = paths;
		list->room = room;
	}
	list->paths[list->count] = strdup(path);
	return list->paths[list->count] && ++list->count;
}

static bool add_pattern(struct list *list, const struct il_avatar *avatar, const char *pattern)
{
	char path[IL_PATTERN_PATH];
	for (int64_t i = 0; pattern && i < avatar->frames; i++) {
		if (!add(list, il_pattern_path(pattern, avatar->first + i, path)))
			return false;
	}
	return true;
}

enum inlay_err il_avatar_sources(const struct il_avatar *avatar, char ***paths, size_t *count, struct inlay_error *err)
{
	struct list list = { 0 };
	bool ok = add(&list, avatar->manifest) && add(&list, avatar->video) &&
	          add_pattern(&list, avatar, avatar->pattern) && add(&list, avatar->rect_file) &&
	          add_pattern(&list, avatar, avatar->landmarks) && add_pattern(&list, avatar, avatar->parsing) &&
	          add(&list, avatar->model) && add(&list, avatar->audio_encoder);
	*paths = list.paths;
	*count = list.count;
	if (ok)
		return INLAY_OK;
	il_avatar_sources_destroy(paths, *count);
	return il_fail_memory(err);
}

void il_avatar_sources_destroy(char ***paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free((*paths)[i]);
	free(*paths);
	*paths = NULL;
}

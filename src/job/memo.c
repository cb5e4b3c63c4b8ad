#include "job/memo.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WINDOWS 4 /* kinds of silence: of the start, of pauses, of the end */
#define NONE UINT32_MAX

struct entry {
	int64_t window;
	uint32_t place; /* of the drawing, NONE: there is none */
};

struct il_memo {
	size_t window_bytes, bytes;
	int64_t frames;

	/* The thread of il_memo_window alone. */
	float *last, *known[WINDOWS];
	int64_t numbers[WINDOWS], next_number;
	bool began;

	pthread_mutex_t lock;
	struct entry *entries; /* [frames]; this and below: under `lock` */
	uint8_t *drawings;     /* [room][bytes] */
	uint32_t room, used;

	atomic_llong hits;
};

enum inlay_err il_memo_create(struct il_memo **out, int64_t frames, size_t window_floats, size_t bytes,
                              size_t budget_bytes, struct inlay_error *err)
{
	struct il_memo *memo = calloc(1, sizeof *memo);
	if (!memo)
		return il_fail_memory(err);
	size_t room = budget_bytes / bytes;
	pthread_mutex_init(&memo->lock, NULL);
	memo->window_bytes = window_floats * sizeof(float);
	memo->bytes = bytes;
	memo->frames = frames;
	memo->room = room < (size_t)frames ? (uint32_t)room : (uint32_t)frames;
	memo->last = malloc(memo->window_bytes);
	memo->entries = calloc((size_t)frames, sizeof *memo->entries);
	memo->drawings = malloc((size_t)memo->room * bytes + 1);
	bool ok = memo->last && memo->entries && memo->drawings;
	for (int i = 0; i < WINDOWS; i++) {
		memo->known[i] = malloc(memo->window_bytes);
		memo->numbers[i] = -1;
		ok &= memo->known[i] != NULL;
	}
	for (int64_t i = 0; i < frames && ok; i++)
		memo->entries[i].place = NONE;
	if (!ok) {
		il_memo_destroy(&memo);
		return il_fail_memory(err);
	}
	*out = memo;
	return INLAY_OK;
}

void il_memo_destroy(struct il_memo **slot)
{
	struct il_memo *memo = *slot;
	*slot = NULL;
	if (!memo)
		return;
	pthread_mutex_destroy(&memo->lock);
	for (int i = 0; i < WINDOWS; i++)
		free(memo->known[i]);
	free(memo->last);
	free(memo->entries);
	free(memo->drawings);
	free(memo);
}

int64_t il_memo_window(struct il_memo *memo, const float *window)
{
	for (int i = 0; i < WINDOWS; i++) {
		if (memo->numbers[i] >= 0 && !memcmp(window, memo->known[i], memo->window_bytes))
			return memo->numbers[i];
	}
	if (!memo->began || memcmp(window, memo->last, memo->window_bytes) != 0) {
		memo->began = true;
		memcpy(memo->last, window, memo->window_bytes);
		return -1;
	}
	/* The kind longest known makes room. */
	int place = (int)(memo->next_number % WINDOWS);
	memcpy(memo->known[place], window, memo->window_bytes);
	return memo->numbers[place] = memo->next_number++;
}

bool il_memo_find(struct il_memo *memo, int64_t index, int64_t window, void *drawing)
{
	bool found = false;
	if (window < 0)
		return false;
	pthread_mutex_lock(&memo->lock);
	const struct entry *entry = &memo->entries[index];
	found = entry->place != NONE && entry->window == window;
	if (found)
		memcpy(drawing, memo->drawings + (size_t)entry->place * memo->bytes, memo->bytes);
	pthread_mutex_unlock(&memo->lock);
	if (found)
		atomic_fetch_add(&memo->hits, 1);
	return found;
}

void il_memo_keep(struct il_memo *memo, int64_t index, int64_t window, const void *drawing)
{
	if (window < 0)
		return;
	pthread_mutex_lock(&memo->lock);
	struct entry *entry = &memo->entries[index];
	if (entry->place == NONE && memo->used < memo->room)
		entry->place = memo->used++;
	if (entry->place != NONE) {
		entry->window = window;
		memcpy(memo->drawings + (size_t)entry->place * memo->bytes, drawing, memo->bytes);
	}
	pthread_mutex_unlock(&memo->lock);
}

int64_t il_memo_hits(const struct il_memo *memo)
{
	return atomic_load(&memo->hits);
}

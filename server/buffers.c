#include "server/buffers.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 16, SMALL = 64 << 10 /* not worth keeping */ };
#define KEPT_BYTES (256u << 20)

struct buffer {
	size_t size;
	max_align_t bytes[];
};

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static struct buffer *kept[KEPT]; /* kept_lock, and below */
static unsigned n_kept;
static size_t kept_bytes;

static struct buffer *buffer_of(const void *bytes)
{
	return (struct buffer *)((uint8_t *)bytes - offsetof(struct buffer, bytes));
}

/* The smallest that holds `size` and is not four times too large. */
static struct buffer *take_kept(size_t size)
{
	struct buffer *found = NULL;
	pthread_mutex_lock(&kept_lock);
	unsigned best = KEPT;
	for (unsigned i = 0; i < n_kept; i++)
		if (kept[i]->size >= size && kept[i]->size / 4 <= size &&
		    (best == KEPT || kept[i]->size < kept[best]->size))
			best = i;
	if (best < KEPT) {
		found = kept[best];
		memmove(kept + best, kept + best + 1, (--n_kept - best) * sizeof *kept);
		kept_bytes -= found->size;
	}
	pthread_mutex_unlock(&kept_lock);
	return found;
}

void *buffer_take(size_t size)
{
	struct buffer *buffer = size > SMALL ? take_kept(size) : NULL;
	if (!buffer) {
		if (size > SIZE_MAX / 2)
			return NULL;
		size_t room = size > SMALL ? size + size / 8 : size; /* messages vary a little */
		buffer = malloc(sizeof *buffer + room);
		if (!buffer)
			return NULL;
		buffer->size = room;
	}
	return buffer->bytes;
}

size_t buffer_size(const void *bytes)
{
	return bytes ? buffer_of(bytes)->size : 0;
}

/* Under the lock. */
static void drop_oldest(void)
{
	kept_bytes -= kept[0]->size;
	free(kept[0]);
	memmove(kept, kept + 1, --n_kept * sizeof *kept);
}

/* The oldest go first: sizes that nobody asks for any more do not stay. */
void buffer_return(void *bytes)
{
	if (!bytes)
		return;
	struct buffer *buffer = buffer_of(bytes);
	if (buffer->size <= SMALL || buffer->size > KEPT_BYTES) {
		free(buffer);
		return;
	}
	pthread_mutex_lock(&kept_lock);
	while (n_kept == KEPT || buffer->size > KEPT_BYTES - kept_bytes)
		drop_oldest();
	kept_bytes += buffer->size;
	kept[n_kept++] = buffer;
	pthread_mutex_unlock(&kept_lock);
}

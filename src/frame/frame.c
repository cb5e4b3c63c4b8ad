#include "frame/frame.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct il_frame_pool {
	struct inlay_frame_info info;
	pthread_mutex_t lock; /* idle, made, live, closed */
	struct inlay_frame *idle;
	unsigned made, live;
	int closed;
};

struct inlay_frame {
	struct inlay_frame_info info;
	struct inlay_planes planes;
	int64_t pts;
	atomic_uint holders;
	struct il_frame_pool *pool; /* NULL for a lone frame */
	struct inlay_frame *next;   /* in the pool's idle list */
	void *memory;
};

int il_plane_count(enum inlay_pixfmt format)
{
	static const int counts[] = { [INLAY_PIX_I420] = 3,  [INLAY_PIX_NV12] = 2,  [INLAY_PIX_YUVA420P] = 4,
		                      [INLAY_PIX_BGR24] = 1, [INLAY_PIX_GRAY8] = 1, [INLAY_PIX_BGR24A8] = 2 };
	return (unsigned)format < sizeof counts / sizeof *counts ? counts[format] : 0;
}

const char *il_pixfmt_name(enum inlay_pixfmt format)
{
	static const char *const names[] = {
		[INLAY_PIX_NONE] = "none",         [INLAY_PIX_I420] = "i420",   [INLAY_PIX_NV12] = "nv12",
		[INLAY_PIX_YUVA420P] = "yuva420p", [INLAY_PIX_BGR24] = "bgr24", [INLAY_PIX_GRAY8] = "gray8",
		[INLAY_PIX_BGR24A8] = "bgr24a8"
	};
	return (unsigned)format < sizeof names / sizeof *names ? names[format] : "unknown";
}

void il_plane_size(const struct inlay_frame_info *info, int plane, size_t *row_bytes, int *rows)
{
	size_t width = (size_t)info->width, half = (width + 1) / 2;
	int half_rows = (info->height + 1) / 2;
	int chroma = 0;
	*row_bytes = 0;
	*rows = 0;
	if (plane < 0 || plane >= il_plane_count(info->format))
		return;
	bool bgr = info->format == INLAY_PIX_BGR24 || info->format == INLAY_PIX_BGR24A8;
	*row_bytes = bgr && plane == 0 ? width * 3 : width;
	if (info->format == INLAY_PIX_I420 || info->format == INLAY_PIX_YUVA420P)
		chroma = plane == 1 || plane == 2;
	else if (info->format == INLAY_PIX_NV12)
		chroma = plane == 1;
	if (chroma)
		*row_bytes = info->format == INLAY_PIX_NV12 ? half * 2 : half;
	*rows = chroma ? half_rows : info->height;
}

static enum inlay_err allocate(struct inlay_frame **out, const struct inlay_frame_info *info, struct inlay_error *err)
{
	if (info->width <= 0 || info->height <= 0 || info->width > 32768 || info->height > 32768 ||
	    !il_plane_count(info->format))
		return il_fail(err, INLAY_ERR_INVALID, "cannot make a %s frame of %dx%d (1..32768 each way)",
		               il_pixfmt_name(info->format), info->width, info->height);
	struct inlay_frame *frame = calloc(1, sizeof *frame);
	if (!frame)
		return il_fail_memory(err);
	size_t offsets[INLAY_MAX_PLANES] = { 0 }, total = 0;
	for (int i = 0; i < il_plane_count(info->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		size_t stride = (row_bytes + IL_FRAME_ALIGN - 1) / IL_FRAME_ALIGN * IL_FRAME_ALIGN;
		offsets[i] = total;
		frame->planes.stride[i] = (ptrdiff_t)stride;
		total += stride * (size_t)rows;
	}
	/* The tail lets vector code read a whole register past the last pixel. */
	frame->memory = aligned_alloc(IL_FRAME_ALIGN, total + IL_FRAME_ALIGN);
	if (!frame->memory) {
		free(frame);
		return il_fail_memory(err);
	}
	memset(frame->memory, 0, total + IL_FRAME_ALIGN);
	for (int i = 0; i < il_plane_count(info->format); i++)
		frame->planes.data[i] = (uint8_t *)frame->memory + offsets[i];
	frame->info = *info;
	atomic_init(&frame->holders, 1);
	*out = frame;
	return INLAY_OK;
}

static void release(struct inlay_frame *frame)
{
	free(frame->memory);
	free(frame);
}

enum inlay_err il_frame_create(struct inlay_frame **frame, const struct inlay_frame_info *info, struct inlay_error *err)
{
	return allocate(frame, info, err);
}

enum inlay_err il_frame_pool_create(struct il_frame_pool **out, const struct inlay_frame_info *info,
                                    struct inlay_error *err)
{
	struct il_frame_pool *pool = calloc(1, sizeof *pool);
	if (!pool)
		return il_fail_memory(err);
	pool->info = *info;
	pthread_mutex_init(&pool->lock, NULL);
	*out = pool;
	return INLAY_OK;
}

/* Unlocks; frees the pool when nobody can reach it any more. */
static void unlock_or_free(struct il_frame_pool *pool)
{
	int dead = pool->closed && pool->live == 0;
	struct inlay_frame *idle = NULL;
	if (pool->closed) {
		idle = pool->idle;
		pool->idle = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	while (idle) {
		struct inlay_frame *next = idle->next;
		release(idle);
		idle = next;
	}
	if (dead) {
		pthread_mutex_destroy(&pool->lock);
		free(pool);
	}
}

void il_frame_pool_destroy(struct il_frame_pool **pool)
{
	if (!*pool)
		return;
	pthread_mutex_lock(&(*pool)->lock);
	(*pool)->closed = 1;
	unlock_or_free(*pool);
	*pool = NULL;
}

enum inlay_err il_frame_pool_take(struct il_frame_pool *pool, struct inlay_frame **out, struct inlay_error *err)
{
	pthread_mutex_lock(&pool->lock);
	struct inlay_frame *frame = pool->idle;
	if (frame)
		pool->idle = frame->next;
	pool->live++;
	pool->made += !frame;
	pthread_mutex_unlock(&pool->lock);
	if (!frame) {
		enum inlay_err rc = allocate(&frame, &pool->info, err);
		if (rc) {
			pthread_mutex_lock(&pool->lock);
			pool->live--;
			pool->made--;
			pthread_mutex_unlock(&pool->lock);
			return rc;
		}
		frame->pool = pool;
	}
	frame->info.colour = pool->info.colour;
	frame->pts = 0;
	atomic_store(&frame->holders, 1);
	*out = frame;
	return INLAY_OK;
}

unsigned il_frame_pool_made(struct il_frame_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	unsigned made = pool->made;
	pthread_mutex_unlock(&pool->lock);
	return made;
}

struct inlay_frame *inlay_frame_ref(struct inlay_frame *frame)
{
	atomic_fetch_add_explicit(&frame->holders, 1, memory_order_relaxed);
	return frame;
}

void inlay_frame_destroy(struct inlay_frame **slot)
{
	struct inlay_frame *frame = *slot;
	*slot = NULL;
	if (!frame || atomic_fetch_sub_explicit(&frame->holders, 1, memory_order_acq_rel) != 1)
		return;
	struct il_frame_pool *pool = frame->pool;
	if (!pool) {
		release(frame);
		return;
	}
	pthread_mutex_lock(&pool->lock);
	frame->next = pool->idle;
	pool->idle = frame;
	pool->live--;
	unlock_or_free(pool);
}

const struct inlay_frame_info *inlay_frame_info(const struct inlay_frame *frame)
{
	return &frame->info;
}

int64_t inlay_frame_pts(const struct inlay_frame *frame)
{
	return frame->pts;
}

void inlay_frame_map(const struct inlay_frame *frame, struct inlay_planes *planes)
{
	*planes = frame->planes;
}

void inlay_frame_unmap(const struct inlay_frame *frame)
{
	(void)frame;
}

void il_frame_set_pts(struct inlay_frame *frame, int64_t pts)
{
	frame->pts = pts;
}

void il_frame_set_colour(struct inlay_frame *frame, struct inlay_colour colour)
{
	frame->info.colour = colour;
}

void il_frame_copy(const struct inlay_frame *to, const struct inlay_frame *from)
{
	for (int i = 0; i < il_plane_count(from->info.format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(&from->info, i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++)
			memcpy(to->planes.data[i] + y * to->planes.stride[i],
			       from->planes.data[i] + y * from->planes.stride[i], row_bytes);
	}
}

enum inlay_err il_frame_make_writable(struct inlay_frame **frame, struct il_frame_pool *pool, struct inlay_error *err)
{
	if (atomic_load_explicit(&(*frame)->holders, memory_order_acquire) == 1)
		return INLAY_OK;
	struct inlay_frame *copy;
	enum inlay_err rc = il_frame_pool_take(pool, &copy, err);
	if (rc)
		return rc;
	il_frame_copy(copy, *frame);
	copy->info.colour = (*frame)->info.colour;
	copy->pts = (*frame)->pts;
	inlay_frame_destroy(frame);
	*frame = copy;
	return INLAY_OK;
}

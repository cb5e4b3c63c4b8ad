#include "tests/test.h"

#include <pthread.h>

#include "frame/frame.h"

static struct inlay_error err;

static const struct inlay_frame_info small = {
	.format = INLAY_PIX_I420, .width = 7, .height = 5, .colour = { .matrix = INLAY_MATRIX_BT709 }
};

static void planes_have_their_sizes(void **state)
{
	(void)state;
	static const struct {
		enum inlay_pixfmt format;
		int planes;
		size_t bytes[4];
		int rows[4];
	} expected[] = {
		{ INLAY_PIX_I420, 3, { 7, 4, 4 }, { 5, 3, 3 } },
		{ INLAY_PIX_NV12, 2, { 7, 8 }, { 5, 3 } },
		{ INLAY_PIX_YUVA420P, 4, { 7, 4, 4, 7 }, { 5, 3, 3, 5 } },
		{ INLAY_PIX_BGR24, 1, { 21 }, { 5 } },
		{ INLAY_PIX_GRAY8, 1, { 7 }, { 5 } },
		{ INLAY_PIX_BGR24A8, 2, { 21, 7 }, { 5, 5 } },
	};
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		struct inlay_frame_info info = { .format = expected[i].format, .width = 7, .height = 5 };
		struct inlay_frame *frame;
		struct inlay_planes planes;
		assert_int_equal(il_plane_count(info.format), expected[i].planes);
		assert_ok(il_frame_create(&frame, &info, &err));
		inlay_frame_map(frame, &planes);
		for (int p = 0; p < 4; p++) {
			size_t bytes;
			int rows;
			il_plane_size(&info, p, &bytes, &rows);
			assert_int_equal(bytes, expected[i].bytes[p]);
			assert_int_equal(rows, expected[i].rows[p]);
			if (!rows)
				continue;
			assert_int_equal((uintptr_t)planes.data[p] % IL_FRAME_ALIGN, 0);
			assert_int_equal(planes.stride[p] % IL_FRAME_ALIGN, 0);
			/* Every byte of every row is there to write; the sanitizer looks on. */
			for (int y = 0; y < rows; y++)
				memset(planes.data[p] + y * planes.stride[p], p, bytes);
		}
		for (int p = 0; p < expected[i].planes; p++)
			assert_int_equal(planes.data[p][0], p);
		inlay_frame_unmap(frame);
		inlay_frame_destroy(&frame);
		assert_null(frame);
	}
}

static void impossible_frames_are_refused(void **state)
{
	(void)state;
	struct inlay_frame *frame;
	struct inlay_frame_info info = small;
	info.width = 0;
	assert_fails(il_frame_create(&frame, &info, &err), INLAY_ERR_INVALID, "0x5");
	info.width = 40000;
	assert_fails(il_frame_create(&frame, &info, &err), INLAY_ERR_INVALID, "40000x5");
	info = small;
	info.format = INLAY_PIX_NONE;
	assert_fails(il_frame_create(&frame, &info, &err), INLAY_ERR_INVALID, "none");
}

static void pool_recycles(void **state)
{
	(void)state;
	struct il_frame_pool *pool;
	struct inlay_frame *frames[3];
	assert_ok(il_frame_pool_create(&pool, &small, &err));
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 3; i++) {
			assert_ok(il_frame_pool_take(pool, &frames[i], &err));
			assert_int_equal(inlay_frame_pts(frames[i]), 0);
			assert_int_equal(inlay_frame_info(frames[i])->colour.matrix, INLAY_MATRIX_BT709);
			il_frame_set_pts(frames[i], round);
			il_frame_set_colour(frames[i], (struct inlay_colour){ .matrix = INLAY_MATRIX_BT601 });
		}
		for (int i = 0; i < 3; i++)
			inlay_frame_destroy(&frames[i]);
	}
	assert_int_equal(il_frame_pool_made(pool), 3);
	il_frame_pool_destroy(&pool);
	assert_null(pool);
	il_frame_pool_destroy(&pool);
}

static void frames_outlive_their_pool(void **state)
{
	(void)state;
	struct il_frame_pool *pool;
	struct inlay_frame *a, *b;
	struct inlay_planes planes;
	assert_ok(il_frame_pool_create(&pool, &small, &err));
	assert_ok(il_frame_pool_take(pool, &a, &err));
	assert_ok(il_frame_pool_take(pool, &b, &err));
	inlay_frame_destroy(&a);
	il_frame_pool_destroy(&pool);
	inlay_frame_map(b, &planes);
	planes.data[0][0] = 42;
	inlay_frame_unmap(b);
	struct inlay_frame *c = inlay_frame_ref(b);
	inlay_frame_destroy(&b);
	inlay_frame_map(c, &planes);
	assert_int_equal(planes.data[0][0], 42);
	inlay_frame_unmap(c);
	inlay_frame_destroy(&c);
}

static void writing_to_a_shared_frame_copies(void **state)
{
	(void)state;
	struct il_frame_pool *pool;
	struct inlay_frame *mine, *theirs;
	struct inlay_planes planes;
	assert_ok(il_frame_pool_create(&pool, &small, &err));
	assert_ok(il_frame_pool_take(pool, &mine, &err));
	inlay_frame_map(mine, &planes);
	for (int y = 0; y < 5; y++)
		memset(planes.data[0] + y * planes.stride[0], 10 + y, 7);
	planes.data[2][3] = 99;
	inlay_frame_unmap(mine);
	il_frame_set_pts(mine, 17);

	struct inlay_frame *before = mine;
	assert_ok(il_frame_make_writable(&mine, pool, &err));
	assert_ptr_equal(mine, before);
	theirs = inlay_frame_ref(mine);
	assert_ok(il_frame_make_writable(&mine, pool, &err));
	assert_ptr_not_equal(mine, theirs);
	inlay_frame_map(mine, &planes);
	assert_int_equal(planes.data[0][4 * planes.stride[0] + 6], 14);
	assert_int_equal(planes.data[2][3], 99);
	planes.data[0][0] = 200;
	inlay_frame_unmap(mine);
	assert_int_equal(inlay_frame_pts(mine), 17);
	inlay_frame_map(theirs, &planes);
	assert_int_equal(planes.data[0][0], 10);
	inlay_frame_unmap(theirs);
	inlay_frame_destroy(&mine);
	inlay_frame_destroy(&theirs);
	il_frame_pool_destroy(&pool);
}

static void *churn(void *pool)
{
	struct inlay_error error = { 0 };
	struct inlay_frame *frame;
	for (int i = 0; i < 2000; i++) {
		if (il_frame_pool_take(pool, &frame, &error))
			return pool; /* not NULL: it failed */
		struct inlay_frame *other = inlay_frame_ref(frame);
		inlay_frame_destroy(&frame);
		inlay_frame_destroy(&other);
	}
	return NULL;
}

static void threads_share_a_pool(void **state)
{
	(void)state;
	struct il_frame_pool *pool;
	pthread_t threads[4];
	assert_ok(il_frame_pool_create(&pool, &small, &err));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, pool), 0);
	for (int i = 0; i < 4; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_in_range(il_frame_pool_made(pool), 1, 4);
	il_frame_pool_destroy(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(planes_have_their_sizes),
		cmocka_unit_test(impossible_frames_are_refused),
		cmocka_unit_test(pool_recycles),
		cmocka_unit_test(frames_outlive_their_pool),
		cmocka_unit_test(writing_to_a_shared_frame_copies),
		cmocka_unit_test(threads_share_a_pool),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

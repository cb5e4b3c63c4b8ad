#define _GNU_SOURCE
#include "avatar/clip.h"

#include "avatar/test_pack.h"
#include "media/image.h"
#include "media/video.h"

#define MB ((int64_t)1 << 20)
#define RAW ((int64_t)1280 * 720 * 3 / 2)
#define FRAMES 523
#define KEY_EVERY 250 /* key frames of lipsync_sanders' full_body_video.mp4 */

/* FNV-1a of the pixels by words, to compare 523 frames without holding them. Rows are multiples of 8 bytes. */
static uint64_t digest(const struct inlay_frame *frame)
{
	uint64_t hash = 14695981039346656037u, word;
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < 3; i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(inlay_frame_info(frame), i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++)
			for (size_t x = 0; x < row_bytes; x += 8) {
				memcpy(&word, planes.data[i] + y * planes.stride[i] + x, 8);
				hash = (hash ^ word) * 1099511628211u;
				hash ^= hash >> 29;
			}
	}
	inlay_frame_unmap(frame);
	return hash;
}

/* Of every frame of the video, decoded from first to last. */
static const uint64_t *reference(void)
{
	static uint64_t digests[FRAMES];
	struct inlay_error err;
	struct il_video *video;
	if (digests[0])
		return digests;
	assert_ok(il_video_open(&video, test_data("lipsync_sanders/full_body_video.mp4"), 0, &err));
	for (int i = 0; i < FRAMES; i++) {
		struct inlay_frame *frame;
		assert_ok(il_video_read(video, &frame, &err));
		digests[i] = digest(frame);
		inlay_frame_destroy(&frame);
	}
	il_video_destroy(&video);
	return digests;
}

static struct il_avatar *avatar;

static struct il_clip *open_clip(const char *path, int64_t budget_bytes)
{
	struct inlay_error err;
	struct il_clip *clip;
	assert_ok(il_avatar_open(&avatar, path, &err));
	assert_ok(il_clip_open(&clip, avatar, budget_bytes, 2, &err));
	return clip;
}

static void close_clip(struct il_clip **clip)
{
	il_clip_destroy(clip);
	il_avatar_destroy(&avatar);
}

/* Takes a frame, compares it, and spoils it: it is the caller's alone. */
static void take(struct il_clip *clip, int64_t index, uint64_t expected)
{
	struct inlay_error err;
	struct inlay_frame *frame;
	struct inlay_planes planes;
	assert_ok(il_clip_frame(clip, index, &frame, &err));
	assert_int_equal(inlay_frame_pts(frame), index);
	assert_memory_equal(inlay_frame_info(frame), il_clip_info(clip), sizeof(struct inlay_frame_info));
	assert_true(digest(frame) == expected);
	inlay_frame_map(frame, &planes);
	memset(planes.data[0], 0x55, 1000);
	inlay_frame_unmap(frame);
	inlay_frame_destroy(&frame);
}

static void stays_within(const struct il_clip *clip, int64_t budget_bytes)
{
	struct il_clip_stats stats;
	il_clip_stats(clip, &stats);
	assert_true(stats.bytes > 0);
	assert_true(stats.bytes <= stats.peak_bytes);
	assert_true(stats.peak_bytes <= (budget_bytes < 2 * RAW ? 2 * RAW : budget_bytes));
}

static void random_access(int64_t budget_bytes, int accesses)
{
	const uint64_t *expected = reference();
	struct il_clip *clip = open_clip(test_data("lipsync_sanders"), budget_bytes);
	struct il_clip_stats stats;
	for (int i = 0; i < accesses; i++) {
		int64_t index = test_random() % FRAMES;
		take(clip, index, expected[index]);
		stays_within(clip, budget_bytes);
	}
	il_clip_stats(clip, &stats);
	assert_int_equal(stats.hits + stats.misses, accesses);
	close_clip(&clip);
}

static void random_access_with_room_for_two(void **state)
{
	(void)state;
	random_access(0, 6);
}

static void random_access_with_20_mb(void **state)
{
	(void)state;
	random_access(20 * MB, 10);
}

static void random_access_with_room_for_all(void **state)
{
	(void)state;
	random_access(1000 * MB, 40);
}

static void reading_on_never_goes_back(void **state)
{
	(void)state;
	const uint64_t *expected = reference();
	struct il_clip *clip = open_clip(test_data("lipsync_sanders"), 0);
	struct il_clip_stats stats;
	for (int64_t i = 0; i < FRAMES; i++)
		take(clip, i, expected[i]);
	il_clip_stats(clip, &stats);
	assert_int_equal(stats.decoded, FRAMES);
	assert_int_equal(stats.misses, FRAMES);
	assert_true(stats.evicted > 0);
	close_clip(&clip);
}

static void what_is_kept_is_not_decoded_again(void **state)
{
	(void)state;
	const uint64_t *expected = reference();
	struct il_clip *clip = open_clip(test_data("lipsync_sanders"), 1000 * MB);
	struct il_clip_stats stats;
	take(clip, 39, expected[39]);
	for (int round = 0; round < 3; round++)
		for (int64_t i = 0; i < 40; i++)
			take(clip, i, expected[i]);
	il_clip_stats(clip, &stats);
	assert_int_equal(stats.decoded, 40);
	assert_int_equal(stats.misses, 1);
	assert_int_equal(stats.hits, 120);
	assert_int_equal(stats.evicted, 0);
	take(clip, KEY_EVERY + 5, expected[KEY_EVERY + 5]); /* from the key frame before it, not from 40 on */
	il_clip_stats(clip, &stats);
	assert_int_equal(stats.decoded, 46);
	close_clip(&clip);
}

/* 0..99..0 with room for b frames: 100 forward, then one decode from frame 0 for each b frames back. 10 MB hold 20
 * frames of this clip or more, so 100 + 80 + 60 + 40 + 20 at most. */
static void bouncing_decodes_once_a_budget(void **state)
{
	(void)state;
	const uint64_t *expected = reference();
	struct il_clip *clip = open_clip(test_data("lipsync_sanders"), 10 * MB);
	struct il_clip_stats stats;
	for (int64_t k = 0; k < 199; k++) {
		int64_t index = il_order_index(IL_ORDER_BOUNCE, 100, 0, k);
		take(clip, index, expected[index]);
	}
	il_clip_stats(clip, &stats);
	stays_within(clip, 10 * MB);
	assert_in_range(stats.decoded, 101, 300);
	close_clip(&clip);
}

static void the_avatars_reader_is_taken(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_clip *clips[2];
	const uint64_t *expected = reference();
	assert_ok(il_avatar_open(&avatar, test_data("lipsync_sanders"), &err));
	assert_non_null(avatar->reader);
	for (unsigned i = 0; i < 2; i++) { /* the second one has to open the video itself */
		assert_ok(il_clip_open(&clips[i], avatar, 0, i * 3, &err));
		assert_null(avatar->reader);
	}
	for (int k = 0; k < 6; k++)
		take(clips[k % 2], k * 50, expected[k * 50]);
	il_clip_destroy(&clips[0]);
	il_clip_destroy(&clips[1]);
	il_avatar_destroy(&avatar);
}

static void indices_are_checked(void **state)
{
	(void)state;
	struct inlay_error err;
	struct inlay_frame *frame = (void *)1;
	const uint8_t *keep = (void *)1;
	struct il_clip *clip = open_clip(test_data("lipsync_sanders"), 0);
	assert_fails(il_clip_frame(clip, FRAMES, &frame, &err), INLAY_ERR_INVALID,
	             "frame 523 was asked for; expected 0 to 522");
	assert_null(frame);
	assert_fails(il_clip_frame(clip, -1, &frame, &err), INLAY_ERR_INVALID, "frame -1");
	assert_fails(il_clip_keep(clip, FRAMES, &keep, &err), INLAY_ERR_INVALID, "frame 523");
	assert_null(keep);
	assert_ok(il_clip_keep(clip, 0, &keep, &err));
	assert_null(keep); /* no masks */
	close_clip(&clip);
}

static void pictures_come_as_they_are(void **state)
{
	(void)state;
	struct inlay_error err;
	const char *folder = pack_make_dataset("clip-pictures", 1, 6);
	struct il_clip *clip = open_clip(folder, 0);
	assert_int_equal(il_clip_info(clip)->format, INLAY_PIX_I420);
	assert_int_equal(il_clip_info(clip)->colour.range, INLAY_RANGE_FULL);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 6; i++) {
			char name[64];
			struct inlay_frame *picture;
			snprintf(name, sizeof name, "full_body_img/%d.jpg", i + 1);
			assert_ok(il_image_read(pack_path(folder, name), INLAY_PIX_I420, &picture, &err));
			take(clip, i, digest(picture));
			take(clip, i, digest(picture));
			inlay_frame_destroy(&picture);
		}
	stays_within(clip, 0);
	close_clip(&clip);
	pack_remove(folder);
}

static void bad_pictures_are_told(void **state)
{
	(void)state;
	struct inlay_error err;
	struct inlay_frame *frame;
	const char *folder = pack_make_dataset("clip-pictures", 0, 4);
	unlink(pack_path(folder, "full_body_img/2.jpg"));
	pack_link(folder, "full_body_img/2.jpg", test_data("lipsync_sanders/crops_328/1.jpg"));
	struct il_clip *clip = open_clip(folder, 0);
	unlink(pack_path(folder, "full_body_img/3.jpg"));
	assert_fails(il_clip_frame(clip, 2, &frame, &err), INLAY_ERR_FORMAT, "2.jpg: is 328x328; expected 1280x720");
	assert_null(frame);
	assert_fails(il_clip_frame(clip, 3, &frame, &err), INLAY_ERR_NOT_FOUND, "full_body_img/3.jpg");
	assert_ok(il_clip_frame(clip, 1, &frame, &err));
	inlay_frame_destroy(&frame);
	close_clip(&clip);
	pack_remove(folder);
}

static const uint8_t mask_colours[][3] = { { 0, 0, 255 },     { 255, 255, 255 }, { 0, 255, 0 },    { 0, 0, 0 },
	                                   { 255, 0, 0 },     { 0, 0, 254 },     { 255, 0, 255 },  { 0, 255, 255 },
	                                   { 254, 254, 254 }, { 1, 1, 255 },     { 255, 255, 254 } };

static unsigned mask_colour(int frame, int x, int y)
{
	return (unsigned)(x * 7 + y * 13 + frame * 3 + x * y) % 11;
}

/* Mask of frame i, BGR; the first two colours keep. */
static void write_mask(const char *path, int i, int width, int height)
{
	struct inlay_error err;
	struct inlay_frame *mask;
	struct inlay_planes planes;
	struct il_image_encoder *encoder;
	const uint8_t *data;
	size_t size;
	const struct inlay_frame_info info = { INLAY_PIX_BGR24, width, height };
	assert_ok(il_frame_create(&mask, &info, &err));
	inlay_frame_map(mask, &planes);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			memcpy(planes.data[0] + y * planes.stride[0] + x * 3, mask_colours[mask_colour(i, x, y)], 3);
	inlay_frame_unmap(mask);
	assert_ok(il_image_encoder_create(&encoder, "png", 90, &err));
	assert_ok(il_image_encode(encoder, mask, &data, &size, &err));
	assert_ok(il_file_write(path, data, size, true, &err));
	il_image_encoder_destroy(&encoder);
	inlay_frame_destroy(&mask);
}

static void masks_say_what_to_keep(void **state)
{
	(void)state;
	struct inlay_error err;
	const uint8_t *keep;
	struct inlay_frame *frame;
	struct il_clip_stats stats;
	const char *folder = pack_make_dataset("clip-masks", 1, 8);
	for (int i = 0; i < 8; i++) {
		char name[32];
		snprintf(name, sizeof name, "parsing/%d.png", i + 1);
		if (i < 4)
			write_mask(pack_path(folder, name), i, i == 3 ? 640 : 1280, 720);
		else
			pack_write(folder, name, "not looked at");
	}
	struct il_clip *clip = open_clip(folder, 0);
	for (int k = 0; k < 9; k++) {
		int i = k % 3, different = 0;
		struct inlay_rect r = avatar->rects[i];
		assert_ok(il_clip_keep(clip, i, &keep, &err));
		for (int y = r.y0; y < r.y1; y++)
			for (int x = r.x0; x < r.x1; x++)
				different += *keep++ != (mask_colour(i, x, y) < 2);
		assert_int_equal(different, 0);
		if (k == 5) /* frames push the masks out */
			for (int64_t j = 0; j < 8; j++) {
				assert_ok(il_clip_frame(clip, j, &frame, &err));
				inlay_frame_destroy(&frame);
			}
	}
	il_clip_stats(clip, &stats);
	assert_true(stats.evicted > 0);
	stays_within(clip, 0);
	assert_fails(il_clip_keep(clip, 3, &keep, &err), INLAY_ERR_FORMAT,
	             "parsing/4.png: is 640x720; expected 1280x720");
	assert_null(keep);
	close_clip(&clip);
	pack_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_access_with_room_for_two),
		cmocka_unit_test(random_access_with_20_mb),
		cmocka_unit_test(random_access_with_room_for_all),
		cmocka_unit_test(reading_on_never_goes_back),
		cmocka_unit_test(what_is_kept_is_not_decoded_again),
		cmocka_unit_test(bouncing_decodes_once_a_budget),
		cmocka_unit_test(the_avatars_reader_is_taken),
		cmocka_unit_test(indices_are_checked),
		cmocka_unit_test(pictures_come_as_they_are),
		cmocka_unit_test(bad_pictures_are_told),
		cmocka_unit_test(masks_say_what_to_keep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "media/video.h"

#include <math.h>
#include <stdbool.h>

#include "media/each_row_test.h"
#include "tests/test.h"

#define FULL_BODY "lipsync_sanders/full_body_video.mp4"
#define CROPS "lipsync_sanders/crops_328_video.mp4"
#define TALKING "footage/talkinghead_512_with_audio.mp4"
#define GIF "footage/head_pose_female_480x270.gif"

static struct il_video *open_video(const char *path, unsigned threads)
{
	struct inlay_error err;
	struct il_video *video = NULL;
	assert_ok(il_video_open(&video, path, threads, &err));
	return video;
}

static void hash_row(void *ctx, const uint8_t *data, size_t size)
{
	uint64_t *hash = ctx;
	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = 0;
		memcpy(&word, data + i, size - i < 8 ? size - i : 8);
		*hash = (*hash ^ word) * 0x9e3779b97f4a7c15u;
		*hash ^= *hash >> 29;
	}
}

static uint64_t hash_frame(const struct inlay_frame *frame)
{
	uint64_t hash = 1;
	each_row(frame, hash_row, &hash);
	return hash;
}

/* Reads frame `index`, which must be next, and returns its hash. */
static uint64_t read_hash(struct il_video *video, int64_t index)
{
	struct inlay_error err;
	struct inlay_frame *frame;
	assert_ok(il_video_read(video, &frame, &err));
	assert_int_equal(inlay_frame_pts(frame), index);
	uint64_t hash = hash_frame(frame);
	inlay_frame_destroy(&frame);
	return hash;
}

/* Hashes of all frames in order; checks count and end. */
static uint64_t *hash_all(struct il_video *video, int64_t frames)
{
	struct inlay_error err = { 0 };
	struct inlay_frame *frame = NULL;
	uint64_t *hashes = calloc((size_t)frames, sizeof *hashes);
	assert_int_equal(il_video_info(video)->frames, frames);
	for (int64_t i = 0; i < frames; i++)
		hashes[i] = read_hash(video, i);
	for (int i = 0; i < 2; i++)
		assert_int_equal(il_video_read(video, &frame, &err), INLAY_EOF);
	assert_null(frame);
	return hashes;
}

static void check_at(struct il_video *video, const uint64_t *hashes, int64_t index)
{
	struct inlay_error err;
	assert_ok(il_video_seek(video, index, &err));
	if (read_hash(video, index) != hashes[index])
		fail_msg("frame %lld differs after a seek", (long long)index);
}

static void check_random_seeks(const char *path, int64_t frames, int seeks)
{
	struct il_video *video = open_video(path, 2);
	uint64_t *hashes = hash_all(video, frames);
	for (int i = 0; i < seeks; i++) {
		int64_t index = test_random() % frames;
		check_at(video, hashes, index);
		if (index + 1 < frames && read_hash(video, index + 1) != hashes[index + 1])
			fail_msg("frame %lld differs after a seek and a read", (long long)index + 1);
	}
	check_at(video, hashes, frames - 1);
	check_at(video, hashes, 0);
	il_video_destroy(&video);
	free(hashes);
}

static void test_info(void **state)
{
	(void)state;
	struct il_video *video = open_video(test_data(FULL_BODY), 0);
	const struct il_video_info *info = il_video_info(video);
	assert_int_equal(info->frames, 523);
	assert_int_equal(info->frame.format, INLAY_PIX_I420);
	assert_int_equal(info->frame.width, 1280);
	assert_int_equal(info->frame.height, 720);
	assert_int_equal(info->frame.colour.matrix, INLAY_MATRIX_BT601);
	assert_int_equal(info->frame.colour.range, INLAY_RANGE_LIMITED);
	assert_int_equal(info->fps.num, 25);
	assert_int_equal(info->fps.den, 1);
	assert_string_equal(info->codec, "h264");
	il_video_destroy(&video);
	assert_null(video);
	il_video_destroy(&video);

	video = open_video(test_data("lipsync_sanders/ref_python_output_video.mp4"), 0);
	assert_int_equal(il_video_info(video)->frame.colour.range, INLAY_RANGE_FULL);
	assert_int_equal(il_video_info(video)->frames, 250);
	il_video_destroy(&video);
}

/* Key frames of the clip stand at 0, 250 and 500. */
static void test_walks_across_key_frames(void **state)
{
	(void)state;
	struct il_video *video = open_video(test_data(FULL_BODY), 2);
	uint64_t *hashes = hash_all(video, 523);
	assert_int_equal(il_video_key_before(video, 0), 0);
	assert_int_equal(il_video_key_before(video, 249), 0);
	assert_int_equal(il_video_key_before(video, 250), 250);
	assert_int_equal(il_video_key_before(video, 499), 250);
	assert_int_equal(il_video_key_before(video, 522), 500);
	const int64_t walk[] = { 502, 501, 500, 499, 251, 250, 522, 3, 4, 260 };
	for (size_t i = 0; i < sizeof walk / sizeof *walk; i++)
		check_at(video, hashes, walk[i]);
	free(hashes);
	il_video_destroy(&video);
}

static void test_random_seeks(void **state)
{
	(void)state;
	check_random_seeks(test_data(CROPS), 523, 20);
	check_random_seeks(test_data(TALKING), 200, 60);
	check_random_seeks(test_data(GIF), 23, 20);
}

static void test_threads_give_the_same(void **state)
{
	(void)state;
	uint64_t *hashes[2];
	for (unsigned i = 0; i < 2; i++) {
		struct il_video *video = open_video(test_data(CROPS), i ? 5 : 1);
		hashes[i] = hash_all(video, 523);
		il_video_destroy(&video);
	}
	assert_memory_equal(hashes[0], hashes[1], 523 * sizeof *hashes[0]);
	free(hashes[0]);
	free(hashes[1]);
}

static void compare_row(void *ctx, const uint8_t *data, size_t size)
{
	uint8_t want[8192];
	assert_true(size <= sizeof want);
	assert_int_equal(fread(want, 1, size, ctx), size);
	assert_memory_equal(data, want, size);
}

static void need_ffmpeg(void)
{
	if (system("command -v ffmpeg >/dev/null"))
		skip();
}

/* The ffmpeg program is the second implementation: the first `count` frames are the same bytes. */
static void check_against_ffmpeg(const char *path, const char *options, int count)
{
	char command[2048];
	snprintf(command, sizeof command,
	         "ffmpeg -nostdin -v error -i %s -vsync passthrough -frames:v %d %s -f rawvideo -", path, count,
	         options);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	struct il_video *video = open_video(path, 0);
	struct inlay_error err;
	for (int i = 0; i < count; i++) {
		struct inlay_frame *frame;
		assert_ok(il_video_read(video, &frame, &err));
		each_row(frame, compare_row, pipe);
		inlay_frame_destroy(&frame);
	}
	il_video_destroy(&video);
	pclose(pipe);
}

static void test_equals_ffmpeg(void **state)
{
	(void)state;
	test_data("");
	need_ffmpeg();
	check_against_ffmpeg(test_data(FULL_BODY), "", 40);
	check_against_ffmpeg(test_data(CROPS), "", 523);
	check_against_ffmpeg(test_data(TALKING), "", 200);
	check_against_ffmpeg(test_data(GIF), "-pix_fmt yuv420p -sws_flags bicubic+accurate_rnd+full_chroma_int", 23);
}

/* Lossless clips of known make, in other layouts, containers and kinds of timestamps. */
struct made {
	const char *name, *options;
	bool converted;
};

static const struct made made[] = {
	{ "open-gop.mkv", "-c:v libx264 -qp 0 -x264-params keyint=12:open-gop=1:bframes=3:scenecut=0", false },
	{ "plain.ts", "-c:v libx264 -qp 0 -g 12 -bf 2", false },
	{ "raw.h264", "-c:v libx264 -qp 0 -g 12 -bf 2", false },
	{ "packed.avi", "-c:v mpeg4 -q:v 2 -g 12 -bf 2", false },
	{ "vp9.webm", "-c:v libvpx-vp9 -b:v 200k -auto-alt-ref 1 -lag-in-frames 10 -g 12 -cpu-used 8", false },
	{ "all-key.mov", "-c:v prores_ks", true },
	{ "deep.mkv", "-c:v ffv1 -pix_fmt yuv444p10le -colorspace bt709 -color_range pc", true },
	{ "fragments.mp4", "-c:v libx264 -qp 0 -g 12 -movflags frag_keyframe+empty_moov", false },
	{ "variable.mkv", "-vf select='not(mod(n\\,3))+not(mod(n\\,4))' -vsync vfr -c:v libx264 -qp 0 -g 8", false },
};

static const char *make(const struct made *m)
{
	const char *path = test_scratch(m->name);
	char command[2048];
	snprintf(command, sizeof command,
	         "ffmpeg -nostdin -v error -y -f lavfi -i testsrc2=s=162x98:r=25:d=2 "
	         "-pix_fmt yuv420p %s %s",
	         m->options, path);
	assert_int_equal(system(command), 0);
	return path;
}

static void test_many_formats(void **state)
{
	(void)state;
	need_ffmpeg();
	for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
		const char *path = make(&made[i]);
		struct il_video *video = open_video(path, 2);
		int64_t frames = il_video_info(video)->frames;
		assert_int_equal(frames, strstr(path, "variable") ? 25 : 50);
		assert_int_equal(il_video_info(video)->frame.width, 162);
		assert_int_equal(il_video_info(video)->frame.height, 98);
		il_video_destroy(&video);
		check_random_seeks(path, frames, 30);
		if (!made[i].converted)
			check_against_ffmpeg(path, "", (int)frames);
		unlink(path);
	}
}

static void test_conversion_keeps_colour_tags(void **state)
{
	(void)state;
	need_ffmpeg();
	for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
		if (!strstr(made[i].name, "deep"))
			continue;
		const char *path = make(&made[i]);
		struct il_video *video = open_video(path, 1);
		assert_int_equal(il_video_info(video)->frame.colour.matrix, INLAY_MATRIX_BT709);
		assert_int_equal(il_video_info(video)->frame.colour.range, INLAY_RANGE_FULL);
		il_video_destroy(&video);
		/* Dropping two bits moves luma by one level at most, whatever range it is tagged with. */
		char command[1024];
		snprintf(command, sizeof command, "ffmpeg -nostdin -v error -i %s -frames:v 1 -f rawvideo -", path);
		FILE *pipe = popen(command, "r");
		assert_non_null(pipe);
		static uint16_t deep[162 * 98 * 3];
		assert_int_equal(fread(deep, sizeof deep, 1, pipe), 1);
		pclose(pipe);
		video = open_video(path, 1);
		struct inlay_error err;
		struct inlay_frame *frame;
		assert_ok(il_video_read(video, &frame, &err));
		struct inlay_planes planes;
		inlay_frame_map(frame, &planes);
		for (int y = 0; y < 98; y++)
			for (int x = 0; x < 162; x++)
				if (fabs(planes.data[0][y * planes.stride[0] + x] - deep[y * 162 + x] / 4.0) > 1.01)
					fail_msg("luma at %d,%d is %d, expected %d / 4", x, y,
					         planes.data[0][y * planes.stride[0] + x], deep[y * 162 + x]);
		inlay_frame_unmap(frame);
		inlay_frame_destroy(&frame);
		il_video_destroy(&video);
		unlink(path);
	}
}

/* Samples that an edit list hides are no frames, though decoding starts among them. */
static void test_edit_list(void **state)
{
	(void)state;
	need_ffmpeg();
	struct made whole = { "whole.mp4", "-c:v libx264 -qp 0 -g 12 -bf 2", false };
	const char *path = make(&whole), *cut = test_scratch("edited.mp4");
	char command[2048];
	snprintf(command, sizeof command, "ffmpeg -nostdin -v error -y -ss 0.6 -i %s -c copy %s", path, cut);
	assert_int_equal(system(command), 0);
	struct il_video *video = open_video(cut, 2), *full = open_video(path, 2);
	int64_t frames = il_video_info(video)->frames;
	assert_int_equal(frames, 35);
	assert_int_equal(il_video_key_before(video, 0), 0);
	struct inlay_error err;
	assert_ok(il_video_seek(full, 15, &err));
	for (int i = 0; i < 35; i++)
		assert_true(read_hash(video, i) == read_hash(full, 15 + i));
	il_video_destroy(&video);
	il_video_destroy(&full);
	check_random_seeks(cut, frames, 20);
	unlink(path);
	unlink(cut);
}

static void *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	*size = (size_t)ftell(file);
	rewind(file);
	void *data = malloc(*size);
	assert_int_equal(fread(data, 1, *size, file), *size);
	fclose(file);
	return data;
}

static const char *write_file(const char *name, const void *data, size_t size)
{
	const char *path = test_scratch(name);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	fclose(file);
	return path;
}

/* A clip whose index stands in front, cut anywhere: it says so and names both numbers. */
static void test_truncated(void **state)
{
	(void)state;
	need_ffmpeg();
	const char *front = test_scratch("front.mp4");
	char command[1024];
	snprintf(command, sizeof command, "ffmpeg -nostdin -v error -y -i %s -c copy -movflags faststart %s",
	         test_data(CROPS), front);
	assert_int_equal(system(command), 0);
	size_t size;
	uint8_t *data = read_file(front, &size);
	unlink(front);
	const double shares[] = { 0.3, 0.7, 0.95 };
	struct inlay_error err;
	struct il_video *video = NULL;
	for (int i = 0; i < 3; i++) {
		const char *path = write_file("cut.mp4", data, (size_t)(shares[i] * (double)size));
		assert_fails(il_video_open(&video, path, 1, &err), INLAY_ERR_FORMAT, "promises 523 frames");
		assert_non_null(strstr(err.text, "the data holds"));
	}
	/* One byte less is one frame less. */
	const char *path = write_file("cut.mp4", data, size - 1);
	assert_fails(il_video_open(&video, path, 1, &err), INLAY_ERR_FORMAT, "promises 523 frames, the data holds 522");
	path = write_file("cut.mp4", data, 3000);
	assert_fails(il_video_open(&video, path, 1, &err), INLAY_ERR_FORMAT, "cut.mp4");
	unlink(path);
	free(data);

	/* The index behind the data is gone altogether. */
	data = read_file(test_data(TALKING), &size);
	path = write_file("cut.mp4", data, size / 2);
	enum inlay_err rc = il_video_open(&video, path, 1, &err);
	assert_int_equal(rc, INLAY_ERR_FORMAT);
	unlink(path);
	free(data);
	assert_null(video);
}

/* What came of reading a video to its end, faults and all. */
struct reading {
	int lost, damaged, first, last; /* frames: that did not decode, with damage; the first and last of either */
	uint64_t hashes[1024];
};

static struct reading read_damaged(const char *path, int64_t frames)
{
	struct inlay_error err = { 0 };
	struct reading r = { .first = -1 };
	struct il_video *video = open_video(path, 1);
	struct inlay_frame *frame = NULL;
	assert_int_equal(il_video_info(video)->frames, frames);
	for (int i = 0; i < frames; i++) {
		char part[64];
		snprintf(part, sizeof part, "is damaged: frame %d of %d does not decode", i, (int)frames);
		enum inlay_err rc = il_video_read(video, &frame, &err);
		if (rc) {
			assert_int_equal(rc, INLAY_ERR_FORMAT);
			assert_non_null(strstr(err.text, part));
			err = (struct inlay_error){ 0 };
			r.lost++;
		} else {
			assert_int_equal(inlay_frame_pts(frame), i);
			r.hashes[i] = hash_frame(frame);
			r.damaged += il_video_damaged(video);
			inlay_frame_destroy(&frame);
		}
		if (!rc && !il_video_damaged(video))
			continue;
		r.first = r.first < 0 ? i : r.first;
		r.last = i;
	}
	assert_int_equal(il_video_read(video, &frame, &err), INLAY_EOF);
	il_video_destroy(&video);
	return r;
}

#define REORDER 8 /* a frame shown so much earlier may be drawn from a damaged one */

/* Damage between the key frames 0 and 250: what lies before it and what follows the next key frame is as it was, what
 * is not is told. */
static void test_damaged(void **state)
{
	(void)state;
	size_t size;
	uint8_t *data = read_file(test_data(FULL_BODY), &size);
	struct reading good = read_damaged(test_data(FULL_BODY), 523);
	assert_int_equal(good.lost + good.damaged, 0);
	for (int zeros = 0; zeros < 2; zeros++) {
		for (size_t i = size / 3; i < size / 3 + (zeros ? 100000 : 60); i++)
			data[i] = zeros ? 0 : (uint8_t)~data[i];
		const char *path = write_file("damaged.mp4", data, size);
		struct reading r = read_damaged(path, 523);
		unlink(path);
		assert_true(r.damaged > 0);
		assert_true(zeros ? r.lost > 5 : !r.lost);
		assert_in_range(r.first, 50, 249);
		assert_in_range(r.last, r.first, 249);
		assert_memory_equal(r.hashes, good.hashes, (size_t)(r.first - REORDER) * sizeof *r.hashes);
		size_t told = (size_t)(r.last - r.first + 1) * sizeof *r.hashes;
		assert_true(memcmp(r.hashes + r.first, good.hashes + r.first, told));
		assert_memory_equal(r.hashes + 250, good.hashes + 250, 273 * sizeof *r.hashes);
	}
	free(data);
}

/* In a clip of key frames only, what a container lost of them leaves the others as they are. */
static void test_damaged_container(void **state)
{
	(void)state;
	need_ffmpeg();
	struct made keys = { "keys.mkv", "-c:v ffv1 -slicecrc 1 -g 1", false };
	const char *path = make(&keys);
	struct reading good = read_damaged(path, 50);
	size_t size;
	uint8_t *data = read_file(path, &size);
	memset(data + size / 2, 0, size / 6);
	path = write_file(keys.name, data, size);
	struct il_video *video = open_video(path, 1);
	int64_t frames = il_video_info(video)->frames;
	il_video_destroy(&video);
	assert_in_range(frames, 30, 45);
	struct reading r = read_damaged(path, frames);
	assert_true(r.lost > 0 && r.lost <= 2);
	assert_memory_equal(r.hashes, good.hashes, (size_t)r.first * sizeof *r.hashes);
	int64_t after = frames - r.last - 1;
	assert_true(after > 10);
	assert_memory_equal(r.hashes + frames - after, good.hashes + 50 - after, (size_t)after * sizeof *r.hashes);
	free(data);
	unlink(path);
}

static void test_threads_can_change(void **state)
{
	(void)state;
	struct inlay_error err;
	const char *const paths[] = { test_data(CROPS), test_data(GIF) };
	const unsigned threads[] = { 4, 1, 1000000 };
	for (int i = 0; i < 2; i++) {
		struct il_video *video = open_video(paths[i], 1);
		int64_t frames = il_video_info(video)->frames;
		uint64_t *hashes = hash_all(video, frames);
		for (unsigned k = 0; k < 3; k++) {
			assert_ok(il_video_set_threads(video, threads[k], &err));
			for (int64_t at = 0; at < 20; at++)
				assert_true(read_hash(video, at) == hashes[at]);
			check_at(video, hashes, frames - 1);
		}
		il_video_destroy(&video);
		free(hashes);
	}
}

/* Frames over ticks as they come; the rate must stay near and its terms small. */
static void test_rates(void **state)
{
	(void)state;
	need_ffmpeg();
	static const struct {
		struct made made;
		double fps;
	} cases[] = {
		{ { "ntsc.mp4", "-r 30000/1001 -c:v libx264", false }, 30000 / 1001.0 },
		{ { "half.mkv", "-r 25/2 -c:v libx264", false }, 12.5 },
		{ { "odd.mp4", "-r 1234577/54321 -video_track_timescale 12345770 -c:v libx264", false },
		  1234577 / 54321.0 },
		{ { "variable.mp4",
		    "-vf \"settb=1/600003,setpts=N*38711+200*mod(N\\,2)\" "
		    "-vsync vfr -enc_time_base 1:600003 -video_track_timescale 600003 -c:v libx264",
		    false },
		  30000150 / 1921039.0 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *path = make(&cases[i].made);
		struct il_video *video = open_video(path, 1);
		struct inlay_rational fps = il_video_info(video)->fps;
		assert_in_range(fps.num, 1, 100000);
		assert_in_range(fps.den, 1, 100000);
		assert_float_equal((double)fps.num / fps.den, cases[i].fps, 1e-5);
		if (i == 0)
			assert_int_equal(fps.num, 30000);
		il_video_destroy(&video);
		unlink(path);
	}
}

static void test_bad_input(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_video *video = NULL;
	assert_fails(il_video_open(&video, "/nonexistent/a.mp4", 1, &err), INLAY_ERR_NOT_FOUND, "/nonexistent/a.mp4");
	assert_fails(il_video_open(&video, "/tmp", 1, &err), INLAY_ERR_INVALID, "is a folder");
	const char *path = write_file("empty.mp4", "", 0);
	assert_fails(il_video_open(&video, path, 1, &err), INLAY_ERR_FORMAT, "empty.mp4");
	unlink(path);
	path = write_file("words.txt", "not a video at all\n", 19);
	assert_fails(il_video_open(&video, path, 1, &err), INLAY_ERR_FORMAT, "words.txt");
	unlink(path);
	assert_fails(il_video_open(&video, test_data("speech/jfk.wav"), 1, &err), INLAY_ERR_FORMAT, "no video stream");
	assert_fails(il_video_open(&video, test_data("lipsync_sanders/aud_ave.npy"), 1, &err), INLAY_ERR_FORMAT,
	             "aud_ave.npy");
	assert_null(video);

	video = open_video(test_data(GIF), 1);
	assert_fails(il_video_seek(video, 23, &err), INLAY_ERR_INVALID, "no frame 23, expected 0..22");
	assert_fails(il_video_seek(video, -1, &err), INLAY_ERR_INVALID, "no frame -1");
	read_hash(video, 0);
	il_video_destroy(&video);
}

/* Frames outlive the reader. */
static void test_frames_are_the_callers(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_video *video = open_video(test_data(GIF), 1);
	struct inlay_frame *frames[3];
	uint64_t hashes[3];
	for (int i = 0; i < 3; i++) {
		assert_ok(il_video_read(video, &frames[i], &err));
		hashes[i] = hash_frame(frames[i]);
	}
	il_video_destroy(&video);
	for (int i = 0; i < 3; i++) {
		assert_true(hash_frame(frames[i]) == hashes[i]);
		inlay_frame_destroy(&frames[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_walks_across_key_frames),
		cmocka_unit_test(test_random_seeks),
		cmocka_unit_test(test_threads_give_the_same),
		cmocka_unit_test(test_equals_ffmpeg),
		cmocka_unit_test(test_many_formats),
		cmocka_unit_test(test_conversion_keeps_colour_tags),
		cmocka_unit_test(test_edit_list),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_damaged_container),
		cmocka_unit_test(test_threads_can_change),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_frames_are_the_callers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "inlay/log.h"
#include "media/source_test.h"
#include "media/video.h"

/* Every frame is what the ffmpeg program gives, and there are as many. Returns their number. */
static int check_against_ffmpeg(const char *path, const char *options)
{
	struct il_source *source = open_source(path);
	FILE *pipe = ffmpeg_frames(path, options);
	int count = compare_rest(source, pipe);
	assert_int_equal(fgetc(pipe), EOF);
	pclose(pipe);
	il_source_destroy(&source);
	assert_null(source);
	il_source_destroy(&source);
	return count;
}

static void test_info(void **state)
{
	(void)state;
	struct il_source *source = open_source(test_data("lipsync_sanders/full_body_video.mp4"));
	const struct il_source_info *info = il_source_info(source);
	assert_int_equal(info->frame.format, INLAY_PIX_I420);
	assert_int_equal(info->frame.width, 1280);
	assert_int_equal(info->frame.height, 720);
	assert_int_equal(info->frame.colour.matrix, INLAY_MATRIX_BT601);
	assert_int_equal(info->frame.colour.range, INLAY_RANGE_LIMITED);
	assert_int_equal(info->fps.num, 25);
	assert_int_equal(info->fps.den, 1);
	assert_int_equal(info->frames, 523);
	assert_int_equal(info->bit_depth, 8);
	assert_false(info->picture || info->live);
	assert_string_equal(il_source_describe(source), "h264 1280x720 at 25 fps, decoded in software");
	il_source_destroy(&source);

	source = open_source(test_data("footage/talkinghead_512_with_audio.mp4"));
	assert_true(il_source_info(source)->has_streams);
	il_source_destroy(&source);
}

static void test_kinds_of_files(void **state)
{
	(void)state;
	need_ffmpeg();
	static const struct {
		const char *name, *options;
		int frames;
	} kinds[] = {
		{ "s.mp4", CLIP("162x98") LOSSLESS, 50 },
		{ "s.mkv", CLIP("162x98") LOSSLESS, 50 },
		{ "s.ts", CLIP("162x98") LOSSLESS, 50 },
		{ "s.avi", CLIP("162x98") "-c:v mpeg4 -q:v 2 -bf 2", 50 },
		{ "s.webm", CLIP("162x98") "-c:v libvpx-vp9 -b:v 200k -cpu-used 8", 50 },
		{ "s.gif", "-f lavfi -i testsrc2=r=10:d=1 -s 161x97", 10 },
		{ "s.y4m", CLIP("33x17"), 50 },
		{ "s.h264", CLIP("162x98") LOSSLESS, 50 },
		{ "odd.mkv", CLIP("161x97") "-c:v ffv1", 50 },
		{ "tiny.mkv", CLIP("1x1") "-c:v ffv1", 50 },
		{ "wide.mkv", "-f lavfi -i testsrc2=s=7680x4320:r=25:d=0.04 -pix_fmt yuv420p -c:v rawvideo", 1 },
		{ "nv12.mkv", "-f lavfi -i testsrc2=r=25:d=1 -s 161x97 -pix_fmt nv12 -c:v rawvideo", 25 },
		{ "rgb.mkv", "-f lavfi -i testsrc2=s=162x98:r=25:d=1 -pix_fmt bgr0 -c:v ffv1", 25 },
	};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const char *path = make(kinds[i].name, kinds[i].options);
		assert_int_equal(check_against_ffmpeg(path, ""), kinds[i].frames);
		struct il_source *source = open_source(path);
		struct il_source_loss loss;
		compare_rest(source, NULL);
		il_source_loss(source, &loss);
		assert_false(loss.truncated || loss.damaged || loss.skipped);
		il_source_destroy(&source);
		unlink(path);
	}
}

/* ffmpeg turns by the same tag; lossless 4:2:0 of even size turns without loss. */
static void test_rotation(void **state)
{
	(void)state;
	need_ffmpeg();
	static const int degrees[] = { 0, 90, 180, 270 };
	for (int i = 0; i < 4; i++)
		for (int deep = 0; deep < 2; deep++) {
			char args[512], part[32];
			const char *plain = make("plain.mp4", deep ? "-f lavfi -i testsrc2=s=162x98:r=25:d=0.4 "
			                                             "-pix_fmt yuv420p10le -c:v libx264 -qp 0"
			                                           : CLIP("162x98") LOSSLESS "-t 0.4");
			/* The tag says how far the stored picture is turned anticlockwise. */
			snprintf(args, sizeof args, "-i %s -c copy -metadata:s:v rotate=%d", plain, degrees[i]);
			const char *path = make("turned.mp4", args);
			struct il_source *source = open_source(path);
			const struct il_source_info *info = il_source_info(source);
			assert_int_equal(info->rotation, (360 - degrees[i]) % 360);
			assert_int_equal(info->frame.width, i % 2 ? 98 : 162);
			assert_int_equal(info->frame.height, i % 2 ? 162 : 98);
			assert_int_equal(info->bit_depth, deep ? 10 : 8);
			snprintf(part, sizeof part, "turned by %d", 360 - degrees[i]);
			assert_true(!i == !strstr(il_source_describe(source), part));
			il_source_destroy(&source);
			if (!deep)
				assert_int_equal(check_against_ffmpeg(path, ""), 10);
			unlink(path);
			unlink(plain);
		}
}

/* Puts a matrix over the one in the track header of an mp4, whose box "tkhd" ends with matrix, width, height. */
static void set_matrix(const char *path, const int *axes)
{
	static uint8_t data[1 << 20];
	FILE *file = fopen(path, "r+b");
	size_t size = fread(data, 1, sizeof data, file);
	uint8_t *box = data + 4;
	while (memcmp(box, "tkhd", 4))
		assert_true(++box < data + size - 4);
	uint8_t *matrix = box - 4 + 92 - 8 - 36;
	for (int i = 0; i < 4; i++) {
		uint8_t *at = matrix + (i / 2 * 3 + i % 2) * 4;
		memset(at, 0, 4);
		at[1] = axes[i] == 1;
		if (axes[i] < 0)
			at[0] = at[1] = 0xff;
	}
	rewind(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	fclose(file);
}

/* All eight ways to hold a picture; the wanted pixels are worked out from the matrix itself. */
static void test_mirrored(void **state)
{
	(void)state;
	need_ffmpeg();
	static const int axes[8][4] = { { 1, 0, 0, 1 }, { -1, 0, 0, 1 }, { 1, 0, 0, -1 }, { -1, 0, 0, -1 },
		                        { 0, 1, 1, 0 }, { 0, -1, 1, 0 }, { 0, 1, -1, 0 }, { 0, -1, -1, 0 } };
	enum { W = 34, H = 18 };
	const char *path = make("mirror.mp4", "-f lavfi -i testsrc2=s=34x18:r=25:d=0.04 -pix_fmt yuv420p " LOSSLESS);
	struct inlay_error err;
	struct inlay_frame *stored, *frame;
	struct il_video *video;
	assert_ok(il_video_open(&video, path, 1, &err));
	assert_ok(il_video_read(video, &stored, &err));
	il_video_destroy(&video);
	for (int k = 0; k < 8; k++) {
		const int *m = axes[k];
		set_matrix(path, m);
		struct il_source *source = open_source(path);
		assert_ok(il_source_read(source, &frame, &err));
		struct inlay_planes from, to;
		inlay_frame_map(stored, &from);
		inlay_frame_map(frame, &to);
		assert_int_equal(inlay_frame_info(frame)->width, m[0] ? W : H);
		for (int plane = 0; plane < 3; plane++) {
			int w = plane ? W / 2 : W, h = plane ? H / 2 : H;
			for (int y = 0; y < h; y++)
				for (int x = 0; x < w; x++) {
					int u = m[0] * x + m[2] * y, v = m[1] * x + m[3] * y;
					u += m[0] + m[2] < 0 ? (m[0] ? w : h) - 1 : 0;
					v += m[1] + m[3] < 0 ? (m[0] ? h : w) - 1 : 0;
					assert_int_equal(to.data[plane][v * to.stride[plane] + u],
					                 from.data[plane][y * from.stride[plane] + x]);
				}
		}
		inlay_frame_destroy(&frame);
		il_source_destroy(&source);
	}
	inlay_frame_destroy(&stored);
	unlink(path);
}

/* ffprobe lists the timestamps of every frame. */
static void test_variable_rate(void **state)
{
	(void)state;
	need_ffmpeg();
	static const char *const names[] = { "variable.mkv", "variable.mp4" };
	for (int i = 0; i < 2; i++) {
		const char *path = make(
			names[i], CLIP("64x48") "-vf select='not(mod(n\\,3))+not(mod(n\\,4))' -vsync vfr " LOSSLESS);
		char command[1024];
		snprintf(command, sizeof command,
		         "ffprobe -v error -select_streams v -show_entries frame=pts -of csv=p=0 %s", path);
		FILE *pipe = popen(command, "r");
		assert_non_null(pipe);
		struct il_source *source = open_source(path);
		struct inlay_error err;
		struct inlay_frame *frame;
		for (int k = 0; k < 25; k++) {
			long long want;
			assert_int_equal(fscanf(pipe, "%lld%*[^\n]", &want) >= 1, 1);
			assert_ok(il_source_read(source, &frame, &err));
			assert_int_equal(inlay_frame_pts(frame), want);
			inlay_frame_destroy(&frame);
		}
		assert_int_equal(il_source_read(source, &frame, &err), INLAY_EOF);
		pclose(pipe);
		struct inlay_rational fps = il_source_info(source)->fps, tb = il_source_info(source)->timebase;
		assert_in_range(fps.num, 1, 100000);
		assert_in_range(fps.den, 1, 100000);
		assert_true(tb.num > 0 && tb.den > 0);
		il_source_destroy(&source);
		unlink(path);
	}
}

/* A stream whose clock starts over in the middle goes on without a gap. */
static void test_clock_starts_over(void **state)
{
	(void)state;
	need_ffmpeg();
	const char *part = make("part.ts", CLIP("64x48") LOSSLESS), *path = test_scratch("joined.ts");
	char command[1024];
	snprintf(command, sizeof command, "cat %s %s >%s", part, part, path);
	assert_int_equal(system(command), 0);
	struct il_source *source = open_source(path);
	struct inlay_error err;
	struct inlay_frame *frame;
	int64_t first = 0;
	for (int i = 0; i < 100; i++) {
		assert_ok(il_source_read(source, &frame, &err));
		first = i ? first : inlay_frame_pts(frame);
		assert_int_equal(inlay_frame_pts(frame) - first, 3600 * i); /* 90 kHz at 25 fps */
		inlay_frame_destroy(&frame);
	}
	assert_int_equal(il_source_read(source, &frame, &err), INLAY_EOF);
	il_source_destroy(&source);
	unlink(path);
	unlink(part);
}

static void note_line(void *ctx, enum inlay_log_level level, const char *text)
{
	(void)level;
	strncat(ctx, text, 2000 - strlen(ctx));
}

static void test_ten_bits(void **state)
{
	(void)state;
	need_ffmpeg();
	char lines[2048] = "";
	const char *path = make("deep.mkv", "-f lavfi -i testsrc2=s=162x98:r=25:d=0.2 -pix_fmt yuv420p10le "
	                                    "-colorspace bt709 -color_range pc -c:v ffv1");
	inlay_log_set(note_line, lines, INLAY_LOG_INFO);
	struct il_source *source = open_source(path);
	inlay_log_set(NULL, NULL, INLAY_LOG_NONE);
	assert_non_null(strstr(lines, "10-bit input is processed in 8 bits"));
	assert_int_equal(il_source_info(source)->bit_depth, 10);
	assert_int_equal(il_source_info(source)->frame.colour.matrix, INLAY_MATRIX_BT709);
	assert_int_equal(il_source_info(source)->frame.colour.range, INLAY_RANGE_FULL);
	char command[1024];
	snprintf(command, sizeof command, "ffmpeg -nostdin -v quiet -i %s -frames:v 1 -f rawvideo -", path);
	FILE *pipe = popen(command, "r");
	static uint16_t deep[162 * 98];
	assert_int_equal(fread(deep, sizeof deep, 1, pipe), 1);
	pclose(pipe);
	struct inlay_error err;
	struct inlay_frame *frame;
	struct inlay_planes planes;
	assert_ok(il_source_read(source, &frame, &err));
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < 162 * 98; i++) {
		int got = planes.data[0][i / 162 * planes.stride[0] + i % 162];
		assert_true(abs(4 * got - deep[i]) <= 4);
	}
	inlay_frame_destroy(&frame);
	il_source_destroy(&source);
	unlink(path);
}

/* Cut anywhere: what is left is given out, nearly all of it as it was, and the loss is told. */
static void test_truncated(void **state)
{
	(void)state;
	need_ffmpeg();
	static const struct {
		const char *name, *options;
	} kinds[] = { { "whole.mp4", CLIP("162x98") LOSSLESS "-movflags faststart" },
		      { "frag.mp4", CLIP("162x98") LOSSLESS "-movflags frag_keyframe+empty_moov" },
		      { "whole.mkv", CLIP("162x98") LOSSLESS },
		      { "whole.webm", CLIP("162x98") "-c:v libvpx-vp9 -b:v 400k -cpu-used 8" },
		      { "whole.ts", CLIP("162x98") LOSSLESS },
		      { "whole.avi", CLIP("162x98") "-c:v mjpeg -q:v 3" },
		      { "whole.y4m", CLIP("32x16") },
		      { "whole.gif", "-f lavfi -i testsrc2=s=162x98:r=25:d=2" } };
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const char *path = make(kinds[i].name, kinds[i].options);
		size_t size;
		uint8_t *data = read_file(path, &size);
		unlink(path);
		int before = 0;
		for (int part = 4; part <= 9; part += 2) {
			char name[32];
			snprintf(name, sizeof name, "cut%s", strchr(kinds[i].name, '.'));
			size_t cut = size * (size_t)part / 10 + 1;
			cut -= strstr(name, ".ts") ? cut % 188 == 0 : 0;
			path = write_file(name, data, cut);
			struct il_source *source = open_source(path);
			struct il_source_loss loss;
			il_source_loss(source, &loss);
			assert_false(loss.truncated);
			int count = compare_rest(source, NULL);
			il_source_loss(source, &loss);
			if (!loss.truncated || count < before || count < part * 50 / 10 - 25 || count > 50)
				fail_msg("%s cut to %d tenths: %d frames, %d before, truncated %d", name, part, count,
				         before, loss.truncated);
			before = count;
			il_source_destroy(&source);
			unlink(path);
		}
		free(data);
	}
}

/* The frames before the cut are the whole file's. */
static void test_truncated_frames_are_right(void **state)
{
	(void)state;
	need_ffmpeg();
	const char *path = make("front.mp4", CLIP("162x98") LOSSLESS "-movflags faststart");
	size_t size;
	uint8_t *data = read_file(path, &size);
	const char *cut = write_file("front-cut.mp4", data, size * 7 / 10);
	struct il_source *source = open_source(cut);
	FILE *pipe = ffmpeg_frames(path, "");
	struct inlay_error err;
	struct inlay_frame *frame;
	for (int i = 0; i < 20; i++) {
		assert_ok(il_source_read(source, &frame, &err));
		each_row(frame, compare_row, pipe);
		inlay_frame_destroy(&frame);
	}
	pclose(pipe);
	il_source_destroy(&source);
	unlink(cut);
	unlink(path);
	free(data);
}

static void test_damaged(void **state)
{
	(void)state;
	need_ffmpeg();
	const char *path = make("good.mp4", CLIP("162x98") LOSSLESS);
	size_t size;
	uint8_t *data = read_file(path, &size);
	for (size_t i = size / 3; i < size / 3 + 400; i++)
		data[i] ^= 0x55;
	write_file("good.mp4", data, size);
	struct il_source *source = NULL;
	struct inlay_error err;
	const struct il_source_params params = { .path = path, .threads = 1 };
	assert_ok(il_source_open(&source, &params, &err));
	struct il_source_loss loss;
	int count = compare_rest(source, NULL);
	il_source_loss(source, &loss);
	assert_true(loss.damaged + loss.skipped > 0);
	assert_true(count + loss.skipped >= 48 && count <= 50);
	assert_false(loss.truncated);
	il_source_destroy(&source);
	unlink(path);
	free(data);
}

static void test_rewind(void **state)
{
	(void)state;
	need_ffmpeg();
	struct inlay_error err;
	static const char *const names[] = { "again.mp4", "again.gif", "again.png" };
	for (int i = 0; i < 3; i++) {
		const char *path = make(names[i], i < 2 ? "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4"
		                                        : "-f lavfi -i testsrc2=s=64x48:r=25:d=0.04");
		struct il_source *source = open_source(path);
		int count = compare_rest(source, NULL);
		assert_int_equal(count, i < 2 ? 10 : 1);
		for (int again = 0; again < 3; again++) {
			struct inlay_frame *frame;
			assert_ok(il_source_rewind(source, &err));
			if (again == 1) /* from the middle, too */
				continue;
			FILE *pipe = i < 2 ? ffmpeg_frames(path, "") : NULL;
			assert_int_equal(compare_rest(source, pipe), count);
			if (pipe)
				pclose(pipe);
			assert_int_equal(il_source_read(source, &frame, &err), INLAY_EOF);
		}
		il_source_destroy(&source);
		unlink(path);
	}
}

static void test_alpha_plane(void **state)
{
	(void)state;
	need_ffmpeg();
	const char *paths[] = { make("a.mp4", "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4"),
		                make("a.bmp", "-f lavfi -i testsrc2=s=64x48:r=25:d=0.04") };
	for (int i = 0; i < 2; i++) {
		struct il_source *source = NULL;
		struct inlay_error err;
		struct inlay_frame *frame;
		const struct il_source_params params = { .path = paths[i], .alpha = true };
		assert_ok(il_source_open(&source, &params, &err));
		assert_ok(il_source_read(source, &frame, &err));
		assert_int_equal(inlay_frame_info(frame)->format, i ? INLAY_PIX_BGR24A8 : INLAY_PIX_YUVA420P);
		assert_int_equal(il_source_info(source)->frame.format, inlay_frame_info(frame)->format);
		struct inlay_planes planes;
		inlay_frame_map(frame, &planes);
		memset(planes.data[i ? 1 : 3], 7, 48 * (size_t)planes.stride[i ? 1 : 3]); /* is really there */
		inlay_frame_unmap(frame);
		inlay_frame_destroy(&frame);
		il_source_destroy(&source);
		unlink(paths[i]);
	}
}

static void test_hwaccel_falls_back(void **state)
{
	(void)state;
	need_ffmpeg();
	const char *path = make("hw.mkv", CLIP("64x48") "-c:v ffv1"); /* no device decodes it */
	static const enum il_hwaccel kinds[] = { IL_HWACCEL_AUTO, IL_HWACCEL_NONE, IL_HWACCEL_CUDA };
	for (int i = 0; i < 3; i++) {
		char lines[2048] = "";
		struct il_source *source;
		struct inlay_error err;
		const struct il_source_params params = { .path = path, .hwaccel = kinds[i] };
		inlay_log_set(note_line, lines, INLAY_LOG_WARN);
		assert_ok(il_source_open(&source, &params, &err));
		assert_int_equal(compare_rest(source, NULL), 50);
		inlay_log_set(NULL, NULL, INLAY_LOG_NONE);
		assert_true((i == 2) == !!strstr(lines, "CUDA does not decode"));
		assert_non_null(strstr(il_source_describe(source), "in software"));
		il_source_destroy(&source);
	}
	unlink(path);
}

static void test_size_changes(void **state)
{
	(void)state;
	need_ffmpeg();
	const char *a = make("a.h264", CLIP("64x48") LOSSLESS), *b = make("b.h264", CLIP("96x80") LOSSLESS);
	const char *path = test_scratch("ab.h264");
	char command[1024];
	snprintf(command, sizeof command, "cat %s %s >%s", a, b, path);
	assert_int_equal(system(command), 0);
	struct il_source *source = open_source(path);
	struct inlay_error err = { 0 };
	struct inlay_frame *frame;
	int count = 0;
	while (!il_source_read(source, &frame, &err)) {
		inlay_frame_destroy(&frame);
		count++;
	}
	assert_int_equal(count, 50);
	assert_int_equal(err.code, INLAY_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "from 64x48 to 96x80"));
	il_source_destroy(&source);
	unlink(a);
	unlink(b);
	unlink(path);
}

static void test_bad_input(void **state)
{
	(void)state;
	need_ffmpeg();
	struct inlay_error err;
	struct il_source *source = NULL;
	struct il_source_params params = { 0 };
	const struct {
		const char *path;
		enum inlay_err code;
		const char *part;
	} cases[] = {
		{ "/nonexistent/a.mp4", INLAY_ERR_NOT_FOUND, "/nonexistent/a.mp4" },
		{ "/tmp", INLAY_ERR_INVALID, "is a folder" },
		{ write_file("empty.mp4", "", 0), INLAY_ERR_FORMAT, "empty.mp4" },
		{ write_file("words.txt", "not a video at all\n", 19), INLAY_ERR_FORMAT, "words.txt" },
		{ write_file("bad.png", "\x89PNG\r\n\x1a\n\0\0\0\0", 12), INLAY_ERR_FORMAT, "bad.png" },
		{ make("sound.m4a", "-f lavfi -i sine=d=1"), INLAY_ERR_FORMAT,
		  "holds no video stream, only audio (aac)" },
		{ "/dev/video97", INLAY_ERR_NOT_FOUND, "camera /dev/video97" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		params.path = cases[i].path;
		assert_fails(il_source_open(&source, &params, &err), cases[i].code, cases[i].part);
		if (strstr(cases[i].path, "inlay-"))
			unlink(cases[i].path);
	}
	params.path = "/dev/null";
	err = (struct inlay_error){ 0 };
	assert_true(il_source_open(&source, &params, &err) != INLAY_OK);
	if (!strstr(err.text, "as a camera"))
		fail_msg("%s", err.text);
	assert_null(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_kinds_of_files),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_mirrored),
		cmocka_unit_test(test_variable_rate),
		cmocka_unit_test(test_clock_starts_over),
		cmocka_unit_test(test_ten_bits),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_truncated_frames_are_right),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_rewind),
		cmocka_unit_test(test_alpha_plane),
		cmocka_unit_test(test_hwaccel_falls_back),
		cmocka_unit_test(test_size_changes),
		cmocka_unit_test(test_bad_input),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

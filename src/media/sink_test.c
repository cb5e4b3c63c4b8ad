#define _GNU_SOURCE
#include "media/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <libavformat/avformat.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "media/image.h"
#include "media/sink_test.h"

static void assert_written(const char *path)
{
	char part[1100];
	snprintf(part, sizeof part, "%s.part", path);
	assert_true(il_path_exists(path));
	assert_false(il_path_exists(part));
}

static void containers_give_the_pictures_back(void **state)
{
	static const char *const names[] = { "a.mp4", "a.mov", "a.mkv", "a.webm" };
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		const char *path = test_scratch(names[i]);
		struct il_sink_params params = params_for(path);
		params.fps = i & 1 ? (struct inlay_rational){ 30000, 1001 } : (struct inlay_rational){ 25, 1 };
		write_all(&params, 30);
		assert_written(path);
		check_video(path, &params, 30, 33);
		unlink(path);
	}
}

static void colour_tags_pass(void **state)
{
	(void)state;
	const char *path = test_scratch("tags.mp4");
	struct il_sink_params params = params_for(path);
	params.frame.colour = (struct inlay_colour){ INLAY_MATRIX_SMPTE170M, INLAY_RANGE_FULL, 6, 6 };
	write_all(&params, 3);
	check_video(path, &params, 3, 33);
	unlink(path);
}

static void lossless_codecs_are(void **state)
{
	static const char *const cases[][2] = { { "l.mkv", "ffv1" }, { "l.mp4", "libx264" } };
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const char *path = test_scratch(cases[i][0]);
		struct il_sink_params params = params_for(path);
		params.codec = cases[i][1];
		params.crf = i ? 0 : -1;
		params.frame.width = 65;
		params.frame.height = 49;
		write_all(&params, 20);
		check_video(path, &params, 20, 100);
		unlink(path);
	}
}

static void same_frames_same_bytes(void **state)
{
	static const char *const cases[][2] = { { "s.mp4", "mpeg4" }, { "s.mkv", "ffv1" } };
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct il_bytes runs[2];
		for (int run = 0; run < 2; run++) {
			struct il_sink_params params = params_for(test_scratch(cases[i][0]));
			params.codec = cases[i][1];
			params.overwrite = true;
			write_all(&params, 10);
			assert_ok(il_file_read(params.path, 1 << 24, &runs[run], &err));
			unlink(params.path);
		}
		assert_int_equal(runs[0].size, runs[1].size);
		assert_memory_equal(runs[0].data, runs[1].data, runs[0].size);
		il_bytes_destroy(&runs[0]);
		il_bytes_destroy(&runs[1]);
	}
}

static void metadata_and_front_index(void **state)
{
	static const char *const metadata[] = { "title", "a test", "comment", "made up", NULL };
	(void)state;
	const char *path = test_scratch("meta.mp4");
	struct il_sink_params params = params_for(path);
	params.metadata = metadata;
	write_all(&params, 3);
	AVFormatContext *input = NULL;
	assert_true(avformat_open_input(&input, path, NULL, NULL) >= 0);
	assert_string_equal(av_dict_get(input->metadata, "title", NULL, 0)->value, "a test");
	assert_string_equal(av_dict_get(input->metadata, "comment", NULL, 0)->value, "made up");
	avformat_close_input(&input);
	struct il_bytes bytes;
	assert_ok(il_file_read(path, 1 << 24, &bytes, &err));
	const uint8_t *moov = memmem(bytes.data, bytes.size, "moov", 4),
		      *mdat = memmem(bytes.data, bytes.size, "mdat", 4);
	assert_true(moov && mdat && moov < mdat);
	il_bytes_destroy(&bytes);
	unlink(path);
}

/* Bytes, digests, pictures */

static void raw_streams_hold_the_bytes(void **state)
{
	static const char *const headers[] = { "", "YUV4MPEG2 W65 H49 F25:1 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\n",
		                               "YUV4MPEG2 W65 H49 F25:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n" };
	(void)state;
	for (int i = 0; i < 3; i++) {
		const char *path = test_scratch(i ? "raw.y4m" : "raw.yuv"), *mark = i ? "FRAME\n" : "";
		struct il_sink_params params = params_for(path);
		params.frame.width = 65;
		params.frame.height = 49;
		params.frame.colour.range = i == 2 ? INLAY_RANGE_FULL : INLAY_RANGE_LIMITED;
		write_all(&params, 4);
		struct il_bytes bytes;
		assert_ok(il_file_read(path, 1 << 24, &bytes, &err));
		const uint8_t *p = bytes.data;
		assert_memory_equal(p, headers[i], strlen(headers[i]));
		p += strlen(headers[i]);
		for (int k = 0; k < 4; k++) {
			size_t size;
			struct inlay_frame *frame = make_frame(&params.frame, k);
			uint8_t *expected = packed(frame, &size);
			assert_true(p + strlen(mark) + size <= bytes.data + bytes.size);
			assert_memory_equal(p, mark, strlen(mark));
			assert_memory_equal(p + strlen(mark), expected, size);
			p += strlen(mark) + size;
			free(expected);
			inlay_frame_destroy(&frame);
		}
		assert_ptr_equal(p, bytes.data + bytes.size);
		il_bytes_destroy(&bytes);
		unlink(path);
	}
}

static void y4m_is_read_by_libav(void **state)
{
	(void)state;
	const char *path = test_scratch("read.y4m");
	struct il_sink_params params = params_for(path);
	params.fps = (struct inlay_rational){ 30000, 1001 };
	params.frame.colour = (struct inlay_colour){ INLAY_MATRIX_UNSPECIFIED, INLAY_RANGE_LIMITED, 2, 2 };
	write_all(&params, 6);
	check_video(path, &params, 6, 100);
	unlink(path);
}

/* The sums are md5sum's of bytes(range(6)) and bytes(6). */
static void digests_are_md5(void **state)
{
	(void)state;
	const char *path = test_scratch("sums.md5");
	struct il_sink_params params = params_for(path);
	struct il_sink *sink;
	params.frame = (struct inlay_frame_info){ INLAY_PIX_I420, 2, 2 };
	assert_ok(il_sink_open(&sink, &params, &err));
	for (int k = 0; k < 2; k++) {
		struct inlay_frame *frame;
		struct inlay_planes planes;
		assert_ok(il_frame_create(&frame, &params.frame, &err));
		inlay_frame_map(frame, &planes);
		if (!k)
			for (int i = 0; i < 6; i++)
				*(i < 4 ? &planes.data[0][i / 2 * planes.stride[0] + i % 2] : planes.data[i - 3]) =
					(uint8_t)i;
		inlay_frame_unmap(frame);
		assert_ok(il_sink_write(sink, frame, &err));
		inlay_frame_destroy(&frame);
	}
	assert_false(il_path_exists(path));
	assert_ok(il_sink_finish(sink, &err));
	il_sink_destroy(&sink);
	struct il_bytes bytes;
	assert_ok(il_file_read(path, 1000, &bytes, &err));
	assert_string_equal((const char *)bytes.data,
	                    "0 d15ae53931880fd7b724dd7888b4b4ed\n1 7319468847d7b1aee40dbf5dd963c999\n");
	il_bytes_destroy(&bytes);
	unlink(path);
}

static void pictures_are_numbered_from_one(void **state)
{
	static const char *const extensions[] = { "jpg", "png" };
	(void)state;
	for (int i = 0; i < 2; i++) {
		char pattern[1100], name[1100];
		const char *folder = test_scratch("pictures");
		snprintf(pattern, sizeof pattern, "%s/50%%%%_%%03d.%s", folder, extensions[i]);
		struct il_sink_params params = params_for(pattern);
		params.frame.colour = (struct inlay_colour){ INLAY_MATRIX_BT601, INLAY_RANGE_FULL, 2, 2 };
		params.quality = 95;
		write_all(&params, 11);
		for (int k = 0; k < 12; k++) {
			struct inlay_frame *got = NULL, *expected = make_frame(&params.frame, k);
			snprintf(name, sizeof name, "%s/50%%_%03d.%s", folder, k + 1, extensions[i]);
			if (k == 11) {
				assert_false(il_path_exists(name));
			} else {
				assert_ok(il_image_read(name, INLAY_PIX_I420, &got, &err));
				assert_true(psnr(got, expected) > 35);
				assert_int_equal(unlink(name), 0);
			}
			inlay_frame_destroy(&got);
			inlay_frame_destroy(&expected);
		}
		assert_int_equal(rmdir(folder), 0); /* nothing else was in it */
	}
}

static void mjpeg_is_a_row_of_jpegs(void **state)
{
	(void)state;
	const char *path = test_scratch("row.mjpeg");
	struct il_sink_params params = params_for(path);
	params.frame.colour = (struct inlay_colour){ INLAY_MATRIX_BT601, INLAY_RANGE_FULL, 2, 2 };
	write_all(&params, 5);
	struct il_bytes bytes;
	assert_ok(il_file_read(path, 1 << 24, &bytes, &err));
	size_t at = 0;
	for (int k = 0; k < 5; k++) {
		struct inlay_frame *got, *expected = make_frame(&params.frame, k);
		assert_true(at + 4 < bytes.size);
		assert_memory_equal(bytes.data + at, "\xff\xd8\xff", 3);
		assert_ok(il_image_decode(bytes.data + at, bytes.size - at, "part", INLAY_PIX_I420, &got, &err));
		assert_true(psnr(got, expected) > 33);
		inlay_frame_destroy(&got);
		inlay_frame_destroy(&expected);
		const uint8_t *end = memmem(bytes.data + at, bytes.size - at, "\xff\xd9", 2);
		assert_non_null(end);
		at = (size_t)(end + 2 - bytes.data);
	}
	assert_int_equal(at, bytes.size);
	il_bytes_destroy(&bytes);
	unlink(path);
}

static void null_takes_anything(void **state)
{
	(void)state;
	struct il_sink_params params = params_for(NULL);
	params.format = "null";
	params.audio_path = "/nonexistent.wav";
	write_all(&params, 3);
}

/* Rules */

static void every_format_is_served(void **state)
{
	(void)state;
	static const char *const formats[] = { "mp4", "mov",   "mkv",      "webm", "jpg",  "png",
		                               "y4m", "mjpeg", "rawvideo", "md5",  "null", NULL };
	for (const char *const *f = formats; *f; f++) {
		struct il_sink *sink;
		char name[64];
		snprintf(name, sizeof name, "%%d.%s", *f);
		struct il_sink_params params = params_for(test_scratch(name));
		params.format = *f;
		assert_ok(il_sink_open(&sink, &params, &err));
		assert_true(strlen(il_sink_describe(sink)) > 2);
		il_sink_destroy(&sink);
		assert_gone(params.path);
	}
}

static void aborted_outputs_vanish(void **state)
{
	static const char *const names[] = { "ab.mp4", "ab.mov",   "ab.mkv", "ab.webm",
		                             "ab.y4m", "ab.mjpeg", "ab.yuv", "ab.md5" };
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct il_sink *sink;
		struct il_sink_params params = params_for(test_scratch(names[i]));
		assert_ok(il_sink_open(&sink, &params, &err));
		for (int k = 0; k < 40; k++)
			assert_ok(write_one(sink, &small, k));
		assert_false(il_path_exists(params.path));
		il_sink_destroy(&sink);
		assert_gone(params.path);
	}
	char pattern[1100];
	struct il_sink *sink;
	const char *folder = test_scratch("abandoned");
	snprintf(pattern, sizeof pattern, "%s/%%d.jpg", folder);
	struct il_sink_params params = params_for(pattern);
	assert_ok(il_sink_open(&sink, &params, &err));
	for (int k = 0; k < 12; k++)
		assert_ok(write_one(sink, &small, k));
	il_sink_destroy(&sink);
	assert_false(il_path_exists(folder));
	il_sink_destroy(&sink);
}

static void existing_files_stay_unless_told(void **state)
{
	static const char *const names[] = { "old.mp4", "old.y4m", "old.md5", "old_%d.png" };
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct il_sink *sink;
		struct il_bytes bytes;
		struct il_sink_params params = params_for(test_scratch(names[i]));
		char first[1100];
		const char *number = strstr(params.path, "%d");
		snprintf(first, sizeof first, "%.*s%s", number ? (int)(number - params.path) : 1000, params.path,
		         number ? "1.png" : "");
		assert_ok(il_file_write(first, "old", 3, true, &err));
		assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_EXISTS, first);
		params.overwrite = true;
		assert_ok(il_sink_open(&sink, &params, &err));
		if (!number) {
			assert_ok(write_one(sink, &small, 0));
			il_sink_destroy(&sink);
			assert_ok(il_file_read(first, 100, &bytes, &err)); /* abandoned: the old one is still whole */
			assert_string_equal((const char *)bytes.data, "old");
			il_bytes_destroy(&bytes);
		} else {
			il_sink_destroy(&sink);
		}
		write_all(&params, 1);
		assert_ok(il_file_read(first, 1 << 20, &bytes, &err));
		assert_true(bytes.size > 10);
		il_bytes_destroy(&bytes);
		unlink(first);
	}
}

/* Faults */

static void impossible_requests_are_named(void **state)
{
	static const struct {
		const char *path, *format;
		enum inlay_err code;
		const char *text;
	} cases[] = {
		{ "/tmp/x.avi", NULL, INLAY_ERR_UNSUPPORTED, "\"avi\" is none of: mp4" },
		{ "/tmp/x.mp4", "flv", INLAY_ERR_UNSUPPORTED, "\"flv\" is none of: mp4" },
		{ "/tmp/x", NULL, INLAY_ERR_INVALID, "/tmp/x: a name without an extension" },
		{ "", "mp4", INLAY_ERR_INVALID, "empty" },
		{ NULL, NULL, INLAY_ERR_INVALID, "needs its format" },
		{ NULL, "mp4", INLAY_ERR_INVALID, "needs a file name" },
		{ NULL, "y4m", INLAY_ERR_INVALID, "needs a file name" },
		{ NULL, "jpg", INLAY_ERR_INVALID, "need a name" },
		{ "-", NULL, INLAY_ERR_INVALID, "needs its format" },
		{ "-", "mp4", INLAY_ERR_INVALID, "needs a file name" },
		{ "/tmp", "mp4", INLAY_ERR_INVALID, "/tmp is a folder" },
		{ "/tmp/", "y4m", INLAY_ERR_INVALID, "is a folder" },
		{ "/dev/null", "mp4", INLAY_ERR_INVALID, "device" },
		{ "/nonexistent/x.mp4", NULL, INLAY_ERR_NOT_FOUND,
		  "folder /nonexistent does not exist; make it first" },
		{ "/nonexistent/x.y4m", NULL, INLAY_ERR_NOT_FOUND,
		  "folder /nonexistent does not exist; make it first" },
		{ "/nonexistent/x/%d.jpg", NULL, INLAY_ERR_NOT_FOUND, "folder /nonexistent does not exist" },
		{ "/proc/x.mp4", NULL, INLAY_ERR_NOT_FOUND, "/proc/x.mp4" },
		{ "/proc/x.y4m", NULL, INLAY_ERR_NOT_FOUND, "/proc/x.y4m" },
		{ "/proc/x%d.jpg", NULL, INLAY_ERR_NOT_FOUND, "/proc/x%d.jpg" },
		{ "/dev/stdout", "mp4", INLAY_ERR_INVALID, "needs a file name" },
		{ "/tmp/x.jpg", NULL, INLAY_ERR_INVALID, "/tmp/x.jpg: no number" },
		{ "/tmp/%s.jpg", NULL, INLAY_ERR_INVALID, "\"%s\" cannot stand" },
		{ "/tmp/%n.jpg", NULL, INLAY_ERR_INVALID, "\"%n\" cannot stand" },
		{ "/tmp/%.jpg", NULL, INLAY_ERR_INVALID, "cannot stand" },
		{ "/tmp/%", "jpg", INLAY_ERR_INVALID, "cannot stand" },
		{ "/tmp/%ld.jpg", NULL, INLAY_ERR_INVALID, "\"%l\" cannot stand" },
		{ "/tmp/%-3d.jpg", NULL, INLAY_ERR_INVALID, "\"%-\" cannot stand" },
		{ "/tmp/%99999d.jpg", NULL, INLAY_ERR_INVALID, "\"%9\" cannot stand" },
		{ "/tmp/%*d.jpg", NULL, INLAY_ERR_INVALID, "\"%*\" cannot stand" },
		{ "/tmp/%d_%d.jpg", NULL, INLAY_ERR_INVALID, "more than one number" },
		{ "/tmp/%%d.jpg", NULL, INLAY_ERR_INVALID, "no number" },
		{ "/tmp/%d/x.jpg", NULL, INLAY_ERR_INVALID, "no number in the file name" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct il_sink *sink;
		struct il_sink_params params = params_for(cases[i].path);
		params.format = cases[i].format;
		assert_fails(il_sink_open(&sink, &params, &err), cases[i].code, cases[i].text);
		assert_null(sink);
	}
}

static void impossible_codecs_are_named(void **state)
{
	static const struct {
		const char *format, *codec, *preset;
		int crf;
		enum inlay_err code;
		const char *text;
	} cases[] = {
		{ "mp4", "nosuch", NULL, -1, INLAY_ERR_UNSUPPORTED, "\"nosuch\" is no video encoder" },
		{ "mp4", "aac", NULL, -1, INLAY_ERR_UNSUPPORTED, "\"aac\" is no video encoder" },
		{ "mov", "prores_ks", NULL, -1, INLAY_ERR_UNSUPPORTED, "yuv420p" },
		{ "webm", "libx264", NULL, -1, INLAY_ERR_UNSUPPORTED, "webm cannot hold h264" },
		{ "mp4", "ffv1", NULL, -1, INLAY_ERR_UNSUPPORTED, "mp4 cannot hold ffv1" },
		{ "mp4", "libx264", "hasty", -1, INLAY_ERR_INVALID, "preset \"hasty\"" },
		{ "mp4", NULL, NULL, 52, INLAY_ERR_INVALID, "crf 52: codec libx264 takes 0 (best) to 51" },
		{ "webm", NULL, NULL, 64, INLAY_ERR_INVALID, "crf 64: codec libvpx-vp9 takes 0 (best) to 63" },
	};
	(void)state;
	const char *path = test_scratch("codec");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct il_sink *sink;
		struct il_sink_params params = params_for(path);
		params.format = cases[i].format;
		params.codec = cases[i].codec;
		params.preset = cases[i].preset;
		params.crf = cases[i].crf;
		assert_fails(il_sink_open(&sink, &params, &err), cases[i].code, cases[i].text);
		assert_gone(path);
	}
}

static void bad_parameters_are_named(void **state)
{
	(void)state;
	struct il_sink *sink;
	const char *path = test_scratch("bad.mp4");
	struct il_sink_params params = params_for(path);
	params.fps.num = 0;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_INVALID, "frame rate 0/1");
	params = params_for(path);
	params.frame.format = INLAY_PIX_BGR24;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_UNSUPPORTED,
	             "mp4 holds no single picture; these do: png");
	params = params_for(path);
	params.quality = 101;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_INVALID, "quality 101");
	params = params_for(path);
	params.frame.width = 1;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_INVALID, "1x48 is too small");
	assert_gone(path);

	params = params_for(path);
	assert_ok(il_sink_open(&sink, &params, &err));
	assert_fails(il_sink_finish(sink, &err), INLAY_ERR_INVALID, "no frame was written");
	il_sink_destroy(&sink);
	assert_gone(path);
}

static void a_foreign_frame_is_refused(void **state)
{
	(void)state;
	struct il_sink *sink;
	struct il_sink_params params = params_for(NULL);
	struct inlay_frame_info other = small;
	params.format = "null";
	other.width = 66;
	assert_ok(il_sink_open(&sink, &params, &err));
	assert_ok(write_one(sink, &small, 0));
	assert_int_equal(write_one(sink, &other, 1), INLAY_ERR_INVALID);
	assert_string_equal(err.text, "frame 1 is i420 66x48, this output takes i420 64x48");
	assert_ok(il_sink_finish(sink, &err));
	assert_int_equal(write_one(sink, &small, 2), INLAY_ERR_INVALID);
	assert_fails(il_sink_finish(sink, &err), INLAY_ERR_INVALID, "finished");
	il_sink_destroy(&sink);
}

static void encoders_give_frames_back(void **state)
{
	(void)state;
	struct il_frame_pool *pool;
	struct il_sink *sink;
	struct il_sink_params params = params_for(test_scratch("pool.mkv"));
	params.codec = "ffv1"; /* works on several frames at once and so holds them */
	assert_ok(il_frame_pool_create(&pool, &small, &err));
	assert_ok(il_sink_open(&sink, &params, &err));
	for (int k = 0; k < 200; k++) {
		struct inlay_frame *frame;
		assert_ok(il_frame_pool_take(pool, &frame, &err));
		assert_ok(il_sink_write(sink, frame, &err));
		inlay_frame_destroy(&frame);
	}
	assert_in_range(il_frame_pool_made(pool), 1, 8);
	il_frame_pool_destroy(&pool);
	il_sink_destroy(&sink);
	assert_gone(params.path);
}

/* Writes until something fails; the outcome must be an input/output error that says why, and nothing left. */
static void expect_full(const struct il_sink_params *params, int reason)
{
	struct il_sink *sink;
	err = (struct inlay_error){ 0 };
	enum inlay_err rc = il_sink_open(&sink, params, &err);
	bool opened = !rc;
	for (int k = 0; !rc && k < 40; k++)
		rc = write_one(sink, &params->frame, k);
	if (!rc)
		rc = il_sink_finish(sink, &err);
	assert_int_equal(rc, INLAY_ERR_IO);
	if (!strstr(err.text, strerror(reason)))
		fail_msg("\"%s\" lacks \"%s\"", err.text, strerror(reason));
	if (!opened)
		return;
	struct inlay_error first = err;
	assert_int_equal(write_one(sink, &params->frame, 0), INLAY_ERR_IO); /* no going on */
	err = first;
	assert_int_equal(il_sink_finish(sink, &err), INLAY_ERR_IO);
	assert_string_equal(err.text, first.text);
	il_sink_destroy(&sink);
}

static void a_full_disk_leaves_nothing(void **state)
{
	static const char *const names[] = { "full.mp4", "full.mov",   "full.mkv", "full.webm",
		                             "full.y4m", "full.mjpeg", "full.yuv", "full%d.jpg" };
	(void)state;
	struct rlimit old, tight;
	getrlimit(RLIMIT_FSIZE, &old);
	tight = old;
	signal(SIGXFSZ, SIG_IGN);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct il_sink_params params = params_for(test_scratch(names[i]));
		tight.rlim_cur = 500;
		setrlimit(RLIMIT_FSIZE, &tight);
		expect_full(&params, EFBIG);
		setrlimit(RLIMIT_FSIZE, &old);
		assert_gone(params.path);
	}
	assert_gone(test_scratch("full1.jpg"));
	struct il_sink_params params = params_for("/dev/full");
	params.format = "rawvideo";
	expect_full(&params, ENOSPC);
	params.format = "md5";
	expect_full(&params, ENOSPC);
	assert_true(il_path_exists("/dev/full"));
}

static void a_closed_pipe_is_an_error(void **state)
{
	(void)state;
	const char *path = test_scratch("pipe");
	struct il_sink_params params = params_for(path);
	struct il_sink *sink;
	char head[10];
	signal(SIGPIPE, SIG_IGN); /* as the program does */
	assert_int_equal(mkfifo(path, 0600), 0);
	int reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	params.format = "y4m";
	assert_ok(il_sink_open(&sink, &params, &err));
	assert_ok(write_one(sink, &small, 0));
	assert_int_equal(read(reader, head, 10), 10);
	assert_memory_equal(head, "YUV4MPEG2 ", 10);
	close(reader);
	assert_int_equal(write_one(sink, &small, 1), INLAY_ERR_IO);
	assert_non_null(strstr(err.text, "Broken pipe"));
	il_sink_destroy(&sink);
	assert_true(il_path_exists(path)); /* it was there before */
	unlink(path);
}

struct stop {
	int asked, limit;
};

static bool stop_after(void *ctx)
{
	struct stop *stop = ctx;
	return ++stop->asked >= stop->limit;
}

static void a_stalled_reader_does_not_hold_a_run(void **state)
{
	const char *path = test_scratch("stalled");
	struct stop stop = { .limit = 2 };
	struct il_sink_params params = params_for(path);
	struct il_sink *sink;
	enum inlay_err rc = INLAY_OK;
	(void)state;
	params.format = "rawvideo";
	params.cancelled = stop_after;
	params.cancel_ctx = &stop;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_CANCELLED, path); /* nobody opens it */
	assert_int_equal(stop.asked, 2);
	int reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	stop = (struct stop){ .limit = 2 };
	assert_ok(il_sink_open(&sink, &params, &err));
	for (int k = 0; !rc && k < 1000; k++)
		rc = write_one(sink, &small, k);
	assert_int_equal(rc, INLAY_ERR_CANCELLED);
	assert_int_equal(stop.asked, 2);
	il_sink_destroy(&sink);
	close(reader);
	unlink(path);
}

#define FRAMES 100

static void *read_slowly(void *ctx)
{
	static uint8_t sums[1 << 16];
	int fd = *(int *)ctx;
	uintptr_t sum = 0;
	for (ssize_t n; (n = read(fd, sums, sizeof sums)) > 0; usleep(300))
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + sums[i];
	return (void *)sum;
}

/* Standard output becomes a pipe or a socket for as long as this takes, so nothing is asserted meanwhile. */
static void standard_output_stays_as_it_is(void **state)
{
	static const char *const names[] = { "-", "/dev/stdout" };
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct stop stop = { .limit = 2 };
		struct il_sink_params params = params_for(names[i / 2 % 2]);
		struct il_sink *sink = NULL;
		bool read_on = i % 2;
		int ends[2], kept = dup(STDOUT_FILENO), flags;
		uintptr_t expected = 0;
		pthread_t thread;
		void *found = NULL;
		fflush(stdout);
		assert_int_equal(i < 4 ? pipe(ends) : socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		params.format = "rawvideo";
		params.cancelled = stop_after;
		params.cancel_ctx = &stop;
		dup2(ends[1], STDOUT_FILENO);
		close(ends[1]);
		if (read_on)
			pthread_create(&thread, NULL, read_slowly, &ends[0]);
		err = (struct inlay_error){ 0 };
		enum inlay_err rc = il_sink_open(&sink, &params, &err);
		for (int k = 0; !rc && k < FRAMES; k++)
			rc = write_one(sink, &small, k);
		flags = fcntl(STDOUT_FILENO, F_GETFL);
		if (!rc)
			rc = il_sink_finish(sink, &err);
		il_sink_destroy(&sink);
		dup2(kept, STDOUT_FILENO);
		close(kept);
		if (read_on)
			pthread_join(thread, &found);
		close(ends[0]);
		assert_int_equal(rc, read_on ? INLAY_OK : INLAY_ERR_CANCELLED);
		assert_false(flags & O_NONBLOCK);
		for (int k = 0; read_on && k < FRAMES; k++) {
			size_t size;
			struct inlay_frame *frame = make_frame(&small, k);
			uint8_t *bytes = packed(frame, &size);
			for (size_t j = 0; j < size; j++)
				expected = expected * 31 + bytes[j];
			free(bytes);
			inlay_frame_destroy(&frame);
		}
		assert_true((uintptr_t)found == expected);
	}
}

static void devices_are_written_as_they_are(void **state)
{
	static const char *const formats[] = { "y4m", "mjpeg", "rawvideo", "md5" };
	struct stat st;
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct il_sink_params params = params_for("/dev/null");
		params.format = formats[i / 2];
		params.overwrite = i % 2;
		write_all(&params, 3);
		assert_true(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers_give_the_pictures_back),
		cmocka_unit_test(colour_tags_pass),
		cmocka_unit_test(lossless_codecs_are),
		cmocka_unit_test(same_frames_same_bytes),
		cmocka_unit_test(metadata_and_front_index),
		cmocka_unit_test(raw_streams_hold_the_bytes),
		cmocka_unit_test(y4m_is_read_by_libav),
		cmocka_unit_test(digests_are_md5),
		cmocka_unit_test(pictures_are_numbered_from_one),
		cmocka_unit_test(mjpeg_is_a_row_of_jpegs),
		cmocka_unit_test(null_takes_anything),
		cmocka_unit_test(every_format_is_served),
		cmocka_unit_test(aborted_outputs_vanish),
		cmocka_unit_test(existing_files_stay_unless_told),
		cmocka_unit_test(impossible_requests_are_named),
		cmocka_unit_test(impossible_codecs_are_named),
		cmocka_unit_test(bad_parameters_are_named),
		cmocka_unit_test(a_foreign_frame_is_refused),
		cmocka_unit_test(encoders_give_frames_back),
		cmocka_unit_test(a_full_disk_leaves_nothing),
		cmocka_unit_test(a_closed_pipe_is_an_error),
		cmocka_unit_test(a_stalled_reader_does_not_hold_a_run),
		cmocka_unit_test(standard_output_stays_as_it_is),
		cmocka_unit_test(devices_are_written_as_they_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

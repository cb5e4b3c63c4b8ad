/* Frame times, and what goes along with the pictures. ffmpeg makes the sources and ffprobe judges the outputs. */
#define _GNU_SOURCE
#include "media/sink.h"

#include <string.h>

#include "inlay/log.h"
#include "media/click_test.h"
#include "media/ffmpeg_test.h"
#include "media/sink_test.h"

static const char *const containers[] = { "mp4", "mov", "mkv", "webm" };

/* Times */

static struct inlay_frame *frame_at(const struct inlay_frame_info *info, int64_t k, int64_t pts)
{
	struct inlay_frame *frame = make_frame(info, k);
	il_frame_set_pts(frame, pts);
	return frame;
}

static void write_times(const struct il_sink_params *params, const int64_t *pts, int n)
{
	struct il_sink *sink;
	assert_ok(il_sink_open(&sink, params, &err));
	for (int k = 0; k < n; k++) {
		struct inlay_frame *frame = frame_at(&params->frame, k, pts[k]);
		assert_ok(il_sink_write(sink, frame, &err));
		inlay_frame_destroy(&frame);
	}
	assert_ok(il_sink_finish(sink, &err));
	il_sink_destroy(&sink);
}

/* The times of the packets of one kind of stream, in order; how many. */
static int read_times(const char *path, const char *stream, double *times, int most)
{
	const char *text = ffprobe("-select_streams %s -show_entries frame=pts_time %s", stream, path);
	int n = 0;
	for (char *end; n < most; text = end + strcspn(end, "\n")) {
		times[n] = strtod(text, &end);
		if (end == text)
			break;
		n++;
	}
	return n;
}

static void times_are_kept(void **state)
{
	enum { N = 60 };
	int64_t pts[N] = { 12345 };
	double times[N + 1];
	(void)state;
	for (int k = 1; k < N; k++) /* of 1 / 90000 s; now and then a long one */
		pts[k] = pts[k - 1] + 1000 + test_random() % 5000 + (k % 17 ? 0 : 150000);
	double end = (double)(pts[N - 1] - pts[0]) / 90000 + 1 / 25.0;
	for (size_t i = 0; i < sizeof containers / sizeof *containers; i++) {
		struct il_sink_params params = params_for(test_scratch("times"));
		params.format = containers[i];
		params.timebase = (struct inlay_rational){ 1, 90000 };
		write_times(&params, pts, N);
		assert_int_equal(read_times(params.path, "v", times, N + 1), N);
		double tolerance = i < 2 ? 1e-6 : 0.00051;
		for (int k = 0; k < N; k++) {
			double wanted = (double)(pts[k] - pts[0]) / 90000;
			if (fabs(times[k] - wanted) > tolerance)
				fail_msg("%s: frame %d is at %.6f s, expected %.6f", containers[i], k, times[k],
				         wanted);
		}
		double length = atof(ffprobe("-show_entries format=duration %s", params.path));
		if (fabs(length - end) > 0.002)
			fail_msg("%s lasts %.4f s, expected %.4f", containers[i], length, end);
		unlink(params.path);
	}
}

static void times_must_rise(void **state)
{
	struct il_sink *sink;
	struct il_sink_params params = params_for(test_scratch("fall.mp4"));
	(void)state;
	params.timebase = (struct inlay_rational){ 1, 1000 };
	assert_ok(il_sink_open(&sink, &params, &err));
	struct inlay_frame *frame = frame_at(&small, 0, 40);
	assert_ok(il_sink_write(sink, frame, &err));
	assert_fails(il_sink_write(sink, frame, &err), INLAY_ERR_INVALID,
	             "frame 1 is shown at 40, not after the one before it (40)");
	inlay_frame_destroy(&frame);
	il_sink_destroy(&sink);
	assert_gone(params.path);
	params.timebase.den = 0;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_INVALID, "timebase 1/0");
}

static void others_take_frames_as_they_come(void **state)
{
	static const int64_t pts[] = { 5, 700, 90000 };
	struct il_sink_params params = params_for(test_scratch("times.y4m"));
	(void)state;
	params.timebase = (struct inlay_rational){ 1, 90000 };
	params.frame.colour = (struct inlay_colour){ INLAY_MATRIX_UNSPECIFIED, INLAY_RANGE_LIMITED, 2, 2 };
	write_times(&params, pts, 3);
	check_video(params.path, &params, 3, 100); /* at 25 frames a second */
	unlink(params.path);
}

/* Streams */

#define FRAMES 75 /* 3 s */

static const char subtitles_text[] = "1\n00:00:00,500 --> 00:00:01,000\nfirst line\n\n"
				     "2\n00:00:01,500 --> 00:00:02,250\nsecond <i>line</i>\n\n";

static const char *make_subtitles(void)
{
	const char *path = test_scratch("lines.srt");
	assert_ok(il_file_write(path, subtitles_text, strlen(subtitles_text), true, &err));
	return path;
}

static double number(const char *text)
{
	return strtod(text, NULL);
}

static double start_of(const char *path, const char *stream)
{
	return number(ffprobe("-select_streams %s -show_entries stream=start_time %s", stream, path));
}

static struct il_sink_params params_with(const char *path, const char *format, const char *source)
{
	struct il_sink_params params = params_for(path);
	params.format = format;
	params.streams_path = source;
	params.timebase = (struct inlay_rational){ 1, 1000 };
	params.overwrite = true;
	return params;
}

/* As a job does it: the frames come with the source's own times. */
static void write_along(const struct il_sink_params *params)
{
	int64_t pts[FRAMES];
	int64_t first = llrint(1000 * start_of(params->streams_path, "v:0"));
	for (int k = 0; k < FRAMES; k++)
		pts[k] = first + 40 * k;
	write_times(params, pts, FRAMES);
}

#define PICTURES "-f lavfi -i testsrc=s=64x48:r=25:d=3 "
#define TONE "-f lavfi -i sine=f=440:d=3 "

/* Two languages, subtitles, chapters, tags, a font. */
static void make_rich(const char *path)
{
	static const char chapters[] = ";FFMETADATA1\ntitle=A film\nartist=Somebody\n"
				       "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n"
				       "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=3000\ntitle=Two\n";
	const char *lines = make_subtitles(), *meta = test_scratch("meta.txt");
	assert_ok(il_file_write(meta, chapters, strlen(chapters), true, &err));
	ffmpeg(PICTURES TONE "-i %s -i %s -map 0 -map 1 -map 1 -map 2 -map_metadata 3 -c:v libx264 -g 10 "
	                     "-c:a:0 aac -c:a:1 libopus -c:s srt "
	                     "-metadata:s:a:0 language=eng -metadata:s:a:1 language=ita -metadata:s:s:0 language=fra "
	                     "-metadata:s:a:1 title=Kommentar -disposition:a:0 0 -disposition:a:1 default "
	                     "-attach %s -metadata:s:t mimetype=font/ttf -metadata:s:t filename=x.ttf %s",
	       lines, meta, lines, path);
	unlink(lines);
	unlink(meta);
}

static void assert_holds(const char *path, const char *text, const char *part)
{
	if (!text || !strstr(text, part))
		fail_msg("%s: \"%s\" lacks \"%s\"", path, text ? text : "", part);
}

static void everything_goes_along(void **state)
{
	static const char *const codecs[][3] = {
		{ "aac", "aac", "mov_text" }, /* mp4 */
		{ "aac", "aac", "mov_text" }, /* mov */
		{ "aac", "opus", "subrip" },  /* mkv */
		{ "opus", "opus", "webvtt" }, /* webm */
	};
	const char *source = test_scratch("rich.mkv");
	(void)state;
	make_rich(source);
	for (size_t i = 0; i < sizeof containers / sizeof *containers; i++) {
		char wanted[128];
		struct il_sink_params params = params_with(test_scratch("along"), containers[i], source);
		const char *path = params.path;
		write_along(&params);
		const char *text = ffprobe("-show_entries stream=codec_name:stream_tags=language,title %s", path);
		snprintf(wanted, sizeof wanted, "\n%s,eng\n", codecs[i][0]);
		assert_holds(path, text, wanted);
		snprintf(wanted, sizeof wanted, "\n%s,fra\n", codecs[i][2]);
		assert_holds(path, text, wanted);
		snprintf(wanted, sizeof wanted, "\n%s,ita", codecs[i][1]);
		assert_holds(path, text, wanted);
		if (i != 1) /* mov has no place for it that libav knows */
			assert_holds(path, ffprobe("-show_entries stream_tags %s", path), i ? "Kommentar" : "ita");
		assert_int_equal(strstr(text, "ttf") != NULL, i == 2);
		assert_string_equal(ffprobe("-select_streams a -show_entries stream_disposition=default %s", path),
		                    "0\n1\n");
		assert_string_equal(ffprobe("-show_entries format_tags=title %s", path), "A film\n");
		text = ffprobe("-show_chapters -show_entries chapter=start_time,end_time:chapter_tags=title %s", path);
		assert_holds(path, text, "0.000000,1.000000,One\n1.000000,3.000000,Two");
		assert_true(fabs(number(ffprobe("-show_entries format=duration %s", path)) - 3) < 0.06);
		check_video(path, &params, FRAMES, 33);
		unlink(path);
	}
	unlink(source);
}

static void subtitles_keep_words_and_times(void **state)
{
	static const char *const sources[] = { "srt", "ass", "mov_text" };
	char *lines = strdup(make_subtitles()), *back = strdup(test_scratch("back.srt")); /* beyond its ring */
	(void)state;
	for (size_t i = 0; i < 3 * sizeof containers / sizeof *containers; i += 1 + (i >= 4)) {
		const char *source = test_scratch(i / 4 == 2 ? "titled.mp4" : "titled.mkv");
		struct il_sink_params params = params_with(test_scratch("read"), containers[i % 4], source);
		struct il_bytes bytes;
		ffmpeg(PICTURES "-i %s -map 0 -map 1 -c:v mpeg4 -c:s %s %s", lines, sources[i / 4], source);
		write_along(&params);
		ffmpeg("-i %s -map 0:s -c:s srt %s", params.path, back);
		assert_ok(il_file_read(back, 10000, &bytes, &err));
		const char *text = (const char *)bytes.data;
		assert_holds(params.path, text, "00:00:00,500 --> 00:00:01,000\nfirst line\n");
		assert_holds(params.path, text, "00:00:01,500 --> 00:00:02,250\nsecond ");
		il_bytes_destroy(&bytes);
		unlink(params.path);
		unlink(source);
	}
	unlink(back);
	unlink(lines);
	free(back);
	free(lines);
}

/* Sound that starts before or after the pictures goes on doing so, and all of it is there. */
static void offsets_are_kept(void **state)
{
	static const struct {
		const char *video, *sound;
		double click;
	} cases[] = { { "-itsoffset 0.5", "", 0.5 }, { "", "-itsoffset 0.7", 1.7 }, { "", "", 1 } };
	(void)state;
	for (int i = 0; i < 3 * 4; i++) {
		bool mov = (i + i / 4) & 1; /* each container gets both in turn */
		const char *click = test_scratch("click.wav"), *source = test_scratch(mov ? "late.mov" : "late.mkv");
		struct il_sink_params params = params_with(test_scratch("offset"), containers[i % 4], source);
		write_click(click, 44100, 1, 3);
		ffmpeg("%s " PICTURES "%s -i %s -vsync passthrough -c:v mpeg4 -c:a %s %s", cases[i / 4].video,
		       cases[i / 4].sound, click, mov ? "pcm_s16le" : "aac", source);
		double wanted = click_time(source), found;
		assert_true(fabs(wanted - cases[i / 4].click) < 0.03);
		if (i & 2) /* frames without times start where the file's do */
			params.timebase = (struct inlay_rational){ 0, 0 };
		write_along(&params);
		found = click_time(params.path);
		if (fabs(found - wanted) > 0.004)
			fail_msg("%s from %s: the click is at %.4f s, expected %.4f", params.format, source, found,
			         wanted);
		double length = number(ffprobe("-show_entries format=duration %s", params.path));
		double whole = 3 + fabs(cases[i / 4].click - 1);
		if (fabs(length - whole) > 0.1)
			fail_msg("%s lasts %.3f s, expected %.3f", params.format, length, whole);
		unlink(params.path);
		unlink(source);
		unlink(click);
	}
}

/* In the file, sound is near the pictures that it belongs to. */
static void streams_are_interleaved(void **state)
{
	const char *source = test_scratch("rich.mkv");
	(void)state;
	make_rich(source);
	for (size_t i = 0; i < sizeof containers / sizeof *containers; i++) {
		struct il_sink_params params = params_with(test_scratch("mixed"), containers[i], source);
		write_along(&params);
		const char *text =
			ffprobe("-show_entries packet=codec_type,dts_time,pos %s | sort -t, -k3n", params.path);
		double video = 0, most = 0;
		int packets = 0;
		for (; *text; text += strcspn(text, "\n") + 1) {
			double time = strtod(strchr(text, ',') + 1, NULL);
			if (!strncmp(text, "video", 5))
				video = time;
			else if (!strncmp(text, "audio", 5))
				most = fmax(most, fabs(time - video));
			packets++;
		}
		assert_true(packets > 2 * FRAMES);
		if (most > 0.5)
			fail_msg("%s: sound is up to %.2f s from its pictures", containers[i], most);
		unlink(params.path);
	}
	unlink(source);
}

static void rotation_stays_behind(void **state)
{
	const char *source = test_scratch("turned.mp4"), *flat = test_scratch("flat.mp4");
	struct il_sink_params params = params_with(test_scratch("upright.mp4"), NULL, source);
	(void)state;
	ffmpeg(PICTURES "-c:v libx264 %s", flat);
	ffmpeg("-i %s -c copy -metadata:s:v rotate=90 -metadata:s:v language=ita %s", flat, source);
	unlink(flat);
	assert_holds(source, ffprobe("-show_entries stream_side_data=rotation %s", source), "90");
	write_along(&params);
	assert_null(
		strstr(ffprobe("-show_entries stream_side_data=rotation:stream_tags=rotate %s", params.path), "90"));
	assert_string_equal(ffprobe("-show_entries stream_tags=language %s", params.path), "ita\n");
	unlink(params.path);
	unlink(source);
}

static void given_tags_win(void **state)
{
	static const char *const metadata[] = { "title", "mine", "comment", "made up", NULL };
	const char *source = test_scratch("tagged.mp4");
	struct il_sink_params params = params_with(test_scratch("tags.mp4"), NULL, source);
	(void)state;
	ffmpeg(PICTURES "-c:v mpeg4 -metadata title=theirs -metadata artist=Somebody %s", source);
	params.metadata = metadata;
	write_along(&params);
	assert_string_equal(ffprobe("-show_entries format_tags=title,artist,comment %s", params.path),
	                    "mine,Somebody,made up\n");
	unlink(params.path);
	unlink(source);
}

/* Faults */

static int warnings;
static char last_warning[1024];

static void count_warnings(void *ctx, enum inlay_log_level level, const char *line)
{
	(void)ctx;
	if (level != INLAY_LOG_WARN)
		return;
	warnings++;
	snprintf(last_warning, sizeof last_warning, "%s", line);
}

static void a_file_that_breaks_off(void **state)
{
	static const char *const names[] = { "cut.mkv", "cut.mp4" };
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct il_bytes bytes;
		const char *source = test_scratch(names[i]);
		struct il_sink_params params = params_with(test_scratch("rest"), "mkv", source);
		ffmpeg(PICTURES TONE "-c:v libx264 -c:a aac -movflags +faststart %s", source);
		assert_ok(il_file_read(source, 1 << 24, &bytes, &err));
		assert_ok(il_file_write(source, bytes.data, bytes.size * 6 / 10, true, &err));
		il_bytes_destroy(&bytes);
		warnings = 0;
		write_along(&params);
		assert_in_range(warnings, 0, 1);
		check_video(params.path, &params, FRAMES, 33);
		const char *text = ffprobe(
			"-select_streams a -show_entries packet=pts_time %s | grep '[0-9]' | tail -1", params.path);
		if (!(number(text) > 0.5 && number(text) < 2.9))
			fail_msg("%s: sound up to %s", source, text);
		unlink(params.path);
		unlink(source);
	}
}

/* Changes bytes of a file in place. */
static void patch(const char *path, const char *from, const char *to, size_t size)
{
	struct il_bytes bytes;
	assert_ok(il_file_read(path, 1 << 24, &bytes, &err));
	uint8_t *found = memmem(bytes.data, bytes.size, from, size);
	assert_non_null(found);
	memcpy(found, to, size);
	assert_ok(il_file_write(path, bytes.data, bytes.size, true, &err));
	il_bytes_destroy(&bytes);
}

static void what_does_not_fit_is_named(void **state)
{
	const char *lines = make_subtitles(), *source = test_scratch("bitmap.mkv");
	struct il_sink_params params = params_with(test_scratch("fits"), "webm", source);
	(void)state;
	ffmpeg(PICTURES "-i %s -map 0 -map 1 -c:v mpeg4 -c:s srt %s", lines, source);
	patch(source, "S_TEXT/UTF8", "S_VOBSUB\0\0", 11); /* drawn by another's word, and so no text */
	warnings = 0;
	write_along(&params);
	assert_int_equal(warnings, 1);
	assert_holds(source, last_warning, "bitmap.mkv: stream 1 (subtitle, dvd_subtitle) is left out: webm holds no");
	check_video(params.path, &params, FRAMES, 33);
	assert_string_equal(ffprobe("-show_entries stream=codec_type %s", params.path), "video\n");
	unlink(params.path);
	unlink(lines);
	unlink(source);
}

static void broken_subtitles_are_skipped(void **state)
{
	const char *lines = make_subtitles(), *source = test_scratch("broken.mkv");
	struct il_sink_params params = params_with(test_scratch("skips.mp4"), NULL, source);
	(void)state;
	ffmpeg(PICTURES "-i %s -map 0 -map 1 -c:v mpeg4 -c:s srt %s", lines, source);
	patch(source, "first line", "first \377\377ne", 10); /* not UTF-8 */
	warnings = 0;
	write_along(&params);
	assert_int_equal(warnings, 1);
	assert_string_equal(last_warning, "subtitles of stream 1: a broken packet was left out");
	const char *text = ffprobe("-select_streams s -show_entries packet=pts_time,size %s", params.path);
	assert_holds(params.path, text, "1.500000");
	assert_null(strstr(text, "0.500000"));
	unlink(params.path);
	unlink(lines);
	unlink(source);
}

static void nothing_goes_along(void **state)
{
	const char *source = test_scratch("bare.mp4");
	struct il_sink_params params = params_with(test_scratch("alone.mp4"), NULL, source);
	(void)state;
	ffmpeg(PICTURES "-c:v mpeg4 %s", source);
	write_along(&params);
	check_video(params.path, &params, FRAMES, 33);
	assert_string_equal(ffprobe("-show_entries stream=codec_type %s", params.path), "video\n");
	unlink(params.path);

	struct il_sink *sink;
	params.audio_path = source;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_INVALID, "one of the two");
	params.audio_path = NULL;
	params.streams_path = "/nonexistent.mp4";
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_NOT_FOUND, "/nonexistent.mp4");
	assert_gone(params.path);
	unlink(source);
}

/* Sound may end before or after the pictures: all of both is kept. */
static void lengths_may_differ(void **state)
{
	static const int seconds[] = { 1, 7 };
	(void)state;
	for (int i = 0; i < 2 * 4; i += 3) {
		const char *source = test_scratch("length.mkv");
		struct il_sink_params params = params_with(test_scratch("length"), containers[i % 4], source);
		ffmpeg(PICTURES "-f lavfi -i sine=f=440:d=%d -c:v mpeg4 -c:a aac %s", seconds[i / 4], source);
		write_along(&params);
		double end = number(ffprobe(
			"-select_streams a -show_entries packet=pts_time %s | grep '[0-9]' | tail -1", params.path));
		if (fabs(end - seconds[i / 4]) > 0.06)
			fail_msg("%s: sound of %d s ends at %.3f s", params.format, seconds[i / 4], end);
		check_video(params.path, &params, FRAMES, 33);
		unlink(params.path);
		unlink(source);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_kept),
		cmocka_unit_test(times_must_rise),
		cmocka_unit_test(others_take_frames_as_they_come),
		cmocka_unit_test(everything_goes_along),
		cmocka_unit_test(subtitles_keep_words_and_times),
		cmocka_unit_test(offsets_are_kept),
		cmocka_unit_test(streams_are_interleaved),
		cmocka_unit_test(rotation_stays_behind),
		cmocka_unit_test(given_tags_win),
		cmocka_unit_test(a_file_that_breaks_off),
		cmocka_unit_test(what_does_not_fit_is_named),
		cmocka_unit_test(broken_subtitles_are_skipped),
		cmocka_unit_test(nothing_goes_along),
		cmocka_unit_test(lengths_may_differ),
	};
	inlay_log_set(count_warnings, NULL, INLAY_LOG_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

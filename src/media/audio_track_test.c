#include "media/audio_track.h"

#include "media/audio.h"
#include "media/click_test.h"
#include "media/ffmpeg_test.h"
#include "media/sink_test.h"

static float *read_sound(const char *path, int rate, size_t *count)
{
	struct il_audio *audio;
	float *samples = NULL;
	size_t n;
	enum inlay_err rc;
	assert_ok(il_audio_open(&audio, path, rate, &err));
	*count = 0;
	do {
		samples = realloc(samples, (*count + 65536) * sizeof *samples);
		assert_non_null(samples);
		rc = il_audio_read(audio, samples + *count, 65536, &n, &err);
		*count += n;
	} while (!rc);
	assert_int_equal(rc, INLAY_EOF);
	il_audio_destroy(&audio);
	return samples;
}

static double sound_length(const char *path)
{
	size_t count;
	free(read_sound(path, 16000, &count));
	return (double)count / 16000;
}

static void assert_sound_codec(const char *path, const char *codec)
{
	struct il_audio *audio;
	assert_ok(il_audio_open(&audio, path, 16000, &err));
	assert_string_equal(il_audio_info(audio)->codec, codec);
	il_audio_destroy(&audio);
}

static void sound_is_copied_or_transcoded(void **state)
{
	static const struct {
		const char *source, *format, *codec, *says;
	} cases[] = {
		{ "speech/jfk.wav", "mp4", "aac", "to aac" },
		{ "speech/jfk.wav", "mov", "pcm_s16le", "copied (pcm_s16le)" },
		{ "speech/jfk.wav", "mkv", "pcm_s16le", "copied (pcm_s16le)" },
		{ "speech/jfk.wav", "webm", "opus", "pcm_s16le to libopus" },
		{ "footage/talkinghead_512_with_audio.mp4", "mp4", "aac", "copied (aac)" },
		{ "footage/talkinghead_512_with_audio.mp4", "mov", "aac", "copied (aac)" },
		{ "footage/talkinghead_512_with_audio.mp4", "mkv", "aac", "copied (aac)" },
		{ "footage/talkinghead_512_with_audio.mp4", "webm", "opus", "aac to libopus" },
		{ "lipsync_sanders/sanders_aud_stereo_16k.wav", "mp4", "aac", "to aac" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *path = test_scratch("sound");
		struct il_sink_params params = params_for(path);
		struct il_sink *sink;
		params.format = cases[i].format;
		params.audio_path = test_data(cases[i].source);
		assert_ok(il_sink_open(&sink, &params, &err));
		if (!strstr(il_sink_describe(sink), cases[i].says))
			fail_msg("\"%s\" lacks \"%s\"", il_sink_describe(sink), cases[i].says);
		for (int k = 0; k < 50; k++)
			assert_ok(write_one(sink, &params.frame, k));
		assert_ok(il_sink_finish(sink, &err));
		il_sink_destroy(&sink);
		assert_sound_codec(path, cases[i].codec);
		assert_true(fabs(sound_length(path) - sound_length(params.audio_path)) < 0.07);
		check_video(path, &params, 50, 33);
		unlink(path);
	}
}

/* Where speech recognition, which reads samples and no timestamps, finds the click. */
static double click_in_samples(const char *path)
{
	size_t count, i = 0;
	float *samples = read_sound(path, 48000, &count);
	while (i < count && fabsf(samples[i]) <= 0.25f)
		i++;
	free(samples);
	return i < count ? (double)i / 48000 : HUGE_VAL;
}

static void sound_is_in_sync(void **state)
{
	static const char *const formats[] = { "mp4", "mov", "mkv", "webm" };
	/* Sources: bare samples, and files of ours with AAC and Opus, whose encoder delay a copy takes along. */
	static const char *const source_formats[] = { NULL, "mp4", "webm" };
	static const int rates[] = { 16000, 44100 };
	(void)state;
	for (int i = 0; i < 2 * 3 * 4; i++) {
		const char *click = test_scratch("click.wav"), *source = test_scratch("source"),
			   *path = test_scratch("sync");
		write_click(click, rates[i % 2], 1 + i % 2, 3);
		struct il_sink_params params = params_for(source);
		params.format = source_formats[i / 2 % 3];
		params.audio_path = click;
		if (params.format)
			write_all(&params, 5);
		else
			source = click;
		params = params_for(path);
		params.format = formats[i / 6];
		params.audio_path = source;
		write_all(&params, 40);
		double found = click_time(path);
		if (fabs(found - 1) > 0.004)
			fail_msg("%s from %s at %d Hz: the click of 1 s is at %.4f s", params.format,
			         source_formats[i / 2 % 3] ? source_formats[i / 2 % 3] : "wav", rates[i % 2], found);
		unlink(click);
		unlink(source);
		unlink(path);
	}
}

static void sound_ends_at_its_limit(void **state)
{
	static const char *const formats[] = { "mp4", "mov", "mkv", "webm" };
	(void)state;
	const char *click = test_scratch("click.wav"), *path = test_scratch("limit");
	write_click(click, 44100, 2, 3);
	for (size_t i = 0; i < 4; i++) {
		struct il_sink_params params = params_for(path);
		params.format = formats[i];
		params.audio_path = click;
		params.audio_limit_s = 1.5;
		params.overwrite = true;
		write_all(&params, 50);
		double length = sound_length(path);
		if (fabs(length - 1.5) > (i == 1 || i == 2 ? 0.0002 : 0.03))
			fail_msg("%s: sound lasts %.4f s, expected 1.5", formats[i], length);
	}
	unlink(click);
	unlink(path);
}

static void sound_may_be_shorter_than_the_pictures(void **state)
{
	(void)state;
	const char *click = test_scratch("click.wav"), *path = test_scratch("short.mp4");
	write_click(click, 22050, 1, 1.2);
	struct il_sink_params params = params_for(path);
	params.audio_path = click;
	write_all(&params, 400);
	check_video(path, &params, 400, 33);
	assert_true(fabs(sound_length(path) - 1.2) < 0.05);
	unlink(click);
	unlink(path);
}

static void sound_faults(void **state)
{
	(void)state;
	struct il_sink *sink;
	const char *path = test_scratch("fault.mp4"), *text = test_scratch("text.wav");
	struct il_sink_params params = params_for(path);
	params.audio_path = "/nonexistent.wav";
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_NOT_FOUND, "/nonexistent.wav");
	assert_gone(path);
	assert_ok(il_file_write(text, "no sound at all", 15, true, &err));
	params.audio_path = text;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_FORMAT, text);
	assert_gone(path);
	unlink(text);
	const char *silent = test_scratch("silent.mp4");
	params = params_for(silent);
	write_all(&params, 2);
	params = params_for(path);
	params.audio_path = silent;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_FORMAT, "no audio stream");
	assert_null(sink);
	assert_gone(path);
	unlink(silent);
}

static const char *const containers[] = { "mp4", "mov", "mkv", "webm" };

/* The click of `source` is `wanted` s after its start in samples, and as long after the first picture for who plays the
 * output. */
static void check_click(const char *source, double wanted, double tolerance)
{
	double heard = click_in_samples(source);
	if (!(fabs(heard - wanted) < tolerance))
		fail_msg("%s: the click of %.3f s is at %.4f s", source, wanted, heard);
	for (size_t i = 0; i < sizeof containers / sizeof *containers; i++) {
		struct il_sink_params params = params_for(test_scratch("clicked"));
		params.format = containers[i];
		params.audio_path = source;
		params.overwrite = true;
		write_all(&params, 10);
		double played = click_time(params.path);
		if (!(fabs(played - heard) < 0.004))
			fail_msg("%s in %s: the click of %.4f s is played at %.4f s", source, containers[i], heard,
			         played);
		unlink(params.path);
	}
}

/* Timestamps that leap in the middle of the sound, by the expression `leap` in seconds. */
static void check_leap(const char *encoder, const char *extension, double leap_s, double wanted)
{
	char names[2][32];
	snprintf(names[0], sizeof names[0], "even.%s", extension);
	snprintf(names[1], sizeof names[1], "leap.%s", extension);
	const char *click = test_scratch("leap.wav"), *even = test_scratch(names[0]), *source = test_scratch(names[1]);
	write_click_at(click, 44100, 1, 6, 5);
	ffmpeg("-i %s -c:a %s %s", click, encoder, even);
	ffmpeg("-i %s -c:a copy -bsf:a \"setts=ts='PTS+gt(PTS*TB,3)*%g/TB'\" %s", even, leap_s, source);
	check_click(source, wanted, 0.03); /* most containers do not tell of the encoder's delay */
	unlink(click);
	unlink(even);
	unlink(source);
}

static void gap_is_silence(void **state)
{
	(void)state;
	check_leap("aac", "mp4", 96, 101);
	check_leap("aac", "mkv", 0.1, 5.1);
	check_leap("libopus", "webm", 7, 12);
	check_leap("libmp3lame", "mkv", 7, 12);
	check_leap("pcm_s16le", "mkv", 7, 12);
	check_leap("pcm_u8", "mkv", 7, 12);
}

static void absurd_gap_is_none(void **state)
{
	(void)state;
	check_leap("aac", "mp4", 5000, 5);
	check_leap("pcm_s16le", "mkv", 1e6, 5);
}

static void append(const char *to, const char *from)
{
	struct il_bytes bytes;
	assert_ok(il_file_read(from, 1 << 24, &bytes, &err));
	FILE *file = fopen(to, "ab");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
	fclose(file);
	il_bytes_destroy(&bytes);
}

/* Two recordings of 3 s one after the other in one stream, as cameras leave them. The second's timestamps start
 * `offset_s` after the first's. */
static void check_joined(double offset_s, double wanted, double tolerance)
{
	const char *click = test_scratch("second.wav");
	const char *first = test_scratch("first.ts"), *second = test_scratch("second.ts");
	write_click_at(click, 48000, 1, 3, 2);
	ffmpeg("-i %s -af volume=0 -c:a aac %s", click, first);
	ffmpeg("-i %s -c:a aac -output_ts_offset %g %s", click, offset_s, second);
	append(first, second);
	check_click(first, wanted, tolerance);
	unlink(click);
	unlink(first);
	unlink(second);
}

static void overlap_is_dropped(void **state)
{
	(void)state;
	check_joined(2.5, 4.5, 0.03);
	check_joined(3.7, 5.7, 0.03);
}

static void timestamps_that_start_again_go_on(void **state)
{
	(void)state;
	check_joined(0, 5, 0.07); /* two delays of the encoder, and padding */
}

static void packet_at(const char *path, int number, int64_t *pos, int *size)
{
	AVFormatContext *input = NULL;
	AVPacket *packet = av_packet_alloc();
	assert_true(avformat_open_input(&input, path, NULL, NULL) >= 0);
	for (int i = 0; i <= number; i++) {
		av_packet_unref(packet);
		assert_true(av_read_frame(input, packet) >= 0);
	}
	*pos = packet->pos;
	*size = packet->size;
	av_packet_free(&packet);
	avformat_close_input(&input);
}

static void broken_packets_keep_their_time(void **state)
{
	static const char *const codecs[] = { "aac", "libmp3lame" };
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const char *click = test_scratch("click.wav"), *source = test_scratch("broken.mp4");
		write_click_at(click, 44100, 2, 4, 3);
		ffmpeg("-i %s -c:a %s %s", click, codecs[i], source);
		for (int number = 14; number >= 10; number--) {
			int64_t pos;
			int size;
			packet_at(source, number, &pos, &size);
			FILE *file = fopen(source, "r+b");
			assert_non_null(file);
			fseek(file, (long)pos, SEEK_SET);
			while (size--)
				fputc(0xff, file);
			fclose(file);
		}
		check_click(source, 3, 0.004);
		unlink(click);
		unlink(source);
	}
}

/* A minute, and no container that says how long anything is. */
static void bare_streams_do_not_drift(void **state)
{
	static const struct {
		const char *encoder, *extension;
		double delay_s; /* the encoder's, which only MP3 tells of */
	} cases[] = { { "aac", "aac", 1024 / 44100.0 }, { "libmp3lame", "mp3", 0 }, { "ac3", "ac3", 256 / 44100.0 } };
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char name[32];
		snprintf(name, sizeof name, "bare.%s", cases[i].extension);
		const char *click = test_scratch("minute.wav"), *source = test_scratch(name);
		write_click_at(click, 44100, 1, 60, 59);
		ffmpeg("-i %s -c:a %s %s", click, cases[i].encoder, source);
		check_click(source, 59 + cases[i].delay_s, 0.004);
		unlink(click);
		unlink(source);
	}
}

static void long_sound_does_not_drift(void **state)
{
	(void)state;
	const char *click = test_scratch("minute.wav");
	write_click_at(click, 22050, 2, 60, 59);
	check_click(click, 59, 0.002);
	unlink(click);
}

/* With no word on where the loudspeakers stand; above 8 there is no customary place either. */
static void any_number_of_channels(void **state)
{
	static const int counts[] = { 1, 2, 3, 6, 8, 9, 10, 16 };
	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		const char *click = test_scratch("channels.wav");
		write_click(click, 16000, counts[i], 2);
		check_click(click, 1, 0.004);
		unlink(click);
	}
}

static void bare_samples_are_copied_exactly(void **state)
{
	static const struct {
		const char *codec, *format;
	} cases[] = {
		{ "pcm_s16le", "mkv" }, { "pcm_s16be", "mkv" }, { "pcm_s24le", "mkv" }, { "pcm_f32le", "mkv" },
		{ "pcm_u8", "mkv" },    { "pcm_s16le", "mov" }, { "pcm_s16be", "mov" }, { "pcm_s24le", "mov" },
		{ "pcm_f32le", "mov" }, { "pcm_u8", "mov" },    { "pcm_mulaw", "mov" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *source = test_scratch("bare.mov");
		ffmpeg("-i %s -c:a %s %s", test_data("lipsync_sanders/sanders_aud_stereo_16k.wav"), cases[i].codec,
		       source);
		struct il_sink_params params = params_for(test_scratch("exact"));
		params.format = cases[i].format;
		params.audio_path = source;
		write_all(&params, 5);
		assert_sound_codec(params.path, cases[i].codec);
		size_t count, got_count;
		float *wanted = read_sound(source, 16000, &count);
		float *got = read_sound(params.path, 16000, &got_count);
		assert_int_equal(got_count, count);
		assert_memory_equal(got, wanted, count * sizeof *got);
		free(wanted);
		free(got);
		unlink(source);
		unlink(params.path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_is_copied_or_transcoded),
		cmocka_unit_test(sound_is_in_sync),
		cmocka_unit_test(sound_ends_at_its_limit),
		cmocka_unit_test(sound_may_be_shorter_than_the_pictures),
		cmocka_unit_test(sound_faults),
		cmocka_unit_test(gap_is_silence),
		cmocka_unit_test(absurd_gap_is_none),
		cmocka_unit_test(overlap_is_dropped),
		cmocka_unit_test(timestamps_that_start_again_go_on),
		cmocka_unit_test(broken_packets_keep_their_time),
		cmocka_unit_test(bare_streams_do_not_drift),
		cmocka_unit_test(long_sound_does_not_drift),
		cmocka_unit_test(any_number_of_channels),
		cmocka_unit_test(bare_samples_are_copied_exactly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "media/audio.h"

#include <math.h>
#include <sys/stat.h>

#include "tests/test.h"

#define RATE 16000

struct sound {
	float *data;
	size_t count;
};

static struct sound read_sound(const char *path, int rate, size_t chunk)
{
	struct inlay_error err = { 0 };
	struct il_audio *audio = NULL;
	assert_ok(il_audio_open(&audio, path, rate, &err));
	struct sound sound = { 0 };
	enum inlay_err rc;
	size_t n;
	do {
		sound.data = realloc(sound.data, (sound.count + chunk) * sizeof(float));
		rc = il_audio_read(audio, sound.data + sound.count, chunk, &n, &err);
		sound.count += n;
	} while (!rc);
	assert_int_equal(rc, INLAY_EOF);
	assert_int_equal(n, 0);
	assert_int_equal(il_audio_read(audio, sound.data, chunk, &n, &err), INLAY_EOF);
	il_audio_destroy(&audio);
	assert_null(audio);
	return sound;
}

static uint8_t *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	*size = 0;
	fseek(file, 0, SEEK_END);
	*size = (size_t)ftell(file);
	rewind(file);
	uint8_t *data = malloc(*size + 1);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, *size, file), *size);
	data[*size] = 0;
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

/* A second implementation; skips where it is not installed. */
static void ffmpeg(const char *arguments, const char *output)
{
	char command[2048];
	snprintf(command, sizeof command, "ffmpeg -nostdin -v error -y %s %s", arguments, output);
	if (system("command -v ffmpeg >/dev/null"))
		skip();
	assert_int_equal(system(command), 0);
}

static void assert_same(struct sound got, struct sound want, double tolerance)
{
	assert_int_equal(got.count, want.count);
	for (size_t i = 0; i < got.count; i++)
		if (!(fabs((double)got.data[i] - want.data[i]) <= tolerance))
			fail_msg("sample %zu is %g, expected %g", i, got.data[i], want.data[i]);
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, unsigned value)
{
	put16(at, value & 0xffff);
	put16(at + 2, value >> 16);
}

/* A 16-bit WAV header of 44 bytes. */
static void wav_header(uint8_t *at, unsigned channels, unsigned rate, unsigned data_size)
{
	memcpy(at, "RIFF....WAVEfmt ", 16);
	put32(at + 4, 36 + data_size);
	put32(at + 16, 16);
	put16(at + 20, 1);
	put16(at + 22, channels);
	put32(at + 24, rate);
	put32(at + 28, rate * channels * 2);
	put16(at + 32, channels * 2);
	put16(at + 34, 16);
	memcpy(at + 36, "data", 4);
	put32(at + 40, data_size);
}

static void test_stereo_equals_numpy(void **state)
{
	(void)state;
	size_t size;
	uint8_t *npy = read_file(test_data("mel_ref/python_step0_original.npy"), &size);
	assert_non_null(strstr((char *)npy + 10, "'<f4'"));
	size_t offset = 10 + npy[8] + 256u * npy[9];
	struct sound want = { (float *)(void *)(npy + offset), (size - offset) / 4 };
	assert_int_equal(want.count, 334739);
	const size_t chunks[] = { 400000, 160, 4097 };
	for (int i = 0; i < 3; i++) {
		struct sound got = read_sound(test_data("lipsync_sanders/sanders_aud_stereo_16k.wav"), RATE, chunks[i]);
		assert_same(got, want, 0);
		free(got.data);
	}
	free(npy);
}

static void test_mono_is_the_pcm(void **state)
{
	(void)state;
	size_t size;
	const char *path = test_data("speech/jfk.wav");
	uint8_t *wav = read_file(path, &size);
	struct sound got = read_sound(path, RATE, 1000);
	assert_int_equal(got.count, 176000);
	const uint8_t *pcm = wav + size - got.count * 2;
	for (size_t i = 0; i < got.count; i++) {
		int16_t sample = (int16_t)(pcm[2 * i] | pcm[2 * i + 1] << 8);
		assert_true(got.data[i] == sample / 32768.0f);
	}
	free(got.data);
	free(wav);
}

static void test_info(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_audio *audio;
	assert_ok(il_audio_open(&audio, test_data("footage/talkinghead_512_with_audio.mp4"), 24000, &err));
	assert_int_equal(il_audio_info(audio)->sample_rate, 16000);
	assert_int_equal(il_audio_info(audio)->channels, 2);
	assert_string_equal(il_audio_info(audio)->codec, "aac");
	assert_true(fabs(il_audio_info(audio)->duration_s - 8) < 0.1);
	il_audio_destroy(&audio);
}

/* The encoder's delay is skipped: 8.000 s, sample for sample what ffmpeg makes of it. */
static void test_aac_equals_ffmpeg(void **state)
{
	(void)state;
	const char *path = test_data("footage/talkinghead_512_with_audio.mp4");
	struct sound got = read_sound(path, RATE, 5000), want = { 0 };
	assert_int_equal(got.count, 8 * RATE);
	char arguments[1024];
	snprintf(arguments, sizeof arguments, "-i %s -vn -af 'pan=mono|c0=0.5*c0+0.5*c1' -f f32le", path);
	const char *raw = test_scratch("aac.f32");
	ffmpeg(arguments, raw);
	want.data = (float *)(void *)read_file(raw, &want.count);
	want.count /= sizeof(float);
	assert_same(got, want, 1e-6);
	free(got.data);
	free(want.data);
	unlink(raw);
}

/* The delay and padding that encoders add go; only AAC's container rounds up to whole packets of 1024. */
static void test_lossy_codecs_keep_length(void **state)
{
	(void)state;
	const struct {
		const char *encoder, *file;
		size_t padding;
	} cases[] = { { "libmp3lame", "delay.mp3", 0 },
		      { "libopus", "delay.opus", 0 },
		      { "flac", "delay.flac", 0 },
		      { "aac", "delay.m4a", 27 } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char arguments[1024];
		snprintf(arguments, sizeof arguments, "-i %s -t 2.345 -ar 48000 -c:a %s", test_data("speech/jfk.wav"),
		         cases[i].encoder);
		const char *path = test_scratch(cases[i].file);
		ffmpeg(arguments, path);
		struct sound got = read_sound(path, RATE, 10000);
		assert_int_equal(got.count, 37520 + cases[i].padding);
		/* Not shifted either: at no lag does it match the original better than at lag 0. */
		struct sound original = read_sound(test_data("speech/jfk.wav"), RATE, 10000);
		double best = -1;
		int best_lag = 99;
		for (int lag = -8; lag <= 8; lag++) {
			double sum = 0;
			for (size_t k = 8; k + 8 < got.count; k++)
				sum += (double)got.data[k] * original.data[k + lag];
			if (sum > best) {
				best = sum;
				best_lag = lag;
			}
		}
		assert_int_equal(best_lag, 0);
		free(original.data);
		free(got.data);
		unlink(path);
	}
}

/* Six tones in six channels come out at a sixth of their strength each, wherever the loudspeakers stand. */
static void test_surround_is_the_plain_mean(void **state)
{
	(void)state;
	const int rates[] = { 48000, 44100 };
	for (int r = 0; r < 2; r++) {
		char arguments[1024];
		snprintf(arguments, sizeof arguments,
		         "-f lavfi -i \"aevalsrc='0.6*sin(2*PI*100*t)|0.6*sin(2*PI*200*t)|0.6*sin(2*PI*300*t)|"
		         "0.6*sin(2*PI*400*t)|0.6*sin(2*PI*500*t)|0.6*sin(2*PI*600*t)':c=5.1:s=%d:d=1\" -c:a pcm_f32le",
		         rates[r]);
		const char *path = test_scratch("surround.wav");
		ffmpeg(arguments, path);
		struct sound got = read_sound(path, RATE, 3000);
		assert_in_range(got.count, RATE - 1, RATE + 1);
		for (size_t i = 200; i < RATE - 200; i++) {
			double want = 0;
			for (int tone = 1; tone <= 6; tone++)
				want += 0.1 * sin(2 * 3.14159265358979323846 * tone * 100 * (double)i / RATE);
			if (fabs(got.data[i] - want) > 2e-3)
				fail_msg("%d Hz: sample %zu is %g, expected %g", rates[r], i, got.data[i], want);
		}
		free(got.data);
		unlink(path);
	}
}

/* Twelve channels that no layout has a name for. */
static void test_many_channels(void **state)
{
	(void)state;
	enum { CHANNELS = 12, COUNT = 500 };
	static uint8_t wav[44 + CHANNELS * COUNT * 2];
	static float want[COUNT];
	wav_header(wav, CHANNELS, RATE, CHANNELS * COUNT * 2);
	for (int i = 0; i < COUNT; i++) {
		double sum = 0;
		for (int c = 0; c < CHANNELS; c++) {
			int16_t sample = (int16_t)test_random();
			put16(wav + 44 + 2 * (i * CHANNELS + c), (uint16_t)sample);
			sum += sample / 32768.0;
		}
		want[i] = (float)(sum / CHANNELS);
	}
	const char *path = write_file("many.wav", wav, sizeof wav);
	struct sound got = read_sound(path, RATE, 64);
	assert_same(got, (struct sound){ want, COUNT }, 1e-6);
	free(got.data);
	unlink(path);
}

static void test_truncated_plays_what_is_there(void **state)
{
	(void)state;
	size_t size;
	uint8_t *wav = read_file(test_data("speech/jfk.wav"), &size);
	struct sound whole = read_sound(test_data("speech/jfk.wav"), RATE, 100000);
	const char *path = write_file("cut.wav", wav, size / 2);
	struct sound half = read_sound(path, RATE, 100000);
	assert_in_range(half.count, 87000, 88000);
	assert_memory_equal(half.data, whole.data, half.count * sizeof(float));
	free(half.data);
	free(whole.data);
	free(wav);
	unlink(path);
}

static void test_broken_packets_are_skipped(void **state)
{
	(void)state;
	const char *path = test_scratch("broken.mp3");
	char arguments[1024];
	snprintf(arguments, sizeof arguments, "-i %s -t 4 -c:a libmp3lame", test_data("speech/jfk.wav"));
	ffmpeg(arguments, path);
	size_t size;
	uint8_t *data = read_file(path, &size);
	for (size_t i = size / 3; i < size / 3 + 2000; i++)
		data[i] = (uint8_t)test_random();
	write_file("broken.mp3", data, size);
	struct sound got = read_sound(path, RATE, 10000);
	assert_in_range(got.count, 2 * RATE, 4 * RATE + 2000);
	free(got.data);
	free(data);
	unlink(path);
}

static void test_bad_input(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_audio *audio = NULL;
	static uint8_t wav[1044];
	assert_fails(il_audio_open(&audio, "/nonexistent/a.wav", RATE, &err), INLAY_ERR_NOT_FOUND,
	             "/nonexistent/a.wav");
	assert_fails(il_audio_open(&audio, "/tmp", RATE, &err), INLAY_ERR_INVALID, "is a folder");

	const char *path = write_file("empty.wav", "", 0);
	assert_fails(il_audio_open(&audio, path, RATE, &err), INLAY_ERR_FORMAT, "empty.wav");
	unlink(path);

	wav_header(wav, 1, RATE, 0);
	path = write_file("silent.wav", wav, 44);
	assert_fails(il_audio_open(&audio, path, RATE, &err), INLAY_ERR_FORMAT, "empty");
	unlink(path);

	wav_header(wav, 1, RATE, 1000);
	path = write_file("short.wav", wav, 20);
	assert_fails(il_audio_open(&audio, path, RATE, &err), INLAY_ERR_FORMAT, "short.wav");
	path = write_file("short.wav", wav, 1044);
	assert_fails(il_audio_open(&audio, path, 0, &err), INLAY_ERR_INVALID, "expected more than 0");
	unlink(path);

	path = write_file("words.txt", "not a sound at all\n", 19);
	assert_fails(il_audio_open(&audio, path, RATE, &err), INLAY_ERR_FORMAT, "words.txt");
	unlink(path);
	assert_fails(il_audio_open(&audio, test_data("lipsync_sanders/full_body_video.mp4"), RATE, &err),
	             INLAY_ERR_FORMAT, "no audio stream");
	path = test_scratch("pipe.wav");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_fails(il_audio_open(&audio, path, RATE, &err), INLAY_ERR_INVALID,
	             "pipe.wav: is a pipe; expected a file (sound is read twice)");
	unlink(path);
	assert_fails(il_audio_open(&audio, "/dev/zero", RATE, &err), INLAY_ERR_INVALID, "/dev/zero: is a device");
	assert_null(audio);
}

/* A playlist may not reach out of the machine, nor may a path. */
static void test_no_network(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_audio *audio = NULL;
	const char list[] = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n";
	const char *path = write_file("list.m3u8", list, sizeof list - 1);
	assert_true(il_audio_open(&audio, path, RATE, &err) > INLAY_EOF);
	unlink(path);
	assert_fails(il_audio_open(&audio, "http://127.0.0.1:9/a.wav", RATE, &err), INLAY_ERR_NOT_FOUND, "http");
	assert_null(audio);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stereo_equals_numpy),
		cmocka_unit_test(test_mono_is_the_pcm),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_aac_equals_ffmpeg),
		cmocka_unit_test(test_lossy_codecs_keep_length),
		cmocka_unit_test(test_surround_is_the_plain_mean),
		cmocka_unit_test(test_many_channels),
		cmocka_unit_test(test_truncated_plays_what_is_there),
		cmocka_unit_test(test_broken_packets_are_skipped),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_no_network),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "media/wav.h"

#include <fcntl.h>

#include "base/file.h"
#include "media/ffmpeg_test.h"

static struct inlay_error err;

static enum inlay_err convert(const char *from, const char *to, double limit_s, struct inlay_error *fault)
{
	int fd = open(to, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	enum inlay_err rc = il_wav_write(from, fd, limit_s, fault);
	close(fd);
	return rc;
}

/* ffmpeg decodes both to the same samples; its resampler is the same library, so those of other rates agree as well. */
static void check(const char *options, int rate, int channels)
{
	const char *from = test_scratch("from.mka"), *to = test_scratch("to.wav");
	const char *a = test_scratch("a.raw"), *b = test_scratch("b.raw");
	ffmpeg("-f lavfi -i 'anoisesrc=d=1.3:a=0.3:seed=3:r=44100' %s %s", options, from);
	assert_ok(convert(from, to, 10, &err));
	char format[64];
	snprintf(format, sizeof format, "s16,%d,%d\n", rate, channels);
	assert_string_equal(ffprobe("-show_entries stream=sample_fmt,sample_rate,channels %s", to), format);
	ffmpeg("-i %s -ar %d -ac %d -f s16le %s", from, rate, channels, a);
	ffmpeg("-i %s -f s16le %s", to, b);
	struct il_bytes expected, found;
	assert_ok(il_file_read(a, 10 << 20, &expected, &err));
	assert_ok(il_file_read(b, 10 << 20, &found, &err));
	assert_true(expected.size > 10000);
	assert_int_equal(expected.size, found.size);
	assert_memory_equal(expected.data, found.data, found.size);
	struct il_bytes whole;
	assert_ok(il_file_read(to, 10 << 20, &whole, &err));
	assert_int_equal(whole.size, found.size + IL_WAV_HEADER_BYTES);
	il_bytes_destroy(&whole);
	il_bytes_destroy(&expected);
	il_bytes_destroy(&found);
	unlink(from), unlink(to), unlink(a), unlink(b);
}

static void samples_are_those_of_ffmpeg(void **state)
{
	(void)state;
	check("-c:a flac -ac 1", 44100, 1);
	check("-c:a pcm_s16le -ac 2 -ar 8000", 8000, 2);
	check("-c:a pcm_s16le -ac 1 -ar 96000", 48000, 1);
	check("-c:a pcm_s16le -ac 6 -ar 48000", 48000, 2);
}

static void faults_are_told_apart(void **state)
{
	(void)state;
	const char *from = test_scratch("from.wav"), *to = test_scratch("to.wav");
	ffmpeg("-f lavfi -i sine=d=3 %s", from);
	assert_ok(convert(from, to, 3, &err));
	assert_fails(convert(from, to, 2.9, &err), INLAY_ERR_INVALID, "longer than the 2.9 s");
	int full = open("/dev/full", O_WRONLY);
	if (full >= 0)
		assert_fails(il_wav_write(from, full, 10, &err), INLAY_ERR_IO, "cannot be written");
	close(full);
	int read_only = open(to, O_RDONLY);
	assert_fails(il_wav_write(from, read_only, 10, &err), INLAY_ERR_IO, "cannot be written");
	close(read_only);
	assert_ok(il_file_write(from, "no sound at all", 15, true, &err));
	assert_fails(convert(from, to, 10, &err), INLAY_ERR_FORMAT, "from.wav");
	unlink(from), unlink(to);
	assert_fails(convert(from, to, 10, &err), INLAY_ERR_NOT_FOUND, "from.wav");
	unlink(to);
}

static enum inlay_err check_bytes(const uint8_t *bytes, size_t size, struct inlay_error *fault)
{
	const char *path = test_scratch("checked.wav");
	assert_ok(il_file_write(path, bytes, size, true, &err));
	int fd = open(path, O_RDONLY);
	enum inlay_err rc = il_wav_check(fd, fault);
	close(fd);
	unlink(path);
	return rc;
}

/* Each byte of the header counts. */
static void only_plain_ones_pass(void **state)
{
	(void)state;
	const char *from = test_scratch("from.wav"), *to = test_scratch("to.wav");
	ffmpeg("-f lavfi -i sine=d=0.01 -ac 2 %s", from);
	assert_ok(convert(from, to, 3, &err));
	struct il_bytes wav;
	assert_ok(il_file_read(to, 1 << 20, &wav, &err));
	unlink(from), unlink(to);
	assert_ok(check_bytes(wav.data, wav.size, &err));
	for (size_t i = 0; i < IL_WAV_HEADER_BYTES; i++) {
		uint8_t was = wav.data[i];
		wav.data[i] ^= (uint8_t)(1 + test_random() % 255);
		struct inlay_error fault = { 0 };
		assert_int_equal(check_bytes(wav.data, wav.size, &fault), INLAY_ERR_FORMAT);
		wav.data[i] = was;
	}
	for (size_t i = 1; i < 60; i++) {
		struct inlay_error fault = { 0 };
		assert_int_equal(check_bytes(wav.data, wav.size - i, &fault), INLAY_ERR_FORMAT);
	}
	il_bytes_destroy(&wav);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_are_those_of_ffmpeg),
		cmocka_unit_test(faults_are_told_apart),
		cmocka_unit_test(only_plain_ones_pass),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

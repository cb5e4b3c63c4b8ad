/* Children of this test are this test again: main hands them to intake_child_main, as the program does. */
#include "server/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "media/audio.h"
#include "media/ffmpeg_test.h"

static const struct intake_limits roomy = { .seconds = 3600, .bytes = 1 << 30 };

static struct inlay_error err;

static const char *write_file(const char *name, const void *data, size_t size)
{
	const char *path = test_scratch(name);
	assert_ok(il_file_write(path, data, size, true, &err));
	return path;
}

/* All samples of a file at its own rate, as the mean of its channels. */
static float *read_sound(const char *path, int rate, size_t *count, struct il_audio_info *info)
{
	struct il_audio *audio = NULL;
	assert_ok(il_audio_open(&audio, path, rate, &err));
	*info = *il_audio_info(audio);
	float *samples = malloc(10000000 * sizeof *samples);
	assert_non_null(samples);
	size_t n = 0;
	*count = 0;
	while (!il_audio_read(audio, samples + *count, 4096, &n, &err) && *count < 9900000)
		*count += n;
	il_audio_destroy(&audio);
	return samples;
}

/* Decoded here and decoded by a child are the same sound, but for 16 bits. */
static void check_same(const char *path, int rate, int channels, float tolerance)
{
	const char *out = test_scratch("out.wav");
	struct il_audio_info before, after;
	size_t n, m;
	assert_ok(intake_audio(path, out, &roomy, &err));
	float *expected = read_sound(path, rate, &n, &before), *found = read_sound(out, rate, &m, &after);
	assert_int_equal(after.sample_rate, rate);
	assert_int_equal(after.channels, channels);
	assert_string_equal(after.codec, "pcm_s16le");
	assert_true(n > 1000 && n == m);
	for (size_t i = 0; i < n; i++)
		if (fabsf(expected[i] - found[i]) > tolerance)
			fail_msg("sample %zu: %g, expected %g", i, (double)found[i], (double)expected[i]);
	free(expected);
	free(found);
	unlink(out);
}

static void speech_comes_out_as_it_was(void **state)
{
	(void)state;
	const char *speech = getenv("INLAY_TEST_SPEECH");
	if (!speech)
		skip();
	check_same(speech, 22050, 1, 0);
}

static void other_formats_are_decoded(void **state)
{
	(void)state;
	const char *flac = test_scratch("a.flac"), *mp3 = test_scratch("a.mp3"), *mp4 = test_scratch("a.mp4");
	ffmpeg("-f lavfi -i 'sine=440:d=2:r=44100' -f lavfi -i 'sine=880:d=2:r=44100' -filter_complex amerge %s", flac);
	check_same(flac, 44100, 2, 1.0f / 32768);
	ffmpeg("-i %s %s", flac, mp3);
	check_same(mp3, 44100, 2, 2.0f / 32768);
	ffmpeg("-f lavfi -i testsrc=s=64x64:d=2 -i %s -c:a aac %s", flac, mp4);
	check_same(mp4, 44100, 2, 2.0f / 32768);
	unlink(flac);
	unlink(mp3);
	unlink(mp4);
}

static void high_rates_and_many_channels_are_brought_down(void **state)
{
	(void)state;
	const char *path = test_scratch("b.wav"), *out = test_scratch("b-out.wav");
	ffmpeg("-f lavfi -i 'sine=440:d=1:r=96000' -ac 6 %s", path);
	assert_ok(intake_audio(path, out, &roomy, &err));
	struct il_audio_info info;
	size_t n;
	free(read_sound(out, 48000, &n, &info));
	assert_int_equal(info.sample_rate, 48000);
	assert_int_equal(info.channels, 2);
	assert_in_range(n, 47900, 48100);
	unlink(path);
	unlink(out);
}

/* A fault leaves nothing behind, and what was there before stays. */
static void check_refused(const char *path, const struct intake_limits *limits, enum inlay_err code, const char *part)
{
	const char *out = write_file("kept.wav", "kept", 4);
	assert_fails(intake_audio(path, out, limits, &err), code, part);
	struct il_bytes bytes;
	assert_ok(il_file_read(out, 100, &bytes, &err));
	assert_int_equal(bytes.size, 4);
	il_bytes_destroy(&bytes);
	char left[1100];
	snprintf(left, sizeof left, "%s.part", out);
	assert_false(il_path_exists(left));
	unlink(out);
}

static void garbage_is_refused(void **state)
{
	(void)state;
	uint8_t noise[4096];
	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (uint8_t)test_random();
	const char *path = write_file("noise", noise, sizeof noise);
	check_refused(path, &roomy, INLAY_ERR_FORMAT, "the upload could not be decoded: ");
	unlink(path);
	path = write_file("empty", "", 0);
	check_refused(path, &roomy, INLAY_ERR_FORMAT, "it is empty");
	unlink(path);
	check_refused("/dev/zero", &roomy, INLAY_ERR_INVALID, "it is no file");
	check_refused("/nowhere/at/all", &roomy, INLAY_ERR_NOT_FOUND, "cannot be opened");
}

/* 44 bytes that claim `data` bytes of 8 kHz mono sound, and `real` bytes of it. */
static const char *claim(uint32_t data, size_t real)
{
	uint8_t *wav = calloc(1, 44 + real);
	const uint32_t rate = 8000, bytes_a_second = 16000;
	assert_non_null(wav);
	memcpy(wav, "RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\1\0\1\0", 24);
	memcpy(wav + 24, &rate, 4);
	memcpy(wav + 28, &bytes_a_second, 4);
	memcpy(wav + 32, "\2\0\20\0data", 8);
	memcpy(wav + 40, &data, 4);
	const char *path = write_file("claim.wav", wav, 44 + real);
	free(wav);
	return path;
}

static void what_is_there_counts_and_not_what_a_header_claims(void **state)
{
	(void)state;
	const char *out = test_scratch("c-out.wav");
	const struct intake_limits short_ones = { .seconds = 2, .bytes = 1 << 20 };
	struct il_audio_info info;
	size_t n;
	const char *path = claim(0x7ffffff0, 16000); /* 37 hours and one second */
	assert_ok(intake_audio(path, out, &short_ones, &err));
	free(read_sound(out, 8000, &n, &info));
	assert_int_equal(n, 8000);
	path = claim(16000, 48000); /* one second and three */
	assert_ok(intake_audio(path, out, &short_ones, &err));
	path = claim(48000, 48000);
	check_refused(path, &short_ones, INLAY_ERR_FORMAT, "longer than the 2 s");
	unlink(path);
	unlink(out);
}

static void a_file_cut_short_is_what_is_left_of_it(void **state)
{
	(void)state;
	const char *path = test_scratch("d.flac"), *out = test_scratch("d-out.wav");
	ffmpeg("-f lavfi -i 'anoisesrc=d=4:r=16000' %s", path);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
	assert_ok(intake_audio(path, out, &roomy, &err));
	struct il_audio_info info;
	size_t n;
	free(read_sound(out, 16000, &n, &info));
	assert_in_range(n, 20000, 44000);
	assert_int_equal(truncate(path, 30), 0);
	check_refused(path, &roomy, INLAY_ERR_FORMAT, "could not be decoded");
	unlink(path);
	unlink(out);
}

static void too_large_a_file_is_not_looked_into(void **state)
{
	(void)state;
	const char *path = write_file("sparse", "RIFF", 4);
	assert_int_equal(truncate(path, (off_t)1 << 40), 0);
	check_refused(path, &roomy, INLAY_ERR_FORMAT, "more than the 1073741824");
	unlink(path);
}

/* A list of files is no way to others: the names in it lead nowhere. */
static void names_inside_are_not_followed(void **state)
{
	(void)state;
	const char *speech = getenv("INLAY_TEST_SPEECH");
	if (!speech)
		skip();
	char list[2048];
	int n = snprintf(list, sizeof list, "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:%s\n#EXT-X-ENDLIST\n",
	                 speech);
	const char *path = write_file("list.m3u8", list, (size_t)n);
	check_refused(path, &roomy, INLAY_ERR_FORMAT, "could not be decoded");
	unlink(path);
	n = snprintf(list, sizeof list, "ffconcat version 1.0\nfile '%s'\n", speech);
	path = write_file("list.ffconcat", list, (size_t)n);
	check_refused(path, &roomy, INLAY_ERR_FORMAT, "could not be decoded");
	unlink(path);
}

static void a_child_that_is_late_is_ended(void **state)
{
	(void)state;
	const char *path = claim(16000, 16000);
	const struct intake_limits hasty = { .seconds = 10, .bytes = 1 << 20, .timeout_ms = 1 };
	check_refused(path, &hasty, INLAY_ERR_FORMAT, "longer than 0.001 s");
	unlink(path);
}

/* Where nobody can wait for children, none is taken for a good one. */
static void an_end_that_nobody_sees_is_no_success(void **state)
{
	(void)state;
	const char *path = write_file("unseen", "no sound", 8);
	signal(SIGCHLD, SIG_IGN);
	check_refused(path, &roomy, INLAY_ERR_IO, "cannot be waited for");
	signal(SIGCHLD, SIG_DFL);
	unlink(path);
}

/* What the child is to do stands in the upload where it begins with MODE. */
#define MODE "mode "

static const char *mode_of_upload(void)
{
	static char text[64];
	ssize_t n = pread(3, text, sizeof text - 1, 0);
	return n > 0 && !strncmp(text, MODE, strlen(MODE)) ? text + strlen(MODE) : NULL;
}

/* Gets what the whole group of processes may get, and says what it knows of its surroundings. */
static int busy_child(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		raise(signals[i]);
	dprintf(2, "alive, %s, %s", getenv("INTAKE_TEST_SECRET") ? "knows" : "knows nothing",
	        getenv("TSAN_INTAKE_TEST") ? "sanitized" : "bare");
	return INLAY_ERR_FORMAT;
}

/* Where a child was taken over: it writes what it likes, shouts, and stays. */
static int hostile_child(const char *mode)
{
	static char shout[100000];
	memset(shout, 0x1b, sizeof shout);
	if (!strcmp(mode, "works"))
		return busy_child();
	if (!strcmp(mode, "writes"))
		return write(4, "#EXTM3U\nfile:/etc/passwd\n", 26) == 26 ? 0 : 3;
	if (!strcmp(mode, "shouts"))
		return write(2, shout, sizeof shout) == sizeof shout ? INLAY_ERR_FORMAT : 0;
	if (!strcmp(mode, "crashes"))
		return kill(getpid(), SIGSYS);
	close(2);
	pause();
	return 0;
}

static void check_mode(const char *mode, const struct intake_limits *limits, const char *part)
{
	char text[64];
	int n = snprintf(text, sizeof text, MODE "%s", mode);
	const char *path = write_file("mode", text, (size_t)n);
	check_refused(path, limits, INLAY_ERR_FORMAT, part);
	unlink(path);
}

static void a_hostile_child_does_no_harm(void **state)
{
	(void)state;
	struct intake_limits limits = roomy;
	check_mode("writes", &limits, "no plain WAV");
	check_mode("shouts", &limits, "decoded: ????????");
	check_mode("crashes", &limits, "the decoder crashed (signal 31)");
	limits.timeout_ms = 500;
	check_mode("stays", &limits, "longer than 0.5 s");
}

static void a_stop_of_the_group_and_its_environment_are_not_the_childs(void **state)
{
	(void)state;
	setenv("INTAKE_TEST_SECRET", "token", 1);
	setenv("TSAN_INTAKE_TEST", "1", 1);
	check_mode("works", &roomy, "alive, knows nothing, sanitized");
	unsetenv("INTAKE_TEST_SECRET");
	unsetenv("TSAN_INTAKE_TEST");
}

static void two_uploads_may_not_have_one_output(void **state)
{
	(void)state;
	struct il_part *part = NULL;
	const char *path = claim(16000, 16000), *out = test_scratch("e-out.wav");
	assert_ok(il_part_open(&part, out, true, &err));
	assert_fails(intake_audio(path, out, &roomy, &err), INLAY_ERR_IO, "another run");
	il_part_destroy(&part);
	unlink(path);
}

/* ---- the sandbox ---- */

/* Each returns 0 where the sandbox held. Run in a child of this test. */
static int opens(void)
{
	char byte;
	int first = open("/etc/passwd", O_RDONLY), second = open("/etc/passwd", O_RDONLY);
	/* The first is the upload whatever its name is, and here that is /dev/zero. */
	return first < 0 || read(first, &byte, 1) != 1 || byte != 0 || second >= 0 || errno != EACCES;
}

static int creates(void)
{
	return open("/dev/null", O_RDONLY) < 0 || creat("/tmp/inlay-escaped", 0600) >= 0 ||
	       mkdir("/tmp/inlay-escaped", 0700) == 0 || unlink("/tmp/inlay-escaped") == 0 || errno != EPERM;
}

static int connects(void)
{
	int ends[2];
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0;
}

static int multiplies(void)
{
	char program[] = "/bin/true";
	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0 || errno != EPERM)
		return 1;
	return execv(program, (char *[]){ program, NULL }) != -1 || errno != EPERM;
}

static int interferes(void)
{
	return kill(getppid(), 0) == 0 || syscall(SYS_prlimit64, 0, 0, NULL, NULL) == 0 ||
	       syscall(SYS_ptrace, 0, 0, 0, 0) == 0 || syscall(SYS_openat2, -100, "/etc/passwd", NULL, 0) >= 0;
}

static int makes_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED || mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 ||
	       mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static int looks_around(void)
{
	struct stat st;
	if (stat("/etc/passwd", &st) == 0 || access("/etc/passwd", R_OK) == 0)
		return 1;
	return syscall(SYS_newfstatat, -100, "/etc/passwd", &st, 0x1000 /* AT_EMPTY_PATH */) == 0 ||
	       fstat(0, &st) != 0 || !S_ISCHR(st.st_mode);
}

static int writes_much(void)
{
	static char chunk[4096];
	return write(4, chunk, sizeof chunk) != 1000 || write(4, chunk, 1) != -1 || errno != EFBIG;
}

static void check_held(int (*attempt)(void))
{
	const char *held = test_scratch("held");
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct inlay_error fault = { 0 };
		signal(SIGXFSZ, SIG_IGN);
		int out = open(held, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		int zero = open("/dev/zero", O_RDONLY);
		dup2(zero, 10);
		dup2(out, 4);
		dup2(10, 0);
		int failed = intake_sandbox(10, 1000, &fault) != INLAY_OK || attempt();
		syscall(SYS_exit_group, failed);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(held);
	assert_int_equal(status, 0);
}

static void the_sandbox_holds(void **state)
{
	(void)state;
	int (*const attempts[])(void) = { opens,      creates,    connects,     multiplies,
		                          interferes, makes_code, looks_around, writes_much };
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
		check_held(attempts[i]);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], INTAKE_COMMAND) && mode_of_upload())
		return hostile_child(mode_of_upload());
	if (argc > 1 && !strcmp(argv[1], INTAKE_COMMAND))
		return intake_child_main(argc - 1, argv + 1);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(speech_comes_out_as_it_was),
		cmocka_unit_test(other_formats_are_decoded),
		cmocka_unit_test(high_rates_and_many_channels_are_brought_down),
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(what_is_there_counts_and_not_what_a_header_claims),
		cmocka_unit_test(a_file_cut_short_is_what_is_left_of_it),
		cmocka_unit_test(too_large_a_file_is_not_looked_into),
		cmocka_unit_test(names_inside_are_not_followed),
		cmocka_unit_test(a_child_that_is_late_is_ended),
		cmocka_unit_test(an_end_that_nobody_sees_is_no_success),
		cmocka_unit_test(a_hostile_child_does_no_harm),
		cmocka_unit_test(a_stop_of_the_group_and_its_environment_are_not_the_childs),
		cmocka_unit_test(two_uploads_may_not_have_one_output),
		cmocka_unit_test(the_sandbox_holds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

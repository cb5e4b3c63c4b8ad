/* Pictures and pipes as sources. */
#include <pthread.h>
#include <stdatomic.h>

#include "media/image.h"
#include "media/source_test.h"

static void test_picture(void **state)
{
	(void)state;
	need_ffmpeg();
	struct inlay_error err;
	struct inlay_frame *frame, *want;
	static const char *const names[] = { "p.png", "p.bmp", "p.webp", "p.jpg", "p.dat" };
	for (int i = 0; i < 5; i++) {
		const char *path =
			make(names[i], i < 4 ? "-f lavfi -i testsrc2=d=0.04 -s 61x35"
		                             : "-f lavfi -i testsrc2=d=0.04 -s 61x35 -c:v png -f image2pipe");
		struct il_source *source = open_source(path);
		const struct il_source_info *info = il_source_info(source);
		assert_true(info->picture);
		assert_false(info->live || info->has_streams);
		assert_int_equal(info->frames, 1);
		assert_int_equal(info->frame.format, INLAY_PIX_BGR24);
		assert_ok(il_source_read(source, &frame, &err));
		assert_ok(il_image_read(path, INLAY_PIX_BGR24, &want, &err));
		struct inlay_planes a, b;
		inlay_frame_map(frame, &a);
		inlay_frame_map(want, &b);
		assert_int_equal(inlay_frame_info(frame)->width, 61);
		for (int y = 0; y < 35; y++)
			assert_memory_equal(a.data[0] + y * a.stride[0], b.data[0] + y * b.stride[0], 61 * 3);
		inlay_frame_destroy(&frame);
		inlay_frame_destroy(&want);
		assert_int_equal(il_source_read(source, &frame, &err), INLAY_EOF);
		il_source_destroy(&source);
		unlink(path);
	}
	const char *path = make("moving.png", "-f lavfi -i testsrc2=r=10:d=0.5 -s 61x35 -f apng");
	struct il_source *source = open_source(path);
	assert_false(il_source_info(source)->picture);
	assert_int_equal(compare_rest(source, NULL), 5);
	il_source_destroy(&source);
	unlink(path);
}

static const uint8_t *pixel(const struct inlay_frame *frame, int x, int y)
{
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	inlay_frame_unmap(frame);
	return planes.data[0] + y * planes.stride[0] + 3 * x;
}

/* The standard names the sides of the scene at which the stored row 0 and column 0 lie. */
static void test_orientation(void **state)
{
	(void)state;
	need_ffmpeg();
	enum { W = 24, H = 16 };
	static const char sides[9][3] = { "", "TL", "TR", "BR", "BL", "LT", "RT", "RB", "LB" };
	const char *plain = make("plain.jpg", "-f lavfi -i testsrc2=s=24x16:d=0.04");
	size_t size;
	uint8_t *data = read_file(plain, &size), file[65536];
	assert_true(size + 36 < sizeof file);
	struct inlay_error err;
	struct inlay_frame *stored, *frame;
	assert_ok(il_image_read(plain, INLAY_PIX_BGR24, &stored, &err));
	for (unsigned value = 0; value < 11; value++) {
		const uint8_t exif[] = { 0xff, 0xe1, 0, 32, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0,
			                 0,    0,    8, 0,  1,   1,   18,  0,   3, 0, 0,   0,   1, 0,  (uint8_t)value,
			                 0,    0,    0, 0 };
		memcpy(file, data, 2);
		memcpy(file + 2, exif, sizeof exif);
		memcpy(file + 2 + sizeof exif, data + 2, size - 2);
		const char *path = write_file("held.jpg", file, size + sizeof exif);
		struct il_source *source = open_source(path);
		assert_ok(il_source_read(source, &frame, &err));
		const char *side = sides[value <= 8 && value ? value : 1];
		bool lying = side[0] == 'L' || side[0] == 'R';
		int w = lying ? H : W, h = lying ? W : H;
		assert_int_equal(inlay_frame_info(frame)->width, w);
		assert_int_equal(inlay_frame_info(frame)->height, h);
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++) {
				/* y counts away from the side of row 0, x from the side of column 0. */
				int along = lying ? y : x, down = lying ? x : y;
				char horizontal = side[lying ? 0 : 1], vertical = side[lying ? 1 : 0];
				int to_x = horizontal == 'L' ? along : w - 1 - along;
				int to_y = vertical == 'T' ? down : h - 1 - down;
				assert_memory_equal(pixel(frame, to_x, to_y), pixel(stored, x, y), 3);
			}
		inlay_frame_destroy(&frame);
		il_source_destroy(&source);
		unlink(path);
	}
	inlay_frame_destroy(&stored);
	unlink(plain);
	free(data);
}

/* Runs with `fd` as standard input. */
static int replace_stdin(int fd)
{
	int kept = dup(STDIN_FILENO);
	dup2(fd, STDIN_FILENO);
	close(fd);
	return kept;
}

static void restore_stdin(int kept)
{
	dup2(kept, STDIN_FILENO);
	close(kept);
}

static void test_pipe(void **state)
{
	(void)state;
	need_ffmpeg();
	const char *path = make("piped.y4m", CLIP("161x97"));
	char command[1024];
	snprintf(command, sizeof command, "cat %s", path);
	FILE *cat = popen(command, "r");
	int kept = replace_stdin(dup(fileno(cat)));
	struct il_source *source = open_source("-");
	const struct il_source_info *info = il_source_info(source);
	assert_true(info->live);
	assert_int_equal(info->frames, -1);
	assert_int_equal(info->fps.num, 25);
	assert_int_equal(info->frame.width, 161);
	FILE *pipe = ffmpeg_frames(path, "");
	assert_int_equal(compare_rest(source, pipe), 50);
	pclose(pipe);
	struct il_source_loss loss;
	il_source_loss(source, &loss);
	assert_false(loss.truncated);
	struct inlay_error err;
	assert_fails(il_source_rewind(source, &err), INLAY_ERR_UNSUPPORTED, "standard input");
	il_source_destroy(&source);
	pclose(cat);

	snprintf(command, sizeof command, "head -c 100000 %s", path);
	cat = popen(command, "r");
	restore_stdin(kept);
	kept = replace_stdin(dup(fileno(cat)));
	source = open_source("-");
	assert_int_equal(compare_rest(source, NULL), 100000 / (161 * 97 + 2 * 81 * 49));
	il_source_loss(source, &loss);
	assert_true(loss.truncated);
	il_source_destroy(&source);
	pclose(cat);

	static const char *const wrong[] = { "echo hello", "true" };
	for (int i = 0; i < 2; i++) {
		cat = popen(wrong[i], "r");
		restore_stdin(kept);
		kept = replace_stdin(dup(fileno(cat)));
		const struct il_source_params params = { .path = "-" };
		assert_fails(il_source_open(&source, &params, &err), INLAY_ERR_FORMAT, i ? "empty" : "expected y4m");
		pclose(cat);
	}
	restore_stdin(kept);
	unlink(path);
}

static bool is_set(void *ctx)
{
	return atomic_load((atomic_bool *)ctx);
}

static void *set_soon(void *ctx)
{
	usleep(100000);
	atomic_store((atomic_bool *)ctx, true);
	return NULL;
}

/* The pipe stays open and silent: before the header, and after the first frame. */
static void test_cancelled_pipe(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		int kept = replace_stdin(ends[0]);
		atomic_bool stop = false;
		const struct il_source_params params = { .path = "-", .cancelled = is_set, .cancel_ctx = &stop };
		struct il_source *source = NULL;
		struct inlay_frame *frame;
		struct inlay_error err;
		static const char start[] = "YUV4MPEG2 W2 H2 F25:1 C420jpeg\nFRAME\nabcdef";
		if (i)
			assert_int_equal(write(ends[1], start, sizeof start - 1), sizeof start - 1);
		pthread_t thread;
		if (!i)
			pthread_create(&thread, NULL, set_soon, &stop);
		if (!i) {
			assert_fails(il_source_open(&source, &params, &err), INLAY_ERR_CANCELLED, "standard input");
		} else {
			assert_ok(il_source_open(&source, &params, &err));
			assert_ok(il_source_read(source, &frame, &err));
			assert_memory_equal(pixel(frame, 0, 0), "ab", 2);
			inlay_frame_destroy(&frame);
			pthread_create(&thread, NULL, set_soon, &stop);
			assert_fails(il_source_read(source, &frame, &err), INLAY_ERR_CANCELLED, "standard input");
		}
		pthread_join(thread, NULL);
		il_source_destroy(&source);
		restore_stdin(kept);
		close(ends[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picture),
		cmocka_unit_test(test_orientation),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_cancelled_pipe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What splicing a rectangle into a JPEG costs next to encoding the whole picture, one thread, for several restart
 * intervals. Every round runs all of them once, and medians over the rounds count.
 *
 * usage: bench_jpeg_splice [PICTURE|WIDTHxHEIGHT [SIDE [QUALITY [ROUNDS]]]]
 *
 * Without a picture file one is drawn. SIDE is that of the square that changes, 182 by default; it is at another place
 * near the middle in every round.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "frame/frame.h"
#include "media/image.h"
#include "media/jpeg.h"
#include "media/jpeg_splice.h"

#define MAX_ROUNDS 2000

static const int intervals[] = { 1, 2, 4, 5, 7, 8, 10, 16, 20, 80 };

#define INTERVALS (sizeof intervals / sizeof *intervals)

static struct {
	struct inlay_frame *frame;
	struct inlay_planes planes;
	struct inlay_rect rect;
	int width, height;
	struct il_jpeg_encoder *encoder;
	struct il_jpeg_splicer *splicers[INTERVALS];
	struct il_jpeg_base bases[INTERVALS];
	struct inlay_error err;
} s;

static void check(enum inlay_err rc)
{
	if (!rc)
		return;
	fprintf(stderr, "%s\n", s.err.text);
	exit(1);
}

/* Slopes, rings and some noise. */
static void draw(void)
{
	struct inlay_frame_info info = { INLAY_PIX_I420, s.width, s.height, { 5, INLAY_RANGE_FULL, 2, 2 } };
	check(il_frame_create(&s.frame, &info, &s.err));
	inlay_frame_map(s.frame, &s.planes);
	for (int i = 0; i < 3; i++)
		for (int y = 0; y < (i ? (s.height + 1) / 2 : s.height); y++)
			for (int x = 0; x < (i ? (s.width + 1) / 2 : s.width); x++) {
				double ring = sin(hypot(x - s.width / 3.0, y - s.height / 3.0) / (9 + 7 * i));
				uint32_t noise = (uint32_t)(y * s.width + x) * 2654435761u >> 29;
				s.planes.data[i][y * s.planes.stride[i] + x] =
					(uint8_t)(90 + 60 * y / s.height + 25 * ring + noise);
			}
}

static void load(const char *what)
{
	if (sscanf(what, "%dx%d", &s.width, &s.height) == 2) {
		draw();
	} else {
		check(il_image_read(what, INLAY_PIX_I420, &s.frame, &s.err));
		s.width = inlay_frame_info(s.frame)->width;
		s.height = inlay_frame_info(s.frame)->height;
		inlay_frame_map(s.frame, &s.planes);
	}
}

static double encode_whole(size_t *size)
{
	const uint8_t *data;
	int64_t start = il_clock_ns();
	check(il_jpeg_encode(s.encoder, s.frame, &data, size, &s.err));
	return (double)(il_clock_ns() - start);
}

/* Up to 128 pixels from the middle, so that all ways to lie on the grid of intervals come up. */
static void move_rect(int round, int side)
{
	uint32_t random = (uint32_t)round * 2654435761u;
	int x = (s.width - side) / 2 - 128 + (int)(random >> 24),
	    y = (s.height - side) / 2 - 128 + (int)(random >> 16 & 255);
	s.rect = (struct inlay_rect){ x, y, x + side, y + side };
}

static double splice(size_t i)
{
	const struct il_jpeg_base *base = &s.bases[i];
	struct inlay_rect area = il_jpeg_splice_area(&base->form, s.rect);
	struct inlay_planes patch = s.planes;
	const uint8_t *data;
	size_t size;
	for (int k = 0; k < 3; k++)
		patch.data[k] += (k ? area.y0 / 2 : area.y0) * patch.stride[k] + (k ? area.x0 / 2 : area.x0);
	int64_t start = il_clock_ns();
	check(il_jpeg_splice(s.splicers[i], base, &patch, s.rect, &data, &size, &s.err));
	double ns = (double)(il_clock_ns() - start);
	if (size != base->size || memcmp(data, base->data, size) != 0) {
		fprintf(stderr, "interval %d: the spliced JPEG differs\n", base->form.interval);
		exit(1);
	}
	return ns;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof *values, ascending);
	return values[n / 2];
}

static void measure(int rounds, int side)
{
	static double whole[MAX_ROUNDS], spliced[INTERVALS][MAX_ROUNDS];
	size_t size = 0;
	for (int round = -2; round < rounds; round++) { /* the first ones warm up */
		move_rect(round + 2, side);
		double ns = encode_whole(&size);
		whole[round < 0 ? 0 : round] = ns;
		for (size_t i = 0; i < INTERVALS; i++)
			spliced[i][round < 0 ? 0 : round] = splice(i);
	}
	double ns = median(whole, rounds);
	printf("%-24s %10s %8s %10s %8s\n", "", "us", "times", "bytes", "more %");
	printf("%-24s %10.1f %8.2f %10zu %8.2f\n", "the whole picture", ns / 1e3, 1.0, size, 0.0);
	for (size_t i = 0; i < INTERVALS; i++) {
		double part = median(spliced[i], rounds);
		printf("splice, interval %-7d %10.1f %8.2f %10zu %8.2f\n", intervals[i], part / 1e3, ns / part,
		       s.bases[i].size, 100.0 * ((double)s.bases[i].size / (double)size - 1));
	}
}

int main(int argc, char **argv)
{
	int side = argc > 2 ? atoi(argv[2]) : 182, quality = argc > 3 ? atoi(argv[3]) : 90;
	int rounds = argc > 4 ? atoi(argv[4]) : 100;
	if (side < 1 || rounds < 1 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: %s [PICTURE|WIDTHxHEIGHT [SIDE [QUALITY [ROUNDS]]]]\n", argv[0]);
		return 2;
	}
	load(argc > 1 ? argv[1] : "1280x720");
	check(il_jpeg_encoder_create(&s.encoder, quality, &s.err));
	for (size_t i = 0; i < INTERVALS; i++) {
		struct il_jpeg_form form = { s.width, s.height, false, intervals[i] };
		check(il_jpeg_splicer_create(&s.splicers[i], &s.err));
		check(il_jpeg_splicer_encode(s.splicers[i], &form, quality, &s.planes, &s.bases[i], &s.err));
	}
	measure(rounds, side);
	for (size_t i = 0; i < INTERVALS; i++)
		il_jpeg_splicer_destroy(&s.splicers[i]);
	il_jpeg_encoder_destroy(&s.encoder);
	inlay_frame_unmap(s.frame);
	inlay_frame_destroy(&s.frame);
	return 0;
}

/* Channels last and first against the same moves number by number; heads against double precision; halves by their
 * definition. */
#include <math.h>

#include "base/cpu.h"
#include "kernel/block.h"
#include "kernel/channels.h"
#include "kernel/half.h"
#include "tests/test.h"

#define ALL_FLAGS (~0u)

static int between(int least, int most)
{
	return least + (int)(test_random() % (uint32_t)(most - least + 1));
}

static float number(void)
{
	return (float)(int32_t)test_random() * 0x1p-30f;
}

static double value_of_half(unsigned h)
{
	const int exponent = h >> 10 & 31, fraction = h & 1023;
	const double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
	return h & 0x8000 ? -size : size;
}

static void test_halves(void **state)
{
	(void)state;
	for (unsigned h = 0; h < 0x7c00; h++) {
		const float value = il_float_of_half((uint16_t)h);
		assert_true((double)value == value_of_half(h));
		assert_int_equal(il_half_of_float(value), h);
		assert_int_equal(il_half_of_float(-value), h | 0x8000);
		const float middle = (float)((value_of_half(h) + value_of_half(h + 1)) / 2);
		assert_int_equal(il_half_of_float(middle), h + (h & 1));
		assert_int_equal(il_half_of_float(nextafterf(middle, 0)), h);
		assert_int_equal(il_half_of_float(nextafterf(middle, INFINITY)), h + 1);
	}
	assert_int_equal(il_half_of_float(INFINITY), 0x7c00);
	assert_int_equal(il_half_of_float(1e30f), 0x7c00);
	assert_true(isinf(il_float_of_half(0xfc00)));
	assert_true(isnan(il_float_of_half(0x7c01)));
	assert_true(isnan(il_float_of_half(il_half_of_float(NAN))));
}

static void put(void *numbers, enum il_number type, size_t i, float v)
{
	if (type == IL_FLOAT16)
		((uint16_t *)numbers)[i] = il_half_of_float(v);
	else
		((float *)numbers)[i] = v;
}

static float get(const void *numbers, enum il_number type, size_t i)
{
	return type == IL_FLOAT16 ? il_float_of_half(((const uint16_t *)numbers)[i]) : ((const float *)numbers)[i];
}

static float rounded(enum il_number type, float v)
{
	return type == IL_FLOAT16 ? il_float_of_half(il_half_of_float(v)) : v;
}

static size_t size_of(enum il_number type, size_t n)
{
	return n * (type == IL_FLOAT16 ? 2 : 4);
}

/* Pixels outside first..first + n keep `untouched`. */
static void check_moves(struct il_channels *p, size_t first, size_t n)
{
	const size_t channels = (size_t)p->channels, stride = (size_t)il_block_stride(p->channels);
	const size_t all = p->pixels * stride;
	const float untouched = 77.0f;
	p->planes = malloc(size_of(p->planes_type, p->pixels * channels));
	p->last = malloc(size_of(p->last_type, all));
	for (size_t i = 0; i < p->pixels * channels; i++)
		put(p->planes, p->planes_type, i, number());
	for (size_t i = 0; i < all; i++)
		put(p->last, p->last_type, i, untouched);
	il_channels_last(p, first, n);
	for (size_t i = 0; i < all; i++) {
		const size_t pixel = i / stride, c = i % stride;
		const bool inside = pixel >= first && pixel < first + n;
		const float original = c < channels ? get(p->planes, p->planes_type, c * p->pixels + pixel) : 0.0f;
		assert_true(get(p->last, p->last_type, i) == (inside ? rounded(p->last_type, original) : untouched));
	}
	for (size_t i = 0; i < p->pixels * channels; i++)
		put(p->planes, p->planes_type, i, untouched);
	il_channels_first(p, first, n);
	for (size_t i = 0; i < p->pixels * channels; i++) {
		const size_t pixel = i % p->pixels, c = i / p->pixels;
		const bool inside = pixel >= first && pixel < first + n;
		const float moved = rounded(p->planes_type, get(p->last, p->last_type, pixel * stride + c));
		assert_true(get(p->planes, p->planes_type, i) == (inside ? moved : untouched));
	}
	free(p->planes);
	free(p->last);
}

static void test_moves(void **state)
{
	(void)state;
	for (int i = 0; i < 160; i++) {
		struct il_channels p = { .channels = between(1, 40), .pixels = (size_t)between(1, 70) };
		p.planes_type = i & 1 ? IL_FLOAT16 : IL_FLOAT32;
		p.last_type = i & 2 ? IL_FLOAT16 : IL_FLOAT32;
		const size_t first = (size_t)between(0, (int)p.pixels - 1);
		il_cpu_mask(i & 4 ? 0 : ALL_FLAGS);
		check_moves(&p, first, (size_t)between(0, (int)(p.pixels - first)));
		il_cpu_mask(ALL_FLAGS);
	}
}

struct drawing {
	int in, out;
	size_t pixels;
	float *x, *weights, *bias;
};

static double expected(const struct drawing *d, size_t pixel, int o)
{
	double sum = d->bias ? (double)d->bias[o] : 0;
	for (int k = 0; k < d->in; k++)
		sum += (double)d->weights[o * d->in + k] *
		       (double)d->x[pixel * (size_t)il_block_stride(d->in) + (size_t)k];
	return 1 / (1 + exp(-sum));
}

static void check_head(const struct drawing *d, const struct il_head *head, size_t first, size_t n)
{
	const size_t out = (size_t)d->out;
	float *planes = calloc(d->pixels * out, 4), *packed = calloc(d->pixels * out, 4);
	uint8_t *bytes = calloc(d->pixels, out);
	il_head_run(head, d->x, d->pixels, first, n, planes, IL_HEAD_PLANES);
	il_head_run(head, d->x, d->pixels, first, n, packed, IL_HEAD_PACKED);
	il_head_run(head, d->x, d->pixels, first, n, bytes, IL_HEAD_BYTES);
	for (size_t i = 0; i < d->pixels; i++)
		for (size_t o = 0; o < out; o++) {
			const bool inside = i >= first && i < first + n;
			const double p = inside ? expected(d, i, (int)o) : 0;
			assert_true(fabs((double)planes[o * d->pixels + i] - p) < 1e-6);
			assert_true(packed[i * out + o] == planes[o * d->pixels + i]);
			assert_int_equal(bytes[i * out + o], (int)(255.0f * packed[i * out + o]));
		}
	free(planes);
	free(packed);
	free(bytes);
}

static void test_heads(void **state)
{
	(void)state;
	struct inlay_error err;
	for (int i = 0; i < 80; i++) {
		struct drawing d = {
			between(1, 40), between(1, IL_HEAD_OUT), (size_t)between(1, 200), NULL, NULL, NULL
		};
		const size_t stride = (size_t)il_block_stride(d.in);
		d.x = calloc(d.pixels * stride, sizeof *d.x);
		d.weights = calloc((size_t)(d.in * d.out), sizeof *d.weights);
		d.bias = i % 3 ? calloc((size_t)d.out, sizeof *d.bias) : NULL;
		for (size_t k = 0; k < d.pixels * stride; k++)
			d.x[k] = k % stride < (size_t)d.in ? number() : 0;
		for (int k = 0; k < d.in * d.out; k++)
			d.weights[k] = number() * 0.5f;
		for (int k = 0; d.bias && k < d.out; k++)
			d.bias[k] = number();
		il_cpu_mask(i & 1 ? 0 : ALL_FLAGS);
		struct il_head *head;
		assert_ok(il_head_create(&head, d.in, d.out, d.weights, d.bias, &err));
		const size_t first = (size_t)between(0, (int)d.pixels - 1);
		check_head(&d, head, first, (size_t)between(0, (int)(d.pixels - first)));
		il_head_destroy(&head);
		assert_null(head);
		il_cpu_mask(ALL_FLAGS);
		free(d.x);
		free(d.weights);
		free(d.bias);
	}
}

static void test_not_a_number(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_head *head;
	const float weights[2] = { 1, 1 };
	float x[16 * 8] = { 0 };
	uint8_t bytes[16];
	for (int i = 0; i < 16; i++)
		x[i * 8] = i % 2 ? NAN : 100.0f;
	assert_ok(il_head_create(&head, 2, 1, weights, NULL, &err));
	il_head_run(head, x, 16, 0, 16, bytes, IL_HEAD_BYTES);
	for (int i = 0; i < 16; i++)
		assert_int_equal(bytes[i], i % 2 ? 0 : 255);
	il_head_destroy(&head);
	assert_fails(il_head_create(&head, 2, 5, weights, NULL, &err), INLAY_ERR_INVALID, "expected up to");
	assert_null(head);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_halves),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_not_a_number),
	};
	return cmocka_run_group_tests_name("channels", tests, NULL, NULL);
}

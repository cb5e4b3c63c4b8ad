/* A picture through other people's networks gives what an independent interpreter computed. */
#include "base/npy.h"
#include "infer/session.h"
#include "media/image.h"
#include "tests/test.h"

struct golden {
	const char *model, *picture, *result;
	int size;
	bool planar;             /* [1,3,H,W], else [1,H,W,3] */
	bool rgb;                /* else BGR */
	float mean[3], scale[3]; /* of the network's channels: (p - mean) * scale */
	int channels, channel;   /* of the output; the stored one */
	int64_t out_dims[4];
};

static const struct golden goldens[] = {
	{ "models/matting/SINet_Softmax_simple.onnx",
	  "golden/astronaut_320x320.png",
	  "golden/SINet_Softmax_simple.out.npy",
	  320,
	  true,
	  false,
	  { 102.890434f, 111.25247f, 126.91212f },
	  { 1 / 62.93292f / 255, 1 / 62.82138f / 255, 1 / 66.355705f / 255 },
	  2,
	  1,
	  { 1, 2, 320, 320 } },
	{ "models/matting/selfie_segmentation_256.onnx",
	  "golden/astronaut_256x256.png",
	  "golden/selfie_segmentation_256.out.npy",
	  256,
	  false,
	  true,
	  { 0 },
	  { 1 / 255.0f, 1 / 255.0f, 1 / 255.0f },
	  1,
	  0,
	  { 1, 256, 256, 1 } },
	{ "models/matting/selfie_alphas_256_nchw.onnx",
	  "golden/astronaut_256x256.png",
	  "golden/selfie_alphas_256_nchw.out.npy",
	  256,
	  true,
	  true,
	  { 0 },
	  { 1 / 255.0f, 1 / 255.0f, 1 / 255.0f },
	  1,
	  0,
	  { 1, 1, 256, 256 } },
};

static void preprocess(const struct golden *g, const struct inlay_frame *frame, float *input)
{
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int y = 0; y < g->size; y++)
		for (int x = 0; x < g->size; x++)
			for (int c = 0; c < 3; c++) {
				const uint8_t *bgr = planes.data[0] + y * planes.stride[0] + 3 * x;
				float p = (bgr[g->rgb ? 2 - c : c] - g->mean[c]) * g->scale[c];
				input[g->planar ? (c * g->size + y) * g->size + x : (y * g->size + x) * 3 + c] = p;
			}
	inlay_frame_unmap(frame);
}

static void check(const struct golden *g, unsigned threads)
{
	struct inlay_error err;
	struct inlay_frame *frame = NULL;
	struct il_session *session = NULL;
	struct il_npy npy = { 0 };
	size_t pixels = (size_t)g->size * (size_t)g->size;
	int64_t planar[] = { 1, 3, g->size, g->size }, packed[] = { 1, g->size, g->size, 3 };
	float *input = calloc(3 * pixels, sizeof *input), *want = NULL;
	float *output = calloc((size_t)g->channels * pixels, sizeof *output);
	assert_true(input && output);
	assert_ok(il_image_read(test_data(g->picture), INLAY_PIX_BGR24, &frame, &err));
	assert_int_equal(inlay_frame_info(frame)->width, g->size);
	assert_int_equal(inlay_frame_info(frame)->height, g->size);
	preprocess(g, frame, input);
	assert_ok(il_session_open(&session, test_data(g->model), &(struct il_session_params){ threads }, &err));
	assert_ok(il_session_bind_input(session, 0, input, 4, g->planar ? planar : packed, &err));
	assert_ok(il_session_bind_output(session, 0, output, 4, g->out_dims, &err));
	assert_ok(il_session_run(session, &err));
	assert_ok(il_npy_open(&npy, test_data(g->result), &err));
	assert_int_equal(npy.header.count, pixels);
	assert_ok(il_npy_to_float(&npy, &want, &err));
	for (size_t i = 0; i < pixels; i++)
		assert_float_equal(output[(size_t)g->channel * pixels + i], want[i], 2e-4);
	il_npy_close(&npy);
	il_session_destroy(&session);
	inlay_frame_destroy(&frame);
	free(want);
	free(input);
	free(output);
}

static void pictures_give_the_golden_masks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++)
		for (unsigned threads = 1; threads <= 2; threads++)
			check(&goldens[i], threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_give_the_golden_masks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

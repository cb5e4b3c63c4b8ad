/* In steady state a matte allocates nothing for a frame: a run over four times the frames makes as many allocations. */
#include "inlay/matte.h"

#include "tests/count_allocations.h"
#include "tests/test.h"
#include "tests/test_models.h"

#define WIDTH 322 /* the last chroma sample of an odd half */
#define HEIGHT 181

static struct inlay_error err;

/* ---- runs ---- */

/* A red disc that moves, which the network `cutout` takes for the subject; y4m. */
static const char *write_clip(const char *name, int frames)
{
	const char *path = test_scratch(name);
	const int half_width = (WIDTH + 1) / 2, half_height = (HEIGHT + 1) / 2;
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	fprintf(file, "YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420jpeg\n", WIDTH, HEIGHT);
	for (int k = 0; k < frames; k++) {
		fprintf(file, "FRAME\n");
		for (int plane = 0; plane < 3; plane++)
			for (int y = 0; y < (plane ? half_height : HEIGHT); y++)
				for (int x = 0; x < (plane ? half_width : WIDTH); x++) {
					const int scale = plane ? 2 : 1, dx = scale * x - 100 - k % 50,
						  dy = scale * y - HEIGHT / 2;
					const bool red = dx * dx + dy * dy < 60 * 60;
					const int behind = plane == 0 ? 60 + x % 64 : 128;
					fputc(!red ? behind : plane == 0 ? 81 : plane == 1 ? 90 : 240, file);
				}
	}
	assert_int_equal(fclose(file), 0);
	return path;
}

struct run {
	unsigned long allocations;
	struct inlay_matte_stats stats;
};

static struct run run_job(const struct inlay_matte_params *params)
{
	struct inlay_matte *job;
	struct run run;
	assert_ok(inlay_matte_create(&job, params, &err));
	const unsigned long before = atomic_load(&allocations);
	assert_ok(inlay_matte_run(job, NULL, NULL, &err));
	run.allocations = atomic_load(&allocations) - before;
	inlay_matte_stats(job, &run.stats);
	inlay_matte_destroy(&job);
	return run;
}

#define FEW 60
#define MANY 240

/* How many frames the pools make depends on who ran first, up to one of each for each slot of the ring; a background
 * video is opened anew for each round. An allocation for every third frame would be above it. */
#define POOLS 50

static void nothing_is_allocated_for_a_frame(void **state)
{
	(void)state;
	static const struct {
		const char *network;
		const char *settings[4][2];
	} cases[] = {
		{ "cutout", { { "blur", "6" } } },
		{ "cutout", { { "background", "" }, { "temporal", "0.5" } } },
		{ "cutout", { { "blur", "4" }, { "similar", "60" }, { "every", "2" } } },
		{ "cutout", { { "preset", "reference" }, { "blur", "4" } } },
		{ "cutout", { { "alpha", "true" } } },
		{ "cutout_memory", { { "foreground", "clean" }, { "background", "green" } } },
		{ "cutout", { { "focal", NULL }, { "blur", "6" } } },
		{ "cutout", { { "focal", NULL }, { "blur", "6" }, { "every", "3" } } },
	};
	const char *clip = write_clip("in.y4m", MANY), *film = write_clip("film.y4m", 60);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_matte_settings settings;
		inlay_matte_settings_init(&settings, INLAY_MATTE_BEST);
		assert_ok(inlay_matte_settings_set(&settings, "model", test_model(cases[i].network), &err));
		for (int k = 0; k < 4 && cases[i].settings[k][0]; k++) {
			const char *const *pair = cases[i].settings[k];
			const char *value = !pair[1] ? test_model("nearness") : *pair[1] ? pair[1] : film;
			assert_ok(inlay_matte_settings_set(&settings, pair[0], value, &err));
		}
		struct inlay_matte_params params = { .input = clip,
			                             .format = "null",
			                             .settings = &settings,
			                             .threads = 2,
			                             .workers = 2,
			                             .frames = FEW };
		const struct run few = run_job(&params);
		params.frames = MANY;
		const struct run many = run_job(&params);
		assert_int_equal(few.stats.frames, FEW);
		assert_int_equal(many.stats.frames, MANY);
		if (many.allocations > few.allocations + POOLS)
			fail_msg("case %zu: %lu allocations for %d frames, %lu for %d", i, few.allocations, FEW,
			         many.allocations, MANY);
		inlay_matte_settings_destroy(&settings);
	}
	assert_int_equal(remove(clip), 0);
	assert_int_equal(remove(film), 0);
}

static void what_goes_together_and_what_does_not(void **state)
{
	(void)state;
	const char *clip = write_clip("few.y4m", 3);
	struct inlay_matte_settings settings;
	struct inlay_matte *job;
	inlay_matte_settings_init(&settings, INLAY_MATTE_FAST);
	assert_ok(inlay_matte_settings_set(&settings, "model", test_model("cutout_memory"), &err));
	struct inlay_matte_params params = { .input = clip, .format = "null", .settings = &settings, .threads = 1025 };
	assert_fails(inlay_matte_create(&job, &params, &err), INLAY_ERR_INVALID, "1025 threads");
	params.threads = 1;
	static const struct {
		const char *pairs[2][2], *part;
	} cases[] = {
		{ { { "every", "2" }, { "alpha", "true" } }, NULL },
		{ { { "foreground", "clean" }, { "similar", "40" } }, NULL },
		{ { { "blur", "3" }, { "background", "red" } }, "both a background (red) and blur" },
		{ { { "alpha", "true" }, { "mask_only", "true" } }, "mask_only does not go with it" },
		{ { { "plate", "x.png" }, { "blur", "3" } }, "plate" },
		{ { { "focal", "x.onnx" }, { "blur", "0" } }, "focal needs a blurred background" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_matte_settings both;
		inlay_matte_settings_init(&both, INLAY_MATTE_BEST);
		assert_ok(inlay_matte_settings_set(&both, "model", settings.model, &err));
		for (int k = 0; k < 2; k++)
			assert_ok(inlay_matte_settings_set(&both, cases[i].pairs[k][0], cases[i].pairs[k][1], &err));
		params.settings = &both;
		if (cases[i].part)
			assert_fails(inlay_matte_create(&job, &params, &err), INLAY_ERR_INVALID, cases[i].part);
		else
			assert_int_equal(run_job(&params).stats.frames, 3);
		inlay_matte_settings_destroy(&both);
	}
	inlay_matte_settings_destroy(&settings);
	assert_int_equal(remove(clip), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_allocated_for_a_frame),
		cmocka_unit_test(what_goes_together_and_what_does_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

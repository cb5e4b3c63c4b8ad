#include "server/kserve.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sys/mman.h>

#include "base/error.h"
#include "server/kserve_test.h"

static struct inlay_error err;
static const int64_t index_shape[] = { 3 }, audio_shape[] = { 3, 3, 2, 2 };
static const struct kserve_model model = {
	.name = "a",
	.frames = FAKE_FRAMES,
	.info = { .size = FAKE_SIZE, .audio_dims = { 3, 2, 2 }, .window_floats = FAKE_WINDOW },
};

/* A good request of three frames, to be spoiled. */
struct sample {
	int32_t index[3];
	float audio[3 * FAKE_WINDOW];
	struct kserve_input inputs[3];
	struct kserve_output outputs[2];
	struct kserve_request request;
};

static void make(struct sample *s)
{
	*s = (struct sample){ .index = { 7, FAKE_FRAMES - 1, 0 } };
	for (size_t i = 0; i < sizeof s->audio / sizeof *s->audio; i++)
		s->audio[i] = (float)i / 100;
	s->inputs[0] =
		(struct kserve_input){ .name = "frame_index", .datatype = "INT32", .shape = index_shape, .dims = 1 };
	s->inputs[0].raw = (const uint8_t *)s->index;
	s->inputs[0].raw_size = sizeof s->index;
	s->inputs[1] = (struct kserve_input){ .name = "audio", .datatype = "FP32", .shape = audio_shape, .dims = 4 };
	s->inputs[1].raw = (const uint8_t *)s->audio;
	s->inputs[1].raw_size = sizeof s->audio;
	s->outputs[0].name = "output";
	s->request =
		(struct kserve_request){ .inputs = s->inputs, .n_inputs = 2, .outputs = s->outputs, .n_outputs = 1 };
}

static void assert_good(struct sample *s, struct regions *regions)
{
	struct kserve_frames frames;
	assert_ok(kserve_frames_read(&frames, &s->request, &model, regions, &err));
	assert_int_equal(frames.n, 3);
	assert_int_equal(frames.output_size, 3 * FAKE_SIZE * FAKE_SIZE * 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(frames.frames[i], s->index[i]);
		assert_memory_equal(frames.windows[i], s->audio + i * FAKE_WINDOW, FAKE_WINDOW * sizeof(float));
	}
	kserve_frames_clear(&frames);
}

static void tensors_in_every_form(void **state)
{
	(void)state;
	struct sample s;
	make(&s);
	assert_good(&s, NULL);
	s.request.n_outputs = 0;
	assert_good(&s, NULL);
	/* Bytes at an odd address. */
	char odd[sizeof s.audio + 1];
	memcpy(odd + 1, s.audio, sizeof s.audio);
	s.inputs[1].raw = (const uint8_t *)odd + 1;
	assert_good(&s, NULL);
	/* Numbers. */
	s.inputs[0].raw = s.inputs[1].raw = NULL;
	s.inputs[0].ints = s.index;
	s.inputs[0].n_ints = 3;
	s.inputs[1].floats = s.audio;
	s.inputs[1].n_floats = 3 * FAKE_WINDOW;
	assert_good(&s, NULL);
	/* The other order. */
	struct kserve_input first = s.inputs[0];
	s.inputs[0] = s.inputs[1];
	s.inputs[1] = first;
	assert_good(&s, NULL);
}

#define assert_bad(change, part)                                                                                       \
	do {                                                                                                           \
		struct sample s;                                                                                       \
		struct kserve_frames frames;                                                                           \
		make(&s);                                                                                              \
		change;                                                                                                \
		assert_fails(kserve_frames_read(&frames, &s.request, &model, NULL, &err), INLAY_ERR_INVALID, part);    \
		assert_null(frames.memory);                                                                            \
	} while (0)

static void what_is_wrong_is_named(void **state)
{
	(void)state;
	static const int64_t zero[] = { 0 }, minus[] = { -1 }, many[] = { 1025 }, two[] = { 2, 3, 2, 2 },
			     other[] = { 3, 3, 2, 3 }, huge[] = { INT64_MAX };
	assert_bad(s.request.n_inputs = 1, "1 inputs: expected \"frame_index\" and \"audio\"");
	assert_bad(s.request.n_inputs = 3, "3 inputs");
	assert_bad(s.inputs[1].name = "frame_index", "expected \"frame_index\" and \"audio\"");
	assert_bad(s.inputs[0].datatype = "INT64", "\"frame_index\": datatype \"INT64\": expected INT32");
	assert_bad(s.inputs[1].datatype = "FP16", "\"audio\": datatype \"FP16\": expected FP32");
	assert_bad(s.inputs[0].shape = zero, "shape [0]");
	assert_bad(s.inputs[0].shape = minus, "shape [-1]");
	assert_bad(s.inputs[0].shape = many, "shape [1025]");
	assert_bad(s.inputs[0].shape = huge, "shape [9223372036854775807]");
	assert_bad(s.inputs[0].dims = 0, "shape []");
	assert_bad(s.inputs[1].shape = two, "\"audio\": shape [2,3,2,2]: expected [-1,3,2,2]");
	assert_bad(s.inputs[1].shape = other, "shape [3,3,2,3]");
	assert_bad(s.inputs[1].dims = 3, "shape [3,3,2]");
	assert_bad(s.inputs[0].raw_size = 11, "\"frame_index\": 11 bytes: expected 12");
	assert_bad(s.inputs[1].raw_size += 4, "bytes: expected 144");
	assert_bad(s.inputs[1].raw = NULL, "0 numbers: expected 36");
	assert_bad(s.index[1] = FAKE_FRAMES, "frame 50 of model \"a\": expected 0..49");
	assert_bad(s.index[2] = -1, "frame -1");
	assert_bad(s.audio[35] = NAN, "\"audio\": a number that is not finite");
	assert_bad(s.audio[0] = -INFINITY, "not finite");
	assert_bad(s.outputs[0].name = "mouth", "the first \"mouth\": expected \"output\"");
	assert_bad((s.outputs[1].name = "output", s.request.n_outputs = 2), "2 outputs");
}

static void memory_of_clients(void **state)
{
	(void)state;
	struct sample s;
	struct kserve_frames frames;
	make(&s);
	s.inputs[1].place = (struct kserve_place){ .name = "r", .offset = 8, .byte_size = sizeof s.audio };
	assert_fails(kserve_frames_read(&frames, &s.request, &model, NULL, &err), INLAY_ERR_UNSUPPORTED, "not allowed");
	struct regions *regions;
	struct region_info info = { .name = "r", .byte_size = 1000 };
	snprintf(info.key, sizeof info.key, "/inlay-kserve-test-%d", (int)getpid());
	int fd = shm_open(info.key, O_CREAT | O_RDWR, 0600);
	assert_int_equal(ftruncate(fd, 1000), 0);
	assert_int_equal(pwrite(fd, s.audio, sizeof s.audio, 8), sizeof s.audio);
	assert_ok(regions_create(&regions, &err));
	assert_fails(kserve_frames_read(&frames, &s.request, &model, regions, &err), INLAY_ERR_NOT_FOUND,
	             "unknown region");
	assert_ok(regions_register(regions, &info, &err));
	assert_good(&s, regions);
	s.inputs[1].place.offset = 1000 - sizeof s.audio + 1;
	assert_fails(kserve_frames_read(&frames, &s.request, &model, regions, &err), INLAY_ERR_INVALID,
	             "part of its 1000");
	s.inputs[1].place = (struct kserve_place){ .name = "r", .byte_size = 4 };
	assert_fails(kserve_frames_read(&frames, &s.request, &model, regions, &err), INLAY_ERR_INVALID, "expected 144");
	s.inputs[1].place.name = NULL;
	s.outputs[0].place = (struct kserve_place){ .name = "r", .byte_size = 1000 };
	assert_fails(kserve_frames_read(&frames, &s.request, &model, regions, &err), INLAY_ERR_INVALID,
	             "1000 bytes of shared");
	regions_destroy(&regions);
	close(fd);
	shm_unlink(info.key);
}

static void requests_are_counted(void **state)
{
	(void)state;
	struct fake fake = { .avatars = 2 };
	struct app *app = (struct app *)&fake;
	struct sample s;
	make(&s);
	uint8_t output[3 * FAKE_SIZE * FAKE_SIZE * 3];
	for (int i = 0; i < 5; i++) {
		struct kserve_inference inference;
		s.request.model = i == 4 ? "avatar-00009" : "avatar-00001";
		s.request.version = i == 3 ? "2" : i % 2 ? "1" : "";
		fake.refuse = i == 2 ? INLAY_ERR_BUSY : INLAY_OK;
		enum inlay_err rc = kserve_begin(&inference, app, &s.request, NULL);
		if (!rc)
			rc = kserve_draw(&inference, output, NULL);
		assert_int_equal(rc, i < 2 ? INLAY_OK : i == 2 ? INLAY_ERR_BUSY : INLAY_ERR_NOT_FOUND);
		kserve_end(&inference);
	}
	for (size_t j = 0; j < sizeof output; j++) {
		size_t frame = j / (FAKE_SIZE * FAKE_SIZE * 3), at = j % (FAKE_SIZE * FAKE_SIZE * 3);
		assert_int_equal(output[j], fake_byte(s.index[frame], s.audio + frame * FAKE_WINDOW, at));
	}
	struct kserve_stats *stats;
	size_t n;
	assert_ok(kserve_stats_list(app, "avatar-00001", "", &stats, &n, &err));
	assert_int_equal(n, 1);
	assert_int_equal(stats->frames, 6);
	assert_int_equal(stats->requests, 2);
	assert_int_equal(stats->success.count, 2);
	assert_int_equal(stats->fail.count, 1);
	assert_int_equal(stats->success.ns, stats->input.ns + stats->infer.ns + stats->output.ns);
	free(stats);
	assert_ok(kserve_stats_list(app, "avatar-00000", "", &stats, &n, &err));
	assert_int_equal(stats->success.count, 0);
	assert_string_equal(stats->name, "avatar-00000");
	free(stats);
	assert_fails(kserve_stats_list(app, "avatar-00009", "", &stats, &n, &err), INLAY_ERR_NOT_FOUND,
	             "unknown model");
}

static void outputs_fit_a_message(void **state)
{
	(void)state;
	struct sample s;
	struct kserve_inference inference;
	struct fake fake = { .avatars = 1, .message_bytes = 0x1000 + 3 * FAKE_SIZE * FAKE_SIZE * 3 - 1 };
	make(&s);
	s.request.model = "avatar-00000";
	assert_fails(kserve_begin(&inference, (struct app *)&fake, &s.request, &err), INLAY_ERR_INVALID,
	             "fewer frames");
	kserve_end(&inference);
	fake.message_bytes++;
	assert_ok(kserve_begin(&inference, (struct app *)&fake, &s.request, &err));
	kserve_end(&inference);
	assert_int_equal(fake.draws, 0);
}

static void statistics_are_bounded(void **state)
{
	(void)state;
	struct kserve_stats add = { .requests = 1 };
	for (unsigned i = 0; i < KSERVE_STATS_MAX + 100; i++) {
		snprintf(add.name, sizeof add.name, "model-%u", i * 7919 % 65536);
		kserve_stats_add(&add);
		kserve_stats_add(&add);
	}
	size_t n = kserve_stats_read("", NULL, 0);
	assert_int_equal(n, KSERVE_STATS_MAX);
	struct kserve_stats *all = calloc(n, sizeof *all);
	assert_int_equal(kserve_stats_read("", all, n), n);
	for (size_t i = 1; i < n; i++)
		assert_true(strcmp(all[i - 1].name, all[i].name) < 0);
	free(all);
	assert_int_equal(kserve_stats_read("model-7919", &add, 1), 1);
	assert_int_equal(add.requests, 2);
}

static bool count_entry(void *ctx, const struct il_store_entry *entry)
{
	unsigned *count = ctx;
	char expected[32];
	snprintf(expected, sizeof expected, "avatar-%05u", *count);
	assert_string_equal(entry->id, expected);
	return ++*count != 700;
}

static void index_of_many(void **state)
{
	(void)state;
	struct fake fake = { .avatars = 11000 };
	unsigned count = 0;
	kserve_index((struct app *)&fake, false, count_entry, &count);
	assert_int_equal(count, 700);
	fake.avatars = 600;
	count = 0;
	kserve_index((struct app *)&fake, false, count_entry, &count);
	assert_int_equal(count, 600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tensors_in_every_form),  cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(memory_of_clients),      cmocka_unit_test(requests_are_counted),
		cmocka_unit_test(statistics_are_bounded), cmocka_unit_test(index_of_many),
		cmocka_unit_test(outputs_fit_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

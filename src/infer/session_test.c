#include "infer/session.h"

#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>

#include "inlay/log.h"
#include "tests/test_models.h"

#define PLANE (16 * 16)

static struct il_session *open_model(const char *path, unsigned threads)
{
	struct inlay_error err;
	struct il_session *session = NULL;
	struct il_session_params params = { .threads = threads };
	assert_ok(il_session_open(&session, path, &params, &err));
	return session;
}

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
}

/* One line that starts with the path. */
static void assert_reason(const struct inlay_error *err, const char *path)
{
	assert_int_equal(strncmp(err->text, path, strlen(path)), 0);
	assert_null(strpbrk(err->text, "\n\r\t"));
	assert_true(strlen(err->text) > strlen(path) + 10);
}

/* What formula.onnx computes, for item i of a batch. */
static float formula(const float *picture, const float *audio, int i, int channel, int pixel)
{
	double mean = 0;
	for (int k = 0; k < 32; k++)
		mean += audio[i * 32 + k] / 32.0;
	const float *p = picture + i * 6 * PLANE + pixel;
	return (float)(0.5 * p[channel * PLANE] + 0.25 * p[(channel + 3) * PLANE] + mean);
}

static void descriptions_say_what_the_model_declares(void **state)
{
	(void)state;
	struct il_session *s = open_model(test_model("types"), 1);
	static const char *const expected[] = { "float32 []",      "float16 [n]",       "uint8 [n,2]", "int32 [n,2,?]",
		                                "int64 [n,2,?,4]", "other [n,2,?,4,5]", "other []" };
	char text[512];
	assert_int_equal(il_session_inputs(s), 7);
	assert_int_equal(il_session_outputs(s), 7);
	for (int i = 0; i < 7; i++)
		assert_string_equal(il_tensor_format(il_session_input(s, i), text, sizeof text), expected[i]);
	assert_int_equal(il_session_input(s, 2)->type, IL_TENSOR_U8);
	assert_int_equal(il_session_input(s, 4)->dims[2], -1);
	assert_string_equal(il_session_output(s, 6)->name, "length");
	assert_int_equal(il_session_find_input(s, "i32"), 3);
	assert_int_equal(il_session_find_input(s, "length"), -1);
	assert_int_equal(il_session_find_output(s, "length"), 6);
	assert_int_equal(il_session_find_output(s, ""), -1);
	il_session_format(s, text, sizeof text);
	assert_int_equal(strncmp(text, "inputs: f32 float32 [], f16 float16 [n], ", 41), 0);
	assert_non_null(strstr(text, "; outputs: f32_out float32 [], "));
	char tiny[16];
	assert_string_equal(il_session_format(s, tiny, sizeof tiny), "inputs: f32 flo");
	il_session_destroy(&s);
	assert_null(s);
	il_session_destroy(&s);
}

static void a_name_may_be_long_and_strange(void **state)
{
	(void)state;
	struct il_session *s = open_model(test_model("wrong_long_name"), 1);
	char name[4000] = "data\n";
	memset(name + 5, 'x', 3000);
	assert_int_equal(il_session_find_input(s, name), 0);
	assert_int_equal(strlen(il_session_input(s, 0)->name), IL_TENSOR_NAME - 1);
	assert_int_equal(strncmp(il_session_input(s, 0)->name, "data xxx", 8), 0);
	il_session_destroy(&s);
}

static void runs_read_and_write_the_bound_memory(void **state)
{
	(void)state;
	struct inlay_error err;
	static float pictures[2][3 * 6 * PLANE], audio[3 * 32], results[2][3 * 3 * PLANE];
	struct il_session *s = open_model(test_model("formula"), 1);
	test_fill(audio, 96);
	/* Three rounds with the same binding, then other memory, then another n as well. */
	for (int round = 0; round < 12; round++) {
		int n = 1 + round / 6, side = round / 3 % 2;
		float *picture = pictures[side], *result = results[side];
		test_fill(picture, sizeof pictures[0] / sizeof(float));
		memset(results, 0xff, sizeof results);
		assert_ok(il_session_bind_input(s, 0, picture, 4, (int64_t[]){ n, 6, 16, 16 }, &err));
		assert_ok(il_session_bind_input(s, 1, audio, 4, (int64_t[]){ n, 2, 4, 4 }, &err));
		assert_ok(il_session_bind_output(s, 0, result, 4, (int64_t[]){ n, 3, 16, 16 }, &err));
		assert_ok(il_session_run(s, &err));
		for (int k = 0; k < n * 3 * PLANE; k++) {
			float want = formula(picture, audio, k / (3 * PLANE), k / PLANE % 3, k % PLANE);
			assert_float_equal(result[k], want, 1e-6);
		}
		for (size_t k = (size_t)n * 3 * PLANE; k < sizeof results[0] / sizeof(float); k++)
			assert_true(result[k] != result[k]);
	}
	il_session_destroy(&s);
}

static void bindings_are_checked(void **state)
{
	(void)state;
	struct inlay_error err;
	static float data[2 * 6 * PLANE];
	struct il_session *s = open_model(test_model("formula"), 1);
	assert_fails(il_session_run(s, &err), INLAY_ERR_INVALID, "0 of 2 inputs and 0 of 1 outputs are bound");
	assert_fails(il_session_bind_input(s, 2, data, 4, (int64_t[]){ 1, 6, 16, 16 }, &err), INLAY_ERR_INVALID,
	             "no input of index 2");
	assert_fails(il_session_bind_output(s, -1, data, 4, (int64_t[]){ 1, 3, 16, 16 }, &err), INLAY_ERR_INVALID,
	             "no output of index -1");
	assert_fails(il_session_bind_input(s, 0, data, 3, (int64_t[]){ 6, 16, 16 }, &err), INLAY_ERR_INVALID,
	             "input input: expected float32 [n,6,16,16], found float32 [6,16,16]");
	assert_fails(il_session_bind_input(s, 0, data, 4, (int64_t[]){ 1, 6, 16, 17 }, &err), INLAY_ERR_INVALID,
	             "found float32 [1,6,16,17]");
	assert_fails(il_session_bind_input(s, 0, data, 4, (int64_t[]){ -1, 6, 16, 16 }, &err), INLAY_ERR_INVALID,
	             "found float32 [n,6,16,16]");
	assert_fails(il_session_bind_input(s, 0, data, 4, (int64_t[]){ INT64_MAX, 6, 16, 16 }, &err), INLAY_ERR_INVALID,
	             "found float32 [9223372036854775807,6,16,16]");
	assert_ok(il_session_bind_input(s, 0, data, 4, (int64_t[]){ 1, 6, 16, 16 }, &err));
	assert_fails(il_session_run(s, &err), INLAY_ERR_INVALID, "1 of 2 inputs");
	il_session_destroy(&s);
	s = open_model(test_model("types"), 1);
	assert_fails(il_session_bind_input(s, 1, data, 1, (int64_t[]){ 4 }, &err), INLAY_ERR_INVALID,
	             "input f16: expected float16 [n], found float32 [4]");
	assert_ok(il_session_bind_input(s, 0, data, 0, NULL, &err));
	il_session_destroy(&s);
}

/* What the runtime says goes to debug lines; the error is for the caller. */
static void count_lines(void *ctx, enum inlay_log_level level, const char *text)
{
	assert_null(strchr(text, '\n'));
	assert_int_equal(level, INLAY_LOG_DEBUG);
	*(int *)ctx += !strncmp(text, "onnxruntime: ", 13);
}

/* More memory than a port remembers, in turns, and the same memory in other shapes. */
static void bindings_may_go_to_and_fro(void **state)
{
	(void)state;
	struct inlay_error err;
	static float a[12][2], b[2], sum[12][4];
	struct il_session *s = open_model(test_model("add"), 1);
	b[0] = 10;
	b[1] = 20;
	assert_ok(il_session_bind_input(s, 1, b, 2, (int64_t[]){ 1, 2 }, &err));
	for (int round = 0; round < 60; round++) {
		int k = round < 24 ? round % 2 : round % 12;
		a[k][0] = (float)round;
		a[k][1] = (float)-round;
		assert_ok(il_session_bind_input(s, 0, a[k], 2, (int64_t[]){ 1, 2 }, &err));
		assert_ok(il_session_bind_output(s, 0, sum[k], 2, (int64_t[]){ 1, 2 }, &err));
		assert_ok(il_session_run(s, &err));
		assert_true(sum[k][0] == 10 + round && sum[k][1] == 20 - round);
	}
	il_session_destroy(&s);
}

static void a_probe_finds_shapes(void **state)
{
	(void)state;
	struct inlay_error err;
	static float a[6], b[6], result[6];
	struct il_tensor_desc out;
	struct il_session *s = open_model(test_model("add"), 1);
	assert_fails(il_session_probe(s, &out, &err), INLAY_ERR_INVALID, "0 of 2 inputs are bound; expected all");
	assert_ok(il_session_bind_input(s, 0, a, 2, (int64_t[]){ 3, 2 }, &err));
	assert_ok(il_session_bind_input(s, 1, b, 2, (int64_t[]){ 1, 2 }, &err));
	assert_ok(il_session_bind_output(s, 0, result, 2, (int64_t[]){ 3, 2 }, &err));
	a[0] = 7;
	assert_ok(il_session_probe(s, &out, &err));
	assert_string_equal(out.name, "sum");
	assert_true(out.rank == 2 && out.dims[0] == 3 && out.dims[1] == 2);
	assert_true(result[0] == 0);
	assert_int_equal(il_session_output(s, 0)->dims[0], -1);
	assert_ok(il_session_bind_input(s, 1, b, 2, (int64_t[]){ 2, 2 }, &err));
	assert_fails(il_session_probe(s, &out, &err), INLAY_ERR_FORMAT, "the model does not run");
	il_session_destroy(&s);
}

static void bytes_are_bound_to_inputs_of_bytes(void **state)
{
	(void)state;
	struct inlay_error err;
	static uint8_t picture[16 * 20 * 3];
	static float floats[16 * 20 * 3], mask[16 * 20];
	const int64_t dims[] = { 1, 16, 20, 3 }, planar[] = { 1, 3, 16, 20 };
	struct il_session *s = open_model(test_model("matte_uint8"), 1),
			  *other = open_model(test_model("matte_logit"), 1);
	assert_fails(il_session_bind_input(s, 0, floats, 4, dims, &err), INLAY_ERR_INVALID,
	             "input image: expected uint8 [1,16,20,3], found float32 [1,16,20,3]");
	assert_fails(il_session_bind_input_bytes(other, 0, picture, 4, planar, &err), INLAY_ERR_INVALID,
	             "found uint8 [1,3,16,20]");
	assert_ok(il_session_bind_input_bytes(s, 0, picture, 4, dims, &err));
	assert_ok(il_session_bind_output(s, 0, mask, 4, (int64_t[]){ 1, 16, 20, 1 }, &err));
	picture[3] = 255; /* red of the second pixel: 1 / (1 + exp(-1.5)) */
	assert_ok(il_session_run(s, &err));
	assert_float_equal(mask[1], 0.8175745, 1e-5);
	il_session_destroy(&s);
	il_session_destroy(&other);
}

static void a_run_that_fails_says_why(void **state)
{
	(void)state;
	struct inlay_error err;
	int lines = 0;
	float data[6] = { 0 }, sum[6];
	const char *path = test_model("add");
	inlay_log_set(count_lines, &lines, INLAY_LOG_DEBUG);
	struct il_session *s = open_model(path, 1);
	int before = lines;
	assert_ok(il_session_bind_input(s, 0, data, 2, (int64_t[]){ 3, 2 }, &err));
	assert_ok(il_session_bind_input(s, 1, data, 2, (int64_t[]){ 2, 2 }, &err));
	assert_ok(il_session_bind_output(s, 0, sum, 2, (int64_t[]){ 3, 2 }, &err));
	assert_fails(il_session_run(s, &err), INLAY_ERR_FORMAT, "the model does not run: ");
	assert_reason(&err, path);
	assert_int_equal(lines, before + 1);
	/* The session is good for the next run. */
	assert_ok(il_session_bind_input(s, 1, data, 2, (int64_t[]){ 3, 2 }, &err));
	assert_ok(il_session_run(s, &err));
	il_session_destroy(&s);
	inlay_log_set(NULL, NULL, INLAY_LOG_NONE);
}

static void files_that_are_no_models_are_refused(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_session *s = NULL;
	const char *path = test_scratch("bad.onnx");
	uint8_t noise[5000];
	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (uint8_t)test_random();
	const struct {
		const void *data;
		size_t size;
		const char *part;
	} cases[] = {
		{ "", 0, "expected an ONNX model, found an empty file" },
		{ "hello, I am a text\nof two lines\n", 32, "ONNX Runtime refuses it: " },
		{ "\x08\x07", 2, "ONNX Runtime refuses it: " },
		{ noise, sizeof noise, "ONNX Runtime refuses it: " },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_file(path, cases[i].data, cases[i].size);
		assert_fails(il_session_open(&s, path, NULL, &err), INLAY_ERR_FORMAT, cases[i].part);
		assert_reason(&err, path);
	}
	unlink(path);
	assert_fails(il_session_open(&s, path, NULL, &err), INLAY_ERR_NOT_FOUND, path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_fails(il_session_open(&s, path, NULL, &err), INLAY_ERR_FORMAT, "found a folder");
	rmdir(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_fails(il_session_open(&s, path, NULL, &err), INLAY_ERR_FORMAT, "not a file");
	unlink(path);
	assert_fails(il_session_open(&s, test_model("wrong_nine_dims"), NULL, &err), INLAY_ERR_FORMAT,
	             "input deep: more than 8 dimensions");
	assert_fails(il_session_open(&s, test_model("add"), &(struct il_session_params){ 5000 }, &err),
	             INLAY_ERR_INVALID, "5000 threads a run; expected at most 256");
	assert_null(s);
}

/* Wherever a model is cut, opening it fails with a reason, or it is a model still. */
static void cut_models_are_refused(void **state)
{
	(void)state;
	struct inlay_error err;
	static uint8_t model[100000];
	const char *path = test_scratch("cut.onnx");
	FILE *f = fopen(test_model("lipsync_160"), "rb");
	assert_non_null(f);
	size_t size = fread(model, 1, sizeof model, f), refused = 0, cuts = 0;
	fclose(f);
	for (size_t n = 1; n < size; n += 1 + n / 16, cuts++) {
		struct il_session *s = NULL;
		write_file(path, model, n);
		err = (struct inlay_error){ 0 };
		if (!il_session_open(&s, path, NULL, &err)) {
			il_session_destroy(&s);
			continue;
		}
		assert_int_equal(err.code, INLAY_ERR_FORMAT);
		assert_reason(&err, path);
		refused++;
	}
	unlink(path);
	assert_true(cuts > 50 && refused > cuts - 5);
}

/* One run of `s` with the same random inputs each time; the first output, of `*count` floats. */
static float *run_randomly(struct il_session *s, const int64_t *in, const int64_t *out, size_t *count)
{
	struct inlay_error err;
	size_t in_count = 1;
	*count = 1;
	for (int i = 0; i < 4; i++) {
		in_count *= (size_t)in[i];
		*count *= (size_t)out[i];
	}
	float *data = calloc(in_count, sizeof *data), *result = calloc(*count, sizeof *result);
	assert_true(data && result);
	for (size_t i = 0; i < in_count; i++)
		data[i] = (float)(i * 2654435761u % 1021) / 1021.0f;
	assert_ok(il_session_bind_input(s, 0, data, 4, in, &err));
	assert_ok(il_session_bind_output(s, 0, result, 4, out, &err));
	assert_ok(il_session_run(s, &err));
	free(data);
	return result;
}

static void threads_change_no_bit(void **state)
{
	(void)state;
	const int64_t in[] = { 1, 3, 320, 320 }, out[] = { 1, 2, 320, 320 };
	const char *path = test_data("models/matting/SINet_logits.onnx");
	size_t count;
	struct il_session *one = open_model(path, 1), *two = open_model(path, 2);
	float *a = run_randomly(one, in, out, &count), *b = run_randomly(two, in, out, &count);
	assert_memory_equal(a, b, count * sizeof *a);
	float low = a[0], high = a[0];
	for (size_t i = 0; i < count; i++) {
		low = a[i] < low ? a[i] : low;
		high = a[i] > high ? a[i] : high;
	}
	assert_true(high - low > 1);
	free(a);
	free(b);
	il_session_destroy(&one);
	il_session_destroy(&two);
}

/* cmocka's asserts must not be used on a thread of our own, so the outcome is kept for the main one. */
struct lane {
	pthread_t thread;
	const char *path;
	enum inlay_err rc;
	float result[3 * PLANE];
};

static void *run_lane(void *arg)
{
	struct lane *lane = arg;
	float picture[6 * PLANE], audio[32];
	for (int i = 0; i < 6 * PLANE; i++)
		picture[i] = (float)i;
	for (int i = 0; i < 32; i++)
		audio[i] = 1;
	struct il_session *s = NULL;
	lane->rc = il_session_open(&s, lane->path, &(struct il_session_params){ 2 }, NULL);
	if (lane->rc)
		return NULL;
	lane->rc = il_session_bind_input(s, 0, picture, 4, (int64_t[]){ 1, 6, 16, 16 }, NULL);
	if (!lane->rc)
		lane->rc = il_session_bind_input(s, 1, audio, 4, (int64_t[]){ 1, 2, 4, 4 }, NULL);
	if (!lane->rc)
		lane->rc = il_session_bind_output(s, 0, lane->result, 4, (int64_t[]){ 1, 3, 16, 16 }, NULL);
	for (int i = 0; i < 50 && !lane->rc; i++)
		lane->rc = il_session_run(s, NULL);
	il_session_destroy(&s);
	return NULL;
}

static void sessions_run_side_by_side(void **state)
{
	(void)state;
	static struct lane lanes[3];
	for (int i = 0; i < 3; i++) {
		lanes[i].path = test_model("formula");
		assert_int_equal(pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]), 0);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(lanes[i].thread, NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(lanes[i].rc, INLAY_OK);
		for (int k = 0; k < 3 * PLANE; k++)
			assert_float_equal(lanes[i].result[k], 0.5 * k + 0.25 * (k + 3 * PLANE) + 1, 1e-3);
	}
}

static int models_seen;

static int open_found(const char *path, const struct stat *st, int type)
{
	(void)st;
	size_t length = strlen(path);
	if (type != FTW_F || length < 5 || strcmp(path + length - 5, ".onnx"))
		return 0;
	struct inlay_error err;
	struct il_session *s = NULL;
	char text[2000];
	if (strstr(path, "topology")) {
		assert_fails(il_session_open(&s, path, NULL, &err), INLAY_ERR_FORMAT, "does not match expected size");
		assert_reason(&err, path);
		return 0;
	}
	s = open_model(path, 1);
	assert_true(il_session_inputs(s) > 0 && il_session_outputs(s) > 0);
	assert_true(*il_session_input(s, 0)->name && *il_session_output(s, 0)->name);
	assert_non_null(strstr(il_session_format(s, text, sizeof text), "; outputs: "));
	il_session_destroy(&s);
	models_seen++;
	return 0;
}

static void models_of_others_open(void **state)
{
	(void)state;
	assert_int_equal(ftw(test_data("models"), open_found, 8), 0);
	assert_true(models_seen >= 15);
}

static void the_version_reads_as_one(void **state)
{
	(void)state;
	int major = 0, minor = 0;
	assert_int_equal(sscanf(il_infer_runtime_version(), "%d.%d.", &major, &minor), 2);
	assert_true(major > 1 || minor >= 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptions_say_what_the_model_declares),
		cmocka_unit_test(a_name_may_be_long_and_strange),
		cmocka_unit_test(runs_read_and_write_the_bound_memory),
		cmocka_unit_test(bindings_are_checked),
		cmocka_unit_test(bindings_may_go_to_and_fro),
		cmocka_unit_test(a_probe_finds_shapes),
		cmocka_unit_test(bytes_are_bound_to_inputs_of_bytes),
		cmocka_unit_test(a_run_that_fails_says_why),
		cmocka_unit_test(files_that_are_no_models_are_refused),
		cmocka_unit_test(cut_models_are_refused),
		cmocka_unit_test(threads_change_no_bit),
		cmocka_unit_test(sessions_run_side_by_side),
		cmocka_unit_test(models_of_others_open),
		cmocka_unit_test(the_version_reads_as_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

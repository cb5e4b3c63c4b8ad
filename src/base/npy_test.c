#include "tests/test.h"

#include <math.h>

#include "base/file.h"
#include "base/npy.h"

static struct inlay_error err;

/* Writes a file of the given format version from a dictionary and raw items. */
static size_t build(uint8_t *out, unsigned major, const char *dictionary, const void *items, size_t item_bytes)
{
	size_t length = strlen(dictionary), prefix = major == 1 ? 10 : 12;
	memcpy(out, "\x93NUMPY", 6);
	out[6] = (uint8_t)major;
	out[7] = 0;
	for (size_t i = 8; i < prefix; i++)
		out[i] = (uint8_t)(length >> 8 * (i - 8));
	memcpy(out + prefix, dictionary, length);
	if (item_bytes)
		memcpy(out + prefix + length, items, item_bytes);
	return prefix + length + item_bytes;
}

static enum inlay_err parse(const char *dictionary, struct il_npy_header *header)
{
	uint8_t file[1024];
	size_t size = build(file, 1, dictionary, NULL, 0);
	/* An exact copy on the heap lets a sanitizer see a read behind the end. */
	uint8_t *copy = malloc(size);
	assert_non_null(copy);
	memcpy(copy, file, size);
	enum inlay_err rc = il_npy_parse(copy, size, "x.npy", header, &err);
	free(copy);
	return rc;
}

static void open_bytes(struct il_npy *npy, const uint8_t *bytes, size_t size)
{
	const char *path = test_scratch("x.npy");
	assert_ok(il_file_write(path, bytes, size, true, &err));
	assert_ok(il_npy_open(npy, path, &err));
	unlink(path);
}

static void accepts_any_key_order_and_spacing(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }   \n",
		"{'shape':(3,4,),'fortran_order':True,'descr':'<f8'}",
		"  {\"fortran_order\" : True ,\t\"descr\" : \"<f8\" , \"shape\" : ( 3 , 4 ) }\n",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct il_npy_header h;
		assert_ok(parse(texts[i], &h));
		assert_int_equal(h.type, IL_NPY_F64);
		assert_true(h.fortran_order);
		assert_int_equal(h.rank, 2);
		assert_int_equal(h.dims[0], 3);
		assert_int_equal(h.dims[1], 4);
		assert_int_equal(h.count, 12);
		assert_int_equal(h.data_offset, 10 + strlen(texts[i]));
	}
}

static void ranks(void **state)
{
	(void)state;
	struct il_npy_header h;
	assert_ok(parse("{'descr': '|u1', 'fortran_order': False, 'shape': ()}", &h));
	assert_int_equal(h.rank, 0);
	assert_int_equal(h.count, 1);
	assert_ok(parse("{'descr': '<i2', 'fortran_order': False, 'shape': (7,)}", &h));
	assert_int_equal(h.rank, 1);
	assert_int_equal(h.count, 7);
	assert_ok(parse("{'descr': '<i4', 'fortran_order': False, 'shape': (0, 5)}", &h));
	assert_int_equal(h.count, 0);
	assert_ok(parse("{'descr': '<i8', 'fortran_order': False, 'shape': (1,2,1,2,1,2,1,2)}", &h));
	assert_int_equal(h.rank, 8);
	assert_int_equal(h.count, 16);
}

static void refuses_bad_headers(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
		enum inlay_err code;
	} cases[] = {
		{ "{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}",
		  "x.npy: expected little-endian float32, float64, uint8, int16, int32 or int64, found '>f4'",
		  INLAY_ERR_UNSUPPORTED },
		{ "{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}", "found '<f2'", INLAY_ERR_UNSUPPORTED },
		{ "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "found '|O'", INLAY_ERR_UNSUPPORTED },
		{ "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "found the fields [('a'",
		  INLAY_ERR_UNSUPPORTED },
		{ "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", "expected True or False", INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (3)}", "expected ',' after the only dimension",
		  INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", "expected a dimension", INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "expected a dimension",
		  INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}", "expected ',' or ')'", INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (1,2", "found the end of the header",
		  INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "fits 64 bits",
		  INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "larger than memory",
		  INLAY_ERR_FORMAT },
		{ "{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,)}", "larger than memory",
		  INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", "more than 8 dimensions",
		  INLAY_ERR_UNSUPPORTED },
		{ "{'descr': '<f4', 'fortran_order': False}", "lacks 'shape'", INLAY_ERR_FORMAT },
		{ "{'fortran_order': False, 'shape': (1,)}", "lacks 'descr'", INLAY_ERR_FORMAT },
		{ "{}", "lacks 'descr'", INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'descr': '<f4'}", "expected each key once", INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'colour': 1}", "found 'colour': 1}", INLAY_ERR_FORMAT },
		{ "{'descr' '<f4'}", "expected ':'", INLAY_ERR_FORMAT },
		{ "{'descr': '<f4' 'shape': (1,)}", "expected ',' or '}'", INLAY_ERR_FORMAT },
		{ "{'descr: <f4", "expected 'descr', 'fortran_order' or 'shape'", INLAY_ERR_FORMAT },
		{ "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", "expected nothing after the dictionary",
		  INLAY_ERR_FORMAT },
		{ "", "expected '{', found the end of the header", INLAY_ERR_FORMAT },
		{ "\x01\xff\xfe", "found ???", INLAY_ERR_FORMAT },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct il_npy_header h;
		assert_fails(parse(cases[i].text, &h), cases[i].code, cases[i].message);
		assert_non_null(strstr(err.text, "x.npy: "));
	}
}

static void refuses_bad_prefixes(void **state)
{
	(void)state;
	struct il_npy_header h;
	uint8_t file[256], *cut;
	size_t size = build(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", NULL, 0);
	for (size_t n = 0; n < size; n++) {
		cut = malloc(n ? n : 1);
		assert_non_null(cut);
		memcpy(cut, file, n);
		assert_fails(il_npy_parse(cut, n, "x.npy", &h, &err), INLAY_ERR_FORMAT,
		             n < 8 ? "not an .npy file" : "cut off");
		free(cut);
	}
	assert_ok(il_npy_parse(file, size, "x.npy", &h, &err));
	file[7] = 1;
	assert_fails(il_npy_parse(file, size, "x.npy", &h, &err), INLAY_ERR_UNSUPPORTED, "version 1.1");
	file[6] = 4;
	assert_fails(il_npy_parse(file, size, "x.npy", &h, &err), INLAY_ERR_UNSUPPORTED, "version 4.1");
	memset(file + 8, 0xff, 4);
	file[6] = 2;
	file[7] = 0;
	assert_fails(il_npy_parse(file, size, "x.npy", &h, &err), INLAY_ERR_FORMAT, "4294967295 bytes is cut off");
	file[0] = 'P';
	assert_fails(il_npy_parse(file, size, "x.npy", &h, &err), INLAY_ERR_FORMAT, "not an .npy file");
}

static void opens_all_versions_unaligned_too(void **state)
{
	(void)state;
	static const double items[] = { 1.5, -2, 1e10 };
	static const char *const text = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), } ";
	for (unsigned major = 1; major <= 3; major++) {
		for (size_t skip = 0; skip < 2; skip++) {
			uint8_t file[256];
			struct il_npy npy;
			float *values;
			size_t size = build(file, major, text, items, sizeof items);
			if (skip)
				size = build(file, major, "{'descr':'<f8','fortran_order':False,'shape':(3,)}", items,
				             sizeof items);
			open_bytes(&npy, file, size);
			assert_ok(il_npy_to_float(&npy, &values, &err));
			for (int i = 0; i < 3; i++)
				assert_true(values[i] == (float)items[i]);
			free(values);
			il_npy_close(&npy);
			il_npy_close(&npy);
		}
	}
}

static void converts_every_type(void **state)
{
	(void)state;
	static const float f32[] = { 1, -2.5f, INFINITY };
	static const double f64[] = { 1, -2.5, INFINITY };
	static const uint8_t u8[] = { 0, 127, 255 };
	static const int16_t i16[] = { -32768, 0, 32767 };
	static const int32_t i32[] = { -2147483647 - 1, 0, 2147483647 };
	static const int64_t i64[] = { INT64_MIN, 5, INT64_MAX };
	static const struct {
		enum il_npy_type type;
		const char *name;
		const void *items;
		float expected[3];
	} cases[] = {
		{ IL_NPY_F32, "float32", f32, { 1, -2.5f, INFINITY } },
		{ IL_NPY_F64, "float64", f64, { 1, -2.5f, INFINITY } },
		{ IL_NPY_U8, "uint8", u8, { 0, 127, 255 } },
		{ IL_NPY_I16, "int16", i16, { -32768, 0, 32767 } },
		{ IL_NPY_I32, "int32", i32, { -2147483648.0f, 0, 2147483648.0f } },
		{ IL_NPY_I64, "int64", i64, { -9223372036854775808.0f, 5, 9223372036854775808.0f } },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t file[512];
		struct il_npy npy;
		float *values;
		size_t dims[] = { 3 }, start = il_npy_format_header(cases[i].type, 1, dims, file);
		size_t bytes = 3 * il_npy_item_size(cases[i].type);
		assert_int_equal(start % 64, 0);
		memcpy(file + start, cases[i].items, bytes);
		open_bytes(&npy, file, start + bytes);
		assert_int_equal(npy.header.type, cases[i].type);
		assert_int_equal(npy.header.data_offset, start);
		assert_string_equal(il_npy_type_name(npy.header.type), cases[i].name);
		assert_ok(il_npy_to_float(&npy, &values, &err));
		assert_memory_equal(values, cases[i].expected, sizeof cases[i].expected);
		free(values);
		il_npy_close(&npy);
	}
}

static void formats_headers_that_parse(void **state)
{
	(void)state;
	for (int rank = 0; rank <= IL_NPY_MAX_RANK; rank++) {
		uint8_t bytes[256];
		struct il_npy_header h;
		size_t dims[IL_NPY_MAX_RANK], count = 1;
		for (int i = 0; i < rank; i++)
			count *= dims[i] = 1 + test_random() % 9;
		size_t n = il_npy_format_header(IL_NPY_F32, rank, dims, bytes);
		assert_true(n <= 256);
		assert_ok(il_npy_parse(bytes, n, "x.npy", &h, &err));
		assert_int_equal(h.rank, rank);
		assert_int_equal(h.count, count);
		assert_int_equal(h.data_offset, n);
		assert_false(h.fortran_order);
		assert_memory_equal(h.dims, dims, (size_t)rank * sizeof *dims);
	}
	/* The longest dimensions there are still fit. */
	uint8_t bytes[257] = { 0 };
	size_t dims[IL_NPY_MAX_RANK];
	for (int i = 0; i < IL_NPY_MAX_RANK; i++)
		dims[i] = SIZE_MAX;
	bytes[256] = 0xaa;
	assert_int_equal(il_npy_format_header(IL_NPY_F32, IL_NPY_MAX_RANK, dims, bytes), 256);
	assert_int_equal(bytes[256], 0xaa);
}

/* The item of index (i, j, k) holds 100 i + 10 j + k, whatever the order in the file. */
static void honours_fortran_order(void **state)
{
	(void)state;
	int16_t items[24];
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 3; j++)
			for (int k = 0; k < 4; k++)
				items[i + 2 * j + 6 * k] = (int16_t)(100 * i + 10 * j + k);
	uint8_t file[256];
	struct il_npy npy;
	float *values, row[12];
	size_t size =
		build(file, 1, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3, 4)}", items, sizeof items);
	open_bytes(&npy, file, size);
	assert_ok(il_npy_to_float(&npy, &values, &err));
	for (int n = 0; n < 24; n++)
		assert_true(values[n] == (float)(100 * (n / 12) + 10 * (n / 4 % 3) + n % 4));
	il_npy_row_to_float(&npy, 1, row);
	assert_memory_equal(row, values + 12, sizeof row);
	free(values);
	il_npy_close(&npy);
}

static void empty_arrays(void **state)
{
	(void)state;
	uint8_t file[256];
	struct il_npy npy;
	float *values;
	open_bytes(&npy, file,
	           build(file, 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (1000000000000, 0)}", NULL, 0));
	assert_ok(il_npy_to_float(&npy, &values, &err));
	free(values);
	il_npy_close(&npy);
}

static void refuses_bad_files(void **state)
{
	(void)state;
	static const float items[3] = { 1, 2, 3 };
	uint8_t file[256];
	struct il_npy npy;
	const char *path = test_scratch("bad.npy");
	assert_fails(il_npy_open(&npy, path, &err), INLAY_ERR_NOT_FOUND, path);
	assert_fails(il_npy_open(&npy, "/", &err), INLAY_ERR_INVALID, "/: is no regular file");
	assert_ok(il_file_write(path, "", 0, true, &err));
	assert_fails(il_npy_open(&npy, path, &err), INLAY_ERR_FORMAT, "bad.npy: is empty");
	size_t size = build(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", items, sizeof items);
	assert_ok(il_file_write(path, file, size - 1, true, &err));
	assert_fails(il_npy_open(&npy, path, &err), INLAY_ERR_FORMAT,
	             "bad.npy: cut off: 3 items of float32 need 12 bytes, found 11");
	assert_null(npy.map);
	unlink(path);
}

/* Shapes, types, first and last items as NumPy reads them, and the sum of item k times k % 251, which an item in the
 * wrong place changes. */
static void reads_recorded_files(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		enum il_npy_type type;
		int rank;
		size_t dims[4];
		double first, last, sum, tolerance;
	} files[] = {
		{ "golden/SINet_Softmax_simple.out.npy",
		  IL_NPY_F32,
		  2,
		  { 320, 320 },
		  0.015368840657174587,
		  0.5145148038864136,
		  6429872.152548986,
		  6.4e-06 },
		{ "golden/SINet_logits.out.npy",
		  IL_NPY_F32,
		  2,
		  { 320, 320 },
		  -2.0804076194763184,
		  0.02911868877708912,
		  -5390699.814736746,
		  4.4e-05 },
		{ "golden/mediapipe_segm_144x256.out.npy",
		  IL_NPY_F32,
		  3,
		  { 144, 256, 2 },
		  9.204061508178711,
		  -5.106936931610107,
		  -213991.0507170423,
		  7.0e-05 },
		{ "golden/pfld_68.out.npy",
		  IL_NPY_F32,
		  2,
		  { 1, 136 },
		  0.009871669113636017,
		  0.7708922624588013,
		  5127.127384707332,
		  5.1e-09 },
		{ "golden/rvm_192x320.step0_fgr_u8.npy",
		  IL_NPY_U8,
		  3,
		  { 3, 192, 320 },
		  120.0,
		  59.0,
		  2636136307.0,
		  2.6e-03 },
		{ "golden/rvm_192x320.step0_pha.npy",
		  IL_NPY_F32,
		  2,
		  { 192, 320 },
		  0.0,
		  0.0,
		  3177735.6146727144,
		  3.2e-06 },
		{ "golden/rvm_192x320.step0_r4o.npy",
		  IL_NPY_F32,
		  4,
		  { 1, 64, 12, 20 },
		  0.0655023381114006,
		  -0.090596504509449,
		  83223.68128043565,
		  6.9e-07 },
		{ "golden/rvm_192x320.step1_pha.npy",
		  IL_NPY_F32,
		  2,
		  { 192, 320 },
		  0.0,
		  0.0,
		  3180748.146839591,
		  3.2e-06 },
		{ "golden/selfie_alphas_256_nchw.out.npy",
		  IL_NPY_F32,
		  2,
		  { 256, 256 },
		  1.999765769644668e-10,
		  0.5037209987640381,
		  4480069.510396508,
		  4.5e-06 },
		{ "golden/selfie_alphas_256_nchw_int8dyn.out.npy",
		  IL_NPY_F32,
		  2,
		  { 256, 256 },
		  1.1267871065913857e-21,
		  0.5177268981933594,
		  4309652.474317618,
		  4.3e-06 },
		{ "golden/selfie_segmentation_256.out.npy",
		  IL_NPY_F32,
		  2,
		  { 256, 256 },
		  1.999170690103469e-10,
		  0.5037209391593933,
		  4480069.257545232,
		  4.5e-06 },
		{ "golden/silero_jfk_probs.npy",
		  IL_NPY_F32,
		  1,
		  { 343 },
		  0.001669703982770443,
		  0.8762245774269104,
		  23536.85682629049,
		  2.4e-08 },
		{ "golden/tcmonodepth_192x320.out.npy",
		  IL_NPY_F32,
		  2,
		  { 192, 320 },
		  0.30030307173728943,
		  1.0157802104949951,
		  5386811.620738324,
		  5.4e-06 },
		{ "golden_composite/lipsync_10_prediction.npy",
		  IL_NPY_F32,
		  3,
		  { 3, 320, 320 },
		  0.09553278237581253,
		  0.061839714646339417,
		  8330219.829771018,
		  8.3e-06 },
		{ "golden_composite/lipsync_1_prediction.npy",
		  IL_NPY_F32,
		  3,
		  { 3, 320, 320 },
		  0.05994538962841034,
		  0.24824045598506927,
		  8157137.942623883,
		  8.2e-06 },
		{ "golden_composite/lipsync_50_prediction.npy",
		  IL_NPY_F32,
		  3,
		  { 3, 320, 320 },
		  0.0,
		  0.021102964878082275,
		  8764637.638161242,
		  8.8e-06 },
		{ "lipsync_sanders/aud_ave.npy",
		  IL_NPY_F32,
		  2,
		  { 522, 512 },
		  0.0,
		  1.5863410234451294,
		  12330957.665167823,
		  1.2e-05 },
		{ "lipsync_sanders/input_tensor_frame1_u8.npy",
		  IL_NPY_U8,
		  4,
		  { 1, 6, 320, 320 },
		  12.0,
		  65.0,
		  2452944872.0,
		  2.5e-03 },
		{ "lipsync_sanders/landmarks_523x110x2.npy",
		  IL_NPY_I16,
		  3,
		  { 523, 110, 2 },
		  532.0,
		  379.0,
		  6857184308.0,
		  6.9e-03 },
		{ "mel_ref/encoder_only_python_audio_embedding.npy",
		  IL_NPY_F32,
		  2,
		  { 1, 512 },
		  0.0,
		  1.358098030090332,
		  29021.25106153637,
		  2.9e-08 },
		{ "mel_ref/encoder_only_python_mel_for_encoder.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  0.171656996011734,
		  0.3016809821128845,
		  35176.238768538926,
		  3.5e-08 },
		{ "mel_ref/python_mel_db.npy",
		  IL_NPY_F64,
		  2,
		  { 80, 10 },
		  -82.83429718017578,
		  -73.74320983886719,
		  -7434496.793159485,
		  7.4e-06 },
		{ "mel_ref/python_mel_linear.npy",
		  IL_NPY_F64,
		  2,
		  { 80, 10 },
		  0.0007215808145701885,
		  0.0020551313646137714,
		  210.65239862276212,
		  2.1e-10 },
		{ "mel_ref/python_mel_normalized.npy",
		  IL_NPY_F64,
		  2,
		  { 80, 10 },
		  -2.626744031906128,
		  -1.8994566202163696,
		  -213935.74308016896,
		  2.1e-07 },
		{ "mel_ref/python_preemphasis.npy",
		  IL_NPY_F64,
		  1,
		  { 1000 },
		  0.000457763671875,
		  -0.0048652649857103825,
		  -1.2517212623486103,
		  2.9e-10 },
		{ "mel_ref/python_step0_original.npy",
		  IL_NPY_F32,
		  1,
		  { 334739 },
		  0.000457763671875,
		  -0.000152587890625,
		  -1714.7947845458984,
		  5.0e-07 },
		{ "mel_ref/python_step1_preemphasis_head.npy",
		  IL_NPY_F32,
		  1,
		  { 40400 },
		  0.000457763671875,
		  6.0119629779364914e-05,
		  -57.299009363311995,
		  1.2e-08 },
		{ "mel_ref/python_step2_stft_imag_head.npy",
		  IL_NPY_F32,
		  2,
		  { 200, 401 },
		  0.0,
		  0.0,
		  163.39023129382625,
		  2.2e-07 },
		{ "mel_ref/python_step2_stft_real_head.npy",
		  IL_NPY_F32,
		  2,
		  { 200, 401 },
		  -0.002726595150306821,
		  -4.942027590004727e-05,
		  -13.396913353984608,
		  2.2e-07 },
		{ "mel_ref/python_step3_magnitude_head.npy",
		  IL_NPY_F32,
		  2,
		  { 200, 401 },
		  0.002726595150306821,
		  4.942027590004727e-05,
		  348888.23878136714,
		  3.5e-07 },
		{ "mel_ref/python_step4_mel.npy",
		  IL_NPY_F32,
		  2,
		  { 1674, 80 },
		  0.0007215808145701885,
		  0.000476825051009655,
		  56187.74014474112,
		  5.6e-08 },
		{ "mel_ref/python_step5a_db_raw.npy",
		  IL_NPY_F32,
		  2,
		  { 1674, 80 },
		  -62.83430099487305,
		  -66.43281555175781,
		  -1002060792.9447517,
		  1.0e-03 },
		{ "mel_ref/python_stft_mag.npy",
		  IL_NPY_F64,
		  2,
		  { 401, 10 },
		  0.002726595150306821,
		  0.009949973784387112,
		  21366.264449248538,
		  2.1e-08 },
		{ "mel_ref/windows/frame_0.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  -2.626744031906128,
		  -1.5865520238876343,
		  -347254.40200302005,
		  3.5e-07 },
		{ "mel_ref/windows/frame_1.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  -3.050623655319214,
		  -1.3470171689987183,
		  -321503.70980819315,
		  3.2e-07 },
		{ "mel_ref/windows/frame_2.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  -2.782580614089966,
		  -1.8908584117889404,
		  -303322.91390439495,
		  3.0e-07 },
		{ "mel_ref/windows/frame_3.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  -3.2915701866149902,
		  -2.170586109161377,
		  -282827.2512032166,
		  2.8e-07 },
		{ "mel_ref/windows/frame_4.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  -3.2838501930236816,
		  -2.818779230117798,
		  -262071.00436600856,
		  2.6e-07 },
		{ "mel_ref/windows/frame_5.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  -3.0940136909484863,
		  -3.2037458419799805,
		  -244157.39340408426,
		  2.4e-07 },
		{ "mel_ref/windows/frame_6.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  -2.8577511310577393,
		  -2.5212488174438477,
		  -240342.2745412737,
		  2.4e-07 },
		{ "mel_ref/windows/frame_7.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  -2.665639638900757,
		  -2.7423417568206787,
		  -245047.90971994516,
		  2.5e-07 },
		{ "mel_ref/windows/frame_8.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  -2.748666286468506,
		  -2.7902324199676514,
		  -258003.05909764487,
		  2.6e-07 },
		{ "mel_ref/windows/frame_9.npy",
		  IL_NPY_F64,
		  2,
		  { 16, 80 },
		  -2.646298885345459,
		  -2.752500057220459,
		  -274211.62627402483,
		  2.7e-07 },
	};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct il_npy npy;
		float *values;
		assert_ok(il_npy_open(&npy, test_data(files[i].path), &err));
		assert_int_equal(npy.header.type, files[i].type);
		assert_int_equal(npy.header.rank, files[i].rank);
		assert_memory_equal(npy.header.dims, files[i].dims, (size_t)files[i].rank * sizeof(size_t));
		assert_ok(il_npy_to_float(&npy, &values, &err));
		double sum = 0;
		for (size_t k = 0; k < npy.header.count; k++)
			sum += values[k] * (double)(k % 251);
		assert_true(values[0] == (float)files[i].first);
		assert_true(values[npy.header.count - 1] == (float)files[i].last);
		if (!(fabs(sum - files[i].sum) <= files[i].tolerance))
			fail_msg("%s: sum %.17g, expected %.17g", files[i].path, sum, files[i].sum);
		free(values);
		il_npy_close(&npy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_any_key_order_and_spacing),
		cmocka_unit_test(ranks),
		cmocka_unit_test(refuses_bad_headers),
		cmocka_unit_test(refuses_bad_prefixes),
		cmocka_unit_test(opens_all_versions_unaligned_too),
		cmocka_unit_test(converts_every_type),
		cmocka_unit_test(formats_headers_that_parse),
		cmocka_unit_test(honours_fortran_order),
		cmocka_unit_test(empty_arrays),
		cmocka_unit_test(refuses_bad_files),
		cmocka_unit_test(reads_recorded_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

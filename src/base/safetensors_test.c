#include "tests/test.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/safetensors.h"
#include "base/sum.h"

static struct inlay_error err;

/* A file on the heap of exactly its size, so that a sanitizer sees a read behind the end. */
static uint8_t *build(const char *json, size_t length, size_t data_bytes, size_t *size)
{
	*size = 8 + strlen(json) + data_bytes;
	uint8_t *file = malloc(*size);
	assert_non_null(file);
	for (int i = 0; i < 8; i++)
		file[i] = (uint8_t)(length >> 8 * i);
	memcpy(file + 8, json, strlen(json));
	for (size_t i = 0; i < data_bytes; i++)
		file[8 + strlen(json) + i] = (uint8_t)i;
	return file;
}

static enum inlay_err parse(const char *json, size_t data_bytes)
{
	size_t size;
	struct il_safetensors *file;
	uint8_t *bytes = build(json, strlen(json), data_bytes, &size);
	enum inlay_err rc = il_safetensors_parse(&file, bytes, size, "x", &err);
	assert_true(!rc == !!file);
	il_safetensors_destroy(&file);
	free(bytes);
	return rc;
}

static void reads_what_the_format_allows(void **state)
{
	(void)state;
	static const char json[] =
		"{ \"b\\u00e9\\ud83d\\ude00\" : {\"data_offsets\":[24 ,24],\"shape\":[0, 7],\"dtype\":\"I64\"},"
		"\"\xc3\xa9/a b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[12,24]},\n"
		"\"__metadata__\":{\"format\":\"pt\",\"a\\n\\\"\":\"\"},\t"
		"\"scalar\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[10,12]},"
		"\"first\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[0,10]}}                                  "
		"    ";
	size_t size;
	uint8_t *bytes = build(json, strlen(json), 24, &size);
	struct il_safetensors *file;
	assert_ok(il_safetensors_parse(&file, bytes, size, "x", &err));
	assert_int_equal(il_safetensors_count(file), 4);
	const struct il_safetensor *t = il_safetensors_at(file, 0);
	assert_string_equal(t->name, "first");
	assert_ptr_equal(t->data, bytes + 8 + strlen(json));
	t = il_safetensors_at(file, 1);
	assert_string_equal(t->name, "scalar");
	assert_int_equal(t->rank, 0);
	assert_int_equal(t->size, 2);
	t = il_safetensors_find(file, "\xc3\xa9/a b");
	assert_ptr_equal(t, il_safetensors_at(file, 2));
	assert_int_equal(t->type, IL_ST_F16);
	assert_int_equal(t->rank, 2);
	assert_int_equal(t->dims[0] * 10 + t->dims[1], 23);
	assert_int_equal(t->data[0], 12);
	t = il_safetensors_find(file, "b\xc3\xa9\xf0\x9f\x98\x80");
	assert_non_null(t);
	assert_int_equal(t->size, 0);
	assert_null(il_safetensors_find(file, "b"));
	assert_null(il_safetensors_at(file, 4));
	assert_string_equal(il_safetensors_metadata(file, "format"), "pt");
	assert_string_equal(il_safetensors_metadata(file, "a\n\""), "");
	assert_null(il_safetensors_metadata(file, "b"));
	assert_fails(il_safetensors_verify(file, NULL, NULL, &err), INLAY_ERR_UNSUPPORTED, "no checksums");
	il_safetensors_destroy(&file);
	il_safetensors_destroy(&file);
	free(bytes);
	assert_ok(parse("{}", 0));
	assert_ok(parse("{\"__metadata__\":{}}  ", 0));
}

#define T(name, dtype, shape, offsets)                                                                                 \
	"\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"

static void refuses_what_it_does_not(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		size_t data;
		enum inlay_err code;
		const char *message;
	} cases[] = {
		{ "", 0, INLAY_ERR_FORMAT, "x: header, byte 0: expected '{', found the end" },
		{ " {}", 0, INLAY_ERR_FORMAT, "expected '{', found  {}" },
		{ "{", 0, INLAY_ERR_FORMAT, "expected the name of a tensor, found the end" },
		{ "{} x", 0, INLAY_ERR_FORMAT, "byte 3: expected nothing but spaces, found x" },
		{ "{" T("a", "U8", "4", "0,4") "," T("a", "U8", "4", "4,8") "}", 8, INLAY_ERR_FORMAT,
		  "tensor a: stands in the header twice" },
		{ "{" T("a", "U8", "4", "0,4") "," T("b", "U8", "4", "2,6") "}", 6, INLAY_ERR_FORMAT,
		  "tensor b: begins at 2, inside another that ends at 4" },
		{ "{" T("a", "U8", "4", "0,4") "," T("b", "U8", "4", "5,9") "}", 9, INLAY_ERR_FORMAT,
		  "tensor b: begins at 5, with a gap behind what that ends at 4" },
		{ "{" T("a", "U8", "4", "1,5") "}", 5, INLAY_ERR_FORMAT, "tensor a: begins at 1" },
		{ "{" T("a", "U8", "4", "0,4") "}", 3, INLAY_ERR_FORMAT, "cut off: tensor a ends at 4, the data at 3" },
		{ "{" T("a", "U8", "4", "0,4") "}", 6, INLAY_ERR_FORMAT, "2 bytes behind the last tensor" },
		{ "{" T("a", "F16", "4", "0,4") "}", 4, INLAY_ERR_FORMAT,
		  "tensor a: data_offsets span 4 bytes, expected 8 for its shape of F16" },
		{ "{" T("a", "U8", "4", "4,0") "}", 4, INLAY_ERR_FORMAT,
		  "tensor a: data_offsets are no begin and end" },
		{ "{" T("a", "U8", "4", "0") "}", 4, INLAY_ERR_FORMAT, "tensor a: data_offsets are no begin and end" },
		{ "{" T("a", "U8", "4", "0,4,8") "}", 4, INLAY_ERR_UNSUPPORTED, "more than 2 numbers in data_offsets" },
		{ "{" T("a", "F4", "4", "0,4") "}", 4, INLAY_ERR_UNSUPPORTED, "tensor a: dtype \"F4\" is unknown" },
		{ "{" T("a", "f16", "2", "0,4") "}", 4, INLAY_ERR_UNSUPPORTED, "dtype \"f16\" is unknown" },
		{ "{" T("a", "U8", "1,1,1,1,1,1,1,1,1", "0,1") "}", 1, INLAY_ERR_UNSUPPORTED,
		  "more than 8 numbers in shape" },
		{ "{" T("a", "U8", "-4", "0,4") "}", 4, INLAY_ERR_FORMAT, "expected a whole number, found -4" },
		{ "{" T("a", "U8", "04", "0,4") "}", 4, INLAY_ERR_FORMAT, "expected a whole number" },
		{ "{" T("a", "U8", "4.0", "0,4") "}", 4, INLAY_ERR_FORMAT, "expected ',' or ']'" },
		{ "{" T("a", "U8", "4,", "0,4") "}", 4, INLAY_ERR_FORMAT, "expected a whole number, found ]" },
		{ "{" T("a", "U8", "99999999999999999999", "0,4") "}", 4, INLAY_ERR_FORMAT,
		  "a number that a file can hold" },
		{ "{" T("a", "F64", "1073741824,1073741824,1073741824", "0,0") "}", 0, INLAY_ERR_FORMAT,
		  "tensor a: the shape is larger than a file can be" },
		{ "{" T("a", "U8", "4294967296,4294967296", "0,0") "}", 0, INLAY_ERR_FORMAT, "larger than a file" },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, INLAY_ERR_FORMAT, "\"data_offsets\" before this" },
		{ "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 4, INLAY_ERR_FORMAT, "each once, found \"dtype\"" },
		{ "{\"a\":{\"strides\":[1]}}", 4, INLAY_ERR_FORMAT, "each once, found \"strides\"" },
		{ "{\"a\":[]}", 0, INLAY_ERR_FORMAT, "expected '{', found []" },
		{ "{\"a\"}", 0, INLAY_ERR_FORMAT, "expected ':'" },
		{ "{" T("a", "U8", "0", "0,0") " " T("b", "U8", "0", "0,0") "}", 0, INLAY_ERR_FORMAT,
		  "expected ',' or '}'" },
		{ "{" T("a", "U8", "0", "0,0") ",}", 0, INLAY_ERR_FORMAT, "expected the name of a tensor, found }" },
		{ "{\"__metadata__\":{\"a\":1}}", 0, INLAY_ERR_FORMAT, "expected a string, found 1" },
		{ "{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, INLAY_ERR_FORMAT, "doubled key in __metadata__" },
		{ "{\"__metadata__\":{},\"__metadata__\":{}}", 0, INLAY_ERR_FORMAT, "doubled __metadata__" },
		{ "{" T("a\\u0001", "U8", "0", "0,0") "}", 0, INLAY_ERR_FORMAT,
		  "control character in a tensor's name" },
		{ "{" T("a\\u0000", "U8", "0", "0,0") "}", 0, INLAY_ERR_FORMAT, "a character above 0" },
		{ "{" T("a\\ud800", "U8", "0", "0,0") "}", 0, INLAY_ERR_FORMAT, "a character above 0" },
		{ "{" T("a\\ud800\\u0041", "U8", "0", "0,0") "}", 0, INLAY_ERR_FORMAT, "a character above 0" },
		{ "{" T("a\\udc00", "U8", "0", "0,0") "}", 0, INLAY_ERR_FORMAT, "a character above 0" },
		{ "{" T("a\\x", "U8", "0", "0,0") "}", 0, INLAY_ERR_FORMAT, "expected an escape" },
		{ "{\"a\\", 0, INLAY_ERR_FORMAT, "expected an escape" },
		{ "{\"a\\u00", 0, INLAY_ERR_FORMAT, "a character above 0" },
		{ "{\"a\n\"", 0, INLAY_ERR_FORMAT, "expected a string in UTF-8 without control characters, found ?" },
		{ "{\"\xc3\"", 0, INLAY_ERR_FORMAT, "a string in UTF-8" },
		{ "{\"\xc0\x80\"", 0, INLAY_ERR_FORMAT, "a string in UTF-8" },
		{ "{\"\xe0\x9f\x80\"", 0, INLAY_ERR_FORMAT, "a string in UTF-8" },
		{ "{\"\xed\xa0\x80\"", 0, INLAY_ERR_FORMAT, "a string in UTF-8" },
		{ "{\"\xf0\x8f\x80\x80\"", 0, INLAY_ERR_FORMAT, "a string in UTF-8" },
		{ "{\"\xf4\x90\x80\x80\"", 0, INLAY_ERR_FORMAT, "a string in UTF-8" },
		{ "{\"\xf0\x9f\x98", 0, INLAY_ERR_FORMAT, "a string in UTF-8" },
		{ "{\"abc", 0, INLAY_ERR_FORMAT, "expected '\"', found the end" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_fails(parse(cases[i].json, cases[i].data), cases[i].code, cases[i].message);
}

static void refuses_bad_lengths(void **state)
{
	(void)state;
	static const char json[] = "{" T("a", "U8", "4", "0,4") "}";
	struct il_safetensors *file;
	size_t size;
	uint8_t *whole = build(json, strlen(json), 4, &size);
	for (size_t n = 0; n < size; n++) {
		uint8_t *cut = malloc(n + !n);
		assert_non_null(cut);
		memcpy(cut, whole, n);
		assert_fails(il_safetensors_parse(&file, cut, n, "x", &err), INLAY_ERR_FORMAT,
		             n < 8 ? "bytes; expected the 8" : "cut off");
		free(cut);
	}
	whole[7] = 0x80;
	assert_fails(il_safetensors_parse(&file, whole, size, "x", &err), INLAY_ERR_FORMAT, "has 100000000 at most");
	free(whole);
	whole = build(json, 100000001, 4, &size);
	assert_fails(il_safetensors_parse(&file, whole, size, "x", &err), INLAY_ERR_FORMAT,
	             "header of 100000001 bytes");
	free(whole);
	assert_fails(il_safetensors_open(&file, "/no/such/file", &err), INLAY_ERR_NOT_FOUND, "/no/such/file");
	assert_fails(il_safetensors_open(&file, "/", &err), INLAY_ERR_INVALID, "/: is no regular file");
	assert_null(file);
}

static void finds_every_name(void **state)
{
	(void)state;
	enum { COUNT = 3000 };
	char *json = malloc(COUNT * 80), name[20];
	assert_non_null(json);
	size_t at = 0;
	for (int i = 0; i < COUNT; i++)
		at += (size_t)sprintf(json + at, "%c\"t.%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
		                      i ? ',' : '{', i, COUNT - 1 - i, COUNT - i);
	strcpy(json + at, "}");
	size_t size;
	uint8_t *bytes = build(json, strlen(json), COUNT, &size);
	struct il_safetensors *file;
	assert_ok(il_safetensors_parse(&file, bytes, size, "x", &err));
	for (int i = 0; i < COUNT; i++) {
		sprintf(name, "t.%d", i);
		const struct il_safetensor *t = il_safetensors_find(file, name);
		assert_non_null(t);
		assert_int_equal(*t->data, (uint8_t)(COUNT - 1 - i));
	}
	assert_null(il_safetensors_find(file, "t.3000"));
	assert_null(il_safetensors_find(file, ""));
	il_safetensors_destroy(&file);
	free(bytes);
	free(json);
}

/* The value of no bytes is that of xxhash's own table of tests (XSUM_XXH3_testdata, length 0, seed 0). */
static void sums(void **state)
{
	(void)state;
	struct il_file_sum sum, stamp;
	const char *path = test_scratch("sum");
	size_t size = ((size_t)1 << 20) * 2 + 12345;
	uint8_t *data = malloc(size);
	assert_non_null(data);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	assert_true(il_sum(NULL, 0, 0) == UINT64_C(0x2d06800538d394c2));
	assert_true(il_sum(data, 100, 0) != il_sum(data, 100, 1));
	assert_ok(il_file_write(path, data, size, true, &err));
	assert_ok(il_file_sum(path, &sum, &err));
	assert_true(sum.sum == il_sum(data, size, 0));
	assert_int_equal(sum.size, size);
	assert_ok(il_file_stamp(path, &stamp, &err));
	assert_int_equal(stamp.sum, 0);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_true(stamp.mtime_ns == st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec);
	assert_true(sum.mtime_ns == stamp.mtime_ns);
	unlink(path);
	assert_fails(il_file_sum(path, &sum, &err), INLAY_ERR_NOT_FOUND, path);
	assert_fails(il_file_stamp("/", &sum, &err), INLAY_ERR_INVALID, "/: is no regular file");
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_the_format_allows),
		cmocka_unit_test(refuses_what_it_does_not),
		cmocka_unit_test(refuses_bad_lengths),
		cmocka_unit_test(finds_every_name),
		cmocka_unit_test(sums),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

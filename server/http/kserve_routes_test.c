#include <fcntl.h>
#include <strings.h>
#include <sys/mman.h>

#include "server/http/kserve_json.h"
#include "server/http/routes.h"
#include "server/kserve_test.h"

#define MOUTH (FAKE_SIZE * FAKE_SIZE * 3)

static struct inlay_error err;
static struct fake fake;

/* ---- HTTP without a network ---- */

struct http_request {
	char parts[2][300];
	struct il_bytes body;
	const char *header; /* Inference-Header-Content-Length */
	int status;
	size_t json_length; /* of the answer's header */
	struct il_bytes answer;
};

const char *http_part(const struct http_request *request, unsigned i)
{
	return i < 2 ? request->parts[i] : "";
}

const char *http_header(const struct http_request *request, const char *name)
{
	return !strcasecmp(name, "inference-header-content-length") ? request->header : NULL;
}

const char *http_peer(const struct http_request *request)
{
	(void)request;
	return "test";
}

struct il_bytes http_body(const struct http_request *request)
{
	return request->body;
}

void http_answer(struct http_request *request, int status, const char *type, const void *data, size_t size)
{
	(void)type;
	assert_int_equal(request->status, 0);
	request->status = status;
	request->answer.data = malloc(size + 1);
	memcpy(request->answer.data, data, size);
	request->answer.data[size] = 0;
	request->answer.size = size;
}

void http_answer_json(struct http_request *request, int status, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	assert_non_null(text);
	http_answer(request, status, "application/json", text, strlen(text));
	free(text);
	json_decref(value);
}

void http_answer_error(struct http_request *request, const struct inlay_error *error)
{
	http_answer(request, 400 + (int)error->code, "text/plain", error->text, strlen(error->text));
}

void http_add_header(struct http_request *request, const char *name, const char *value)
{
	assert_string_equal(name, "Inference-Header-Content-Length");
	request->json_length = (size_t)atoi(value);
}

/* "M" and "V" in a path are what the pattern's asterisks stand for. */
static bool match(const char *pattern, const char *path, struct http_request *request)
{
	unsigned part = 0;
	for (; *pattern; pattern++) {
		if (*pattern != '*') {
			if (*pattern != *path++)
				return false;
			continue;
		}
		size_t n = strcspn(path, "/");
		memcpy(request->parts[part], path, n);
		request->parts[part++][n] = 0;
		path += n;
	}
	return !*path;
}

static struct http_request *ask(const char *method, const char *path, const void *body, size_t size, const char *header)
{
	static struct http_request request;
	struct http_route routes[64];
	size_t n = kserve_routes((struct app *)&fake, routes, 64);
	assert_int_equal(kserve_routes((struct app *)&fake, routes, 3), 3);
	n = kserve_routes((struct app *)&fake, routes, 64);
	free(request.answer.data);
	for (size_t i = 0; i < n; i++) {
		request = (struct http_request){ .body = { (uint8_t *)body, size }, .header = header };
		if (strcmp(routes[i].method, method) != 0 || !match(routes[i].pattern, path, &request))
			continue;
		routes[i].handle(routes[i].ctx, &request);
		assert_true(request.status != 0);
		return &request;
	}
	fail_msg("no route %s %s", method, path);
	return NULL;
}

#define assert_says(request_, status_, part)                                                                           \
	do {                                                                                                           \
		struct http_request *r_ = (request_);                                                                  \
		if (r_->status != (status_) || !strstr((char *)r_->answer.data, part))                                 \
			fail_msg("%d %s: expected %d %s", r_->status, (char *)r_->answer.data, status_, part);         \
	} while (0)

static struct http_request *get(const char *path)
{
	return ask("GET", path, NULL, 0, NULL);
}

static struct http_request *post(const char *path, const char *body)
{
	return ask("POST", path, body, strlen(body), NULL);
}

/* ---- tests ---- */

static void what_the_server_says(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 5 };
	assert_says(get("/v2"), 200, "\"name\":\"inlay\"");
	assert_says(get("/v2"), 200, "\"binary_tensor_data\"]");
	assert_says(get("/v2/health/live"), 200, "true");
	assert_says(get("/v2/health/ready"), 200, "true");
	fake.refuse = INLAY_ERR_BUSY;
	assert_says(get("/v2/health/ready"), 503, "false");
	fake.refuse = INLAY_OK;
	assert_says(get("/v2/models/avatar-00001/ready"), 200, "\"ready\":true");
	assert_says(get("/v2/models/avatar-00001/versions/2/ready"), 404, "\"ready\":false");
	assert_says(get("/v2/models/avatar-00001"), 200,
	            "\"versions\":[\"1\"],\"platform\":\"inlay\",\"inputs\":[{\"name\":\"frame_index\",\"datatype\":"
	            "\"INT32\",\"shape\":[-1]},{\"name\":\"audio\",\"datatype\":\"FP32\",\"shape\":[-1,3,2,2]}],"
	            "\"outputs\":[{\"name\":\"output\",\"datatype\":\"UINT8\",\"shape\":[-1,24,24,3]}]}");
	assert_says(get("/v2/models/avatar-00001/versions/1/config"), 200, "\"TYPE_FP32\",\"dims\":[-1,3,2,2]");
	assert_says(get("/v2/models/nobody"), 400 + INLAY_ERR_NOT_FOUND, "unknown model \"nobody\"");
	assert_says(get("/v2/models/nobody/stats"), 400 + INLAY_ERR_NOT_FOUND, "unknown model");
	assert_says(get("/v2/models/avatar-00004/stats"), 200, "\"execution_count\":0");
	assert_says(post("/v2/repository/index", ""), 200,
	            "{\"name\":\"avatar-00001\",\"version\":\"1\",\"state\":\"UNAVAILABLE\"");
	assert_null(strstr((char *)post("/v2/repository/index", "{\"ready\":true}")->answer.data, "UNAVAILABLE"));
	assert_says(post("/v2/repository/index", "[]"), 400 + INLAY_ERR_FORMAT, "expected an object");
	assert_says(post("/v2/repository/models/avatar-00001/load", ""), 200, "{}");
	assert_says(post("/v2/repository/models/avatar-00001/load", "{\"parameters\":{\"config\":\"\"}}"),
	            400 + INLAY_ERR_UNSUPPORTED, "parameters");
	assert_says(post("/v2/repository/models/avatar-00001/unload", "{}"), 200, "{}");
	assert_says(post("/v2/repository/models/x/unload", "{}"), 400 + INLAY_ERR_NOT_FOUND, "unknown model");
	assert_int_equal(fake.loads, 1);
	assert_says(get("/v2/systemsharedmemory/status"), 400 + INLAY_ERR_UNSUPPORTED, "not allowed");
}

#define INFER "/v2/models/avatar-00002/infer"
#define INDEX "{\"name\":\"frame_index\",\"datatype\":\"INT32\",\"shape\":[2],\"data\":[3,49]}"
#define AUDIO_HEAD "{\"name\":\"audio\",\"datatype\":\"FP32\",\"shape\":[2,3,2,2],"

static float window[2][FAKE_WINDOW] = { { 0, 0.25f, 0.5f }, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } };
static const int64_t frame[2] = { 3, 49 };

static void numbers_cross(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 5 };
	struct http_request *request =
		post(INFER, "{\"id\":\"\\u00e9\",\"inputs\":[" INDEX "," AUDIO_HEAD
	                    "\"data\":[[0,0.25,0.5,0,0,0,0,0,0,0,0,0],[1,2,3,4,[5,6,7,8],9,10,11,12]]}"
	                    "]}");
	assert_int_equal(request->status, 200);
	json_t *root = json_loadb((char *)request->answer.data, request->answer.size, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(root, "id")), "\xc3\xa9");
	json_t *output = json_array_get(json_object_get(root, "outputs"), 0), *data = json_object_get(output, "data");
	assert_int_equal(json_integer_value(json_array_get(json_object_get(output, "shape"), 0)), 2);
	assert_int_equal(json_array_size(data), 2 * MOUTH);
	for (size_t i = 0; i < 2 * MOUTH; i++)
		assert_int_equal(json_integer_value(json_array_get(data, i)),
		                 fake_byte(frame[i / MOUTH], window[i / MOUTH], i % MOUTH));
	json_decref(root);
}

static void bytes_cross(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 5 };
	static const char json[] = "{\"inputs\":[" INDEX "," AUDIO_HEAD "\"parameters\":{\"binary_data_size\":96}}],"
				   "\"parameters\":{\"binary_data_output\":true}}";
	uint8_t body[sizeof json - 1 + sizeof window];
	char length[32];
	memcpy(body, json, sizeof json - 1);
	memcpy(body + sizeof json - 1, window, sizeof window);
	snprintf(length, sizeof length, "%zu", sizeof json - 1);
	struct http_request *request = ask("POST", INFER, body, sizeof body, length);
	assert_says(request, 200, "\"parameters\":{\"binary_data_size\":3456}}]}");
	assert_int_equal(request->answer.size, request->json_length + 2 * MOUTH);
	for (size_t i = 0; i < 2 * MOUTH; i++)
		assert_int_equal(request->answer.data[request->json_length + i],
		                 fake_byte(frame[i / MOUTH], window[i / MOUTH], i % MOUTH));
	assert_says(ask("POST", INFER, body, sizeof body - 1, length), 400 + INLAY_ERR_INVALID, "95 at most");
	assert_says(ask("POST", INFER, body, sizeof body, "99999"), 400 + INLAY_ERR_INVALID, "expected 0..");
	assert_says(ask("POST", INFER, body, sizeof body, "-1"), 400 + INLAY_ERR_INVALID, "expected 0..");
	assert_says(ask("POST", INFER, body, sizeof body, ""), 400 + INLAY_ERR_INVALID, "expected 0..");
	assert_says(ask("POST", INFER, body, sizeof body, NULL), 400 + INLAY_ERR_FORMAT, "line 1");
}

static void faults_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		enum inlay_err code;
		const char *part;
	} bad[] = {
		{ "", INLAY_ERR_FORMAT, "line" },
		{ "[]", INLAY_ERR_FORMAT, "expected an object" },
		{ "{}", INLAY_ERR_INVALID, "0 inputs" },
		{ "{\"inputs\":{}}", INLAY_ERR_FORMAT, "inputs: expected a list" },
		{ "{\"inputs\":[1]}", INLAY_ERR_FORMAT, "name is nothing" },
		{ "{\"id\":7}", INLAY_ERR_FORMAT, "id is a number" },
		{ "{\"inputs\":[{\"name\":\"audio\",\"datatype\":\"FP32\",\"shape\":[\"1\"]}]}", INLAY_ERR_FORMAT,
		  "whole" },
		{ "{\"inputs\":[{\"name\":\"audio\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[\"1\"]}]}",
		  INLAY_ERR_FORMAT, "not all numbers" },
		{ "{\"inputs\":[{\"name\":\"audio\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[[[[[[[[[1]]]]]]]]]}]"
		  "}",
		  INLAY_ERR_FORMAT, "not all numbers" },
		{ "{\"inputs\":[{\"name\":\"i\",\"datatype\":\"INT32\",\"shape\":[1],\"data\":[2147483648]}]}",
		  INLAY_ERR_FORMAT, "32 bits" },
		{ "{\"inputs\":[{\"name\":\"i\",\"datatype\":\"INT32\",\"shape\":[1],\"data\":[1.5]}]}",
		  INLAY_ERR_FORMAT, "32 bits" },
		{ "{\"inputs\":[" INDEX "," AUDIO_HEAD
		  "\"data\":[1e99,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}]}",
		  INLAY_ERR_INVALID, "not finite" },
		{ "{\"inputs\":[" INDEX "," AUDIO_HEAD "\"data\":[1]}]}", INLAY_ERR_INVALID, "1 numbers: expected 24" },
		{ "{\"inputs\":[" INDEX "," AUDIO_HEAD "\"parameters\":{\"shared_memory_region\":\"r\"}}]}",
		  INLAY_ERR_UNSUPPORTED, "not allowed" },
		{ "{\"inputs\":[" INDEX "," AUDIO_HEAD "\"parameters\":{\"shared_memory_offset\":-1}}]}",
		  INLAY_ERR_FORMAT, "0 or more" },
	};
	fake = (struct fake){ .avatars = 5 };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_says(post(INFER, bad[i].body), 400 + (int)bad[i].code, bad[i].part);
	assert_int_equal(fake.draws, 0);
}

static void memory_crosses(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 5 };
	assert_ok(regions_create(&fake.regions, &err));
	char key[64], body[600];
	snprintf(key, sizeof key, "/inlay-routes-test-%d", (int)getpid());
	int fd = shm_open(key, O_CREAT | O_RDWR, 0600);
	assert_int_equal(ftruncate(fd, 10000), 0);
	assert_int_equal(pwrite(fd, window, sizeof window, 100), sizeof window);
	snprintf(body, sizeof body, "{\"key\":\"%s\",\"byte_size\":9900,\"offset\":100}", key);
	assert_says(post("/v2/systemsharedmemory/region/r/register", "{}"), 400 + INLAY_ERR_FORMAT, "expected key");
	assert_says(post("/v2/systemsharedmemory/region/r/register", body), 200, "{}");
	assert_says(post("/v2/systemsharedmemory/region/r/register", body), 400 + INLAY_ERR_EXISTS,
	            "registered already");
	assert_says(get("/v2/systemsharedmemory/region/r/status"), 200, "\"byte_size\":9900");
	assert_says(get("/v2/systemsharedmemory/status"), 200, "\"offset\":100");
	assert_says(get("/v2"), 200, "system_shared_memory");
	snprintf(body, sizeof body,
	         "{\"inputs\":[" INDEX "," AUDIO_HEAD "\"parameters\":{\"shared_memory_region\":\"r\","
	         "\"shared_memory_byte_size\":96}}],\"outputs\":[{\"name\":\"output\",\"parameters\":{"
	         "\"shared_memory_region\":\"r\",\"shared_memory_byte_size\":%d,\"shared_memory_offset\":1000}}]}",
	         2 * MOUTH);
	assert_says(post(INFER, body), 200, "\"shared_memory_region\":\"r\",\"shared_memory_byte_size\":3456");
	uint8_t output[2 * MOUTH];
	assert_int_equal(pread(fd, output, sizeof output, 1100), sizeof output);
	for (size_t i = 0; i < 2 * MOUTH; i++)
		assert_int_equal(output[i], fake_byte(frame[i / MOUTH], window[i / MOUTH], i % MOUTH));
	assert_says(post("/v2/systemsharedmemory/region/r/unregister", ""), 200, "{}");
	assert_says(post(INFER, body), 400 + INLAY_ERR_NOT_FOUND, "unknown region");
	assert_says(post("/v2/systemsharedmemory/unregister", ""), 200, "{}");
	regions_destroy(&fake.regions);
	close(fd);
	shm_unlink(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_server_says), cmocka_unit_test(numbers_cross),  cmocka_unit_test(bytes_cross),
		cmocka_unit_test(faults_are_named),     cmocka_unit_test(memory_crosses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#define _GNU_SOURCE
#include "avatar/rects.h"

#include "avatar/test_pack.h"
#include "base/log.h"

#define FRAMES 523

static struct inlay_rect rects[FRAMES];

/* An avatar of n frames with room for its rectangles. */
static struct il_avatar blank(int64_t n)
{
	memset(rects, 0, sizeof rects);
	return (struct il_avatar){ .frames = n, .width = 1280, .height = 720, .rects = rects };
}

static enum inlay_err parse(struct il_avatar *avatar, const char *text, struct inlay_error *err)
{
	struct il_faults faults = { .err = err };
	return il_rects_parse(avatar, text, strlen(text), "r.json", &faults);
}

static void both_files_agree(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_faults faults = { .err = &err };
	static struct inlay_rect first[FRAMES];
	struct il_avatar avatar = blank(FRAMES);
	assert_ok(il_rects_read(&avatar, test_data("lipsync_sanders/crop_rectangles.json"), &faults));
	memcpy(first, rects, sizeof rects);
	free(avatar.rect_file);
	avatar = blank(FRAMES);
	assert_ok(il_rects_read(&avatar, test_data("lipsync_sanders/crop_rects.json"), &faults));
	free(avatar.rect_file);
	assert_memory_equal(first, rects, sizeof rects);
	assert_memory_equal(&rects[1], (&(struct inlay_rect){ 532, 211, 714, 393 }), sizeof *rects);
}

static void landmarks_give_the_recorded_rectangles(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_faults faults = { .err = &err };
	struct il_npy marks = { 0 };
	struct il_avatar avatar = blank(FRAMES);
	int differ = 0;
	assert_ok(il_rects_read(&avatar, test_data("lipsync_sanders/crop_rects.json"), &faults));
	assert_ok(il_npy_open(&marks, test_data("lipsync_sanders/landmarks_523x110x2.npy"), &err));
	assert_int_equal(marks.header.type, IL_NPY_I16);
	for (size_t i = 0; i < FRAMES; i++) {
		char text[4096];
		struct inlay_rect rect;
		pack_lms_text(&marks, i, text);
		assert_ok(il_lms_parse(text, strlen(text), "x.lms", &rect, &err));
		differ += memcmp(&rect, &rects[i], sizeof rect) != 0;
	}
	assert_int_equal(differ, 0);
	free(avatar.rect_file);
	il_npy_close(&marks);
}

/* 53 points; those that make the rectangle are written as asked. */
static const char *lms(const char *p1, const char *p31, const char *p52, const char *end)
{
	static char text[2048];
	size_t used = 0;
	for (int i = 0; i < 53; i++)
		used += (size_t)sprintf(text + used, "%s%s",
		                        i == 1    ? p1
		                        : i == 31 ? p31
		                        : i == 52 ? p52
		                                  : "0 0",
		                        i < 52 ? end : "");
	return text;
}

static void landmark_numbers_are_cut(void **state)
{
	(void)state;
	struct inlay_error err;
	struct inlay_rect rect;
	static const char *const texts[][4] = {
		{ "100.9 3", "300.2 3", "5 50.99", "\n" },
		{ "1.009e+02\t3", "3.002e+02 3", " 5 5.099e+01 ", "\r\n" },
		{ "100 3", "300 3", "5 50\n\n", "\n\n" },
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const char *text = lms(texts[i][0], texts[i][1], texts[i][2], texts[i][3]);
		assert_ok(il_lms_parse(text, strlen(text), "x.lms", &rect, &err));
		assert_memory_equal(&rect, (&(struct inlay_rect){ 100, 50, 300, 250 }), sizeof rect);
	}
}

static void bad_landmarks_are_told(void **state)
{
	(void)state;
	struct inlay_error err;
	struct inlay_rect rect;
	static const char *const bad[] = {
		"nan 1", "1",   "1 2 3", "1,2", "inf 0",
		"1e9 0", "a b", "1 2x",  "1 -", "111111111111111111111111111111111111111111111111111111111111111111 1"
	};
	assert_fails(il_lms_parse("", 0, "x.lms", &rect, &err), INLAY_ERR_FORMAT, "x.lms: 0 points; expected 53");
	assert_fails(il_lms_parse(NULL, 0, "x.lms", &rect, &err), INLAY_ERR_FORMAT, "0 points");
	assert_fails(il_lms_parse("1 2\n3 4", 7, "x.lms", &rect, &err), INLAY_ERR_FORMAT, "2 points");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *text = lms("1 1", bad[i], "1 1", "\n");
		assert_fails(il_lms_parse(text, strlen(text), "x.lms", &rect, &err), INLAY_ERR_FORMAT,
		             "x.lms: line 32: expected a point");
	}
}

static void bad_json_is_told(void **state)
{
	(void)state;
	struct inlay_error err;
	static const struct {
		const char *text, *part;
	} cases[] = {
		{ "", "r.json: line 1, column 0: " },
		{ "[[0,0,20,20],\n [0,0,20,2", "r.json: line 2, column 10: " },
		{ "{\"0\": {\"rect\": [0,0,20,20]}, \"0\": {}}", "duplicate object key" },
		{ "3", "r.json: line 1, column 1: '[' or '{' expected" },
		{ "[]", "frame 0 has no rectangle (2 of the 2 frames have none)" },
		{ "[[0,0,20,20]]", "frame 1 has no rectangle (1 of the 2 frames have none)" },
		{ "{\"1\": {\"rect\": [0,0,20,20]}}", "frame 0 has no rectangle (1 of the 2" },
		{ "{\"x\\u0001y\": {}}", "key \"x?y\" is not a frame number" },
		{ "{\"00\": {}}", "key \"00\" is not a frame number" },
		{ "{\"-1\": {}}", "key \"-1\" is not a frame number" },
		{ "{\"0\": {\"rects\": []}}", "frame 0: expected a rectangle [x0,y0,x1,y1]" },
		{ "{\"0\": 7}", "frame 0: expected a rectangle" },
		{ "[[0,0,20]]", "frame 0: expected a rectangle" },
		{ "[[0,0,20,20,20]]", "frame 0: expected a rectangle" },
		{ "[[0,0,20,\"20\"]]", "frame 0: expected a rectangle" },
		{ "[[0,0,20,20.5]]", "frame 0: expected a rectangle" },
		{ "[[532,210,1714,392]]", "frame 0: rectangle [532,210,1714,392] lies outside the 1280x720 picture" },
		{ "[[0,0,20,20],[-1,0,20,20]]", "frame 1: rectangle [-1,0,20,20] lies outside" },
		{ "[[0,0,20,721]]", "lies outside" },
		{ "[[0,-9223372036854775808,20,9223372036854775807]]", "lies outside" },
		{ "[[9223372036854775807,0,1,20]]", "is empty" },
		{ "[[20,20,20,60]]", "[20,20,20,60] is empty" },
		{ "[[60,20,20,60]]", "is empty" },
		{ "[[20,20,35,60]]", "[20,20,35,60] is too small; expected 16 pixels a side" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct il_avatar avatar = blank(2);
		assert_fails(parse(&avatar, cases[i].text, &err), INLAY_ERR_FORMAT, cases[i].part);
		assert_null(strchr(err.text, '\n'));
	}
}

static void edges_are_inside(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_avatar avatar = blank(2);
	assert_ok(parse(&avatar, "[[0,0,1280,720],[1264,704,1280,720]]", &err));
	assert_int_equal(rects[1].x0, 1264);
}

static void count_line(void *ctx, enum inlay_log_level level, const char *text)
{
	*(int *)ctx += level == INLAY_LOG_WARN && strstr(text, "r.json: 3 rectangles for 1 frames") != NULL;
}

static void extra_rectangles_are_ignored(void **state)
{
	(void)state;
	struct inlay_error err;
	int lines = 0;
	inlay_log_set(count_line, &lines, INLAY_LOG_WARN);
	struct il_avatar avatar = blank(1);
	assert_ok(parse(&avatar, "[[0,0,20,20],[0,0,0,0],7]", &err));
	assert_ok(parse(&avatar, "{\"5\":{},\"0\":{\"rect\":[0,0,20,20]},\"9\":0}", &err));
	assert_int_equal(lines, 2);
	assert_ok(parse(&avatar, "[[0,0,20,20]]", &err));
	assert_int_equal(lines, 2);
	inlay_log_set(NULL, NULL, INLAY_LOG_WARN);
}

static void count_fault(void *ctx, const char *text)
{
	assert_non_null(strstr(text, "r.json: "));
	++*(int *)ctx;
}

static void checking_tells_every_fault(void **state)
{
	(void)state;
	static const char text[] = "{\"0\":{\"rect\":[0,0,9,9]}, \"1\":{\"rect\":[0,0,20,20]}, \"2\":7, \"bad\":0,"
				   "\"4\":{\"rect\":[0,0,0,0]}}";
	struct inlay_error err = { 0 };
	int calls = 0;
	struct il_faults faults = { .err = &err, .report = count_fault, .ctx = &calls };
	struct il_avatar avatar = blank(5);
	assert_int_equal(il_rects_parse(&avatar, text, strlen(text), "r.json", &faults), INLAY_OK);
	assert_int_equal(calls, 5); /* "bad", 0, 2, 4, and 3 that is missing */
	assert_int_equal(faults.count, 5);
	assert_int_equal(faults.first, INLAY_ERR_FORMAT);
	assert_int_equal(rects[1].x1, 20);
	assert_int_equal(rects[4].x1, 0);
}

static void every_prefix_is_refused(void **state)
{
	(void)state;
	static const char text[] = "{\"0\": {\"rect\": [1,2,33,44], \"x\": [null, \"\\u00e9\"]}}";
	struct il_avatar avatar = blank(1);
	for (size_t n = 0; n < strlen(text); n++) {
		char *copy = malloc(n + 1); /* of exact size, so that a read past it shows */
		struct inlay_error err = { 0 };
		struct il_faults faults = { .err = &err };
		memcpy(copy, text, n);
		copy = realloc(copy, n ? n : 1);
		assert_int_equal(il_rects_parse(&avatar, copy, n, "r.json", &faults), INLAY_ERR_FORMAT);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_files_agree),
		cmocka_unit_test(landmarks_give_the_recorded_rectangles),
		cmocka_unit_test(landmark_numbers_are_cut),
		cmocka_unit_test(bad_landmarks_are_told),
		cmocka_unit_test(bad_json_is_told),
		cmocka_unit_test(edges_are_inside),
		cmocka_unit_test(extra_rectangles_are_ignored),
		cmocka_unit_test(checking_tells_every_fault),
		cmocka_unit_test(every_prefix_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

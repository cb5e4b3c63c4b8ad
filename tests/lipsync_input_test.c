/* Face crops, network input and composites of real footage against what Python and OpenCV made of it. */
#include "tests/test.h"

#include <jansson.h>

#include "base/npy.h"
#include "composite/place.h"
#include "media/image.h"
#include "media/video.h"

#define SIZE 320
#define SIDE (SIZE + 2 * IL_PLACE_MARGIN)
#define AREA (SIZE * SIZE)

/* The input tensor that the reference fed to the network for frame 0: bytes [1, 6, 320, 320]. */
static struct il_npy open_tensor(void)
{
	struct inlay_error err;
	struct il_npy npy;
	assert_ok(il_npy_open(&npy, test_data("lipsync_sanders/input_tensor_frame1_u8.npy"), &err));
	assert_int_equal(npy.header.type, IL_NPY_U8);
	assert_int_equal(npy.header.count, 6 * AREA);
	return npy;
}

static struct il_place *make_place(enum il_interp interp)
{
	struct inlay_error err;
	struct il_place *place;
	assert_ok(il_place_create(&place, SIZE, interp, &err));
	assert_int_equal(il_place_crop_bytes(place), SIDE * SIDE * 3);
	return place;
}

/* The tensor's channels 0-2 as roi come back exactly, and again, with the box black, as 3-5. (The recorded 3-5 went
 * through video on their own.) */
static void picture_of_the_recorded_roi(void **state)
{
	(void)state;
	struct il_npy npy = open_tensor();
	const uint8_t *tensor = npy.data;
	struct il_place *place = make_place(IL_INTERP_LINEAR);
	uint8_t *crop = calloc(1, SIDE * SIDE * 3);
	float *planes = malloc(6 * AREA * sizeof *planes);
	for (int i = 0; i < 3 * AREA; i++) {
		int c = i / AREA, y = i % AREA / SIZE, x = i % SIZE;
		crop[((y + IL_PLACE_MARGIN) * SIDE + x + IL_PLACE_MARGIN) * 3 + c] = tensor[i];
	}
	il_place_picture(place, crop, planes);
	for (int i = 0; i < 6 * AREA; i++) {
		int y = i % AREA / SIZE, x = i % SIZE;
		int expected = tensor[i % (3 * AREA)];
		if (i >= 3 * AREA && x >= 5 && x <= 310 && y >= 5 && y <= 305)
			expected = 0;
		if (planes[i] != (float)expected / 255.0f)
			fail_msg("channel %d (%d,%d): %g, expected %d/255", i / AREA, x, y, planes[i], expected);
	}
	free(planes);
	free(crop);
	il_place_destroy(&place);
	il_npy_close(&npy);
}

/* The caller owns it. */
static json_t *load_json(const char *name)
{
	json_error_t problem;
	json_t *json = json_load_file(test_data(name), JSON_REJECT_DUPLICATES, &problem);
	if (!json)
		fail_msg("%s:%d: %s", name, problem.line, problem.text);
	return json;
}

static struct inlay_rect unpack_rect(json_t *list)
{
	struct inlay_rect r;
	assert_int_equal(json_unpack(list, "[i,i,i,i!]", &r.x0, &r.y0, &r.x1, &r.y1), 0);
	return r;
}

/* The recording went through lossy video once more than these, so the pictures are near, not equal. */
static void check_near_tensor(const struct inlay_frame *frame, const char *what)
{
	struct inlay_error err;
	struct il_npy npy = open_tensor();
	const uint8_t *tensor = npy.data;
	struct il_place *place = make_place(IL_INTERP_LINEAR);
	uint8_t *crop = malloc(SIDE * SIDE * 3);
	float *planes = malloc(6 * AREA * sizeof *planes);
	json_t *rects = load_json("lipsync_sanders/crop_rects.json");
	assert_ok(il_place_crop(place, frame, unpack_rect(json_array_get(rects, 0)), crop, &err));
	il_place_picture(place, crop, planes);
	double sum = 0;
	for (int i = 0; i < 6 * AREA; i++) {
		double difference = (double)planes[i] * 255 - tensor[i];
		sum += difference < 0 ? -difference : difference;
	}
	print_message("# %s: mean difference %.3f\n", what, sum / (6 * AREA));
	if (sum / (6 * AREA) > 1.5)
		fail_msg("%s: mean difference %.3f levels, at most 1.5 expected", what, sum / (6 * AREA));
	json_decref(rects);
	free(planes);
	free(crop);
	il_place_destroy(&place);
	il_npy_close(&npy);
}

static void picture_from_video(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_video *video;
	struct inlay_frame *frame;
	assert_ok(il_video_open(&video, test_data("lipsync_sanders/full_body_video.mp4"), 0, &err));
	assert_ok(il_video_read(video, &frame, &err));
	check_near_tensor(frame, "video");
	inlay_frame_destroy(&frame);
	il_video_destroy(&video);
}

static void picture_from_jpeg(void **state)
{
	(void)state;
	struct inlay_error err;
	struct inlay_frame *frame;
	const char *path = test_data("lipsync_sanders/full_body_img/1.jpg");
	assert_ok(il_image_read(path, INLAY_PIX_BGR24, &frame, &err));
	check_near_tensor(frame, "JPEG as BGR24");
	inlay_frame_destroy(&frame);
	assert_ok(il_image_read(path, INLAY_PIX_I420, &frame, &err));
	check_near_tensor(frame, "JPEG as I420");
	inlay_frame_destroy(&frame);
}

static struct inlay_frame *read_bgr(const char *name)
{
	struct inlay_error err;
	struct inlay_frame *frame;
	assert_ok(il_image_read(test_data(name), INLAY_PIX_BGR24, &frame, &err));
	return frame;
}

/* The rows of a whole picture without the space between them. */
static void read_crop(const char *name, uint8_t *crop)
{
	struct inlay_frame *frame = read_bgr(name);
	assert_int_equal(inlay_frame_info(frame)->width, SIDE);
	assert_int_equal(inlay_frame_info(frame)->height, SIDE);
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int y = 0; y < SIDE; y++)
		memcpy(crop + y * SIDE * 3, planes.data[0] + y * planes.stride[0], SIDE * 3);
	inlay_frame_destroy(&frame);
}

static int inside(struct inlay_rect r, int x, int y)
{
	return x >= r.x0 && x < r.x1 && y >= r.y0 && y < r.y1;
}

/* Within one level of the expected region in the rectangle; equal to the frame as it was elsewhere. */
static void check_composite(const struct inlay_frame *drawn, const struct inlay_frame *before,
                            const struct inlay_frame *expected, struct inlay_rect rect, struct inlay_rect region)
{
	const struct inlay_frame_info *info = inlay_frame_info(drawn);
	struct inlay_planes d, b, e;
	inlay_frame_map(drawn, &d);
	inlay_frame_map(before, &b);
	inlay_frame_map(expected, &e);
	assert_int_equal(inlay_frame_info(expected)->width, region.x1 - region.x0);
	assert_int_equal(inlay_frame_info(expected)->height, region.y1 - region.y0);
	for (int i = 0; i < info->width * info->height * 3; i++) {
		int x = i / 3 % info->width, y = i / 3 / info->width, c = i % 3;
		int found = d.data[0][y * d.stride[0] + 3 * x + c];
		if (!inside(rect, x, y) && found != b.data[0][y * b.stride[0] + 3 * x + c])
			fail_msg("(%d,%d) outside the rectangle changed", x, y);
		if (!inside(region, x, y))
			continue;
		int wanted = e.data[0][(y - region.y0) * e.stride[0] + 3 * (x - region.x0) + c];
		if (abs(found - wanted) > 1)
			fail_msg("(%d,%d) channel %d: %d, expected %d", x, y, c, found, wanted);
	}
}

static void check_case(json_t *item)
{
	struct inlay_error err;
	const char *frame_name, *crop_name, *prediction_name, *interpolation, *expected_name;
	json_t *rect_list, *region_list;
	assert_int_equal(json_unpack(item, "{s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "frame", &frame_name, "crop", &crop_name,
	                             "prediction", &prediction_name, "interpolation", &interpolation, "expected",
	                             &expected_name, "rect", &rect_list, "expected_region", &region_list),
	                 0);
	struct inlay_rect rect = unpack_rect(rect_list), region = unpack_rect(region_list);
	struct il_place *place = make_place(strcmp(interpolation, "cubic") ? IL_INTERP_LINEAR : IL_INTERP_CUBIC);
	struct inlay_frame *frame = read_bgr(frame_name), *before = read_bgr(frame_name);
	struct inlay_frame *expected = read_bgr(expected_name);
	uint8_t *crop = malloc(SIDE * SIDE * 3);
	read_crop(crop_name, crop);
	struct il_npy npy;
	assert_ok(il_npy_open(&npy, test_data(prediction_name), &err));
	assert_int_equal(npy.header.type, IL_NPY_F32);
	assert_int_equal(npy.header.count, 3 * AREA);
	il_place_mouth(place, crop, npy.data);
	assert_ok(il_place_draw(place, frame, rect, crop, NULL, &err));
	check_composite(frame, before, expected, rect, region);
	il_npy_close(&npy);
	free(crop);
	inlay_frame_destroy(&frame);
	inlay_frame_destroy(&before);
	inlay_frame_destroy(&expected);
	il_place_destroy(&place);
}

static void composites_equal_opencv(void **state)
{
	(void)state;
	json_t *root = load_json("golden_composite/cases.json"), *item;
	size_t i;
	int checked = 0;
	json_array_foreach(json_object_get(root, "cases"), i, item)
	{
		const char *kind = json_string_value(json_object_get(item, "kind"));
		if (!kind || strcmp(kind, "lipsync"))
			continue;
		check_case(item);
		checked++;
	}
	assert_int_equal(checked, 6);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(picture_of_the_recorded_roi),
		cmocka_unit_test(picture_from_video),
		cmocka_unit_test(picture_from_jpeg),
		cmocka_unit_test(composites_equal_opencv),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

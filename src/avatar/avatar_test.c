#define _GNU_SOURCE
#include "avatar/avatar.h"

#include "avatar/pack_impl.h"
#include "base/pattern.h"
#include "avatar/test_pack.h"
#include "tests/test_models.h"

/* Orders, against a walk that takes one step after another. */
static void orders_walk(void **state)
{
	(void)state;
	for (int64_t n = 1; n < 6; n++)
		for (int64_t start = 0; start < n; start++) {
			int64_t bounce = start, step = 1, loop = start, hold = start;
			for (int64_t k = 0; k < 40; k++) {
				assert_int_equal(il_order_index(IL_ORDER_BOUNCE, n, start, k), bounce);
				assert_int_equal(il_order_index(IL_ORDER_LOOP, n, start, k), loop);
				assert_int_equal(il_order_index(IL_ORDER_HOLD, n, start, k), hold);
				assert_int_equal(il_order_index(IL_ORDER_CUT, n, start, k),
				                 start + k < n ? start + k : -1);
				if (bounce + step >= n || bounce + step < 0)
					step = -step;
				bounce = n == 1 ? 0 : bounce + step;
				loop = loop + 1 == n ? 0 : loop + 1;
				hold = hold + 1 == n ? hold : hold + 1;
			}
		}
}

static void orders_have_names(void **state)
{
	(void)state;
	for (int i = IL_ORDER_BOUNCE; i <= IL_ORDER_CUT; i++)
		assert_int_equal(il_order_parse(il_order_name((enum il_order)i)), i);
	assert_int_equal(il_order_parse("cut"), IL_ORDER_CUT);
	assert_int_equal(il_order_parse("Bounce"), -1);
	assert_int_equal(il_order_parse(""), -1);
}

static void video_pack_opens(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_avatar *avatar;
	assert_ok(il_avatar_open(&avatar, test_data("lipsync_sanders"), &err));
	assert_string_equal(avatar->layout, "video pack");
	assert_int_equal(avatar->frames, 523);
	assert_int_equal(avatar->width, 1280);
	assert_int_equal(avatar->height, 720);
	assert_int_equal(avatar->fps.num, 25 * avatar->fps.den);
	assert_non_null(strstr(avatar->video, "lipsync_sanders/full_body_video.mp4"));
	assert_null(avatar->pattern);
	assert_int_equal(avatar->rects[0].x0, 532);
	assert_int_equal(avatar->rects[0].y1, 392);
	assert_null(avatar->model); /* package_info.json names one that did not come along */
	assert_int_equal(avatar->order, -1);
	il_avatar_destroy(&avatar);
	il_avatar_destroy(&avatar);
}

/* A video pack beside which anything may be put. */
static const char *make_video_pack(const char *rects)
{
	const char *video = test_data("lipsync_sanders/full_body_video.mp4"); /* or the test is skipped */
	const char *folder = pack_make("video-pack");
	pack_link(folder, "full_body_video.mp4", video);
	if (rects)
		pack_link(folder, rects, test_data("lipsync_sanders/crop_rects.json"));
	return folder;
}

static void video_pack_finds_its_parts(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_avatar *avatar;
	const char *folder = make_video_pack("crop_rects.json");
	pack_write(folder, "package_info.json", "{\"onnx\": {\"file\": \"checkpoint/best.onnx\"}}");
	pack_write(folder, "checkpoint/best.onnx", "");
	pack_write(folder, "other.onnx", "");
	pack_write(folder, "audio_encoder.onnx", "");
	assert_ok(il_avatar_open(&avatar, folder, &err));
	assert_non_null(strstr(avatar->model, "/checkpoint/best.onnx"));
	assert_non_null(strstr(avatar->audio_encoder, "/audio_encoder.onnx"));
	assert_int_equal(avatar->rects[522].x0 > 0, 1);
	il_avatar_destroy(&avatar);

	pack_write(folder, "package_info.json", "{\"onnx\": {\"file\": \"checkpoint/best.onnx\"}");
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_FORMAT, "package_info.json: line 1, column ");
	assert_null(avatar);

	pack_write(folder, "package_info.json", "{\"onnx\": []}");
	assert_ok(il_avatar_open(&avatar, folder, &err));
	assert_null(avatar->model); /* two could be it */
	il_avatar_destroy(&avatar);

	pack_write(folder, "crop_rectangles.json", "{\"0\": {\"rect\": [0,0,1,1]}}"); /* wins */
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_FORMAT, "crop_rectangles.json: frame 0: ");
	pack_remove(folder);
}

static void folders_that_are_none_are_told(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_avatar *avatar;
	const char *folder = make_video_pack(NULL);
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_NOT_FOUND,
	             "neither crop_rectangles.json nor crop_rects.json is there");
	pack_write(folder, "crop_rects.json", "[[0,0,100,100]]");
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_FORMAT,
	             "crop_rects.json: frame 1 has no rectangle (522 of the 523 frames have none)");

	folder = pack_make("video-pack");
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_FORMAT,
	             "not an avatar pack; expected an avatar.json");
	pack_write(folder, "crops_328_video.mp4", "");
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_FORMAT, "crops_328_video.mp4 alone");
	assert_fails(il_avatar_open(&avatar, pack_path(folder, "crops_328_video.mp4"), &err), INLAY_ERR_FORMAT,
	             "not an avatar pack");
	assert_fails(il_avatar_open(&avatar, pack_path(folder, "nothing"), &err), INLAY_ERR_NOT_FOUND,
	             "nothing: no such file or folder");
	pack_write(folder, "full_body_video.mp4", "not a video");
	assert_int_not_equal(il_avatar_open(&avatar, folder, NULL), INLAY_OK);
	assert_null(avatar);
	pack_remove(folder);
}

static void dataset_opens(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_avatar *avatar, *video;
	for (int first = 0; first < 2; first++) {
		const char *folder = pack_make_dataset("dataset", first, 12);
		pack_write(folder, "full_body_img/notes.txt", "");
		pack_write(folder, "full_body_img/007.jpg", "");
		pack_write(folder, "checkpoint/net.onnx", "");
		assert_ok(il_avatar_open(&avatar, folder, &err));
		assert_ok(il_avatar_open(&video, test_data("lipsync_sanders"), &err));
		assert_string_equal(avatar->layout, "SyncTalk_2D folder");
		assert_int_equal(avatar->frames, 12);
		assert_int_equal(avatar->first, first);
		assert_int_equal(avatar->width, 1280);
		assert_int_equal(avatar->height, 720);
		assert_int_equal(avatar->fps.num, 25);
		assert_memory_equal(avatar->rects, video->rects, 12 * sizeof *avatar->rects);
		assert_null(avatar->video);
		assert_null(avatar->parsing);
		assert_non_null(avatar->model);
		il_avatar_destroy(&avatar);
		il_avatar_destroy(&video);
		pack_remove(folder);
	}
}

static void dataset_faults_are_told(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_avatar *avatar;
	const char *folder = pack_make_dataset("dataset", 1, 6);
	pack_write(folder, "parsing/1.png", "");
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_NOT_FOUND,
	             "parsing/2.png: missing (5 of the parsing masks 1 to 6 are)");
	unlink(pack_path(folder, "landmarks/3.lms"));
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_NOT_FOUND, "landmarks/3.lms");
	pack_write(folder, "landmarks/2.lms", "1 2\n");
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_FORMAT, "landmarks/2.lms: 1 points; expected 53");
	unlink(pack_path(folder, "full_body_img/4.jpg"));
	unlink(pack_path(folder, "full_body_img/5.jpg"));
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_NOT_FOUND,
	             "full_body_img/4.jpg: missing (2 of the pictures 1 to 6 are)");
	unlink(pack_path(folder, "full_body_img/1.jpg"));
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_NOT_FOUND, "the first picture there is 2.jpg");
	pack_write(folder, "full_body_img/0.jpg", "");
	pack_write(folder, "full_body_img/999999999.jpg", "");
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_FORMAT, "1000000000 frames; expected 1 to");
	pack_remove(folder);
	folder = pack_make("dataset");
	pack_write(folder, "full_body_img/x.jpg", "");
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_NOT_FOUND, "no pictures; expected 0.jpg");
	pack_remove(folder);
}

static void manifest_with_everything(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_avatar *avatar;
	const char *folder = pack_make_dataset("mani%d", 1, 12);
	for (int i = 1; i <= 12; i++) {
		char name[32];
		snprintf(name, sizeof name, "masks/%03d.png", i);
		pack_write(folder, name, "");
	}
	pack_write(folder, "m/net.onnx", "");
	pack_write(folder, "m/ear.onnx", "");
	pack_write(folder, "avatar.json",
	           "{\"inlay_avatar\": 1, \"source\": \"full_body_img/%d.jpg\", \"first\": 2, \"frames\": 10,\n"
	           " \"fps\": \"30000/1001\", \"rectangles\": \"landmarks/%d.lms\", \"parsing\": \"masks/%03d.png\",\n"
	           " \"model\": \"m/net.onnx\", \"audio_encoder\": \"m/ear.onnx\",\n"
	           " \"defaults\": {\"order\": \"loop\", \"start_frame\": 9, \"interp\": \"cubic\"}}");
	for (int by_name = 0; by_name < 2; by_name++) {
		assert_ok(il_avatar_open(&avatar, by_name ? pack_path(folder, "avatar.json") : folder, &err));
		assert_string_equal(avatar->layout, "avatar.json");
		assert_int_equal(avatar->first, 2);
		assert_int_equal(avatar->frames, 10);
		assert_int_equal(avatar->fps.num, 30000);
		assert_int_equal(avatar->fps.den, 1001);
		assert_int_equal(avatar->rects[0].y0, 211);
		assert_non_null(strstr(avatar->model, "m/net.onnx"));
		assert_non_null(strstr(avatar->audio_encoder, "m/ear.onnx"));
		assert_int_equal(avatar->order, IL_ORDER_LOOP);
		assert_int_equal(avatar->start_frame, 9);
		assert_int_equal(avatar->interp, IL_INTERP_CUBIC);
		char path[IL_PATTERN_PATH], expected[2048];
		snprintf(expected, sizeof expected, "%s/masks/003.png", folder);
		assert_string_equal(il_pattern_path(avatar->parsing, 3, path), expected);
		il_avatar_destroy(&avatar);
	}
	pack_write(folder, "avatar.json",
	           "{\"inlay_avatar\": 1, \"source\": \"full_body_img/%d.jpg\", \"first\": 1,"
	           "\"rectangles\": \"landmarks/%d.lms\"}");
	assert_ok(il_avatar_open(&avatar, folder, &err));
	assert_int_equal(avatar->frames, 12); /* counted */
	assert_null(avatar->model);           /* m/ is not looked into */
	il_avatar_destroy(&avatar);
	pack_remove(folder);
}

static void manifest_of_a_video(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_avatar *avatar;
	const char *folder = make_video_pack(NULL);
	char text[4096];
	snprintf(text, sizeof text,
	         "{\"inlay_avatar\": 1, \"source\": \"full_body_video.mp4\", \"frames\": 2, \"fps\": 29.97,"
	         "\"rectangles\": [[0,0,20,20],[1,1,30,30]], \"model\": \"%s\"}",
	         test_data("models/unet328_ave.topology.onnx"));
	pack_write(folder, "avatar.json", text);
	assert_ok(il_avatar_open(&avatar, folder, &err));
	assert_int_equal(avatar->frames, 2);
	assert_int_equal(avatar->fps.num, 30000);
	assert_int_equal(avatar->fps.den, 1001);
	assert_string_equal(avatar->model, test_data("models/unet328_ave.topology.onnx"));
	assert_int_equal(avatar->rects[1].x1, 30);
	il_avatar_destroy(&avatar);
	pack_remove(folder);
}

static void manifest_files_are_looked_at(void **state)
{
	(void)state;
	static const struct {
		const char *more, *part;
		enum inlay_err code;
	} cases[] = {
		{ "\"rectangles\": []", "avatar.json: rectangles: frame 0 has no rectangle", INLAY_ERR_FORMAT },
		{ "\"rectangles\": \"none.json\"", "none.json", INLAY_ERR_NOT_FOUND },
		{ "\"rectangles\": \"r.json\", \"first\": 0", "first is for numbered pictures", INLAY_ERR_FORMAT },
		{ "\"rectangles\": \"r.json\", \"frames\": 524", "frames is 524; ", INLAY_ERR_FORMAT },
		{ "\"rectangles\": \"r.json\", \"model\": \"gone.onnx\"", "/gone.onnx: no such file",
		  INLAY_ERR_NOT_FOUND },
		{ "\"rectangles\": \"r.json\", \"audio_encoder\": \"gone.onnx\"",
		  "audio_encoder: ", INLAY_ERR_NOT_FOUND },
		{ "\"rectangles\": \"r.json\", \"parsing\": \"p/%d.png\"", "p/0.png: missing (523 of the parsing masks",
		  INLAY_ERR_NOT_FOUND },
		{ "\"rectangles\": \"r.json\", \"defaults\": {\"start_frame\": 523}", "start_frame is 523",
		  INLAY_ERR_FORMAT },
	};
	struct inlay_error err;
	struct il_avatar *avatar;
	const char *folder = make_video_pack("r.json");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[512];
		snprintf(text, sizeof text, "{\"inlay_avatar\": 1, \"source\": \"full_body_video.mp4\", %s}",
		         cases[i].more);
		pack_write(folder, "avatar.json", text);
		assert_fails(il_avatar_open(&avatar, folder, &err), cases[i].code, cases[i].part);
		assert_null(avatar);
	}
	pack_write(folder, "avatar.json",
	           "{\"inlay_avatar\": 1, \"source\": \"f/%05d.jpg\", \"rectangles\": \"r.json\"}");
	assert_fails(il_avatar_open(&avatar, folder, &err), INLAY_ERR_NOT_FOUND,
	             "f/00000.jpg: no such file; \"first\" says");
	pack_remove(folder);
}

static enum inlay_err parse_manifest(const char *text, struct il_manifest *manifest, struct inlay_error *err)
{
	struct il_faults faults = { .err = err };
	return il_manifest_parse(text, strlen(text), "a.json", manifest, &faults);
}

static void bad_manifests_are_told(void **state)
{
	(void)state;
	static const struct {
		const char *more, *part;
	} cases[] = {
		{ "\"colour\": 1",
		  "a.json: unknown key \"colour\"; known are inlay_avatar, source, first, frames, fps, "
		  "rectangles, parsing, model, audio_encoder, defaults" },
		{ "\"defaults\": {\"speed\": 1}",
		  "unknown key \"defaults.speed\"; known are order, start_frame, interp" },
		{ "\"defaults\": []", "defaults is a list; expected an object" },
		{ "\"defaults\": {\"order\": \"back\"}",
		  "defaults.order is \"back\"; expected bounce, loop, hold or cut" },
		{ "\"defaults\": {\"order\": 1}", "order is a number; expected a name" },
		{ "\"defaults\": {\"interp\": \"area\"}", "defaults.interp is \"area\"; expected linear or cubic" },
		{ "\"defaults\": {\"start_frame\": -1}", "start_frame is -1; expected 0 to" },
		{ "\"first\": 1.5", "first is a number; expected a whole number" },
		{ "\"first\": 99999999999", "first is 99999999999; expected 0 to" },
		{ "\"frames\": 0", "frames is 0; expected 1 to" },
		{ "\"frames\": true", "frames is true or false; expected a whole number" },
		{ "\"fps\": 0", "fps is no rate" },
		{ "\"fps\": -25", "fps is no rate" },
		{ "\"fps\": 1e300", "fps is no rate" },
		{ "\"fps\": 0.0001", "fps is no rate" },
		{ "\"fps\": \"25\"", "fps is no rate" },
		{ "\"fps\": \"25/0\"", "fps is no rate" },
		{ "\"fps\": \"1/2/3\"", "fps is no rate" },
		{ "\"fps\": \"9999999999/1\"", "fps is no rate" },
		{ "\"fps\": \"999999999/1\"", "fps is no rate" },
		{ "\"fps\": null", "fps is no rate" },
		{ "\"fps\": \"1000001/1000\"", "fps is no rate" },
		{ "\"fps\": \"999999999/40000000\"",
		  "fps is 999999999/40000000 in lowest terms; expected terms up to 1000000" },
		{ "\"parsing\": \"masks.png\"", "parsing is \"masks.png\"; expected exactly one %d" },
		{ "\"parsing\": \"%s/%d.png\"", "expected exactly one %d" },
		{ "\"parsing\": \"\"", "parsing is a string; expected a name" },
		{ "\"model\": 5", "model is a number; expected a name" },
		{ "\"audio_encoder\": {}", "audio_encoder is an object" },
		{ "\"source\": \"x\"", "duplicate object key" },
		{ "\"model\": \"a\\u0000b\"", "a.json: line 1, column " },
	};
	struct inlay_error err;
	struct il_manifest manifest;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[512];
		snprintf(text, sizeof text,
		         "{\"inlay_avatar\": 1, \"source\": \"v.mp4\", \"rectangles\": \"r.json\", %s}", cases[i].more);
		assert_fails(parse_manifest(text, &manifest, &err), INLAY_ERR_FORMAT, cases[i].part);
		il_manifest_destroy(&manifest);
	}
	static const char *const whole[][2] = {
		{ "", "a.json: line 1, column 0: " },
		{ "[]", "a.json: is a list; expected an object" },
		{ "{}", "inlay_avatar is missing; expected \"inlay_avatar\": 1" },
		{ "{\"inlay_avatar\": 2}", "inlay_avatar is 2; expected 1 to 1" },
		{ "{\"inlay_avatar\": 1}", "rectangles is nothing; expected a file's name" },
		{ "{\"inlay_avatar\": 1, \"rectangles\": {}}", "rectangles is an object; expected a file's name" },
		{ "{\"inlay_avatar\": 1, \"rectangles\": \"%d%d\"}",
		  "rectangles is \"%d%d\"; expected exactly one %d" },
		{ "{\"inlay_avatar\": 1, \"rectangles\": []}", "source is missing; expected a video or a pattern" },
		{ "{\"inlay_avatar\": 1, \"rectangles\": [], \"source\": \"%x\"}",
		  "source is \"%x\"; expected a video" },
	};
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
		assert_fails(parse_manifest(whole[i][0], &manifest, &err), INLAY_ERR_FORMAT, whole[i][1]);
		il_manifest_destroy(&manifest);
	}
}

static void rates_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int num, den;
	} cases[] = {
		{ "25", 25, 1 },
		{ "29.97", 30000, 1001 },
		{ "23.976", 24000, 1001 },
		{ "59.94", 60000, 1001 },
		{ "12.5", 25, 2 },
		{ "30.0", 30, 1 },
		{ "\"24000/1001\"", 24000, 1001 },
		{ "\"100/4\"", 25, 1 },
		{ "\"960000000/32032000\"", 30000, 1001 },
		{ "\"1/1000000\"", 1, 1000000 },
		{ "\"000000025/1\"", 25, 1 },
		{ "999.999", 999999, 1000 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[256];
		struct inlay_error err;
		struct il_manifest manifest;
		snprintf(text, sizeof text, "{\"inlay_avatar\":1,\"source\":\"v\",\"rectangles\":[],\"fps\":%s}",
		         cases[i].text);
		assert_ok(parse_manifest(text, &manifest, &err));
		assert_int_equal(manifest.fps.num, cases[i].num);
		assert_int_equal(manifest.fps.den, cases[i].den);
		il_manifest_destroy(&manifest);
	}
}

struct told {
	int count;
	char text[16][512];
};

static void tell(void *ctx, const char *text)
{
	struct told *told = ctx;
	assert_true(told->count < 16);
	snprintf(told->text[told->count++], sizeof told->text[0], "%s", text);
}

static bool was_told(const struct told *told, const char *part)
{
	for (int i = 0; i < told->count; i++)
		if (strstr(told->text[i], part))
			return true;
	return false;
}

static void a_sound_pack_has_no_faults(void **state)
{
	(void)state;
	struct told told = { 0 };
	int faults = -1;
	assert_int_equal(il_avatar_check(test_data("lipsync_sanders"), tell, &told, &faults, NULL), INLAY_OK);
	assert_int_equal(faults, 0);
	assert_int_equal(told.count, 0);
}

static void check_tells_every_fault(void **state)
{
	(void)state;
	struct told told = { 0 };
	int faults = -1;
	const char *folder = pack_make_dataset("dataset", 1, 8);
	pack_write(folder, "landmarks/2.lms", "nonsense\n");
	unlink(pack_path(folder, "landmarks/3.lms"));
	unlink(pack_path(folder, "full_body_img/5.jpg"));
	unlink(pack_path(folder, "full_body_img/6.jpg"));
	pack_write(folder, "full_body_img/6.jpg", "not a picture");
	unlink(pack_path(folder, "full_body_img/7.jpg"));
	pack_link(folder, "full_body_img/7.jpg", test_data("lipsync_sanders/crops_328/1.jpg"));
	for (int i = 1; i <= 8; i++) {
		char name[32];
		snprintf(name, sizeof name, "parsing/%d.png", i);
		if (i != 4)
			pack_link(folder, name, test_data("lipsync_sanders/full_body_img/1.jpg"));
	}
	pack_write(folder, "checkpoint/net.onnx", "not a network");
	pack_write(folder, "checkpoint/ave_encoder.onnx", "not an encoder");
	assert_int_equal(il_avatar_check(folder, tell, &told, &faults, NULL), INLAY_ERR_NOT_FOUND);
	assert_true(was_told(&told, "full_body_img/5.jpg: missing (1 of"));
	assert_true(was_told(&told, "landmarks/2.lms: line 1"));
	assert_true(was_told(&told, "landmarks/3.lms"));
	assert_true(was_told(&told, "full_body_img/6.jpg"));
	assert_true(was_told(&told, "full_body_img/7.jpg: is 328x328; expected 1280x720"));
	assert_true(was_told(&told, "parsing/4.png: missing (1 of"));
	assert_true(was_told(&told, "net.onnx"));
	assert_true(was_told(&told, "ave_encoder.onnx"));
	assert_int_equal(told.count, 8);
	assert_int_equal(faults, 8);
	pack_remove(folder);
}

static void check_tells_of_what_is_no_pack(void **state)
{
	(void)state;
	struct told told = { 0 };
	int faults = -1;
	assert_int_equal(il_avatar_check("/nonexistent", tell, &told, &faults, NULL), INLAY_ERR_NOT_FOUND);
	assert_int_equal(faults, 1);
	const char *folder = pack_make("dataset");
	pack_write(folder, "avatar.json", "{\"x\": 1, \"source\": \"no.mp4\", \"rectangles\": 1, \"fps\": 0}");
	assert_int_equal(il_avatar_check(folder, tell, &told, &faults, NULL), INLAY_ERR_FORMAT);
	assert_int_equal(faults, 5); /* no version, x, fps, rectangles, no.mp4 */
	pack_remove(folder);
}

/* A video pack of lipsync_sanders with bytes changed in the frames between the key frames 0 and 250. */
static const char *make_damaged_pack(bool lose)
{
	struct inlay_error err;
	struct il_bytes video;
	const char *folder = make_video_pack("crop_rects.json");
	assert_ok(il_file_read(test_data("lipsync_sanders/full_body_video.mp4"), 1 << 24, &video, &err));
	for (size_t i = video.size / 3; i < video.size / 3 + (lose ? 20000 : 60); i++)
		video.data[i] = lose ? 0 : (uint8_t)~video.data[i];
	unlink(pack_path(folder, "full_body_video.mp4"));
	assert_ok(il_file_write(pack_path(folder, "full_body_video.mp4"), video.data, video.size, true, &err));
	il_bytes_destroy(&video);
	return folder;
}

static void check_tells_of_damage_in_a_video(void **state)
{
	(void)state;
	for (int lose = 0; lose < 2; lose++) {
		struct told told = { 0 };
		int faults = -1;
		const char *folder = make_damaged_pack(lose);
		assert_int_equal(il_avatar_check(folder, tell, &told, &faults, NULL), INLAY_ERR_FORMAT);
		assert_int_equal(faults, told.count);
		assert_in_range(faults, 1, 15);
		for (int i = 0; i < told.count; i++) {
			const char *text = strstr(told.text[i], "full_body_video.mp4: ");
			assert_non_null(text);
			int frame = -1;
			if (!strstr(text, "is damaged: frame"))
				assert_int_equal(sscanf(text, "%*s damaged near frame %d", &frame), 1);
			else
				assert_int_equal(sscanf(text, "%*s is damaged: frame %d of 523 does", &frame), 1);
			assert_in_range(frame, 50, 249);
		}
		assert_true(was_told(&told, lose ? "does not decode" : "damaged near frame"));
		pack_remove(folder);
	}
}

static void check_looks_at_sizes_first(void **state)
{
	(void)state;
	struct told told = { 0 };
	int faults = -1;
	const char *folder = pack_make_dataset("dataset", 1, 2);
	struct il_bytes picture;
	struct inlay_error err;
	assert_ok(il_file_read(test_data("lipsync_sanders/full_body_img/1.jpg"), 1 << 24, &picture, &err));
	for (size_t i = 0; i + 9 < picture.size; i++)
		if (picture.data[i] == 0xff && picture.data[i + 1] == 0xc0) {
			memcpy(picture.data + i + 5, "\x2e\xe0\x2e\xe0", 4);
			break;
		}
	for (int i = 1; i <= 2; i++)
		assert_ok(il_file_write(pack_path(folder, i == 1 ? "parsing/1.png" : "parsing/2.png"), picture.data,
		                        picture.size, true, &err));
	il_bytes_destroy(&picture);
	assert_int_equal(il_avatar_check(folder, tell, &told, &faults, NULL), INLAY_ERR_FORMAT);
	assert_int_equal(faults, 2);
	assert_true(was_told(&told, "parsing/1.png: is 12000x12000; expected 1280x720, as the first frame"));
	pack_remove(folder);
}

static void check_tells_of_models_that_do_not_fit(void **state)
{
	(void)state;
	static const struct {
		const char *model;
		int faults;
	} cases[] = { { "lipsync_320", 0 }, { "lipsync_hubert", 1 } };
	for (int i = 0; i < 2; i++) {
		struct told told = { 0 };
		int faults = -1;
		const char *folder = pack_make_dataset("dataset", 1, 2);
		pack_link(folder, "net.onnx", test_model(cases[i].model));
		pack_link(folder, "encoder.onnx", test_model("audio_encoder"));
		assert_int_equal(il_avatar_check(folder, tell, &told, &faults, NULL),
		                 cases[i].faults ? INLAY_ERR_INVALID : INLAY_OK);
		assert_int_equal(faults, cases[i].faults);
		assert_true(!faults || was_told(&told, "expected 16 or 8 feature rows of 512: the features or the"));
		pack_remove(folder);
	}
}

/* Whatever ends a check is told last; being asked to end is no fault. */
static void the_end_of_a_check_is_told(void **state)
{
	(void)state;
	static const struct {
		enum inlay_err first, rc, result;
		int count;
		const char *text;
	} cases[] = {
		{ INLAY_OK, INLAY_OK, INLAY_OK, 0, "" },
		{ INLAY_ERR_FORMAT, INLAY_OK, INLAY_ERR_FORMAT, 1, "a fault" },
		{ INLAY_OK, INLAY_ERR_MEMORY, INLAY_ERR_MEMORY, 1, "out of memory" },
		{ INLAY_ERR_FORMAT, INLAY_ERR_MEMORY, INLAY_ERR_MEMORY, 2, "out of memory" },
		{ INLAY_ERR_FORMAT, INLAY_ERR_CANCELLED, INLAY_ERR_CANCELLED, 1, "a fault" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_error err = { 0 };
		struct told told = { 0 };
		struct il_faults faults = { .err = &err, .report = tell, .ctx = &told };
		enum inlay_err rc = cases[i].rc;
		if (cases[i].first)
			assert_int_equal(il_fault(&faults, cases[i].first, "a fault"), INLAY_OK);
		if (rc == INLAY_ERR_MEMORY)
			assert_int_equal(il_fault_pass(&faults, il_fail_memory(&err)), rc);
		assert_int_equal(il_fault_end(&faults, rc), cases[i].result);
		assert_int_equal(faults.count, cases[i].count);
		assert_int_equal(told.count, cases[i].count);
		if (told.count)
			assert_string_equal(told.text[told.count - 1], cases[i].text);
	}
}

static bool cancel_at_three(void *ctx)
{
	(void)ctx;
	static int polls;
	return ++polls > 3;
}

static void check_can_be_cancelled(void **state)
{
	(void)state;
	struct told told = { 0 };
	int faults = -1;
	assert_int_equal(il_avatar_check(test_data("lipsync_sanders"), tell, &told, &faults, cancel_at_three),
	                 INLAY_ERR_CANCELLED);
	assert_int_equal(faults, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_walk),
		cmocka_unit_test(orders_have_names),
		cmocka_unit_test(video_pack_opens),
		cmocka_unit_test(video_pack_finds_its_parts),
		cmocka_unit_test(folders_that_are_none_are_told),
		cmocka_unit_test(dataset_opens),
		cmocka_unit_test(dataset_faults_are_told),
		cmocka_unit_test(manifest_with_everything),
		cmocka_unit_test(manifest_of_a_video),
		cmocka_unit_test(manifest_files_are_looked_at),
		cmocka_unit_test(bad_manifests_are_told),
		cmocka_unit_test(rates_are_read),
		cmocka_unit_test(a_sound_pack_has_no_faults),
		cmocka_unit_test(check_tells_every_fault),
		cmocka_unit_test(check_tells_of_what_is_no_pack),
		cmocka_unit_test(check_tells_of_damage_in_a_video),
		cmocka_unit_test(check_looks_at_sizes_first),
		cmocka_unit_test(check_tells_of_models_that_do_not_fit),
		cmocka_unit_test(the_end_of_a_check_is_told),
		cmocka_unit_test(check_can_be_cancelled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

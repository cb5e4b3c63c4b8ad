#define _GNU_SOURCE
#include "tests/test.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sys/stat.h>

#include "avatar/avatar.h"
#include "avatar/compiled.h"
#include "base/file.h"

#define FRAMES 7
#define MAX_BYTES 5000

static struct inlay_error err;

/* What is written of each frame: five kinds in two files. */
static const struct {
	const char *name;
	enum il_compiled_store store;
	enum il_safetensor_type type;
	int rank;
} kinds[] = {
	{ "index", IL_STORE_FRAMES, IL_ST_U32, 1 }, { "jpeg", IL_STORE_FRAMES, IL_ST_U8, 1 },
	{ "crop", IL_STORE_FRAMES, IL_ST_U8, 3 },   { "/up/Concat_0", IL_STORE_HOISTED, IL_ST_F16, 3 },
	{ "x.2", IL_STORE_HOISTED, IL_ST_F16, 3 },
};
enum { KINDS = sizeof kinds / sizeof *kinds, JPEG = 1 };

static const float mean[3] = { 0.5f, 1, 2 };

static size_t make(int k, int frame, size_t dims[3], uint8_t *data)
{
	if (kinds[k].rank == 1)
		dims[0] = (size_t)(frame * 37 % 11 * (k + 1) + (k == JPEG ? 1000 + frame : 3));
	else
		memcpy(dims, (size_t[3]){ 5, 6, 3 }, 3 * sizeof *dims);
	size_t size;
	assert_true(il_safetensor_size(kinds[k].type, kinds[k].rank, dims, &size));
	assert_true(size <= MAX_BYTES);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(i * 3 + (size_t)(frame * 17 + k * 5) + (i >> 7));
	return size;
}

/* The folder of a test: NAME.inlay, and beside it the files that it is made from. */
static char folder[1000], path[1100];

static const char *in_folder(const char *name)
{
	static char paths[8][1200];
	static unsigned next;
	char *out = paths[next++ % 8];
	snprintf(out, sizeof paths[0], "%s/%s", folder, name);
	return out;
}

static void put(const char *name, const char *text)
{
	assert_ok(il_file_write(in_folder(name), text, strlen(text), true, &err));
}

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "%s", test_scratch("compiled"));
	if (mkdir(folder, 0777))
		return -1;
	snprintf(path, sizeof path, "%s/a.inlay", folder);
	put("video.mp4", "a video");
	put("net.onnx", "a network");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char command[1200];
	snprintf(command, sizeof command, "rm -r '%s'", folder);
	return system(command);
}

static struct il_compiled_plan plan_of(bool overwrite)
{
	static const char *sources[2];
	static char names[2][1200];
	for (int i = 0; i < 2; i++) {
		snprintf(names[i], sizeof names[i], "%s", in_folder(i ? "net.onnx" : "video.mp4"));
		sources[i] = names[i];
	}
	return (struct il_compiled_plan){ .frames = FRAMES,
		                          .kinds = { 3, 2 },
		                          .constants = { 0, 1 },
		                          .name_bytes = 20,
		                          .settings = "{\"quality\": 90}",
		                          .sources = sources,
		                          .source_count = 2,
		                          .overwrite = overwrite };
}

static struct inlay_rect rects[FRAMES];

static struct il_compiled_info info_of(void)
{
	for (int i = 0; i < FRAMES; i++)
		rects[i] = (struct inlay_rect){ 10 + i, 20, 110 + i, 120 };
	return (struct il_compiled_info){
		.frames = FRAMES,
		.width = 1280,
		.height = 720,
		.fps = { 30000, 1001 },
		.order = IL_ORDER_LOOP,
		.interp = -1,
		.start_frame = 3,
		.colour = { INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 1, 13 },
		.rects = rects,
		.jpeg_quality = 90,
		.jpeg_restart_interval = 80,
		.network = "network.onnx",
	};
}

static struct il_compiled_writer *open_writer(bool overwrite)
{
	struct il_compiled_writer *writer;
	struct il_compiled_plan plan = plan_of(overwrite);
	assert_ok(il_compiled_writer_open(&writer, path, &plan, &err));
	return writer;
}

/* What is missing of frames 0 .. end-1; returns how many tensors were. */
static int add_missing(struct il_compiled_writer *writer, int end)
{
	uint8_t data[MAX_BYTES];
	size_t dims[3];
	int added = 0;
	for (int frame = 0; frame < end; frame++)
		for (int k = 0; k < KINDS; k++) {
			if (il_compiled_writer_has(writer, kinds[k].store, kinds[k].name, frame))
				continue;
			make(k, frame, dims, data);
			assert_ok(il_compiled_writer_add(writer, kinds[k].store, kinds[k].name, frame, kinds[k].type,
			                                 kinds[k].rank, dims, data, &err));
			added++;
		}
	return added;
}

static void finish(struct il_compiled_writer **writer)
{
	struct il_compiled_info info = info_of();
	if (!il_compiled_writer_has(*writer, IL_STORE_HOISTED, "mean", -1))
		assert_ok(il_compiled_writer_add(*writer, IL_STORE_HOISTED, "mean", -1, IL_ST_F32, 1, (size_t[]){ 3 },
		                                 mean, &err));
	assert_ok(il_compiled_writer_copy(*writer, "network.onnx", in_folder("net.onnx"), &err));
	assert_ok(il_compiled_writer_finish(*writer, &info, &err));
	il_compiled_writer_destroy(writer);
}

static void compile(bool overwrite)
{
	struct il_compiled_writer *writer = open_writer(overwrite);
	add_missing(writer, FRAMES);
	finish(&writer);
}

static int count_wrong(const struct il_compiled *compiled, int frame)
{
	uint8_t data[MAX_BYTES];
	size_t dims[3];
	int wrong = 0;
	for (int k = 0; k < KINDS; k++) {
		size_t size = make(k, frame, dims, data);
		const struct il_safetensor *t =
			il_compiled_tensor(compiled, il_compiled_find_kind(compiled, kinds[k].name), frame);
		wrong += t->size != size || t->rank != kinds[k].rank || t->type != kinds[k].type ||
		         memcmp(t->dims, dims, (size_t)t->rank * sizeof *dims) || memcmp(t->data, data, size) ||
		         (uintptr_t)t->data % 64;
	}
	return wrong;
}

static void check_content(void)
{
	struct il_compiled *compiled;
	assert_ok(il_compiled_open(&compiled, path, &err));
	for (int frame = 0; frame < FRAMES; frame++)
		assert_int_equal(count_wrong(compiled, frame), 0);
	assert_ok(il_compiled_verify(compiled, NULL, NULL, &err));
	il_compiled_destroy(&compiled);
}

static void expect_open(enum inlay_err code, const char *says)
{
	struct il_compiled *compiled;
	if (code)
		assert_fails(il_compiled_open(&compiled, path, &err), code, says);
	else
		assert_ok(il_compiled_open(&compiled, path, &err));
	assert_true(!code == !!compiled);
	il_compiled_destroy(&compiled);
}

static void comes_back_as_written(void **state)
{
	(void)state;
	compile(false);
	check_content();
	struct il_compiled *compiled;
	char with_slash[1200];
	snprintf(with_slash, sizeof with_slash, "%s/", path);
	assert_true(il_compiled_probe(path));
	assert_false(il_compiled_probe(folder));
	assert_ok(il_compiled_open(&compiled, with_slash, &err));
	const struct il_compiled_info *got = il_compiled_info(compiled);
	struct il_compiled_info info = info_of();
	assert_memory_equal(got->rects, rects, sizeof rects);
	assert_string_equal(got->network, "network.onnx");
	assert_int_equal(got->frames * 10000 + got->width, FRAMES * 10000 + 1280);
	assert_int_equal(got->height, 720);
	assert_memory_equal(&got->fps, &info.fps, sizeof info.fps);
	assert_memory_equal(&got->colour, &info.colour, sizeof info.colour);
	assert_int_equal(got->order, IL_ORDER_LOOP);
	assert_int_equal(got->interp, -1);
	assert_int_equal(got->start_frame, 3);
	assert_int_equal(got->jpeg_quality * 1000 + got->jpeg_restart_interval, 90080);
	assert_int_equal(il_compiled_kind_count(compiled), KINDS);
	assert_int_equal(il_compiled_find_kind(compiled, "none"), -1);
	const struct il_compiled_kind *crop = il_compiled_kind_at(compiled, il_compiled_find_kind(compiled, "crop"));
	assert_int_equal(crop->dims[0] * 100 + crop->dims[1] * 10 + crop->dims[2], 563);
	const struct il_compiled_kind *jpeg = il_compiled_kind_at(compiled, il_compiled_find_kind(compiled, "jpeg"));
	assert_true(jpeg->dims[0] == IL_COMPILED_VARIES);
	assert_memory_equal(il_compiled_constant(compiled, IL_STORE_HOISTED, "mean")->data, mean, sizeof mean);
	assert_null(il_compiled_constant(compiled, IL_STORE_FRAMES, "mean"));
	struct il_bytes network;
	char *file = il_compiled_path(compiled, got->network);
	assert_ok(il_file_read(file, 100, &network, &err));
	assert_string_equal((char *)network.data, "a network");
	il_bytes_destroy(&network);
	free(file);
	il_compiled_destroy(&compiled);
	il_compiled_destroy(&compiled);
	assert_false(il_path_exists(in_folder("a.inlay.part")));
	assert_false(il_path_exists(in_folder("a.inlay/frames.safetensors.journal")));
}

static void notices_changed_sources(void **state)
{
	(void)state;
	compile(false);
	const struct timespec other[2] = { { 1000, 0 }, { 1000, 0 } };
	assert_int_equal(utimensat(AT_FDCWD, in_folder("video.mp4"), other, 0), 0);
	expect_open(INLAY_OK, "");
	put("video.mp4", "a VIDEO");
	expect_open(INLAY_ERR_INVALID, "a.inlay: stale: ");
	assert_non_null(
		strstr(err.text, "video.mp4 changed since it was compiled; compile again (inlay avatar compile"));
	put("video.mp4", "another video");
	expect_open(INLAY_ERR_INVALID, "video.mp4 changed");
	unlink(in_folder("video.mp4"));
	expect_open(INLAY_OK, "");
	put("net.onnx", "");
	expect_open(INLAY_ERR_INVALID, "net.onnx changed");
	/* The sources lie beside the avatar and so are found beside it where both were moved. */
	char moved[1100];
	snprintf(moved, sizeof moved, "%s-moved", folder);
	assert_int_equal(rename(folder, moved), 0);
	struct il_compiled *compiled;
	snprintf(path, sizeof path, "%s/a.inlay", moved);
	assert_fails(il_compiled_open(&compiled, path, &err), INLAY_ERR_INVALID, "net.onnx changed");
	assert_int_equal(rename(moved, folder), 0);
}

/* Damage. */

static void edit_manifest(const char *key, const char *value)
{
	json_t *root = json_load_file(in_folder("a.inlay/avatar.json"), 0, NULL);
	assert_non_null(root);
	if (value)
		assert_int_equal(json_object_set_new(root, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
	else
		json_object_del(root, key);
	assert_int_equal(json_dump_file(root, in_folder("a.inlay/avatar.json"), 0), 0);
	json_decref(root);
}

static void refuses_bad_manifests(void **state)
{
	(void)state;
	static const struct {
		const char *key, *value, *says;
		enum inlay_err code;
	} cases[] = {
		{ "inlay_compiled", "2", "version 2, expected 1; compile again", INLAY_ERR_UNSUPPORTED },
		{ "inlay_compiled", NULL, "inlay_compiled is nothing", INLAY_ERR_FORMAT },
		{ "colours", "{}", "unknown key \"colours\" in the manifest", INLAY_ERR_FORMAT },
		{ "made_by", "1", "made_by is a number; expected a text", INLAY_ERR_FORMAT },
		{ "settings", NULL, "settings is nothing", INLAY_ERR_FORMAT },
		{ "frames", "0", "frames is 0; expected 1 to", INLAY_ERR_FORMAT },
		{ "frames", "8", "rects is a list of 7; expected a list of 8", INLAY_ERR_FORMAT },
		{ "frames", "7.0", "frames is a number; expected a whole number", INLAY_ERR_FORMAT },
		{ "width", "116", "rects[7] is no", INLAY_OK },
		{ "width", "115", "rects[6] is no [x0, y0, x1, y1] within 115 x 720", INLAY_ERR_FORMAT },
		{ "height", "70000", "height is 70000", INLAY_ERR_FORMAT },
		{ "start_frame", "7", "start_frame is 7; expected 0 to 6", INLAY_ERR_FORMAT },
		{ "budget_bytes", "1", "budget_bytes", INLAY_ERR_FORMAT },
		{ "fps", "25", "fps is no pair", INLAY_ERR_FORMAT },
		{ "fps", "[25, 0]", "fps is no pair", INLAY_ERR_FORMAT },
		{ "order", "\"sideways\"", "order is none of", INLAY_ERR_FORMAT },
		{ "order", NULL, "", INLAY_OK },
		{ "interp", "\"cubic\"", "", INLAY_OK },
		{ "interp", "\"square\"", "interp is neither", INLAY_ERR_FORMAT },
		{ "colour", "{\"matrix\":1,\"range\":3,\"primaries\":1,\"transfer\":1}", "range is 3",
		  INLAY_ERR_FORMAT },
		{ "colour", "[]", "colour is a list; expected an object", INLAY_ERR_FORMAT },
		{ "jpeg", NULL, "", INLAY_OK },
		{ "jpeg", "{\"quality\":0,\"restart_interval\":1}", "quality is 0", INLAY_ERR_FORMAT },
		{ "rects", "{}", "rects is an object", INLAY_ERR_FORMAT },
		{ "network", "\"other.onnx\"", "network names none of files", INLAY_ERR_FORMAT },
		{ "kinds", "[]", "kinds is a list", INLAY_ERR_FORMAT },
		{ "kinds", "{\"jpeg\":{\"file\":\"tables\",\"type\":\"U8\",\"shape\":[null]}}",
		  "jpeg: unknown file or type", INLAY_ERR_FORMAT },
		{ "kinds", "{\"jpeg\":{\"file\":\"frames\",\"type\":\"U8\",\"shape\":[\"\"]}}", "shape holds a string",
		  INLAY_ERR_FORMAT },
		{ "kinds", "{\"jpeg\":{\"file\":\"frames\",\"type\":\"U8\",\"shape\":[null]}}", "", INLAY_OK },
		{ "kinds", "{\"jpeg\":{\"file\":\"frames\",\"type\":\"U8\",\"shape\":[5]}}",
		  "frames.safetensors: tensor jpeg.0 is not as avatar.json says", INLAY_ERR_FORMAT },
		{ "kinds", "{\"jpeg\":{\"file\":\"hoisted\",\"type\":\"U8\",\"shape\":[null]}}",
		  "hoisted.safetensors lacks tensor jpeg.0", INLAY_ERR_FORMAT },
		{ "files", "{}", "network names none", INLAY_ERR_FORMAT },
		{ "files", "{\"../x\":{\"size\":1,\"xxh3\":\"0000000000000000\"}}", "is no plain name",
		  INLAY_ERR_FORMAT },
		{ "files", "{\"network.onnx\":{\"size\":9,\"xxh3\":\"0\"}}", "xxh3 is no 16", INLAY_ERR_FORMAT },
		{ "files", "{\"network.onnx\":{\"size\":9,\"xxh3\":\"0000000000000000\"}}",
		  "frames.safetensors holds 0 tensors, too few for 3 kinds in 7 frames", INLAY_ERR_FORMAT },
		{ "files", "{\"network.onnx\":{\"size\":8,\"xxh3\":\"0000000000000000\"}}", "9 bytes, expected the 8",
		  INLAY_ERR_FORMAT },
		{ "sources", "[{\"path\":\"x\"}]", "size is nothing", INLAY_ERR_FORMAT },
		{ "sources", "[{\"paths\":\"x\"}]", "unknown key \"paths\" in sources", INLAY_ERR_FORMAT },
	};
	compile(false);
	struct il_bytes sound;
	const char *manifest = in_folder("a.inlay/avatar.json");
	assert_ok(il_file_read(manifest, 100000, &sound, &err));
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		edit_manifest(cases[i].key, cases[i].value);
		expect_open(cases[i].code, cases[i].says);
		assert_ok(il_file_write(in_folder("a.inlay/avatar.json"), sound.data, sound.size, true, &err));
	}
	for (size_t n = 0; n < sound.size; n += 7) {
		assert_int_equal(truncate(in_folder("a.inlay/avatar.json"), (off_t)n), 0);
		expect_open(INLAY_ERR_FORMAT, "avatar.json: line ");
		assert_ok(il_file_write(in_folder("a.inlay/avatar.json"), sound.data, sound.size, true, &err));
	}
	il_bytes_destroy(&sound);
	expect_open(INLAY_OK, "");
}

static void flip(const char *name, long from_end)
{
	FILE *f = fopen(in_folder(name), "r+b");
	assert_non_null(f);
	assert_int_equal(fseek(f, -from_end, SEEK_END), 0);
	int c = fgetc(f);
	assert_int_equal(fseek(f, -from_end, SEEK_END), 0);
	fputc(c ^ 1, f);
	assert_int_equal(fclose(f), 0);
}

static void expect_damage(const char *says)
{
	struct il_compiled *compiled;
	assert_ok(il_compiled_open(&compiled, path, &err));
	assert_fails(il_compiled_verify(compiled, NULL, NULL, &err), INLAY_ERR_FORMAT, says);
	il_compiled_destroy(&compiled);
}

static void names_damaged_files(void **state)
{
	(void)state;
	struct stat st;
	compile(false);
	flip("a.inlay/network.onnx", 2);
	expect_damage("a.inlay/network.onnx: damaged");
	flip("a.inlay/network.onnx", 2);
	flip("a.inlay/frames.safetensors", 1);
	expect_damage("a.inlay/frames.safetensors: tensor crop.6: damaged");
	flip("a.inlay/frames.safetensors", 1);
	flip("a.inlay/hoisted.safetensors", 1);
	expect_damage("a.inlay/hoisted.safetensors: tensor mean: damaged");
	flip("a.inlay/hoisted.safetensors", 1);
	check_content();
	assert_int_equal(stat(in_folder("a.inlay/frames.safetensors"), &st), 0);
	assert_int_equal(truncate(in_folder("a.inlay/frames.safetensors"), st.st_size - 1), 0);
	expect_open(INLAY_ERR_FORMAT, "bytes, expected the");
	unlink(in_folder("a.inlay/network.onnx"));
	expect_open(INLAY_ERR_NOT_FOUND, "a.inlay/network.onnx: cannot open");
	unlink(in_folder("a.inlay/avatar.json"));
	expect_open(INLAY_ERR_NOT_FOUND, "a.inlay/avatar.json: cannot open");
}

/* Going on. */

static void cut_somewhere(const char *name)
{
	struct stat st;
	if (!stat(in_folder(name), &st))
		assert_int_equal(truncate(in_folder(name), (off_t)(test_random() % (uint64_t)(st.st_size + 1))), 0);
}

static void goes_on_after_a_kill(void **state)
{
	(void)state;
	static const char *const files[] = { "a.inlay.part/frames.safetensors", "a.inlay.part/hoisted.safetensors",
		                             "a.inlay.part/frames.safetensors.journal",
		                             "a.inlay.part/hoisted.safetensors.journal" };
	compile(false);
	struct il_bytes frames, got;
	assert_ok(il_file_read(in_folder("a.inlay/frames.safetensors"), 1 << 20, &frames, &err));
	int kept = 0;
	for (int round = 0; round < 24; round++) {
		struct il_compiled_writer *writer = open_writer(true);
		int before = add_missing(writer, 1 + (int)(test_random() % FRAMES));
		char *stray;
		assert_ok(il_compiled_writer_file(writer, "stray.onnx", &stray, &err));
		assert_ok(il_file_write(stray, "x", 1, true, &err));
		free(stray);
		il_compiled_writer_destroy(&writer);
		cut_somewhere(files[round % 4]);
		writer = open_writer(true);
		int missing = add_missing(writer, FRAMES);
		assert_true(missing >= FRAMES * KINDS - before);
		kept += FRAMES * KINDS - missing;
		finish(&writer);
		check_content();
		assert_false(il_path_exists(in_folder("a.inlay/stray.onnx")));
		assert_false(il_path_exists(in_folder("a.inlay.part")));
		assert_ok(il_file_read(in_folder("a.inlay/frames.safetensors"), 1 << 20, &got, &err));
		assert_int_equal(got.size, frames.size);
		assert_memory_equal(got.data, frames.data, got.size);
		il_bytes_destroy(&got);
	}
	assert_true(kept > 120);
	il_bytes_destroy(&frames);
}

static void starts_anew_with_another_plan(void **state)
{
	(void)state;
	struct il_compiled_writer *writer = open_writer(false);
	struct il_compiled_plan plan = plan_of(false);
	add_missing(writer, 3);
	il_compiled_writer_destroy(&writer);
	plan.settings = "{\"quality\": 91}";
	assert_ok(il_compiled_writer_open(&writer, path, &plan, &err));
	assert_false(il_compiled_writer_has(writer, IL_STORE_FRAMES, "jpeg", 0));
	add_missing(writer, 3);
	il_compiled_writer_destroy(&writer);
	put("video.mp4", "a VIDEO");
	assert_ok(il_compiled_writer_open(&writer, path, &plan, &err));
	assert_false(il_compiled_writer_has(writer, IL_STORE_FRAMES, "jpeg", 0));
	add_missing(writer, 1);
	assert_true(il_compiled_writer_has(writer, IL_STORE_FRAMES, "jpeg", 0));
	il_compiled_writer_discard(&writer);
	assert_null(writer);
	assert_false(il_path_exists(in_folder("a.inlay.part")));
}

/* Replacing. */

static void replaces_only_what_it_may(void **state)
{
	(void)state;
	struct il_compiled_writer *writer, *second;
	struct il_compiled_plan plan = plan_of(false);
	struct il_compiled_info info = info_of();
	compile(false);
	assert_fails(il_compiled_writer_open(&second, path, &plan, &err), INLAY_ERR_EXISTS, "a.inlay: exists already");

	struct il_compiled *reader;
	assert_ok(il_compiled_open(&reader, path, &err));
	writer = open_writer(true);
	plan.overwrite = true;
	assert_fails(il_compiled_writer_open(&second, path, &plan, &err), INLAY_ERR_IO, "another run is writing it");
	add_missing(writer, FRAMES);
	finish(&writer);
	for (int frame = 0; frame < FRAMES; frame++)
		assert_int_equal(count_wrong(reader, frame), 0);
	il_compiled_destroy(&reader);
	check_content();

	/* Killed between two renames. */
	assert_int_equal(rename(path, in_folder("a.inlay.old")), 0);
	plan.overwrite = false;
	assert_fails(il_compiled_writer_open(&second, path, &plan, &err), INLAY_ERR_EXISTS, "exists already");
	check_content();

	/* Neither a folder of something else nor what a user has put into ours is removed. */
	put("a.inlay/notes.txt", "mine");
	compile(true);
	check_content();
	const char *swapped = in_folder("a.inlay.part/notes.txt"), *stepped = in_folder("a.inlay.old/notes.txt");
	assert_true(il_path_exists(swapped) || il_path_exists(stepped));
	unlink(swapped);
	plan.overwrite = true;
	snprintf(path, sizeof path, "%s", folder);
	assert_fails(il_compiled_writer_open(&second, path, &plan, &err), INLAY_ERR_INVALID, "is no compiled avatar");
	snprintf(path, sizeof path, "%s/video.mp4", folder);
	assert_fails(il_compiled_writer_open(&second, path, &plan, &err), INLAY_ERR_INVALID, "is no compiled avatar");
	snprintf(path, sizeof path, "%s/b.inlay", folder);
	plan.overwrite = false;
	assert_ok(il_compiled_writer_open(&writer, path, &plan, &err));
	add_missing(writer, FRAMES);
	info.network = NULL;
	assert_int_equal(mkdir(path, 0777), 0);
	put("b.inlay/x", "in the way");
	assert_fails(il_compiled_writer_finish(writer, &info, &err), INLAY_ERR_EXISTS, "appeared while");
	unlink(in_folder("b.inlay/x"));
	assert_ok(il_compiled_writer_finish(writer, &info, &err));
	il_compiled_writer_destroy(&writer);
	check_content();
}

static void writer_refuses_what_is_not_whole(void **state)
{
	(void)state;
	struct il_compiled_writer *writer = open_writer(false);
	struct il_compiled_info info = info_of();
	size_t one = 1;
	char *file;
	assert_fails(il_compiled_writer_add(writer, IL_STORE_FRAMES, "jpeg", FRAMES, IL_ST_U8, 1, &one, "x", &err),
	             INLAY_ERR_INVALID, "jpeg of frame 7 is not within the plan");
	assert_fails(il_compiled_writer_add(writer, IL_STORE_FRAMES, "jpeg.1", -1, IL_ST_U8, 1, &one, "x", &err),
	             INLAY_ERR_INVALID, "not within the plan");
	assert_fails(il_compiled_writer_file(writer, "../network.onnx", &file, &err), INLAY_ERR_INVALID, "plain name");
	assert_fails(il_compiled_writer_file(writer, "network.json", &file, &err), INLAY_ERR_INVALID, "plain name");
	info.network = NULL;
	add_missing(writer, FRAMES - 1);
	assert_fails(il_compiled_writer_finish(writer, &info, &err), INLAY_ERR_INVALID, "is there for 6 of 7 frames");
	add_missing(writer, FRAMES);
	info.network = "network.onnx";
	assert_fails(il_compiled_writer_finish(writer, &info, &err), INLAY_ERR_FORMAT, "network names none of files");
	info.network = NULL;
	info.frames = 6;
	assert_fails(il_compiled_writer_finish(writer, &info, &err), INLAY_ERR_INVALID, "6 frames, planned were 7");
	info.frames = 7;
	assert_ok(il_compiled_writer_finish(writer, &info, &err));
	il_compiled_writer_destroy(&writer);
	il_compiled_writer_destroy(&writer);
	check_content();

	snprintf(path, sizeof path, "%s/b.inlay", folder);
	writer = open_writer(false);
	add_missing(writer, 1);
	assert_ok(il_compiled_writer_add(writer, IL_STORE_HOISTED, "late", 1, IL_ST_U8, 1, &one, "x", &err));
	assert_fails(il_compiled_writer_add(writer, IL_STORE_HOISTED, "late", 0, IL_ST_U8, 1, &one, "x", &err),
	             INLAY_ERR_INVALID, "late.0 comes behind frame 1");
	assert_ok(il_compiled_writer_add(writer, IL_STORE_FRAMES, "index", 1, IL_ST_U8, 1, &one, "x", &err));
	assert_fails(il_compiled_writer_finish(writer, &info, &err), INLAY_ERR_INVALID, "index.1 has another type");
	il_compiled_writer_discard(&writer);
}

static void *read_frames(void *ctx)
{
	const struct il_compiled *compiled = ctx;
	intptr_t wrong = 0;
	for (int i = 0; i < 300; i++) {
		il_compiled_prefetch(compiled, (i + 1) % FRAMES);
		wrong += count_wrong(compiled, i % FRAMES);
		il_compiled_release(compiled, i % FRAMES);
	}
	return (void *)wrong;
}

static void many_threads_read(void **state)
{
	(void)state;
	struct il_compiled *compiled;
	pthread_t threads[4];
	void *wrong;
	compile(false);
	assert_ok(il_compiled_open(&compiled, path, &err));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_frames, compiled), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	il_compiled_destroy(&compiled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(comes_back_as_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(notices_changed_sources, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_bad_manifests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_damaged_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(goes_on_after_a_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(starts_anew_with_another_plan, set_up, tear_down),
		cmocka_unit_test_setup_teardown(replaces_only_what_it_may, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writer_refuses_what_is_not_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_threads_read, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

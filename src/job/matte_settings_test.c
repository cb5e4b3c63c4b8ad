#include "inlay/matte.h"

#include "base/file.h"
#include "tests/test.h"

static struct inlay_error err;

static struct inlay_matte_settings fresh(void)
{
	struct inlay_matte_settings s;
	inlay_matte_settings_init(&s, INLAY_MATTE_BEST);
	return s;
}

static const char *write_file(const char *text)
{
	static const char path[] = "settings_test.json";
	assert_ok(il_file_write(path, text, strlen(text), true, &err));
	return path;
}

static void every_kind_is_set_by_name(void **state)
{
	(void)state;
	struct inlay_matte_settings s = fresh();
	static const char *const pairs[][2] = {
		{ "threshold", "0.25" },  { "expand", "-7" },        { "feather-side", "in" },
		{ "halo_free", "false" }, { "size", "512x288" },     { "background", "green" },
		{ "model", "/m.onnx" },   { "foreground", "clean" }, { "upsample", "nearest" },
		{ "fit", "tile" },        { "similar", "35" },       { "every", "3" },
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		assert_ok(inlay_matte_settings_set(&s, pairs[i][0], pairs[i][1], &err));
	assert_true(s.look.threshold == 0.25 && s.look.expand == -7 && s.look.side == INLAY_MATTE_IN);
	assert_false(s.look.halo_free);
	assert_int_equal(s.width, 512);
	assert_int_equal(s.height, 288);
	assert_string_equal(s.background, "green");
	assert_string_equal(s.model, "/m.onnx");
	assert_int_equal(s.look.foreground, INLAY_FOREGROUND_CLEAN);
	assert_int_equal(s.look.upsample, INLAY_MATTE_NEAREST);
	assert_int_equal(s.fit, INLAY_FIT_TILE);
	assert_true(s.similar == 35 && s.every == 3);
	/* A preset is a look: the rest stays. */
	assert_ok(inlay_matte_settings_set(&s, "preset", "reference", &err));
	assert_true(s.look.threshold == 0.65 && s.look.exact && s.every == 3);
	inlay_matte_settings_destroy(&s);
	assert_null(s.background);
}

static void wrong_values_say_what_is_expected(void **state)
{
	(void)state;
	static const char *const cases[][3] = {
		{ "threshold", "1.5", "threshold is \"1.5\"; expected a number from 0 to 1" },
		{ "threshold", "", "threshold is \"\"; expected" },
		{ "threshold", "nan", "expected a number" },
		{ "expand", "2.5", "expand is \"2.5\"; expected a whole number from -256 to 256" },
		{ "halo_free", "yes", "expected true or false" },
		{ "upsample", "cubic", "expected one of guided, bilinear, nearest" },
		{ "preset", "nice", "expected one of best, fast, obs, reference" },
		{ "size", "512", "expected WIDTHxHEIGHT" },
		{ "size", "512x0", "expected WIDTHxHEIGHT" },
		{ "size", "9000x9000", "expected WIDTHxHEIGHT" },
		{ "every", "0", "from 1 to 1000" },
		{ "colour", "green", "unknown setting \"colour\"; known are preset, model" },
	};
	struct inlay_matte_settings s = fresh();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		err = (struct inlay_error){ 0 };
		assert_fails(inlay_matte_settings_set(&s, cases[i][0], cases[i][1], &err), INLAY_ERR_INVALID,
		             cases[i][2]);
	}
	inlay_matte_settings_destroy(&s);
}

static void a_file_changes_all_or_nothing(void **state)
{
	(void)state;
	static const char *const bad[][2] = {
		{ "", "line 1" },
		{ "[]", "settings_test.json: is a list; expected an object of settings" },
		{ "{\"blur\": 5, \"feahter\": 2}", "settings_test.json: unknown setting \"feahter\"; known are" },
		{ "{\"blur\": 5, \"feather\": \"2\"}", "settings_test.json: feather is a string; expected a number" },
		{ "{\"blur\": 5, \"expand\": 1.5}", "expand is a number; expected a whole number" },
		{ "{\"blur\": 5, \"alpha\": 1}", "alpha is a number; expected true or false" },
		{ "{\"blur\": 5, \"contour\": 7}",
		  "settings_test.json: contour is \"7\"; expected a number from 0 to 1" },
		{ "{\"blur\": 5, \"model\": null}", "model is null; expected a text" },
	};
	struct inlay_matte_settings s = fresh();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		err = (struct inlay_error){ 0 };
		assert_fails(inlay_matte_settings_read(&s, write_file(bad[i][0]), NULL, &err), INLAY_ERR_FORMAT,
		             bad[i][1]);
		assert_true(s.look.blur == 0);
	}
	err = (struct inlay_error){ 0 };
	assert_fails(inlay_matte_settings_read(&s, "no_such.json", NULL, &err), INLAY_ERR_NOT_FOUND, "no_such.json");
	/* The preset counts first, wherever it stands. */
	assert_ok(inlay_matte_settings_read(&s, write_file("{\"expand\": 3, \"preset\": \"reference\"}"), NULL, &err));
	assert_true(s.look.expand == 3 && s.look.threshold == 0.65);
	assert_ok(inlay_matte_settings_read(&s, "settings_test.json", "obs", &err));
	assert_true(s.look.expand == 3 && s.look.threshold == 0.5 && s.look.temporal == 0.85);
	inlay_matte_settings_destroy(&s);
}

static void paths_are_relative_to_the_file(void **state)
{
	(void)state;
	struct inlay_matte_settings s = fresh();
	assert_int_equal(system("rm -rf settings_folder && mkdir settings_folder && touch settings_folder/room.png"),
	                 0);
	const char *text = "{\"background\": \"room.png\", \"plate\": \"other.png\", \"model\": \"rvm\"}";
	assert_ok(il_file_write("settings_folder/s.json", text, strlen(text), true, &err));
	assert_ok(inlay_matte_settings_read(&s, "settings_folder/s.json", NULL, &err));
	assert_string_equal(s.background, "settings_folder/room.png");
	assert_string_equal(s.plate, "other.png"); /* not there: the job will say so */
	assert_string_equal(s.model, "rvm");
	inlay_matte_settings_destroy(&s);
}

static void what_is_written_reads_the_same(void **state)
{
	(void)state;
	for (int preset = 0; preset < INLAY_MATTE_PRESETS; preset++) {
		struct inlay_matte_settings s, again = fresh();
		inlay_matte_settings_init(&s, (enum inlay_matte_preset)preset);
		assert_ok(inlay_matte_settings_set(&s, "background", "a \"quoted\" name.png", &err));
		assert_ok(inlay_matte_settings_set(&s, "temporal", "0.1", &err));
		assert_ok(inlay_matte_settings_set(&s, "size", "640x360", &err));
		char *text = inlay_matte_settings_format(&s);
		assert_non_null(strstr(text, "\"temporal\": 0.1,"));
		assert_ok(inlay_matte_settings_read(&again, write_file(text), NULL, &err));
		char *second = inlay_matte_settings_format(&again);
		assert_string_equal(text, second);
		free(text);
		free(second);
		inlay_matte_settings_destroy(&s);
		inlay_matte_settings_destroy(&again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_is_set_by_name),      cmocka_unit_test(wrong_values_say_what_is_expected),
		cmocka_unit_test(a_file_changes_all_or_nothing),  cmocka_unit_test(paths_are_relative_to_the_file),
		cmocka_unit_test(what_is_written_reads_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
